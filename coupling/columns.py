"""What the tables of a run hold: what a row stands for, and each column with its meaning and unit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TIMES = ("time", "interval_start")
"""Columns that stamp the start of a physical step and of a market interval, UTC."""


@dataclass(frozen=True)
class TableContent:
    """What a table holds.

    Attributes:
        row: What a row stands for.
        keys: The columns that name a row; empty where rows are a mere list, such as orders.
        columns: What each other column means; those of `KEYS` are described there.
    """

    row: str
    keys: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)


KEYS: Mapping[str, str] = {
    "time": "start of the physical step, UTC",
    "interval_start": "start of the market interval, UTC",
    "prosumer": "name of the prosumer",
    "bus": "bus, as in the network's bus table",
    "branch": "line or transformer: `line 12`, `trafo 0`",
    "slot": "which of the prosumer's devices: `inverter` or `charger`",
}
_LIMITS = {
    "export_limit_kw": "most that may be exported; null without a limit",
    "import_limit_kw": "most that may be imported, not negative; null without a limit",
}
_PER_INTERVAL = ("interval_start", "prosumer")

TABLES: Mapping[str, TableContent] = {
    "prosumer": TableContent(
        "prosumer",
        ("prosumer",),
        {
            "phase": "phase of the connection point: `a`, `b`, `c`, or `abc` for all three",
            "annual_kwh": "electricity used in a year without PV and EV",
            "profile": "name of the load profile",
            "power_factor": "of the home, lagging",
            "pv_kwp": "peak power of the modules, 0 for none",
            "pv_tilt_deg": "from horizontal",
            "pv_azimuth_deg": "clockwise from north, 180 is south",
            "inverter_kva": "apparent power of the inverter",
            "volt_var_kva": "the same if it supplies reactive power by its voltage, 0 if not and of a bench's device",
            "ev_capacity_kwh": "usable battery, 0 for no vehicle",
            "ev_charge_kw": "rating of the charger",
            "ev_discharge_kw": "discharging power, 0 for none",
            "ev_efficiency": "of charging and of discharging, each",
            "ev_wear_per_kwh": "what a discharged kWh costs in wear",
            "charger_min_kw": "power below which the charger is off, 0 for continuous",
            "import_cap_kw": "highest import: the fuse",
            "export_cap_kw": "highest export that is agreed with the network operator",
        },
    ),
    "connection_point": TableContent(
        "physical step and prosumer",
        ("time", "prosumer"),
        {
            "p_kw": "net power into the grid: home, PV and vehicle together",
            "q_kvar": "net reactive power into the grid",
            "v_v": "voltage, phase to neutral; of a three-phase point the worst phase",
            "household_p_kw": "the home without PV and vehicle; negative",
            "pv_p_kw": "power of the inverter; null without one",
            "pv_available_kw": "what the sun would allow; null without PV",
            "ev_p_kw": "power of the charger, negative while it charges; null without one",
            **_LIMITS,
        },
    ),
    "ev": TableContent(
        "physical step and prosumer with a charger",
        ("time", "prosumer"),
        {
            "p_kw": "power of the charger, negative while it charges",
            "soc_kwh": "energy in the battery; null when no vehicle is there",
            "plugged": "whether a vehicle is plugged in",
        },
    ),
    "ev_session": TableContent(
        "session of a vehicle that has ended",
        (),
        {
            "arrival": "plugged in from, UTC",
            "departure": "plugged in until, UTC",
            "capacity_kwh": "usable battery",
            "arrival_kwh": "energy in the battery on arrival",
            "required_kwh": "energy that had to be in it at departure",
            "departure_kwh": "energy that was in it at departure",
            "not_served_kwh": "what was missing at departure",
        },
    ),
    "grid": TableContent(
        "physical step",
        ("time",),
        {
            "losses_kw": "losses of all lines and transformers",
            "p_source_kw": "power that the source feeds into the network",
            "iterations": "iterations of the power flow",
        },
    ),
    "grid_bus": TableContent(
        "physical step and bus",
        ("time", "bus"),
        {
            **{f"v_{phase}_v": f"voltage of phase {phase} to neutral" for phase in "abc"},
            "vuf_percent": "voltage unbalance factor, negative over positive sequence",
        },
    ),
    "grid_branch": TableContent(
        "physical step and line or transformer",
        ("time", "branch"),
        {f"loading_{phase}_percent": f"current of phase {phase} of what is allowed" for phase in "abc"},
    ),
    "envelope": TableContent(
        "market interval and prosumer",
        _PER_INTERVAL,
        {
            **_LIMITS,
            "q_low_kvar": "least reactive power that published limits allow for, besides a volt-var inverter's",
            "q_high_kvar": "most reactive power that published limits allow for, besides a volt-var inverter's",
        },
    ),
    "certificate": TableContent(
        "market interval",
        ("interval_start",),
        {
            "certified": "whether the limits are proven safe for every use",
            "v_max_v": "proven upper bound of every voltage, phase to neutral",
            "v_min_v": "proven lower bound of every voltage, phase to neutral",
            "loading_max_percent": "proven upper bound of every loading, of what is allowed",
            "total_export_kw": "sum of the export limits",
            "total_import_kw": "sum of the import limits",
            "floor_cut": "whether somebody's import limit is below the demand that it cannot move",
            "proof_cost_kw": "by how much the proof lowered the sum of all limits",
        },
    ),
    "orders": TableContent(
        "market interval and order",
        (),
        {
            "side": "`ask` (sells) or `bid` (buys)",
            "price_per_kwh": "limit of the order",
            "kwh": "size of the order",
            "matched_kwh": "how much of it was traded",
        },
    ),
    "trades": TableContent(
        "market interval and prosumer",
        _PER_INTERVAL,
        {
            "traded_kwh": "energy traded, positive when sold",
            "price_per_kwh": "mean price of the prosumer's trades; null without any",
        },
    ),
    "market": TableContent(
        "market interval",
        ("interval_start",),
        {
            "price_per_kwh": "price of the interval; null without trade",
            "volume_kwh": "energy traded",
            "offered_kwh": "energy that sellers were ready to trade",
            "wanted_kwh": "energy that buyers were ready to trade",
            "rounds": "rounds of a negotiation, 0 for mechanisms without",
            "messages": "messages between its partners",
            "residual_kwh": "most by which two partners' amounts still differed",
            "residual_per_kwh": "most by which a price still moved in the last round",
            "fell_back": "whether nothing was agreed and the k-double auction cleared instead",
        },
    ),
    "coordination": TableContent(
        "market interval",
        ("interval_start",),
        {
            "rounds": "rounds of the iteration",
            "messages": "messages between coordinator and prosumers",
            "rows": "limits of the network that took part",
            "excess_kw": "what remains of a limit's excess in the plan",
        },
    ),
    "posted_price": TableContent(
        "market interval and prosumer",
        _PER_INTERVAL,
        {
            "price_adder_per_kwh": "what the coordinator adds to the tariff",
            "assigned_kwh": "energy that the prosumer has agreed to, export positive",
        },
    ),
    "blocking": TableContent(
        "market interval and prosumer",
        _PER_INTERVAL,
        {
            "attempts": "trades with peers that the network operator was asked about",
            "blocks": "trades with peers that it refused",
            "blocked_kwh": "what could not be sold to peers, or bought from them if negative, because of that",
            "retail_attempts": "lots to or from the retailer that it was asked about",
            "retail_blocks": "lots that it refused",
            "refused_kwh": "what may not be sold to the retailer, or bought from it if negative",
            "blocked_by": "voltage or current because of which most was refused, with its phase; empty if nothing was",
        },
    ),
    "curtailment": TableContent(
        "market interval and prosumer",
        _PER_INTERVAL,
        {
            "curtailed_kwh": "energy that the network operator took from the prosumer's position",
            "curtailed_by": "voltage or current behind it, with its phase; empty where it was refused as a trade",
        },
    ),
    "settlement": TableContent(
        "market interval and prosumer",
        _PER_INTERVAL,
        {
            "meter_kwh": "metered energy, export positive",
            "traded_kwh": "energy traded, positive when sold; null without a market",
            "position_kwh": "energy that the prosumer had planned to deliver; null without a plan",
            "local_money": "paid for local trades",
            "retail_money": "paid to the retailer, standing charge included",
            "network_money": "paid to the network for energy that was bought locally",
            "imbalance_kwh": "traded and not delivered or not taken",
            "imbalance_money": "paid for that",
            "breach_kwh": "energy outside the envelope",
            "breach_money": "paid for that",
            "total_money": "sum of all parts; negative is income",
        },
    ),
    "device_io": TableContent(
        "physical step and device of a bench",
        (),
        {
            "asked_kw": "set-point that the run asked for",
            "sent_kw": "set-point that the supervisor let pass",
            "p_kw": "measured power, export positive",
            "soc_percent": "state of charge that the device tells",
            "age_s": "age of the reading on the device's clock",
            "quality": "`good`, `stale`, `bad` (also of a device that disobeys) or `never`",
            "state": "state of the device's link",
            "reason": "which rule changed or withheld the set-point",
        },
    ),
    "clock": TableContent("physical step of a run in real time", ("time",), {"late_s": "by how much it began late"}),
}

_UNITS = {
    "_per_kwh": "1/kWh", "_percent": "%", "_money": "money", "_kwh_per_day": "kWh/d", "_kwh": "kWh", "_kvar": "kvar",
    "_kva": "kVA", "_kwp": "kWp", "_kw": "kW", "_vh": "V h", "_hours": "h", "_mb": "MB", "_deg": "°", "_v": "V",
    "_s": "s",
}  # fmt: skip


def unit_of(name: str) -> str:
    """Return the unit that the end of a column's or figure's name says; empty where it says none.

    Money is in the currency of the scenario's tariff, so that a price is in `1/kWh`.
    """
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending) or name == ending[1:]), "")


def meaning_of(table: str, column: str) -> str:
    """Return what a column of a table means; empty where that is not known, as of another version's tables."""
    content = TABLES.get(table)
    return KEYS.get(column, "") if content is None else content.columns.get(column, KEYS.get(column, ""))
