"""All EVs together: power, energy stored, cars plugged in."""

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.envelopes import SIGN
from feederloop.coupling.report.sections.section import Chart, Section

RESOLUTION_KW = 0.01
RESOLUTION_KWH = 0.1
SHORT_KWH = 0.1
"""A car that lacks less than this on leaving has what it needs."""


def make(facts: Facts) -> Section | None:
    """Return the section, None for a run without EVs."""
    line = facts.timeline
    power, soc, plugged = (facts.by_step("ev", column) for column in ("p_kw", "soc_kwh", "plugged"))
    if line is None or power is None or soc is None or plugged is None:
        return None
    here = plugged == 1
    data = {
        "charging": pack(line.fold(np.nansum(np.minimum(power, 0), axis=1), "mean"), RESOLUTION_KW),
        "discharging": pack(line.fold(np.nansum(np.maximum(power, 0), axis=1), "mean"), RESOLUTION_KW),
        "stored": pack(line.fold(np.nansum(np.where(here, soc, 0.0), axis=1), "last"), RESOLUTION_KWH),
        "plugged": pack(line.fold(here.sum(axis=1).astype(float), "last"), 1.0),
    }
    return Section(
        "fleet",
        "EVs",
        _lead(facts),
        (
            Chart("fleet_power", "Power of all chargers", "Charging and discharging power of all EVs over time", SIGN),
            Chart(
                "fleet_energy", "Energy in the plugged-in EVs", "Energy stored and number of EVs plugged in", size="low"
            ),
        ),
        data={"fleet": data},
    )


def _lead(facts: Facts) -> str:
    sessions = facts.table("ev_session", "not_served_kwh")
    if sessions is None:
        return "No car has left yet."
    short = int((sessions["not_served_kwh"] > SHORT_KWH).sum())
    left = "all with the energy they needed" if not short else f"{short} of them without all the energy they needed"
    return f"{len(sessions)} charging sessions ended, {left}."
