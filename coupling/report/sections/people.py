"""All prosumers in one table: what each has, what it did, what it paid."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import FloatArray, quietly


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        title: Heading with unit.
        values: [prosumers] NaN where there is no value.
        digits: Digits after the point.
    """

    title: str
    values: FloatArray
    digits: int = 1

    def text(self, place: int) -> str:
        """A cell as shown, without a minus before zero."""
        value = float(self.values[place])
        return f"{round(value, self.digits) + 0.0:.{self.digits}f}" if np.isfinite(value) else "–"

    def key(self, place: int) -> float:
        """A cell as sorted by; unknown values come last."""
        value = float(self.values[place])
        return round(value, 6) if np.isfinite(value) else -1e9


def people_table(facts: Facts) -> dict[str, Any]:
    """Return names, phases and columns for every prosumer, in the order of the table `prosumer`."""
    return {"names": facts.names, "phases": [str(phase) for phase in facts.phases], "columns": _columns(facts)}


def _columns(facts: Facts) -> list[Column]:
    line = facts.timeline
    if line is None:
        return []
    step_h = line.step_s / 3600.0
    columns: list[Column] = []

    def add(title: str, values: FloatArray | None, digits: int = 1) -> None:
        if values is not None and np.isfinite(values).any():
            columns.append(Column(title, values, digits))

    for title, column in (("PV kWp", "pv_kwp"), ("EV kWh", "ev_capacity_kwh")):
        if column in facts.prosumers:
            has = facts.prosumers[column].to_numpy(dtype=np.float64)
            add(title, np.where(has > 0, has, np.nan))
    volts = facts.by_step("connection_point", "v_v")
    if volts is not None:
        add("Lowest V", quietly(np.nanmin, volts, 0))
        add("Highest V", quietly(np.nanmax, volts, 0))
    power = facts.by_step("connection_point", "p_kw")
    if power is not None:
        add("Exported kWh", np.nansum(np.maximum(power, 0), axis=0) * step_h)
        add("Imported kWh", np.nansum(np.maximum(-power, 0), axis=0) * step_h)
    pv, available = facts.by_step("connection_point", "pv_p_kw"), facts.by_step("connection_point", "pv_available_kw")
    if pv is not None and available is not None:
        lost = quietly(np.nanmean, available - pv, 0) * line.steps * step_h
        add("PV curtailed kWh", lost + 0.0)
    traded = facts.by_interval("settlement", "traded_kwh")
    if traded is not None:
        add("Sold to peers kWh", np.nansum(np.maximum(traded, 0), axis=0))
        add("Bought from peers kWh", np.nansum(np.maximum(-traded, 0), axis=0))
    breach = facts.by_interval("settlement", "breach_kwh")
    if breach is not None and np.isfinite(breach).any():
        add("Outside envelope kWh", np.nansum(breach, axis=0), 2)
    add("EV missing kWh", _missing(facts), 2)
    total = facts.by_interval("settlement", "total_money")
    if total is not None:
        add("Bill", np.nansum(total, axis=0), 2)
    return columns


def _missing(facts: Facts) -> FloatArray | None:
    """[prosumers] Energy that cars lacked on leaving, NaN for those without an ended session."""
    table = facts.table("ev_session", "prosumer", "not_served_kwh")
    if table is None:
        return None
    by_name = table.groupby(table["prosumer"].astype(str))["not_served_kwh"].sum()
    found: FloatArray = by_name.reindex(facts.names).to_numpy(dtype=np.float64)
    return found
