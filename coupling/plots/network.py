"""Figures of the network: voltages, loadings, unbalance, map."""

from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from feederloop.coupling.metrics.network import LOW_VOLTAGE_V
from feederloop.coupling.plots.choice import Choice
from feederloop.coupling.plots.style import COLOURS, limits, step_times, time_axis
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import FloatArray, quietly
from feederloop.coupling.report.sections.phases import KINDS
from feederloop.coupling.scenario.network import VUF_LIMIT_PERCENT
from feederloop.coupling.topology_file import topology_of

_PHASES = "abc"
_MAP = LinearSegmentedColormap.from_list("feeder", ["#0072b2", "#4a9fd4", "#98a4af", "#e69f00", "#d55e00"])
_WORDS = {"abc": "three-phase", "all": "all customers"}


def voltage(figure: Figure, facts: Facts, _: Choice) -> bool:
    """Lowest, median and highest voltage of the customers on each phase."""
    volts = facts.by_step("connection_point", "v_v")
    if volts is None:
        return False
    kinds = [kind for kind in KINDS if (facts.phases == kind).any()]
    panels = figure.subplots(len(kinds), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, kind in zip(panels, kinds, strict=True):
        own, times, colour = volts[:, facts.phases == kind], step_times(facts), COLOURS[kind]
        low, high = quietly(np.nanmin, own, 1), quietly(np.nanmax, own, 1)
        axes.fill_between(times, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(times, quietly(np.nanmedian, own, 1), color=colour)
        axes.set_title(f"{_WORDS.get(kind, f'phase {kind}')}, {own.shape[1]} customers", color=colour)
        axes.set_ylabel("V")
        limits(axes, facts.limits.voltage_range_v, "V")
        axes.margins(y=0.15)
    time_axis(panels[-1], facts)
    return True


def loading(figure: Figure, facts: Facts, _: Choice) -> bool:
    """Highest loading of any transformer and of any line, on each phase."""
    kinds = _loadings(facts)
    if not kinds:
        return False
    panels = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (kind, limit, values) in zip(panels, kinds, strict=True):
        for phase, worst in zip(_PHASES, quietly(np.nanmax, values, 1).T, strict=True):
            axes.plot(step_times(facts), worst, color=COLOURS[phase], label=f"phase {phase}", linewidth=1)
        axes.set_title(f"most loaded {kind}")
        axes.set_ylabel("%")
        axes.set_ylim(0, 1.12 * max(limit, float(np.nanmax(values))))
        limits(axes, [limit], "%")
    panels[0].legend(ncols=3)
    time_axis(panels[-1], facts)
    return True


def duration(figure: Figure, facts: Facts, _: Choice) -> bool:
    """Loading duration curve: the share of time in which the most loaded branch carries at least so much."""
    kinds = _loadings(facts)
    if not kinds:
        return False
    axes = figure.subplots()
    for (kind, limit, values), colour in zip(kinds, (COLOURS["c"], COLOURS["a"]), strict=False):
        branch = int(np.nanargmax(values) // 3 % values.shape[1])
        worst = np.sort(quietly(np.nanmax, values[:, branch], 1))[::-1]
        axes.plot(100 * (np.arange(len(worst)) + 1) / len(worst), worst, color=colour, label=kind)
        limits(axes, [limit] if kind == kinds[0][0] or limit != kinds[0][1] else [], "%")
    axes.set_xlabel("% of the time")
    axes.set_ylabel("loading of the worst phase, %")
    axes.set_xlim(0, 100)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    axes.legend()
    return True


def unbalance(figure: Figure, facts: Facts, _: Choice) -> bool:
    """Voltage unbalance factor of the worst bus."""
    found = facts.of_elements("grid_bus", "bus", ("vuf_percent",))
    if found is None or not np.isfinite(found[0]).any():
        return False
    axes = figure.subplots()
    axes.plot(step_times(facts), quietly(np.nanmax, found[0][:, :, 0], 1), color=COLOURS["pink"])
    axes.set_ylabel("|V2| / |V1|, %")
    limits(axes, [VUF_LIMIT_PERCENT], "%")
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    time_axis(axes, facts)
    return True


def feeder_map(figure: Figure, facts: Facts, choice: Choice) -> bool:
    """The feeder at a time: each branch by the voltage of its worst phase, each home by its own."""
    topology, volts = topology_of(facts.run), facts.by_step("connection_point", "v_v")
    found = facts.of_elements("grid_bus", "bus", [f"v_{phase}_v" for phase in _PHASES])
    line = facts.timeline
    if topology is None or volts is None or found is None or line is None or "bus" not in facts.prosumers:
        return False
    low, high = facts.limits.voltage_range_v
    middle = (low + high) / 2
    step = choice.period(facts, line.step_s, int(np.nanargmax(np.abs(volts - middle)) // volts.shape[1]))
    at_bus = _farthest(np.where(found[0][step] < LOW_VOLTAGE_V, found[0][step], np.nan), middle)
    known = dict(zip(found[1], at_bus.tolist(), strict=True))
    names = [str(name) for name in topology["buses"]["name"]]
    places = np.column_stack([topology["buses"]["x"], topology["buses"]["y"]])
    ends = np.column_stack([topology["branches"]["from"], topology["branches"]["to"]])
    by_bus = np.array([known.get(name, np.nan) for name in names])
    axes = figure.subplots()
    homes = places[[names.index(str(bus)) for bus in facts.prosumers["bus"]]]
    lines = LineCollection(list(places[ends]), array=quietly(np.nanmean, by_bus[ends], 1), linewidths=1.6, cmap=_MAP)
    lines.set_clim(float(np.nanmin(by_bus)), max(high, float(np.nanmax(by_bus))))
    axes.add_collection(lines)
    dots = axes.scatter(
        homes[:, 0], homes[:, 1], c=volts[step], cmap=_MAP, s=22, edgecolors="white", linewidths=0.6, zorder=3
    )
    dots.set_clim(lines.get_clim())
    axes.plot(*places[topology["source"]], "s", color=COLOURS["use"], markersize=6)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_axis_off()
    axes.set_title(line.local(line.at(step)))
    bar = figure.colorbar(lines, ax=axes, shrink=0.6, label="V, phase to neutral")
    for limit in (one for one in (low, high) if lines.get_clim()[0] <= one <= lines.get_clim()[1]):
        bar.ax.axhline(limit, color=COLOURS["limit"])
        bar.ax.annotate(
            f"limit {limit:g} V", (0, limit), xycoords=("axes fraction", "data"), xytext=(-3, 0), ha="right",
            va="center", textcoords="offset points", color=COLOURS["limit"], fontsize=7,
        )  # fmt: skip
    return True


def _farthest(values: FloatArray, middle: float) -> FloatArray:
    """[buses] The phase farthest from the middle, of [buses, phases]."""
    away = np.where(np.isfinite(values), np.abs(values - middle), -1.0)
    picked: FloatArray = np.take_along_axis(values, away.argmax(axis=1)[:, None], axis=1)[:, 0]
    return picked


def _loadings(facts: Facts) -> list[tuple[str, float, FloatArray]]:
    """Return kind, limit and [steps, branches, phases] of transformers and lines, as far as there are any."""
    found = facts.of_elements("grid_branch", "branch", [f"loading_{phase}_percent" for phase in _PHASES])
    if found is None:
        return []
    values, names = found
    is_line = np.array([name.startswith("line") for name in names])
    kinds: Any = (
        ("transformer", facts.limits.transformer_loading_percent, values[:, ~is_line]),
        ("line", facts.limits.line_loading_percent, values[:, is_line]),
    )
    return [kind for kind in kinds if kind[2].size and np.isfinite(kind[2]).any()]
