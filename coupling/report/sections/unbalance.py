"""Voltage unbalance: the worst bus at every step."""

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.section import Chart, Section
from feederloop.coupling.scenario.network import VUF_LIMIT_PERCENT

RESOLUTION_PERCENT = 0.001


def make(facts: Facts) -> Section | None:
    """Return the section, None where buses were not recorded."""
    table, line = facts.table("grid_bus", "time", "bus", "vuf_percent"), facts.timeline
    if table is None or line is None:
        return None
    worst = table.groupby("time", sort=True)["vuf_percent"].max().dropna()
    if worst.empty:
        return None
    values = np.full(line.steps, np.nan)
    values[facts.row_numbers(worst.index.to_series(), line.step_s)] = worst.to_numpy()
    where = table["bus"].iloc[int(np.nanargmax(table["vuf_percent"].to_numpy()))]
    lead = (
        f"Negative over positive sequence voltage; bus {where} reaches {np.nanmax(values):.2f} % on "
        f"{line.local(line.at(int(np.nanargmax(values))))}. EN 50160 allows {VUF_LIMIT_PERCENT:g} %."
    )
    alternative = f"Highest voltage unbalance factor of all buses over time, limit {VUF_LIMIT_PERCENT:g} %"
    return Section(
        "unbalance",
        "Unbalance",
        lead,
        (Chart("unbalance", "Unbalance of the worst bus", alternative, size="low"),),
        data={"unbalance": {"limit": VUF_LIMIT_PERCENT, "worst": pack(line.fold(values, "max"), RESOLUTION_PERCENT)}},
    )
