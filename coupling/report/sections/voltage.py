"""Voltages at the connection points, phase by phase, with the limits they have to keep."""

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import FloatArray, quietly
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.phases import KINDS
from feederloop.coupling.report.sections.section import Chart, Section

RESOLUTION_V = 0.01


def make(facts: Facts) -> Section | None:
    """Return the section, None without voltages."""
    volts, line = facts.by_step("connection_point", "v_v"), facts.timeline
    if volts is None or line is None:
        return None
    low, high = facts.limits.voltage_range_v
    data = {
        "phases": {phase: _band(facts, volts[:, facts.phases == phase]) for phase in KINDS
                   if (facts.phases == phase).any()},
        "limits_v": [low, high],
    }  # fmt: skip
    alternative = (
        f"Lowest, median and highest voltage of the customers on each phase over time, limits {low:g} V and {high:g} V"
    )
    return Section(
        "voltage",
        "Voltage",
        f"{where_and_when(facts)} Dashed lines are the limits of this scenario, {low:g} V and {high:g} V.",
        (
            Chart(
                "voltage",
                "Customers' voltages, phase to neutral",
                alternative,
                "lowest, median and highest of the customers",
                "high",
            ),
        ),
        data={"voltage": data},
    )


def extremes(facts: Facts, volts: FloatArray) -> FloatArray:
    """Fold voltages so that of several steps the one farthest from the middle of the limits is kept."""
    line = facts.timeline
    if line is None:
        return volts
    middle = sum(facts.limits.voltage_range_v) / 2
    least, most = line.fold(volts, "min"), line.fold(volts, "max")
    return np.where(middle - least > most - middle, least, most)


def _band(facts: Facts, volts: FloatArray) -> dict[str, object]:
    line = facts.timeline
    if line is None:
        return {}
    return {
        "count": volts.shape[1],
        "min": pack(line.fold(quietly(np.nanmin, volts, 1), "min"), RESOLUTION_V),
        "median": pack(line.fold(quietly(np.nanmedian, volts, 1), "mean"), RESOLUTION_V),
        "max": pack(line.fold(quietly(np.nanmax, volts, 1), "max"), RESOLUTION_V),
    }


def where_and_when(facts: Facts) -> str:
    """Return a sentence about the highest and the lowest voltage of any customer in a step, empty without voltages."""
    line, volts = facts.timeline, facts.by_step("connection_point", "v_v")
    if line is None or volts is None or not np.isfinite(volts).any():
        return ""
    said, highest = [], f"Highest in any {line.step_s / 60:g} minutes:"
    for word, at in ((highest, np.nanargmax(volts)), ("lowest:", np.nanargmin(volts))):
        step, who = np.unravel_index(at, volts.shape)
        said.append(f"{word} {volts[step, who]:.1f} V at {facts.names[who]} on {line.local(line.at(int(step)))}")
    return f"{said[0]}; {said[1]}."
