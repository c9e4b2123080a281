"""What coordination asks of prosumers: what they disclose, how often, what they forgo, and who is refused."""

from collections.abc import Mapping

import pandas as pd

from feederloop.coupling.metrics.tables import Group, RunFacts, Tables, gini, number, rows, share

_FORECASTS = ("household_p_kw", "household_q_kvar", "pv_available_kw")
_VEHICLE = ("soc_kwh", "plugged", "departure_s", "required_kwh")
_LISTS = {*_FORECASTS, "household_p_low_kw", "export_request_kw", "import_request_kw", "import_need_kw", "answer_kw"}
DISCLOSED: Mapping[str, tuple[str, ...]] = {
    "envelope": (
        "household_p_kw", "household_p_low_kw", "household_q_kvar", "export_request_kw", "import_request_kw",
        "import_need_kw",
    ),
    "static": (),
    "market": ("curve_price_per_kwh", "curve_kwh"),
    "network_checked": ("curve_price_per_kwh", "curve_kwh", "household_p_kw", "household_q_kvar"),
    "valley_filling": (*_FORECASTS, *_VEHICLE),
    "network_aware": (*_FORECASTS, *_VEHICLE),
    "perfect_foresight": (*_FORECASTS, *_VEHICLE),
    "transactive": ("household_q_kvar", "answer_kw"),
}  # fmt: skip
"""What a prosumer tells whom: those who limit connection points, pair offers, or coordinate. Beside it, everybody's
meter is read. Perfect foresight is told the truth in place of forecasts; posted prices are answered by net power."""
REPLIES: Mapping[str, int] = {
    "envelope": 1, "static": 0, "market": 1, "network_checked": 1, "valley_filling": 1, "network_aware": 1,
    "perfect_foresight": 1, "transactive": 0,
}  # fmt: skip
"""Messages that a prosumer gets back in an interval; those of iterations are counted where they happen."""


def privacy(roles: tuple[str, ...], horizon: int, curve_points: int) -> Group:
    """What prosumers disclose beside their meter's reading.

    - fields: different kinds of data that leave the home. numbers_per_interval: numbers that a prosumer sends for an
      interval, once, and bytes_per_interval: their size as 8-byte floats; rounds of an iteration come on top.

    Args:
        roles: Who there is to tell, keys of `DISCLOSED`.
        horizon: Intervals of an outlook.
        curve_points: Points of a net-position curve.
    """
    fields = {field for role in roles for field in DISCLOSED[role]}
    length = dict.fromkeys(_LISTS, horizon) | dict.fromkeys(("curve_price_per_kwh", "curve_kwh"), curve_points)
    # The same field told to two is sent twice.
    numbers = sum(length.get(field, 1) for role in roles for field in DISCLOSED[role])
    return {"fields": len(fields), "numbers_per_interval": numbers, "bytes_per_interval": 8 * numbers}


def exchange(tables: Tables, roles: tuple[str, ...]) -> Group:
    """Rounds and messages of coordination.

    - rounds_mean, rounds_max: of an iteration or a negotiation, per interval in which there was one.
    - messages_per_interval: of all prosumers together; of iterations as counted, else what each sends and gets back.
    - fell_back_share: negotiations that did not converge and were cleared otherwise.

    Args:
        tables: The run's tables.
        roles: Who there is to exchange messages with, keys of `DISCLOSED`.
    """
    group: Group = dict.fromkeys(("rounds_mean", "rounds_max", "messages_per_interval", "fell_back_share"))
    people = rows(tables, "prosumer", "prosumer")
    once = sum((1 if DISCLOSED[role] else 0) + REPLIES[role] for role in roles)
    messages = None if people is None else float(once * len(people))
    for name in ("coordination", "market"):
        told = rows(tables, name, "rounds", "messages")
        if told is None or not (told["rounds"] > 0).any():
            continue
        group["rounds_mean"] = number(told.loc[told["rounds"] > 0, "rounds"].mean())
        group["rounds_max"] = number(told["rounds"].max())
        counted = float(told["messages"].mean())
        messages = counted if name == "coordination" else (messages or 0.0) + counted
        if "fell_back" in told:
            group["fell_back_share"] = number(told.loc[told["rounds"] > 0, "fell_back"].astype(float).mean())
    group["messages_per_interval"] = None if messages is None else number(messages)
    return group


def blocking(tables: Tables, facts: RunFacts) -> Group:
    """Trades that the DSO refused.

    - attempts, blocks: sides of trades it was asked about and refused: a trade between peers has two, one with the
      retailer one; rate: of all attempts. retail_attempts, retail_blocks: those with the retailer among them.
    - refused_kwh: what could not be traded in the end because of that, a trade counted once; retail_refused_kwh: of
      this what was to go to the retailer or to come from it.
    - gini: of the prosumers' shares of refused attempts; never_blocked_share: of those who attempted any.
    - longest_run: intervals in a row in which one prosumer was refused something; intervals without an attempt leave
      the run as it is.
    """
    group: Group = dict.fromkeys(
        (
            "attempts", "blocks", "rate", "retail_attempts", "retail_blocks", "refused_kwh", "retail_refused_kwh",
            "gini", "never_blocked_share", "longest_run",
        )
    )  # fmt: skip
    found = _blocking_table(tables)
    if found is None or not found["attempts"].sum():
        return group
    sums = found.groupby("prosumer")[["attempts", "blocks"]].sum()
    tried = sums[sums["attempts"] > 0]
    return {
        "attempts": int(sums["attempts"].sum()),
        "blocks": int(sums["blocks"].sum()),
        "rate": share(float(sums["blocks"].sum()), float(sums["attempts"].sum())),
        "retail_attempts": int(found["retail_attempts"].sum()),
        "retail_blocks": int(found["retail_blocks"].sum()),
        "refused_kwh": number(found["blocked_kwh"].abs().sum() / 2 + found["refused_kwh"].abs().sum()),
        "retail_refused_kwh": number(found["refused_kwh"].abs().sum()),
        "gini": gini((tried["blocks"] / tried["attempts"]).to_numpy(float)),
        "never_blocked_share": number((tried["blocks"] == 0).mean()),
        "longest_run": max(_longest_run(each) for _, each in found.groupby("prosumer")),
    }


def refused_share(table: pd.DataFrame) -> "pd.Series[float]":
    """Share of its trades that the DSO refused, of each prosumer who tried any; trades with the retailer count.

    Args:
        table: `blocking`.
    """
    found = _blocking_table({"blocking": table})
    if found is None:
        return pd.Series(dtype=float)
    sums = found.groupby("prosumer")[["attempts", "blocks"]].sum()
    tried = sums[sums["attempts"] > 0]
    return tried["blocks"] / tried["attempts"]


def forgone(tables: Tables, facts: RunFacts) -> Group:
    """Energy that somebody would have used or sold and could not, alike in every scheme.

    - pv_curtailed_kwh: sun not used, whatever the reason. ev_not_served_kwh: missing at departure.
    - blocked_kwh: refused as a trade between peers; it went to the retailer, or is among the curtailed as well.
    - total_kwh: the first two.
    """
    group: Group = dict.fromkeys(("pv_curtailed_kwh", "ev_not_served_kwh", "blocked_kwh", "total_kwh"))
    points = rows(tables, "connection_point", "pv_available_kw", "pv_p_kw")
    if points is not None and points["pv_available_kw"].notna().any():
        lost_kw = (points["pv_available_kw"] - points["pv_p_kw"]).clip(lower=0)
        group["pv_curtailed_kwh"] = number(lost_kw.sum() * facts.step_h)
    sessions = rows(tables, "ev_session", "not_served_kwh")
    if sessions is not None:
        group["ev_not_served_kwh"] = number(sessions["not_served_kwh"].sum())
    refused = _blocking_table(tables)
    if refused is not None:
        group["blocked_kwh"] = number(refused["blocked_kwh"].abs().sum() / 2)
    known = [value for name in ("pv_curtailed_kwh", "ev_not_served_kwh") if (value := group[name]) is not None]
    group["total_kwh"] = number(sum(known)) if known else None
    return group


def _blocking_table(tables: Tables) -> pd.DataFrame | None:
    found = rows(tables, "blocking", "interval_start", "prosumer", "attempts", "blocks", "blocked_kwh")
    if found is None:
        return None
    retail = {name: found.get(name, 0) for name in ("retail_attempts", "retail_blocks", "refused_kwh")}
    found = found.assign(**retail)
    return found.assign(
        attempts=found["attempts"] + found["retail_attempts"], blocks=found["blocks"] + found["retail_blocks"]
    )


def _longest_run(each: pd.DataFrame) -> int:
    asked = each[each["attempts"] > 0].sort_values("interval_start")
    blocked = asked["blocks"] > 0
    return int(blocked.groupby((~blocked).cumsum()).sum().max()) if len(asked) else 0
