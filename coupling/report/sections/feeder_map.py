"""The feeder as a map: voltages, loadings, envelopes and energy, one frame of time after the other."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import FloatArray, Fold, quietly
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.section import Section
from feederloop.coupling.report.timeline import Timeline
from feederloop.coupling.topology_file import topology_of

PHASES = ("a", "b", "c")
NUMBERS_LIMIT = 300_000
"""Numbers that all frames may have together: about 0.8 MB of page."""
LOW_VOLTAGE_V = 1000.0
NEAR_SHARE = 0.6
"""A limit is on the scale of colours if it is no farther away than this share of what voltages cover."""
_LEAD = (
    "Choose what colours the feeder, and move or play the time. A frame shows what was worst in {span} minutes; what "
    "is outside its limits is drawn thick. Click a home to see all about it."
)


@dataclass(frozen=True)
class _Frames:
    """Equal spans of time, each a whole number of market intervals."""

    line: Timeline
    per_frame: int

    @property
    def count(self) -> int:
        return -(-self.line.steps // self.per_frame)

    def fold(self, values: FloatArray, how: Fold) -> FloatArray:
        return replace(self.line, stride=self.per_frame).fold(values, how)

    def farthest(self, values: FloatArray, middle: float) -> FloatArray:
        least, most = self.fold(values, "min"), self.fold(values, "max")
        return np.where(middle - least > most - middle, least, most)


def make(facts: Facts) -> Section | None:
    """Return the section, None where nobody knows any more where things are, or nothing was recorded."""
    line = facts.timeline
    topology = None if line is None else topology_of(facts.run)
    if line is None or topology is None:
        return None
    drawn = _with_our_points(topology, facts)
    if not drawn["points"]["name"]:
        return None
    frames = _frames(line, len(drawn["buses"]["name"]) + len(drawn["branches"]["name"]))
    layers = [layer for layer in _layers(facts, frames, drawn) if layer is not None]
    if not layers:
        return None
    frame_s = frames.per_frame * line.step_s
    data = {
        "topology": drawn,
        "frame_s": frame_s,
        "frames": frames.count,
        "first": _most_telling(facts, frames),
        "layers": layers,
    }
    lead = _LEAD.format(span=f"{frame_s / 60:g}")
    if drawn["placed_by"] == "tree":
        lead += " The network has no coordinates: it is drawn as a tree along its cables."
    titles = [(place, layer["title"]) for place, layer in enumerate(layers)]
    return Section("map", "Map", lead, data={"map": data}, kind="map", extra={"layers": titles})


def _frames(line: Timeline, elements: int) -> _Frames:
    """Return frames as short as their number allows."""
    per_interval = max(line.interval_s // line.step_s, 1)
    most = max(NUMBERS_LIMIT // (3 * max(elements, 1)), 24)
    intervals = -(-line.steps // per_interval)
    return _Frames(line, per_interval * -(-intervals // most))


def _with_our_points(topology: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """Return a topology whose connection points are the prosumers, in their order, as far as their bus is known."""
    buses = facts.prosumers["bus"] if "bus" in facts.prosumers else pd.Series(-1, index=facts.prosumers.index)
    at = pd.Index(topology["buses"]["name"]).get_indexer(buses)
    known = np.flatnonzero(at >= 0).tolist()
    points = {
        "name": [facts.names[place] for place in known],
        "bus": at[known].tolist(),
        "phase": [str(facts.phases[place]) for place in known],
        "prosumer": known,
    }
    return {**topology, "points": points}


def _layers(facts: Facts, frames: _Frames, drawn: dict[str, Any]) -> list[dict[str, Any] | None]:
    ours = np.array(drawn["points"]["prosumer"], dtype=np.int64)
    return [_voltage(facts, frames, drawn, ours), _loading(facts, frames, drawn), *_of_points(facts, frames, ours)]


def _voltage(facts: Facts, frames: _Frames, drawn: dict[str, Any], ours: Any) -> dict[str, Any] | None:
    volts = facts.by_step("connection_point", "v_v")
    if volts is None:
        return None
    low, high = facts.limits.voltage_range_v
    middle = (low + high) / 2
    at_points = frames.farthest(volts, middle)[:, ours]
    ends = _shown_range(volts, low, high)
    layer = {
        "key": "voltage", "title": "Voltage", "unit": "V", "digits": 1, "stops": "diverging", "limits": [low, high],
        "middle": middle, "points": pack(at_points, 0.01),
"low": ends[0], "high": ends[1],
    }  # fmt: skip
    found = facts.of_elements("grid_bus", "bus", [f"v_{phase}_v" for phase in PHASES])
    if found is not None:
        values, buses = found
        values = np.where(values < LOW_VOLTAGE_V, values, np.nan)
        layer["buses"] = _by_phase(frames.farthest(values, middle), buses, drawn["buses"]["name"], 0.01)
    return layer


def _shown_range(values: FloatArray, low: float, high: float) -> tuple[float, float]:
    """Return from where to where colours go: over what there is, and up to a limit that is not far from it."""
    least, most = float(np.floor(np.nanmin(values))), float(np.ceil(np.nanmax(values)))
    near = NEAR_SHARE * (most - least)
    return (low - 1 if abs(least - low) <= near else least), (high + 1 if abs(high - most) <= near else most)


def _loading(facts: Facts, frames: _Frames, drawn: dict[str, Any]) -> dict[str, Any] | None:
    found = facts.of_elements("grid_branch", "branch", [f"loading_{phase}_percent" for phase in PHASES])
    if found is None:
        return None
    values, branches = found
    limit = facts.limits.line_loading_percent
    return {
        "key": "loading", "title": "Loading", "unit": "%", "digits": 0, "stops": "sequential", "limits": [None, limit],
        "low": 0, "high": max(limit * 1.1, float(quietly(np.nanmax, values.reshape(1, -1), 1)[0])),
        "branches": _by_phase(frames.fold(values, "max"), branches, drawn["branches"]["name"], 0.1),
    }  # fmt: skip


def _by_phase(values: FloatArray, found: list[str], wanted: list[Any], resolution: float) -> dict[str, Any]:
    """Pack [frames, elements, 3] in the order that the map wants, phase by phase."""
    order = pd.Index(found).get_indexer([str(name) for name in wanted])
    picked = np.where((order >= 0)[None, :, None], values[:, order], np.nan)
    return {phase: pack(picked[:, :, i], resolution) for i, phase in enumerate(PHASES)}


def _of_points(facts: Facts, frames: _Frames, ours: Any) -> list[dict[str, Any]]:
    hours = frames.per_frame * frames.line.step_s / 3600
    power = facts.by_step("connection_point", "p_kw")
    traded = facts.by_interval("settlement", "traded_kwh")
    layers = []
    if power is not None:
        layers.append(_energy("net", "Net energy", frames.fold(power, "mean")[:, ours] * hours))
    if traded is not None and np.nansum(np.abs(traded)) > 0:
        steps = frames.line.interval_s // frames.line.step_s
        by_step = np.repeat(traded / steps, steps, axis=0)[: frames.line.steps]
        layers.append(_energy("traded", "Traded", frames.fold(by_step, "mean")[:, ours] * frames.per_frame))
    for key, title in (("export_limit_kw", "Export limit"), ("import_limit_kw", "Import limit")):
        limit = facts.by_step("connection_point", key)
        if limit is not None and np.isfinite(limit).any():
            values = frames.fold(limit, "min")[:, ours]
            layers.append({
                "key": key, "title": title, "unit": "kW", "digits": 1, "stops": "room", "limits": [],
                "low": 0, "high": max(float(np.nanmax(values)), 1.0), "points": pack(values, 0.01),
            })  # fmt: skip
    return layers


def _energy(key: str, title: str, kwh: FloatArray) -> dict[str, Any]:
    most = max(float(np.nanmax(np.abs(kwh), initial=0.0)), 0.1)
    return {
        "key": key, "title": title, "unit": "kWh", "digits": 2, "stops": "diverging", "limits": [], "low": -most,
        "high": most, "points": pack(kwh, 0.001),
    }  # fmt: skip


def _most_telling(facts: Facts, frames: _Frames) -> int:
    """Return the frame in which a voltage is farthest from the middle of its limits."""
    volts = facts.by_step("connection_point", "v_v")
    if volts is None or not np.isfinite(volts).any():
        return 0
    middle = sum(facts.limits.voltage_range_v) / 2
    return int(np.nanargmax(np.abs(volts - middle)) // volts.shape[1] // frames.per_frame)
