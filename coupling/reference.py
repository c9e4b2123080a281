"""Run a scenario once more under another scheme, into the folder of the run that it is to be shown beside."""

import contextlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from feederloop.coupling.progress import progress_display
from feederloop.coupling.report import write_report
from feederloop.coupling.results import REFERENCE_FOLDER, SUMMARY_FILE
from feederloop.coupling.run import RunResult, run_scenario
from feederloop.coupling.scenario import Scenario
from feederloop.coupling.status import write_whole


@dataclass(frozen=True)
class Reference:
    """What a reference has come to.

    Attributes:
        scheme: How its feeder was coordinated.
        status: `complete`, `failed` or `interrupted`.
        message: Who stopped it, when and why; empty when complete.
        summary: Its figures by group, as in its own `summary.json`.
    """

    scheme: str
    status: str
    message: str
    summary: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Whether its figures can stand beside those of the run."""
        return self.status == "complete"


def run_reference(scenario: Scenario, run: RunResult, *, progress: bool) -> Reference:
    """Run a reference and show it in the report of the run; whatever happens to it, the run stays what it is.

    It is simulated throughout and as fast as it goes, whatever bench or clock the run had.

    Args:
        scenario: That of the run, under another scheme.
        run: A complete run; its `summary.json` is told how the reference ended.
        progress: Whether to show how far it has come.
    """
    try:
        with _display(scenario, progress) as shown:
            result = run_scenario(scenario, out=run.folder / REFERENCE_FOLDER, progress=shown)
        found = Reference(scenario.scheme, result.status, result.message, result.summary)
        told = {"scheme": found.scheme, "status": found.status, "folder": REFERENCE_FOLDER}
        write_whole(
            run.folder / SUMMARY_FILE, json.dumps({**run.summary, "reference": told}, indent=2, allow_nan=False) + "\n"
        )
        if found.complete:
            write_report(run.folder)
    except KeyboardInterrupt:
        return Reference(scenario.scheme, "interrupted", "stopped on request", {})
    except Exception as error:
        return Reference(scenario.scheme, "failed", f"{type(error).__name__}: {error}", {})
    return found


def _display(scenario: Scenario, wanted: bool) -> AbstractContextManager[bool | Callable[[float], None]]:
    if not wanted:
        return contextlib.nullcontext(False)
    time = scenario.time
    name = f"{scenario.name}, {scenario.scheme}"
    return progress_display(name, time.start_utc, time.time_zone, time.duration_s)
