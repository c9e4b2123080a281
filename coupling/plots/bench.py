"""Figures of a bench: what was asked of devices and what they did."""

import numpy as np
from matplotlib.figure import Figure

from feederloop.coupling.plots.choice import Choice
from feederloop.coupling.plots.style import COLOURS, step_times, stepped, time_axis
from feederloop.coupling.report.facts import Facts
from feederloop.simulators.errors import InputError


def devices(figure: Figure, facts: Facts, choice: Choice) -> bool:
    """Power asked of each device and measured; shaded where not heard well or not obeying. A panel per device."""
    table = facts.table("device_io", "time", "prosumer", "slot", "asked_kw", "p_kw", "quality")
    if table is None or facts.timeline is None:
        return False
    if choice.prosumer is not None:
        with_devices = sorted(table["prosumer"].unique())
        table = table[table["prosumer"] == choice.prosumer]
        if table.empty:
            allowed = ", ".join(with_devices)
            raise InputError("no device of this prosumer", key="--prosumer", value=choice.prosumer, allowed=allowed)
    table = table.assign(
        device=table["prosumer"].astype(str) + "/" + table["slot"].astype(str), bad=(table["quality"] != "good") * 1.0
    )
    values, names = facts.spread(table, "device", ("asked_kw", "p_kw", "bad"))
    times = step_times(facts)
    figure.set_figheight(max(2.2, 1.25 * len(names)))
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name, (asked, measured, bad) in zip(panels, names, values.transpose(1, 2, 0), strict=True):
        heard_badly = {"where": np.nan_to_num(bad) > 0, "transform": axes.get_xaxis_transform(), "step": "post"}
        axes.fill_between(times, 0, 1, color=COLOURS["limit"], alpha=0.16, linewidth=0, **heard_badly)
        stepped(axes, times, asked, color=COLOURS["a"], linestyle="--", linewidth=1, label="asked for")
        stepped(axes, times, measured, color=COLOURS["use"], label="measured")
        axes.set_title(name)
        axes.set_ylabel("kW")
    panels[0].legend(ncols=2, loc="upper right", bbox_to_anchor=(1, 1.35))
    time_axis(panels[-1], facts)
    return True
