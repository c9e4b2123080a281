"""What the whole feeder draws and feeds."""

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.envelopes import SIGN
from feederloop.coupling.report.sections.section import Chart, Section

RESOLUTION_KW = 0.01


def make(facts: Facts) -> Section | None:
    """Return the section, None where no power was recorded."""
    line, power = facts.timeline, facts.by_step("connection_point", "p_kw")
    if line is None or power is None:
        return None
    data = {"net": pack(line.fold(np.nansum(power, axis=1), "mean"), RESOLUTION_KW)}
    for name, column in (("household", "household_p_kw"), ("pv", "pv_p_kw"), ("pv_available", "pv_available_kw")):
        values = facts.by_step("connection_point", column)
        if values is not None and np.isfinite(values).any():
            data[name] = pack(line.fold(np.nansum(values, axis=1), "mean"), RESOLUTION_KW)
    cars = facts.by_step("connection_point", "ev_p_kw")
    if cars is not None and np.isfinite(cars).any():
        data["charging"] = pack(line.fold(np.nansum(np.minimum(cars, 0), axis=1), "mean"), RESOLUTION_KW)
        data["discharging"] = pack(line.fold(np.nansum(np.maximum(cars, 0), axis=1), "mean"), RESOLUTION_KW)
    lead = "All prosumers together: above zero feeds the network, below zero draws from it; the line is the balance."
    alternative = "Power of households, PV and EVs over time, with their sum"
    return Section(
        "feeder", "Feeder", lead, (Chart("feeder", "Load, PV and EVs", alternative, SIGN),), data={"feeder": data}
    )
