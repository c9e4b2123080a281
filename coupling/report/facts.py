"""What a report is made from: a run's tables as arrays, tolerant of whatever a stopped run has not got to."""

from collections.abc import Sequence
from datetime import UTC
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feederloop.coupling.report.figures import Figures
from feederloop.coupling.report.folding import FloatArray
from feederloop.coupling.report.timeline import Timeline, stride_for
from feederloop.coupling.results import Run
from feederloop.simulators.errors import InputError
from feederloop.simulators.market.tariffs import Tariff, expand_tariff

_TIMED = ("connection_point", "grid", "grid_bus", "grid_branch", "ev")
_STEP_S, _INTERVAL_S = 300, 1800


class Facts(Figures):
    """A run as its report sees it.

    Args:
        run: The run; complete or not.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._tables: dict[str, pd.DataFrame] = {}
        self.damaged: list[str] = []
        self._elements: dict[tuple[str, ...], tuple[FloatArray, list[str]]] = {}

    def table(self, name: str, *columns: str) -> pd.DataFrame | None:
        """A table's rows, None where it is absent, empty, or lacks a column."""
        if name not in self._tables:
            self._tables[name] = self._read(name)
        table = self._tables[name]
        return None if table.empty or not set(columns) <= set(table.columns) else table

    def _read(self, name: str) -> pd.DataFrame:
        """Read a table; what is damaged counts as absent and is named in `damaged`."""
        try:
            return self.run.table(name) if name in self.run.tables else pd.DataFrame()
        except InputError:
            self.damaged.append(name)
            return pd.DataFrame()

    @cached_property
    def prosumers(self) -> pd.DataFrame:
        """Who takes part, a row each; only names where nothing more is known."""
        table = self.table("prosumer", "prosumer")
        if table is None:
            points = self.table("connection_point", "prosumer")
            names = [] if points is None else sorted(points["prosumer"].unique())
            table = pd.DataFrame({"prosumer": pd.Series(names, dtype=object)})
        return table.reset_index(drop=True)

    @cached_property
    def names(self) -> list[str]:
        """The prosumers' names."""
        return [str(name) for name in self.prosumers["prosumer"]]

    @cached_property
    def phases(self) -> NDArray[Any]:
        """Each prosumer's phase: `a`, `b`, `c` or `abc`; `all` where it is not known."""
        if "phase" not in self.prosumers:
            return np.full(len(self.names), "all", dtype=object)
        return np.array(self.prosumers["phase"].astype(str), dtype=object)

    @cached_property
    def timeline(self) -> Timeline | None:
        """The time axis, None where not a single step was recorded."""
        spans = [
            (table["time"].min(), table["time"].max())
            for name in _TIMED
            if (table := self.table(name, "time")) is not None
        ]
        if not spans:
            return None
        time = self.section("time")
        step_s = int(time.get("step_s", _STEP_S))
        interval_s = int(time.get("interval_s", _INTERVAL_S))
        start = min(first for first, _ in spans)
        end = max(last for _, last in spans)
        steps = round((end - start).total_seconds() / step_s) + 1
        try:
            zone = ZoneInfo(str(time.get("time_zone", "UTC")))
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        stride = stride_for(steps, max(interval_s // step_s, 1), len(self.names))
        return Timeline(start.to_pydatetime().astimezone(UTC), step_s, steps, interval_s, zone, stride)

    @property
    def intervals(self) -> int:
        """Market intervals that the time axis covers."""
        line = self.timeline
        return 0 if line is None else -(-line.steps * line.step_s // line.interval_s)

    def by_step(self, name: str, column: str) -> FloatArray | None:
        """A column of a table per step and prosumer, [steps, prosumers]; NaN where there is no value."""
        table, line = self.table(name, "time", "prosumer", column), self.timeline
        if table is None or line is None:
            return None
        return self._spread(table, "time", column, line.step_s, line.steps)

    def by_interval(self, name: str, column: str) -> FloatArray | None:
        """A column of a table per market interval and prosumer, [intervals, prosumers]."""
        table, line = self.table(name, "interval_start", "prosumer", column), self.timeline
        if table is None or line is None:
            return None
        return self._spread(table, "interval_start", column, line.interval_s, self.intervals)

    def of_market(self, column: str) -> FloatArray | None:
        """A column of the table `market`, [intervals]."""
        table, line = self.table("market", "interval_start", column), self.timeline
        if table is None or line is None:
            return None
        values = np.full(self.intervals, np.nan)
        rows = self.row_numbers(table["interval_start"], line.interval_s)
        inside = (rows >= 0) & (rows < self.intervals)
        values[rows[inside]] = table[column].to_numpy(dtype=np.float64)[inside]
        return values

    def of_elements(self, name: str, index: str, columns: Sequence[str]) -> tuple[FloatArray, list[str]] | None:
        """A table of the network as [steps, elements, columns], NaN where there is no value, and elements' names."""
        table = self.table(name, "time", index, *columns)
        if table is None or self.timeline is None:
            return None
        key = (name, index, *columns)
        if key not in self._elements:
            self._elements[key] = self.spread(table, index, columns)
        return self._elements[key]

    def spread(self, table: pd.DataFrame, index: str, columns: Sequence[str]) -> tuple[FloatArray, list[str]]:
        """Rows with a `time` as [steps, elements, columns], NaN where there is no value, and the elements' names."""
        line = self.timeline
        if line is None:
            raise ValueError("a run without steps has no time axis")
        places, found = pd.factorize(table[index])
        moments, times = pd.factorize(table["time"])
        rows = self.row_numbers(pd.Series(times), line.step_s)[moments]
        inside = (rows >= 0) & (rows < line.steps)
        values = np.full((line.steps, len(found), len(columns)), np.nan)
        values[rows[inside], places[inside]] = table[list(columns)].to_numpy(dtype=np.float64)[inside]
        return values, [str(element) for element in found]

    def row_numbers(self, times: "pd.Series[Any]", period_s: int) -> NDArray[np.int64]:
        """How many periods after the start each time is."""
        line = self.timeline
        if line is None:
            raise ValueError("a run without steps has no time axis")
        # The resolution of stored times may be any, so that seconds are counted from a difference.
        after = (times - pd.Timestamp(line.start)).dt.total_seconds().to_numpy()
        return np.asarray(np.rint(after / period_s), dtype=np.int64)

    def tariff(self) -> Tariff | None:
        """What energy costs outside the local market, None where it cannot be told any more."""
        line, time = self.timeline, self.section("time")
        if line is None or not self.section("tariff"):
            return None
        try:
            return expand_tariff(
                self.section("tariff"),
                start=line.start.isoformat(),
                time_zone=str(time.get("time_zone", "UTC")),
                interval_s=line.interval_s,
                count=self.intervals,
            )
        except (InputError, OSError):  # a tariff from a file that was moved since
            return None

    def _spread(self, table: pd.DataFrame, time: str, column: str, period_s: int, periods: int) -> FloatArray:
        places = pd.Index(self.names).get_indexer(table["prosumer"].astype(str))
        rows = self.row_numbers(table[time], period_s)
        inside = (places >= 0) & (rows >= 0) & (rows < periods)
        values = np.full((periods, len(self.names)), np.nan)
        values[rows[inside], places[inside]] = table[column].to_numpy(dtype=np.float64)[inside]
        return values
