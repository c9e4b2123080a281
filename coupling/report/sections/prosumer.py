"""One prosumer at a time: envelope and use, devices, voltage, car, trades, bill."""

from typing import Any

import numpy as np

from feederloop.coupling import statements
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import Fold
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.envelopes import SIGN
from feederloop.coupling.report.sections.people import people_table
from feederloop.coupling.report.sections.section import Chart, Section
from feederloop.coupling.report.sections.voltage import RESOLUTION_V, extremes

LEAD = (
    "One prosumer at a time: what was allowed, what was done with it, and what it cost, in the tariff's currency. "
    "Choose one here, on the map, in the table below or by a bar of the bills."
)
RESOLUTION_KW = 0.001
RESOLUTION_KWH = 0.01
RESOLUTION_MONEY = 0.0001
_POWERS = ("p_kw", "household_p_kw", "pv_p_kw", "pv_available_kw", "ev_p_kw", "export_limit_kw", "import_limit_kw")
_BILL = ("local_money", "retail_money", "network_money", "imbalance_money", "breach_money", "total_money")


def make(facts: Facts) -> Section | None:
    """Return the section, None where nothing was recorded of any prosumer."""
    if facts.timeline is None or facts.by_step("connection_point", "p_kw") is None:
        return None
    data: dict[str, Any] = {"first": _most_telling(facts)}
    for column in _POWERS:
        _add(data, facts, column, "mean")
    volts = facts.by_step("connection_point", "v_v")
    if volts is not None:
        data["v_v"] = pack(extremes(facts, volts).T, RESOLUTION_V)
    soc, plugged = facts.by_step("ev", "soc_kwh"), facts.by_step("ev", "plugged")
    if soc is not None and plugged is not None:
        # The state of charge of a car that is away is nobody's to see.
        data["soc_kwh"] = pack(facts.timeline.fold(np.where(plugged == 1, soc, np.nan), "last").T, RESOLUTION_KWH)
    for column in ("traded_kwh", "breach_kwh", "meter_kwh", *_BILL):
        values = facts.by_interval("settlement", column)
        if values is not None:
            data[column] = pack(values.T, RESOLUTION_MONEY if column in _BILL else RESOLUTION_KW)
    data["sessions"] = _sessions(facts)
    data["statements"] = _statements(facts)
    return Section(
        "prosumers", "Prosumers", LEAD, _charts(data, facts), data={"prosumer": data}, kind="prosumer",
        extra={"people": people_table(facts)},
    )  # fmt: skip


def _charts(data: dict[str, Any], facts: Facts) -> tuple[Chart, ...]:
    bounded = facts.by_step("connection_point", "export_limit_kw")
    has_envelopes = bounded is not None and bool(np.isfinite(bounded).any())
    if has_envelopes:
        hint = f"{SIGN}; shaded spans of time: energy outside the envelope"
        first = Chart("p_envelope", "Envelope and use", "Power over time between its export and import limit", hint)
    else:
        first = Chart("p_envelope", "Power at the connection point", "Power over time; there are no envelopes", SIGN)
    charts = [first, Chart("p_devices", "What draws and feeds", "Power of household, PV and EV over time", SIGN)]
    if "soc_kwh" in data:
        stored = "Energy stored in the EV over time, with what it needs"
        charts.append(Chart("p_soc", "Energy in the EV while plugged in", stored, size="low"))
    if "v_v" in data:
        hint = "phase to neutral; shaded: all customers on this phase"
        charts.append(Chart("p_voltage", "Voltage at the meter", "Voltage over time with its limits", hint, "low"))
    if facts.table("trades") is not None:
        hint = "per market interval"
        charts.append(Chart("p_trades", "Traded with peers", "Energy sold and bought over time", hint, "low"))
    return tuple(charts)


def _statements(facts: Facts) -> list[list[Any]]:
    """Return `[place of the prosumer, date, four energies in kWh, five parts and total in cents]` per local day."""
    daily = statements.statements(facts)
    if daily is None:
        return []
    places = {name: place for place, name in enumerate(facts.names)}
    energies = daily[list(statements.ENERGIES[:4])].to_numpy(dtype=np.float64).round(2)
    cents = (daily[[*statements.PARTS, "total_money"]].astype(float) * 100).round().astype(int).to_numpy()
    who = zip(daily["prosumer"].astype(str), daily["date"], energies.tolist(), cents.tolist(), strict=True)
    return [[places[name], date, *energy, *money] for name, date, energy, money in who if name in places]


def _add(data: dict[str, Any], facts: Facts, column: str, how: Fold) -> None:
    values = facts.by_step("connection_point", column)
    if values is not None and facts.timeline is not None:
        data[column] = pack(facts.timeline.fold(values, how).T, RESOLUTION_KW)


def _sessions(facts: Facts) -> list[list[Any]]:
    """Return `[place of the prosumer, arrival s, departure s, required kWh, departure kWh]` of every ended session."""
    columns = ("prosumer", "arrival", "departure", "required_kwh", "departure_kwh")
    table = facts.table("ev_session", *columns)
    if table is None:
        return []
    places = {name: place for place, name in enumerate(facts.names)}
    return [
        [places[str(who)], int(arrival.timestamp()), int(departure.timestamp()), round(need, 2), round(got, 2)]
        for who, arrival, departure, need, got in table[list(columns)].itertuples(index=False)
        if str(who) in places
    ]


def _most_telling(facts: Facts) -> int:
    """Return the place of the prosumer with most devices and, of these, the one that uses its connection most."""
    power = facts.by_step("connection_point", "p_kw")
    if power is None or not facts.names:
        return 0
    use = np.nansum(np.abs(power), axis=0)
    devices = sum(
        (facts.prosumers[column].to_numpy(dtype=np.float64) > 0).astype(float)
        for column in ("pv_kwp", "ev_capacity_kwh", "ev_discharge_kw")
        if column in facts.prosumers
    )
    return int(np.argmax(devices + use / (use.max() + 1.0)))
