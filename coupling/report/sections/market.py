"""The local market: price between peers and energy traded, beside what the retailer takes and gives."""

from typing import Any

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.section import Chart, Section

RESOLUTION_PRICE = 0.0001
RESOLUTION_KWH = 0.001


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
    return Section(
        "market",
        "Market",
        said,
        (
            Chart("price", "Price between peers", "Local price per market interval between feed-in and retail price"),
            Chart("volume", "Energy offered, wanted and traded", "Energy per market interval that was traded"),
        ),
        data={"market": data},
    )
