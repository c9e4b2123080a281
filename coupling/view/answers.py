"""What the viewer shows of a run: facts once, then curves, moments and tables as they are asked for."""

import math
import threading
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feederloop.coupling.report.figures import Figures
from feederloop.coupling.report.headlines import cards
from feederloop.coupling.report.timeline import Timeline
from feederloop.coupling.results import Run
from feederloop.coupling.topology_file import topology_of
from feederloop.coupling.view.store import Columns, Span, Store

MOST_POINTS = 1000
_STEPPED = ("connection_point", "grid", "grid_bus", "grid_branch", "ev")
_KNOWN = ("bus", "phase", "pv_kwp", "ev_capacity_kwh", "ev_discharge_kw", "annual_kwh")
_POINT_COLUMNS = ("v_v", "p_kw", "export_limit_kw", "import_limit_kw")
_VOLTAGES = {"v_min_v": 'min("v_v")', "v_max_v": 'max("v_v")'}
_PARTS = {
    "net_kw": "p_kw", "household_kw": "household_p_kw", "pv_kw": "pv_p_kw", "pv_available_kw": "pv_available_kw",
    "ev_kw": "ev_p_kw", "export_limit_kw": "export_limit_kw", "import_limit_kw": "import_limit_kw",
}  # fmt: skip


class Answers:
    """What is to be known of a run.

    Args:
        run: The run, finished or not.
    """

    def __init__(self, run: Run) -> None:
        self.store = Store(run)
        self._run, self._facts = run, Figures(run)
        self._told: dict[str, Any] | None = None
        self._telling = threading.Lock()

    def overview(self) -> dict[str, Any]:
        """Return how the run stands, who takes part, where they are, which tables there are, and the first moment."""
        with self._telling:
            if self._told is None or self._told["status"] == "running":
                self._told = self._overview()
            return self._told

    def _overview(self) -> dict[str, Any]:
        run, facts, line = self._run, Figures(self._run), self.timeline()
        details = run.details
        return {
            "name": str(facts.scenario.get("name", run.folder.name)),
            "title": str(facts.scenario.get("title") or facts.scenario.get("name") or run.folder.name),
            "scheme": str(facts.scenario.get("scheme", "")),
            "folder": str(run.folder),
            "status": run.status,
            "message": run.message,
            "reached_s": details.reached_s if details else 0,
            "duration_s": details.duration_s if details else 0,
            "cards": [asdict(card) for card in cards(facts, len(self._prosumers))],
            "limits": {
                "voltage_v": list(facts.limits.voltage_range_v),
                "line_percent": facts.limits.line_loading_percent,
                "transformer_percent": facts.limits.transformer_loading_percent,
            },
            "tables": {name: self.store.rows(name) for name in run.tables},
            "damaged": [name for name in run.tables if run.status != "running" and not self.store.columns(name)],
            "map": self._map,
            "moment": self.moment(line.start.timestamp()) if line else {},
            "page": {"time": line.as_dict() if line else None, "prosumers": self._prosumers},
        }

    def timeline(self) -> Timeline | None:
        """Return the run's steps so far; None where there are none."""
        span, time = self.store.span(_STEPPED), self._facts.section("time")
        if span is None:
            return None
        step_s, interval_s = int(time.get("step_s", 300)), int(time.get("interval_s", 1800))
        try:
            zone = ZoneInfo(str(time.get("time_zone", "UTC")))
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        steps = round((span[1] - span[0]) / step_s) + 1
        return Timeline(datetime.fromtimestamp(span[0], UTC), step_s, steps, interval_s, zone)

    def curves(self, span: Span | None, prosumer: str | None) -> dict[str, Any]:
        """Return curves of the feeder or of one prosumer, folded to at most `MOST_POINTS`; powers are means."""
        line = self.timeline()
        if line is None:
            return {}
        span, fold_s = _clipped(span, line), float(line.step_s)
        fold_s *= max(1, math.ceil((span[1] - span[0]) / fold_s / MOST_POINTS))
        market_s = line.interval_s * math.ceil(max(fold_s, line.interval_s) / line.interval_s)
        if prosumer is not None:
            which = {"prosumer": prosumer}
            powers = {name: f'avg("{column}")' for name, column in _PARTS.items()}
            trades = {"price_per_kwh": 'avg("price_per_kwh")', "traded_kwh": 'sum("traded_kwh")'}
            return {
                "fold_s": fold_s,
                "points": self.store.folded("connection_point", powers | _VOLTAGES, span, fold_s, which),
                "ev": self.store.folded("ev", {"soc_kwh": 'max_by("soc_kwh", "time")'}, span, fold_s, which),
                "market": self.store.folded("trades", trades, span, market_s, which),
            }
        homes = max(len(self._prosumers), 1)
        powers = {name: f'sum("{column}") / count(*) * {homes}' for name, column in _PARTS.items()}
        market = {"price_per_kwh": 'avg("price_per_kwh")', "volume_kwh": 'sum("volume_kwh")'}
        return {
            "fold_s": fold_s,
            "points": self.store.folded("connection_point", powers | _VOLTAGES, span, fold_s),
            "market": self.store.folded("market", market, span, market_s),
        }

    def loading(self, span: Span | None) -> Columns:
        """Return the highest loading of any line and transformer, folded."""
        line = self.timeline()
        if line is None:
            return {}
        span = _clipped(span, line)
        fold_s = line.step_s * max(1, math.ceil((span[1] - span[0]) / line.step_s / MOST_POINTS))
        worst = 'greatest("loading_a_percent", "loading_b_percent", "loading_c_percent")'
        shown = {
            name: f"max({worst}) FILTER (starts_with(\"branch\", '{kind}'))"
            for name, kind in (("line_percent", "line"), ("transformer_percent", "trafo"))
        }
        return self.store.folded("grid_branch", shown, span, fold_s)

    def moment(self, at: float) -> dict[str, Any]:
        """Return what the map shows at a time, in the map's order."""
        map_, line = self._map, self.timeline()
        if line is None:
            return {}
        start = line.start.timestamp()
        step = min(max(math.floor((at - start) / line.step_s), 0), line.steps - 1)
        at = start + step * line.step_s
        points = self.store.moment("connection_point", "prosumer", _POINT_COLUMNS, at)
        names = map_["points"]["name"] if map_ is not None else [one["name"] for one in self._prosumers]
        told: dict[str, Any] = {"at": at, "points": _aligned(points, names, _POINT_COLUMNS)}
        if map_ is not None:
            volts = ("v_a_v", "v_b_v", "v_c_v")
            told["buses"] = _aligned(self.store.moment("grid_bus", "bus", volts, at), map_["buses"]["name"], volts)
            loading = ("loading_a_percent", "loading_b_percent", "loading_c_percent")
            told["branches"] = _aligned(
                self.store.moment("grid_branch", "branch", loading, at), map_["branches"]["name"], loading
            )
        return told

    @cached_property
    def _prosumers(self) -> list[dict[str, Any]]:
        if rows := self.store.records("prosumer", ("prosumer", *_KNOWN)):
            return [{"name": str(row.pop("prosumer")), **row} for row in rows]
        names = {str(row["prosumer"]) for row in self.store.records("connection_point", ("prosumer",), distinct=True)}
        return [{"name": name} for name in sorted(names)]

    @cached_property
    def _map(self) -> dict[str, Any] | None:
        """The feeder as of `Topology.as_dict`; None where it cannot be told any more."""
        return topology_of(self._run)


def _clipped(span: Span | None, line: Timeline) -> Span:
    start = line.start.timestamp()
    end = start + line.steps * line.step_s
    if span is None or span[1] <= span[0]:
        return start, end
    first = start + math.floor((span[0] - start) / line.step_s) * line.step_s
    return max(first, start), min(span[1], end)


def _aligned(rows: Mapping[Any, list[Any]], keys: Any, columns: tuple[str, ...]) -> Columns:
    gap = [None] * len(columns)
    found = [rows.get(key, gap) for key in keys]
    return {name: [row[place] for row in found] for place, name in enumerate(columns)}
