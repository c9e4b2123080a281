"""Figures of people and of what they own: envelopes, power, EVs, bills."""

import numpy as np
from matplotlib.figure import Figure

from feederloop.coupling.plots.choice import Choice
from feederloop.coupling.plots.style import COLOURS, band, step_times, stepped, time_axis
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import FloatArray

_SIGN = "kW, export above zero"
_PARTS = (
    ("retail", "retail_money", "household"),
    ("local trade", "local_money", "sold"),
    ("network", "network_money", "charging"),
    ("imbalance", "imbalance_money", "pink"),
    ("breach", "breach_money", "limit"),
)


def envelopes(figure: Figure, facts: Facts, _: Choice) -> bool:
    """Sum of all limits, with what was used of it."""
    found = _envelope(facts)
    if found is None:
        return False
    return _bounded(figure, facts, found.sum(axis=2), "all prosumers")


def envelope(figure: Figure, facts: Facts, choice: Choice) -> bool:
    """One prosumer's limits, with what was used of them."""
    found, place = _envelope(facts), choice.place(facts)
    if found is None:
        return False
    return _bounded(figure, facts, found[:, :, place], facts.names[place])


def _envelope(facts: Facts) -> FloatArray | None:
    """[3, steps, prosumers] Power, lower and upper limit."""
    power = facts.by_step("connection_point", "p_kw")
    export = facts.by_step("connection_point", "export_limit_kw")
    imported = facts.by_step("connection_point", "import_limit_kw")
    if power is None or export is None or imported is None or not np.isfinite(export).any():
        return None
    return np.stack([power, -imported, export])


def _bounded(figure: Figure, facts: Facts, bounded: FloatArray, title: str) -> bool:
    """Draw [3, steps] power, lower and upper limit."""
    power, low, high = bounded
    axes, times = figure.subplots(), step_times(facts)
    band(axes, times, low, high)
    stepped(axes, times, power, color=COLOURS["use"], label="use")
    axes.axhline(0, color=COLOURS["soft"], linewidth=0.6)
    axes.set_title(title)
    axes.set_ylabel(_SIGN)
    axes.legend(ncols=2)
    time_axis(axes, facts)
    return True


def feeder(figure: Figure, facts: Facts, _: Choice) -> bool:
    """Power of households, PV and EVs, stacked by direction, with the balance."""
    power = facts.by_step("connection_point", "p_kw")
    if power is None:
        return False
    axes, times = figure.subplots(), step_times(facts)
    sums = {key: _sum(facts, column) for key, column in (("household", "household_p_kw"), ("pv", "pv_p_kw"))}
    cars = facts.by_step("connection_point", "ev_p_kw")
    nothing = np.zeros(len(times))
    charging = nothing if cars is None else np.nansum(np.minimum(cars, 0), axis=1)
    giving = nothing if cars is None else np.nansum(np.maximum(cars, 0), axis=1)
    for parts in (
        ((sums["pv"], "pv", "PV"), (giving, "discharging", "EVs giving back")),
        ((sums["household"], "household", "households"), (charging, "charging", "EVs charging")),
    ):
        base = nothing
        for values, colour, label in parts:
            axes.fill_between(times, base, base + values, step="post", color=COLOURS[colour], linewidth=0, label=label)
            base = base + values
    stepped(axes, times, np.nansum(power, axis=1), color=COLOURS["use"], label="balance")
    axes.set_ylabel(_SIGN)
    axes.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.18))
    time_axis(axes, facts)
    return True


def _sum(facts: Facts, column: str) -> FloatArray:
    values, line = facts.by_step("connection_point", column), facts.timeline
    if values is None:
        return np.zeros(0 if line is None else line.steps)
    summed: FloatArray = np.nansum(values, axis=1)
    return summed


def fleet(figure: Figure, facts: Facts, _: Choice) -> bool:
    """Charging power of all EVs, and the energy in those that are plugged in."""
    power, soc, plugged = (facts.by_step("ev", column) for column in ("p_kw", "soc_kwh", "plugged"))
    if power is None or soc is None or plugged is None:
        return False
    above, below = figure.subplots(2, 1, sharex=True)
    times = step_times(facts)
    for values, colour, label in (
        (np.minimum(power, 0), "charging", "charging"),
        (np.maximum(power, 0), "discharging", "giving back"),
    ):
        above.fill_between(
            times, 0, np.nansum(values, axis=1), step="post", color=COLOURS[colour], linewidth=0, label=label
        )
    above.set_ylabel(_SIGN)
    above.legend(ncols=2)
    below.plot(times, np.nansum(np.where(plugged == 1, soc, 0.0), axis=1), color=COLOURS["sold"], label="energy stored")
    below.set_ylabel("kWh")
    beside = below.twinx()
    stepped(
        beside,
        times,
        (plugged == 1).sum(axis=1).astype(float),
        color=COLOURS["pink"],
        label="EVs plugged in",
        linewidth=1,
    )
    beside.set_ylabel("EVs plugged in", color=COLOURS["pink"])
    beside.grid(visible=False)
    time_axis(below, facts)
    return True


def bills(figure: Figure, facts: Facts, _: Choice) -> bool:
    """What every prosumer paid, the most first; parts above and below zero stacked."""
    total = facts.by_interval("settlement", "total_money")
    if total is None:
        return False
    sums = np.nansum(total, axis=0)
    order, axes = np.argsort(-sums, kind="stable"), figure.subplots()
    axes.use_sticky_edges = False  # parts that are nothing would hold the axis at the top of the highest bar
    up, down, places = np.zeros(len(sums)), np.zeros(len(sums)), np.arange(len(sums))
    for label, column, colour in _PARTS:
        values = facts.by_interval("settlement", column)
        if values is None:
            continue
        part = np.nansum(values, axis=0)[order]
        axes.bar(places, part, bottom=np.where(part >= 0, up, down), color=COLOURS[colour], label=label, width=0.8)
        up, down = up + np.maximum(part, 0), down + np.minimum(part, 0)
    axes.plot(places, sums[order], "D", color=COLOURS["use"], markersize=3, label="bill")
    names = [facts.names[place] for place in order]
    axes.set_xticks(places, names, rotation=90, fontsize=max(3.5, min(8, 330 / len(names))))
    axes.set_ylabel("money, paid above zero")
    axes.legend(ncols=3)
    return True
