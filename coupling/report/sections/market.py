"""The local market: price between peers and energy traded, beside what the retailer takes and gives."""

from typing import Any

import numpy as np
import pandas as pd

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.section import Chart, Section

RESOLUTION_PRICE = 0.0001
RESOLUTION_KWH = 0.001
ORDERS_LIMIT = 60_000
"""Orders that a page may hold: half a megabyte."""


def make(facts: Facts) -> Section | None:
    """Return the section, None for a run without a local market."""
    price, volume = facts.of_market("price_per_kwh"), facts.of_market("volume_kwh")
    if price is None or volume is None:
        return None
    traded = np.nan_to_num(volume) > 0
    data: dict[str, Any] = {
        # Where nothing changed hands there was no price between peers.
        "price": pack(np.where(traded, price, np.nan), RESOLUTION_PRICE),
        "volume": pack(volume, RESOLUTION_KWH),
    }
    for column in ("offered_kwh", "wanted_kwh"):
        values = facts.of_market(column)
        if values is not None:
            data[column] = pack(values, RESOLUTION_KWH)
    tariff = facts.tariff()
    said = f"{int(traded.sum())} of {int(np.isfinite(volume).sum())} intervals saw a trade."
    if tariff is not None:
        data["retail"] = pack(tariff.retail_per_kwh, RESOLUTION_PRICE)
        data["feed_in"] = pack(tariff.feed_in_per_kwh, RESOLUTION_PRICE)
        said += " Between peers, a price forms between what the retailer pays for feed-in and what it takes."
    charts = [
        Chart("price", "Price between peers", "Local price per market interval between feed-in and retail price"),
        Chart("volume", "Energy offered, wanted and traded", "Energy per market interval that was traded"),
    ]
    orders = _orders(facts)
    if orders is not None:
        data["orders"] = orders
        data["first"] = int(np.nanargmax(np.nan_to_num(volume)))
        what = "What was offered from the cheapest on and wanted from the dearest on, in the interval that is chosen"
        hint = "offers from the cheapest on, bids from the dearest on; what is left of the dot was traded"
        charts.append(Chart("merit", "Merit order", what, hint, control="interval"))
    return Section(
        "market",
        "Market",
        said,
        tuple(charts),
        data={"market": data},
    )


def _orders(facts: Facts) -> dict[str, Any] | None:
    """Return the orders by interval and price, None where there are none, or too many for a page."""
    table, line = facts.table("orders", "interval_start", "side", "price_per_kwh", "kwh", "matched_kwh"), facts.timeline
    if table is None or line is None:
        return None
    rows = facts.row_numbers(table["interval_start"], line.interval_s)
    keys = {"interval": rows, "is_ask": table["side"] == "ask", "price": table["price_per_kwh"].round(4)}
    levels = table[["kwh", "matched_kwh"]].groupby([pd.Series(key, name=name) for name, key in keys.items()]).sum()
    levels = levels.reset_index()
    if not 0 < len(levels) <= ORDERS_LIMIT:
        return None
    return {
        "interval": pack(levels["interval"], 1.0),
        "ask": pack(levels["is_ask"], 1.0),
        "price": pack(levels["price"], RESOLUTION_PRICE),
        "kwh": pack(levels["kwh"], RESOLUTION_KWH),
    }
