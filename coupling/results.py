"""Open the folder that a run has left behind."""

import json
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

import yaml

from feederloop.coupling.columns import unit_of
from feederloop.coupling.status import FILE_NAME as STATUS_FILE
from feederloop.coupling.status import RunStatus, read_status
from feederloop.simulators.errors import InputError

# pandas and pyarrow take longer to load than a month to open: who only looks for a table's place or a figure does
# without.
if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

SCENARIO_FILE, SUMMARY_FILE, REPORT_FILE = "scenario.yaml", "summary.json", "report.html"
REFERENCE_FOLDER = "reference"
"""Folder within a run's for the same scenario under another scheme, which the report shows beside it."""


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
        """All that is known of how the run stands, read anew each time.

        Raises:
            InputError: `status.json` is not what a run writes.
        """
        try:
            return read_status(self.folder)
        except (ValueError, TypeError, AttributeError) as error:
            message = f"Cannot be read as the status of a run ({error})."
            raise InputError(message, file=self.folder / STATUS_FILE) from error

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
        """The scenario as resolved, with every default and the seed; as the version that ran it wrote it.

        Raises:
            InputError: The file is missing or no YAML.
        """
        file = self.folder / SCENARIO_FILE
        try:
            return dict(yaml.safe_load(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
            raise InputError(f"The run's scenario cannot be read ({type(error).__name__}).", file=file) from error

    @cached_property
    def time_zone(self) -> str:
        """IANA name of the scenario's time zone; UTC where the folder does not say."""
        try:
            zone = self.scenario["time"]["time_zone"]
            return str(zone) if zone in available_timezones() else "UTC"
        except (InputError, KeyError, TypeError):
            return "UTC"

    @property
    def summary(self) -> dict[str, Any]:
        """The main figures by group; empty for a run that did not get to them.

        Raises:
            InputError: `summary.json` is not what a run writes.
        """
        file = self.folder / SUMMARY_FILE
        try:
            return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
        except (ValueError, TypeError) as error:
            raise InputError(f"Cannot be read as the figures of a run ({error}).", file=file) from error

    @property
    def tables(self) -> list[str]:
        """The names of the tables that there are, finished or not."""
        whole = {file.stem for file in self.folder.glob("*.parquet")}
        parts = {file.parent.name for file in self.folder.glob("*/part-*.parquet")}
        return sorted(whole | parts)

    def table(self, name: str) -> "pd.DataFrame":
        """Read a table; of a run that was stopped, or is going on, what has been written until then.

        Args:
            name: One of `tables`.

        Returns:
            [rows] As recorded: `time` and `interval_start` are UTC with their zone. `attrs["units"]` has the unit of
            each column that has one.

        Raises:
            InputError: There is no such table, or its file is damaged.
        """
        from pyarrow import ArrowInvalid

        from feederloop.simulators.recorder.tables import read_table

        tables = self.tables
        if name not in tables:
            raise InputError(
                f"There is no such table{_nearest(name, tables)}.",
                file=self.folder,
                key="table",
                value=name,
                allowed=", ".join(tables) or "none: the run has written no table",
            )
        try:
            frame: pd.DataFrame = read_table(self.folder, name).to_pandas()
        except (ArrowInvalid, OSError) as error:
            raise InputError(
                f"The table cannot be read ({error}).", file=self.folder, key="table", value=name
            ) from error
        frame.attrs["units"] = {column: unit for column in map(str, frame.columns) if (unit := unit_of(column))}
        return frame

    def series(self, name: str, column: str) -> "pd.DataFrame":
        """Read one column of a table over time, in local time.

        Args:
            name: One of `tables` that has times and one row for each prosumer, bus or branch, or one for all.
            column: One of its columns.

        Returns:
            [times, members] Indexed by the scenario's local time (with its zone), a column per prosumer, bus or
            branch. Unit and meaning are in `attrs`.

        Raises:
            InputError: There is no such table or column, or the table is a mere list of rows, as orders are.
        """
        from feederloop.coupling import labelled

        return labelled.wide(name, self.table(name), column, self.time_zone)

    def dataset(self, name: str) -> "xr.Dataset":
        """Read a table as labelled arrays, for xarray.

        Args:
            name: One of `tables` whose rows have axes, e.g. `connection_point` (time, prosumer) or `grid_bus` (time,
                bus). What has a column per phase is one variable with the axis `phase`.

        Returns:
            The table with its axes as coordinates. Times are UTC without a zone, since numpy's know none:
            `dataset.indexes["time"].tz_localize("UTC").tz_convert(run.time_zone)` is local time. Each variable has
            `units` and `long_name`, the whole has the run's name, status and seed in `attrs`.

        Raises:
            ImportError: xarray is not installed: `pip install 'feederloop[xarray]'`.
            InputError: There is no such table, or it is a mere list of rows, as orders are.
        """
        from feederloop.coupling import labelled

        summary = self.summary
        known = {key: summary[key] for key in ("scenario", "scheme", "seed") if summary.get(key) is not None}
        attrs = {"run": self.folder.name, "status": self.status, "table": name, "time_zone": self.time_zone, **known}
        return labelled.dataset(name, self.table(name), attrs)


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
