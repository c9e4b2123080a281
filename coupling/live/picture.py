"""What is to be seen of a run: the state of the last step, put together from what was recorded."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feederloop.coupling.live.feed import Step
from feederloop.coupling.live.history import History
from feederloop.coupling.report.packing import pack
from feederloop.coupling.topology import Topology

Floats = NDArray[np.float64]
Tables = Mapping[str, Any]

FIGURES = (
    "v_min_v", "v_max_v", "line_percent", "transformer_percent", "source_kw", "net_kw", "household_kw", "pv_kw",
    "ev_kw", "export_limit_kw", "import_limit_kw", "price_per_kwh", "volume_kwh", "late_s",
)  # fmt: skip
"""Of the whole feeder, over time: lowest and highest voltage of a customer, highest loading of a phase, sums."""

_POWER_KW, _VOLT, _PERCENT, _MONEY, _KWH = 0.001, 0.01, 0.1, 0.0001, 0.001
_OF_POINTS = {
    "p_kw": _POWER_KW, "v_v": _VOLT, "export_limit_kw": _POWER_KW, "import_limit_kw": _POWER_KW,
    "household_p_kw": _POWER_KW, "pv_p_kw": _POWER_KW, "ev_p_kw": _POWER_KW,
}  # fmt: skip
_OF_VEHICLES = {"soc_kwh": _KWH, "plugged": 1.0}
_OF_TRADES = {"traded_kwh": _KWH, "price_per_kwh": _MONEY}
_SUMS = {
    "net_kw": "p_kw", "household_kw": "household_p_kw", "pv_kw": "pv_p_kw", "ev_kw": "ev_p_kw",
    "export_limit_kw": "export_limit_kw", "import_limit_kw": "import_limit_kw",
}  # fmt: skip
_AHEAD = {"market", "trades"}
_OF_STEPS = {"connection_point", "grid"}
"""What a step of the network records; when the run ends, its last interval is settled, and the network has no step."""
_PHASES = "abc"


class Picture:
    """The state of a run as its viewers see it.

    Args:
        topology: The feeder, in whose order numbers of buses, branches and prosumers are shown.
    """

    def __init__(self, topology: Topology) -> None:
        self.history = History(FIGURES)
        self.time_s: int | None = None
        self._is_line = np.array([name.startswith("line") for name in topology.branches], dtype=bool)
        prosumers = "prosumer", pd.Index(topology.points)
        self._rows = {
            "grid_bus": ("bus", pd.Index(topology.buses)),
            "grid_branch": ("branch", pd.Index(topology.branches)),
            **dict.fromkeys(("connection_point", "ev", "trades"), prosumers),
        }
        self._places: dict[str, NDArray[np.int64]] = {}
        self._tables: dict[str, Any] = {}
        self._now: dict[str, Any] = {}
        self._wall_s: float | None = None
        self._step_wall_s: float | None = None

    def take(self, steps: Sequence[Step]) -> None:
        """Take what was recorded since the last call."""
        for step in steps:
            for name in _AHEAD & step.tables.keys():
                # What was traded in a step is for the next interval; what holds now was traded an interval ago.
                self._now[name] = self._tables.get(name)
            self._tables |= step.tables
            self.time_s = step.time_s
            if _OF_STEPS & step.tables.keys():
                self.history.add(step.time_s, self._figures(step.tables))
            self._step_wall_s = None if self._wall_s is None else step.wall_s - self._wall_s
            self._wall_s = step.wall_s

    def as_dict(self) -> dict[str, Any]:
        """Return the state, numbers of buses, branches and prosumers packed as in a report."""
        known, now = self._tables, self._now
        of_prosumers = [
            (known, "connection_point", _OF_POINTS),
            (known, "ev", _OF_VEHICLES),
            (now, "trades", _OF_TRADES),
        ]
        return {
            "time_s": self.time_s,
            "buses": {phase: pack(self._spread(known, "grid_bus", f"v_{phase}_v"), _VOLT) for phase in _PHASES},
            "branches": pack(self._loading(known), _PERCENT),
            "prosumers": {
                column: pack(self._spread(tables, name, column), unit)
                for tables, name, columns in of_prosumers
                for column, unit in columns.items()
            },
            "step_wall_s": self._step_wall_s,
        }

    def _figures(self, tables: Tables) -> dict[str, float]:
        """The feeder's figures from what a step recorded, and the price that holds."""
        volts = _known(_numbers(tables.get("connection_point"), "v_v"))
        figures = {"v_min_v": float(volts.min()), "v_max_v": float(volts.max())} if volts.size else {}
        loading = self._loading(tables)
        for name, kind in (("line_percent", self._is_line), ("transformer_percent", ~self._is_line)):
            if (values := _known(loading[kind])).size:
                figures[name] = float(values.max())
        for name, column in _SUMS.items():
            if (values := _known(_numbers(tables.get("connection_point"), column))).size:
                figures[name] = float(values.sum())
        for name, table, column in (
            ("source_kw", tables.get("grid"), "p_source_kw"),
            ("late_s", tables.get("clock"), "late_s"),
            ("price_per_kwh", self._now.get("market"), "price_per_kwh"),
            ("volume_kwh", self._now.get("market"), "volume_kwh"),
        ):
            if (values := _numbers(table, column)).size:
                figures[name] = float(values[-1])
        return figures

    def _loading(self, tables: Tables) -> Floats:
        """[branches] Loading of the most loaded phase, %."""
        one, other, third = (self._spread(tables, "grid_branch", f"loading_{phase}_percent") for phase in _PHASES)
        return np.fmax(np.fmax(one, other), third)

    def _spread(self, tables: Tables, name: str, column: str) -> Floats:
        """A column in the topology's order; NaN where there is nothing."""
        index, wanted = self._rows[name]
        values = np.full(len(wanted), np.nan)
        batch = tables.get(name)
        if batch is None:
            return values
        if name not in self._places:  # the rows of a table are the same in every step
            places = wanted.get_indexer(pd.Index(batch.column(index).to_pylist()))
            self._places[name] = np.asarray(places, dtype=np.int64)
        places = self._places[name]
        values[places[places >= 0]] = _numbers(batch, column)[places >= 0]
        return values


def _numbers(batch: Any, column: str) -> Floats:
    """A column as numbers, gaps as NaN; empty where there is none."""
    if batch is None:
        return np.empty(0)
    return np.asarray(batch.column(column).to_numpy(zero_copy_only=False), dtype=np.float64)


def _known(values: Floats) -> Floats:
    known: Floats = values[np.isfinite(values)]
    return known
