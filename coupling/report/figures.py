"""What is known of a run without reading its tables: its scenario, its limits, its figures."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from feederloop.coupling.results import Run
from feederloop.coupling.scenario.network import Limits


class Figures:
    """A run by its scenario and summary; complete or not.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.summary: Mapping[str, Any] = run.summary

    @cached_property
    def scenario(self) -> Mapping[str, Any]:
        """The scenario as resolved, empty where the run has not even written that."""
        try:
            return self.run.scenario
        except (OSError, ValueError):
            return {}

    def section(self, name: str) -> Mapping[str, Any]:
        """A section of the scenario, empty where there is none."""
        found = self.scenario.get(name)
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def limits(self) -> Limits:
        """What the network had to keep."""
        try:
            return Limits.model_validate(dict(self.section("limits")))
        except ValueError:
            return Limits()

    @property
    def manner(self) -> str:
        """How the feeder was coordinated, as the end of a sentence."""
        scheme = str(self.scenario.get("scheme", "uncoordinated"))
        return "without coordination" if scheme == "uncoordinated" else f"under {scheme}"

    def figure(self, key: str) -> float | None:
        """A number of the summary by its dotted path, None where there is none."""
        value: Any = self.summary
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return float(value) if isinstance(value, int | float) else None
