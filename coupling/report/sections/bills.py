"""Who paid what."""

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.money import cents
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.section import Chart, Section

RESOLUTION_MONEY = 0.0001
_PARTS = ("local_money", "retail_money", "network_money", "imbalance_money", "breach_money")


def make(facts: Facts) -> Section | None:
    """Return the section, None where nothing was settled."""
    total = facts.by_interval("settlement", "total_money")
    if total is None:
        return None
    sums = np.nansum(total, axis=0)
    most, least = int(np.argmax(sums)), int(np.argmin(sums))
    lead = (
        f"What each prosumer paid in this run, in the currency of the tariff; what is below zero was earned. "
        f"{facts.names[most]} paid most ({cents(sums[most])}), {facts.names[least]} least ({cents(sums[least])}). "
        "Choose a bar to see the prosumer."
    )
    parts = {column: facts.by_interval("settlement", column) for column in _PARTS}
    data = {
        "order": [int(place) for place in np.argsort(-sums, kind="stable")],
        "total": pack(sums, RESOLUTION_MONEY),
        **{
            column: pack(np.nansum(values, axis=0), RESOLUTION_MONEY)
            for column, values in parts.items()
            if values is not None
        },
    }
    alternative = "Cost of every prosumer, split into local trade, retail, network, imbalance and envelope breach"
    return Section("bills", "Bills", lead, (Chart("bills", "Cost by prosumer", alternative),), data={"bills": data})
