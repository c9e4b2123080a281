"""Open the folder that a run has left behind."""

import json
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from feederloop.coupling.status import RunStatus, read_status
from feederloop.simulators.errors import InputError
from feederloop.simulators.recorder.tables import read_table

SCENARIO_FILE, SUMMARY_FILE, REPORT_FILE = "scenario.yaml", "summary.json", "report.html"


class Run:
    """A run's results, whether it is complete or not.

    Args:
        folder: The run's folder.

    Raises:
        InputError: There is no such folder, or no run in it.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            near = _nearest(self.folder.name, _runs_in(self.folder.parent))
            raise InputError(f"There is no such folder{near}.", file=self.folder)
        if self.details is None:
            runs = _runs_in(self.folder)
            raise InputError(
                "There is no run in this folder.",
                file=self.folder,
                allowed=f"one of the runs below it: {', '.join(runs)}" if runs else "a folder with a status.json",
            )

    def __repr__(self) -> str:
        return f"<Run {self.folder} ({self.status})>"

    @property
    def details(self) -> RunStatus | None:
        """All that is known of how the run stands, read anew each time."""
        return read_status(self.folder)

    @property
    def status(self) -> str:
        """`complete`, `failed`, `interrupted`, `running`, or `incomplete` if it was killed."""
        details = self.details
        return details.status if details else "incomplete"

    @property
    def message(self) -> str:
        """Who stopped the run, when and why; empty when complete."""
        details = self.details
        return details.message if details else ""

    @cached_property
    def scenario(self) -> dict[str, Any]:
        """The scenario as resolved, with every default and the seed."""
        content = yaml.safe_load((self.folder / SCENARIO_FILE).read_text(encoding="utf-8"))
        return dict(content)

    @property
    def summary(self) -> dict[str, Any]:
        """The main figures by group; empty for a run that did not get to them."""
        file = self.folder / SUMMARY_FILE
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}

    @property
    def tables(self) -> list[str]:
        """The names of the tables that there are, finished or not."""
        whole = {file.stem for file in self.folder.glob("*.parquet")}
        parts = {file.parent.name for file in self.folder.glob("*/part-*.parquet")}
        return sorted(whole | parts)

    def table(self, name: str) -> pd.DataFrame:
        """Read a table; of a run that was stopped, what was written until then.

        Args:
            name: One of `tables`.

        Raises:
            InputError: There is no such table.
        """
        tables = self.tables
        if name not in tables:
            raise InputError(
                f"There is no such table{_nearest(name, tables)}.",
                file=self.folder,
                key="table",
                value=name,
                allowed=", ".join(tables) or "none: the run has written no table",
            )
        frame: pd.DataFrame = read_table(self.folder, name).to_pandas()
        return frame


def open_run(folder: Path | str) -> Run:
    """Open a run's folder.

    Args:
        folder: The folder that `run` has returned or printed.

    Raises:
        InputError: There is no such folder, or no run in it.
    """
    return Run(folder)


def _runs_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(file.parent.name for file in folder.glob("*/status.json"))


def _nearest(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}" if close else ""
