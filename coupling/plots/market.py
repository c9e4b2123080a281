"""Figures of the market: prices, energy traded, merit order."""

import numpy as np
from matplotlib.figure import Figure

from feederloop.coupling.plots.choice import Choice
from feederloop.coupling.plots.style import COLOURS, interval_times, stepped, time_axis
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import FloatArray


def prices(figure: Figure, facts: Facts, _: Choice) -> bool:
    """Price between peers within retail and feed-in price, and energy offered, wanted and traded."""
    price, volume, line = facts.of_market("price_per_kwh"), facts.of_market("volume_kwh"), facts.timeline
    if price is None or volume is None or line is None:
        return False
    above, below = figure.subplots(2, 1, sharex=True)
    times = interval_times(facts)
    tariff = facts.tariff()
    if tariff is not None:
        retail, feed_in = (np.asarray(values) for values in (tariff.retail_per_kwh, tariff.feed_in_per_kwh))
        above.fill_between(times, feed_in, retail, step="post", color=COLOURS["household"], alpha=0.12, linewidth=0)
        stepped(above, times, retail, color=COLOURS["limit"], linestyle="--", linewidth=1, label="retail")
        stepped(above, times, feed_in, color=COLOURS["sold"], linestyle="--", linewidth=1, label="feed-in")
    traded = np.where(np.nan_to_num(volume) > 0, price, np.nan)
    stepped(above, times, traded, color=COLOURS["c"], linewidth=2, label="between peers")
    above.set_ylabel("per kWh")
    above.legend(ncols=3)
    width = np.timedelta64(line.interval_s, "s")
    below.bar(
        times,
        volume,
        width=width,
        align="edge",
        color=COLOURS["room"],
        edgecolor="white",
        linewidth=0.4,
        label="traded",
    )
    for column, colour, label in (("offered_kwh", "pv", "offered"), ("wanted_kwh", "pink", "wanted")):
        values = facts.of_market(column)
        if values is not None:
            stepped(below, times, values, color=COLOURS[colour], label=label, linewidth=1)
    below.set_ylabel("kWh")
    below.legend(ncols=3)
    time_axis(below, facts)
    return True


def merit_order(figure: Figure, facts: Facts, choice: Choice) -> bool:
    """Offers from the cheapest on and bids from the dearest on, and where they meet."""
    orders = facts.table("orders", "interval_start", "side", "price_per_kwh", "kwh")
    volume, price, line = facts.of_market("volume_kwh"), facts.of_market("price_per_kwh"), facts.timeline
    if orders is None or volume is None or price is None or line is None:
        return False
    at = choice.period(facts, line.interval_s, int(np.nanargmax(np.nan_to_num(volume))))
    own = orders[facts.row_numbers(orders["interval_start"], line.interval_s) == at]
    axes = figure.subplots()
    for side, sign, colour, label in (("ask", 1, "a", "offered"), ("bid", -1, "c", "wanted")):
        chosen = own[own["side"] == side]
        kwh, levels = _steps(chosen["kwh"].to_numpy(float), chosen["price_per_kwh"].to_numpy(float), sign)
        axes.plot(kwh, levels, color=COLOURS[colour], label=label, linewidth=1.8)
    if np.nan_to_num(volume[at]) > 0:
        axes.plot(volume[at], price[at], "o", color=COLOURS["use"], label=f"{volume[at]:.3g} kWh at {price[at]:.3g}")
    axes.set_title(line.local(line.at(at * line.interval_s // line.step_s)))
    axes.set_xlabel("kWh, from the best limit on")
    axes.set_ylabel("price per kWh")
    bottom, top = min(0.0, float(own["price_per_kwh"].min()) if len(own) else 0.0), axes.get_ylim()[1]
    axes.set_ylim(bottom, top + 0.08 * (top - bottom))
    axes.legend()
    return True


def _steps(kwh: FloatArray, price: FloatArray, sign: int) -> tuple[FloatArray, FloatArray]:
    """Return the corners of price over energy, best first."""
    order = np.argsort(sign * price, kind="stable")
    ends = np.cumsum(kwh[order])
    starts = np.concatenate([[0.0], ends[:-1]]) if len(ends) else ends
    return np.column_stack([starts, ends]).ravel(), np.repeat(price[order], 2)
