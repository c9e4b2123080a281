"""Which limit took what energy: every lost kWh with its cause, as far as tables tell, and the rest without one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from feederloop.coupling.binding import Binding
from feederloop.coupling.network_of_run import Network
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.market.settlement import BREACH_KW, BREACH_SHARE

if TYPE_CHECKING:  # the report shows statements, and these the ledger
    from feederloop.coupling.report.facts import Facts

COLUMNS = ("interval_start", "prosumer", "lost", "kwh", "money", "taken_by", "element", "phase")
UNKNOWN = "unattributed"
NONE_NEAR = "none near its limit"
LEAST_KWH = 1e-6


@dataclass(frozen=True)
class _Points:
    """Connection points by step, with what the limits did there."""

    table: pd.DataFrame
    step_h: float
    limited_by: str


def ledger(facts: "Facts") -> pd.DataFrame:
    """Return a row per interval, prosumer and cause: energy that was lost or refused, and money that a limit took.

    - `lost` is `PV curtailed`, `EV energy not served`, `trade refused` (the energy went to the retailer or is among the
      curtailed as well), `envelope left` (energy outside the envelope) or `trade not kept` (energy by which what was
      metered fell short of what was traded).
    - `money` is what it cost whom it concerns: curtailed PV at the feed-in price, energy not served at the lowest
      retail price, a refused trade at half the gain that peers had to share, (retail less network charge less
      feed-in) / 2, the rest as settled.
    - `taken_by` is `envelope` or `static limit` where the connection point was at its limit in that step, `export cap`
      where it was at what it may ever export, `trade check` where the DSO curtailed what it had refused, `coordinator`
      where an aggregator sets the inverters, else `unattributed` (a manager that planned with a wrong forecast, or to
      whom exporting was not worth it).
    - `element` and `phase` say, for a trade check, which voltage or current refused most of the prosumer's trades or
      was behind the order to curtail; for an envelope, which the exact power flow brings near its limit when the
      envelopes are used at their worst for it, if this prosumer's power contributes to it. Where there is none, the
      envelope was as narrow as its request (a forecast that was too low) or its rule made it.
    - EV energy is attributed to a limit up to what the charger could have drawn while the limit held it back.

    Args:
        facts: The run.
    """
    parts = [_refused(facts), _charged(facts)]
    points = _points(facts)
    if points is not None:
        parts += [_curtailed(facts, points), _not_served(facts, points)]
    lost = pd.concat([part for part in parts if len(part)] or [pd.DataFrame(columns=COLUMNS)], ignore_index=True)
    lost = lost[lost["kwh"] > LEAST_KWH].reindex(columns=COLUMNS)
    lost[["element", "phase"]] = lost[["element", "phase"]].fillna("")
    lost = _with_money(facts, _with_elements(facts, lost))
    return lost.sort_values(["interval_start", "prosumer", "lost", "taken_by"]).reset_index(drop=True)


def _points(facts: "Facts") -> _Points | None:
    columns = (
        "time",
        "prosumer",
        "p_kw",
        "pv_p_kw",
        "pv_available_kw",
        "ev_p_kw",
        "export_limit_kw",
        "import_limit_kw",
    )
    table, line = facts.table("connection_point", *columns), facts.timeline
    if table is None or line is None:
        return None
    table = table[list(columns)].copy()
    table["interval_start"] = table["time"].dt.floor(f"{line.interval_s}s")
    for side, out_kw in (("export", table["p_kw"]), ("import", -table["p_kw"])):
        limit_kw = table[f"{side}_limit_kw"].astype(float)
        room_kw = np.fmax(BREACH_SHARE * limit_kw, BREACH_KW)
        table[f"at_{side}_limit"] = (out_kw >= limit_kw - room_kw) & limit_kw.notna()
    known = facts.table("prosumer", "prosumer", "export_cap_kw")
    cap_kw = np.inf if known is None else table["prosumer"].map(known.set_index("prosumer")["export_cap_kw"])
    table["at_cap"] = table["p_kw"] >= cap_kw - BREACH_KW
    limited_by = "static limit" if facts.scenario.get("scheme") == "static_limits" else "envelope"
    return _Points(table, line.step_s / 3600.0, limited_by)


def _curtailed(facts: "Facts", points: _Points) -> pd.DataFrame:
    table = points.table
    lost_kwh = (table["pv_available_kw"] - table["pv_p_kw"]).astype(float).clip(lower=0) * points.step_h
    scheme = facts.scenario.get("scheme")
    rest = "coordinator" if scheme in ("ev_coordination", "central_optimum") else UNKNOWN
    cause = np.select([table["at_export_limit"], table["at_cap"]], [points.limited_by, "export cap"], rest)
    found = table.assign(kwh=lost_kwh, taken_by=cause)[["interval_start", "prosumer", "kwh", "taken_by"]]
    found = found[found["kwh"] > 0].groupby(["interval_start", "prosumer", "taken_by"], as_index=False)["kwh"].sum()
    checked = facts.table("curtailment", "interval_start", "prosumer", "curtailed_kwh", "curtailed_by")
    if checked is not None:
        found = _told_apart(found, checked, facts.table("blocking", "interval_start", "prosumer", "blocked_by"))
    return found.assign(lost="PV curtailed")


def _told_apart(found: pd.DataFrame, checked: pd.DataFrame, refused: pd.DataFrame | None) -> pd.DataFrame:
    """Split what has no cause yet into what the DSO ordered after its check of trades and the rest."""
    keys = pd.MultiIndex.from_frame(found[["interval_start", "prosumer"]])
    ordered = checked.set_index(["interval_start", "prosumer"]).reindex(keys)
    most_kwh = ordered["curtailed_kwh"].fillna(0.0).to_numpy(float)
    by_check = np.where(found["taken_by"] == UNKNOWN, np.clip(most_kwh, 0.0, found["kwh"]), 0.0)
    limit = ordered["curtailed_by"].fillna("")
    if refused is not None:
        known = refused.set_index(["interval_start", "prosumer"])["blocked_by"].reindex(keys)
        limit = limit.where(limit != "", known.fillna(""))
    named = _element_and_phase(limit.reset_index(drop=True))
    split = found.reset_index(drop=True).assign(kwh=by_check, taken_by="trade check", **named)
    return pd.concat([found.assign(kwh=found["kwh"] - by_check), split], ignore_index=True)


def _not_served(facts: "Facts", points: _Points) -> pd.DataFrame:
    sessions = facts.table("ev_session", "prosumer", "arrival", "departure", "not_served_kwh")
    known = facts.table("prosumer", "prosumer", "ev_charge_kw")
    if sessions is None or known is None:
        return pd.DataFrame(columns=COLUMNS)
    charge_kw = known.set_index("prosumer")["ev_charge_kw"]
    rows = []
    for session in sessions[sessions["not_served_kwh"] > LEAST_KWH].itertuples():
        table = points.table
        there = table["prosumer"].eq(session.prosumer) & table["time"].between(session.arrival, session.departure)
        held = table[there & table["at_import_limit"]]
        could_kw = (charge_kw[session.prosumer] + held["ev_p_kw"].astype(float)).clip(lower=0)
        by_limit = min(float(session.not_served_kwh), float(could_kw.sum() * points.step_h))
        for kwh, cause in ((by_limit, points.limited_by), (float(session.not_served_kwh) - by_limit, UNKNOWN)):
            rows.append((session.departure, session.prosumer, "EV energy not served", kwh, cause))
    return pd.DataFrame(rows, columns=["interval_start", "prosumer", "lost", "kwh", "taken_by"])


def _refused(facts: "Facts") -> pd.DataFrame:
    found = facts.table("blocking", "interval_start", "prosumer", "blocked_kwh", "blocked_by")
    if found is None:
        return pd.DataFrame(columns=COLUMNS)
    named = _element_and_phase(found["blocked_by"])
    found = found[["interval_start", "prosumer"]].assign(kwh=found["blocked_kwh"].abs(), **named)
    return found.assign(lost="trade refused", taken_by="trade check")


def _element_and_phase(limit: "pd.Series[str]") -> dict[str, "pd.Series[str]"]:
    """Split `v_max at bus 3 a` into element and phase; unbalance and collapse have no phase."""
    parts = limit.fillna("").str.extract(r"^(?P<element>.*?)(?: (?P<phase>[abc]))?$").fillna("")
    return {"element": parts["element"], "phase": parts["phase"]}


def _charged(facts: "Facts") -> pd.DataFrame:
    """What was paid beyond the price of energy: for leaving an envelope, and for not keeping a trade."""
    columns = ("imbalance_kwh", "imbalance_money", "breach_kwh", "breach_money")
    settled = facts.table("settlement", "interval_start", "prosumer", *columns)
    if settled is None:
        return pd.DataFrame(columns=COLUMNS)
    limited_by = "static limit" if facts.scenario.get("scheme") == "static_limits" else "envelope"
    parts = [
        settled[["interval_start", "prosumer"]].assign(
            lost=lost, kwh=settled[f"{kind}_kwh"].abs(), money=settled[f"{kind}_money"], taken_by=taken_by
        )
        for kind, lost, taken_by in (
            ("imbalance", "trade not kept", "imbalance price"),
            ("breach", "envelope left", limited_by),
        )
    ]
    return pd.concat(parts, ignore_index=True)


def _with_money(facts: "Facts", lost: pd.DataFrame) -> pd.DataFrame:
    """Value what was not settled already."""
    tariff, line = facts.tariff(), facts.timeline
    if tariff is None or line is None or lost.empty:
        return lost.assign(money=lost["money"].astype(float))
    k = np.clip(facts.row_numbers(lost["interval_start"], line.interval_s), 0, len(tariff.retail_per_kwh) - 1)
    feed_in = tariff.feed_in_per_kwh[k]
    gain = np.maximum(tariff.retail_per_kwh[k] - tariff.network_charge_per_kwh - feed_in, 0.0)
    value = np.select(
        [lost["lost"] == "PV curtailed", lost["lost"] == "trade refused"], [feed_in, gain / 2],
        float(tariff.retail_per_kwh.min()),
    )  # fmt: skip
    return lost.assign(money=lost["money"].astype(float).fillna(lost["kwh"] * value))


def _with_elements(facts: "Facts", lost: pd.DataFrame) -> pd.DataFrame:
    """Name the voltage or current behind each loss that an envelope took."""
    envelopes = facts.table("envelope", "interval_start", "prosumer", "export_limit_kw", "import_limit_kw")
    by_envelope = lost[(lost["taken_by"] == "envelope") & (lost["lost"] == "PV curtailed")]
    if envelopes is None or by_envelope.empty:
        return lost
    network = Network.of(facts.run)
    names = {name: place for place, name in enumerate(network.power_flow.feeder.points)}
    binding = Binding(network)
    points = facts.table("connection_point", "time", "prosumer", "q_kvar")
    lost = lost.copy()
    for start, rows in by_envelope.groupby("interval_start"):
        limits = envelopes[envelopes["interval_start"] == start].set_index("prosumer").reindex(list(names)).fillna(0.0)
        now = points[points["time"] == start] if points is not None else limits.iloc[:0]
        q_kvar = now.set_index("prosumer")["q_kvar"].reindex(list(names)).fillna(0.0).to_numpy(float)
        high, low = limits["export_limit_kw"].to_numpy(float), -limits["import_limit_kw"].to_numpy(float)
        behind = binding.behind(Box(low, high, q_kvar, q_kvar))
        for row in rows.index:
            lost.loc[row, ["element", "phase"]] = behind[names[lost.at[row, "prosumer"]]] or (NONE_NEAR, "")
    return lost
