"""The look of figures: sizes of a column, colours that any colour vision tells apart, limits and axes of time."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from numpy.typing import NDArray

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import FloatArray

WIDTH_IN = 7.16
"""Width of two columns of an IEEE paper."""
COLOURS = {
    "a": "#d55e00", "b": "#009e73", "c": "#0072b2", "abc": "#8a6d00", "all": "#17202a", "limit": "#a3195b",
    "use": "#17202a", "room": "#56b4e9", "pv": "#e69f00", "household": "#7a8794", "charging": "#0072b2",
    "discharging": "#56b4e9", "sold": "#009e73", "soft": "#5a6673", "pink": "#cc79a7",
}  # fmt: skip
"""Okabe and Ito's palette."""
SETTINGS: Any = {
    "font.family": "sans-serif", "font.size": 9, "legend.fontsize": 8, "legend.frameon": False, "lines.linewidth": 1.3,
    "axes.titlesize": 9, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.labelcolor": "#5a6673",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#98a3ad", "axes.linewidth": 0.8,
    "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": "#dde3e9", "grid.linewidth": 0.6,
    "xtick.color": "#5a6673", "ytick.color": "#5a6673", "figure.dpi": 200, "savefig.bbox": "tight",
    "svg.fonttype": "none", "svg.hashsalt": "feederloop", "text.parse_math": False,
}  # fmt: skip


def styled() -> Any:
    """Return a context in which figures have this look."""
    return rc_context(SETTINGS)


def step_times(facts: Facts) -> NDArray[np.datetime64]:
    """[steps] UTC start of every step."""
    line = facts.timeline
    return _times(facts, 0 if line is None else line.steps, 300 if line is None else line.step_s)


def interval_times(facts: Facts) -> NDArray[np.datetime64]:
    """[intervals] UTC start of every market interval."""
    line = facts.timeline
    return _times(facts, facts.intervals, 1800 if line is None else line.interval_s)


def _times(facts: Facts, count: int, period_s: int) -> NDArray[np.datetime64]:
    line = facts.timeline
    if line is None:
        return np.empty(0, dtype="datetime64[s]")
    start = np.datetime64(line.start.replace(tzinfo=None), "s")
    return start + np.arange(count) * np.timedelta64(period_s, "s")


def time_axis(axes: Axes, facts: Facts) -> None:
    """Label the axis below with the scenario's local time."""
    zone = None if facts.timeline is None else facts.timeline.zone
    locator = AutoDateLocator(tz=zone)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axes.margins(x=0)


def limits(axes: Axes, values: Iterable[float], unit: str) -> None:
    """Draw limits that stand still, dashed and with their value."""
    for value in values:
        axes.axhline(value, color=COLOURS["limit"], linestyle=(0, (5, 3)), linewidth=1)
        axes.annotate(
            f"limit {value:g} {unit}", (1, value), xycoords=("axes fraction", "data"), xytext=(-3, 2),
            textcoords="offset points", ha="right", color=COLOURS["limit"], fontsize=7,
        )  # fmt: skip


def stepped(axes: Axes, times: NDArray[np.datetime64], values: FloatArray, **look: Any) -> None:
    """Draw values that hold from their time to the next."""
    axes.plot(times, values, drawstyle="steps-post", **look)


def band(axes: Axes, times: NDArray[np.datetime64], low: FloatArray, high: FloatArray, **look: Any) -> None:
    """Shade what lies between two stepped lines, and draw these dashed as limits that move."""
    axes.fill_between(times, low, high, step="post", linewidth=0, alpha=0.22, color=COLOURS["room"], label="envelope")
    for values in (low, high):
        stepped(axes, times, values, color=COLOURS["limit"], linestyle=(0, (4, 2)), linewidth=0.9, **look)
