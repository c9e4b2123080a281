"""Figures of what people own and of how they keep their envelope: EV, PV, own use, envelope."""

import numpy as np
import pandas as pd

from feederloop.coupling.metrics.tables import Group, RunFacts, Tables, number, period_means, rows, share, total, wide
from feederloop.simulators.market.settlement import BREACH_KW, BREACH_SHARE

SHORT_SHARE = 0.05
"""A departure is short if more than this share of what the session needed is missing."""


def ev(tables: Tables, facts: RunFacts) -> Group:
    """What vehicles needed and got.

    - sessions: sessions that ended in the run; only these are judged.
    - energy_required_kwh: sum of max(required - arrival energy, 0); energy_not_served_kwh: what was missing at
      departure; energy_not_served_share: of what was required.
    - departures_short_share: sessions in which more than 5 % of what was required was missing, of all sessions.
    - charged_kwh, discharged_kwh: at the connection point, all vehicles.
    - cycles: full equivalent cycles per vehicle, (charged + discharged) / (2 capacity).
    """
    group: Group = dict.fromkeys(
        (
            "sessions", "energy_required_kwh", "energy_not_served_kwh", "energy_not_served_share",
            "departures_short_share", "charged_kwh", "discharged_kwh", "cycles",
        )
    )  # fmt: skip
    sessions = rows(tables, "ev_session", "arrival_kwh", "required_kwh", "not_served_kwh")
    if sessions is not None:
        needed_kwh = (sessions["required_kwh"] - sessions["arrival_kwh"]).clip(lower=0)
        missing_kwh = sessions["not_served_kwh"]
        short = (missing_kwh > SHORT_SHARE * needed_kwh) & (missing_kwh > 1e-6)
        group |= {
            "sessions": len(sessions),
            "energy_required_kwh": number(needed_kwh.sum()),
            "energy_not_served_kwh": number(missing_kwh.sum()),
            "energy_not_served_share": share(float(missing_kwh.sum()), float(needed_kwh.sum())),
            "departures_short_share": share(float(short.sum()), len(sessions)),
        }
    chargers = rows(tables, "ev", "p_kw", "prosumer")
    if chargers is not None:
        charged_kwh = float((-chargers["p_kw"]).clip(lower=0).sum() * facts.step_h)
        discharged_kwh = float(chargers["p_kw"].clip(lower=0).sum() * facts.step_h)
        group |= {"charged_kwh": number(charged_kwh), "discharged_kwh": number(discharged_kwh)}
        people = rows(tables, "prosumer", "prosumer", "ev_capacity_kwh")
        if people is not None:
            capacity_kwh = people.set_index("prosumer")["ev_capacity_kwh"]
            moved_kwh = chargers["p_kw"].abs().groupby(chargers["prosumer"]).sum() * facts.step_h
            group["cycles"] = number((moved_kwh / (2 * capacity_kwh.reindex(moved_kwh.index))).mean())
    return group


def pv(tables: Tables, facts: RunFacts) -> Group:
    """What the sun offered and what was used of it.

    - available_kwh: what inverters could have fed in; produced_kwh: what they did; curtailed_kwh: the difference.
    - curtailed_share: of what was available.
    """
    group: Group = dict.fromkeys(("available_kwh", "produced_kwh", "curtailed_kwh", "curtailed_share"))
    points = rows(tables, "connection_point", "pv_p_kw", "pv_available_kw")
    if points is None or points["pv_available_kw"].isna().all():
        return group
    available_kwh = float(points["pv_available_kw"].sum() * facts.step_h)
    produced_kwh = float(points["pv_p_kw"].sum() * facts.step_h)
    return {
        "available_kwh": number(available_kwh),
        "produced_kwh": number(produced_kwh),
        "curtailed_kwh": number(available_kwh - produced_kwh),
        "curtailed_share": share(available_kwh - produced_kwh, available_kwh),
    }


def energy(tables: Tables, facts: RunFacts) -> Group:
    """Energy at the connection points, and how much of the PV is used where it is made.

    - exported_kwh, imported_kwh: at the connection points. consumed_kwh: by homes and charging vehicles.
    - self_consumption: PV used behind the same connection point in the same step, sum of min(PV, consumption), of the
      PV produced; self_sufficiency: the same of the consumption. Discharging vehicles count as neither.
    - feeder_self_consumption, feeder_self_sufficiency: with all connection points taken together.
    """
    group: Group = dict.fromkeys(
        (
            "exported_kwh", "imported_kwh", "consumed_kwh", "self_consumption", "self_sufficiency",
            "feeder_self_consumption", "feeder_self_sufficiency",
        )
    )  # fmt: skip
    points = rows(tables, "connection_point", "time", "p_kw", "household_p_kw", "pv_p_kw", "ev_p_kw")
    if points is None:
        return group
    pv_kw = points["pv_p_kw"].astype(float).fillna(0.0)
    ev_kw = points["ev_p_kw"].astype(float).fillna(0.0)
    consumed_kw = (-points["household_p_kw"]).clip(lower=0) + (-ev_kw).clip(lower=0)
    together = pd.DataFrame({"pv": pv_kw, "consumed": consumed_kw}).groupby(points["time"]).sum()
    own_kw, feeder_kw = np.minimum(pv_kw, consumed_kw).sum(), np.minimum(together["pv"], together["consumed"]).sum()
    return {
        "exported_kwh": number(points["p_kw"].clip(lower=0).sum() * facts.step_h),
        "imported_kwh": number((-points["p_kw"]).clip(lower=0).sum() * facts.step_h),
        "consumed_kwh": number(consumed_kw.sum() * facts.step_h),
        "self_consumption": share(float(own_kw), float(pv_kw.sum())),
        "self_sufficiency": share(float(own_kw), float(consumed_kw.sum())),
        "feeder_self_consumption": share(float(feeder_kw), float(pv_kw.sum())),
        "feeder_self_sufficiency": share(float(feeder_kw), float(consumed_kw.sum())),
    }


def envelope(tables: Tables, facts: RunFacts) -> Group:
    """How envelopes were kept and used.

    - breach_share: 5-min means of a connection point's power that are outside its envelope by more than 2 % of the
      limit or 0.1 kW, whichever is more, of all 5-min means with a limit; breach_kwh: all the energy outside in these.
    - export_limit_kwh_per_day, import_limit_kwh_per_day: what the limits allow, summed over connection points.
    - export_utilisation, import_utilisation: energy exported (imported) of what the limits allow.
    - certified_share: intervals whose limits were proven safe for every use, of all; proven_max_v, proven_min_v,
      proven_max_loading_percent: the widest of the proven bounds. None of these where nothing was to be proven.
    - proof_cost_share: by how much the proof lowered the sum of all limits, of what they would have been.
    """
    group: Group = dict.fromkeys(
        (
            "breach_share", "breach_kwh", "export_limit_kwh_per_day", "import_limit_kwh_per_day",
            "export_utilisation", "import_utilisation", "certified_share", "proven_max_v", "proven_min_v",
            "proven_max_loading_percent", "proof_cost_share",
        )
    )  # fmt: skip
    proofs = rows(tables, "certificate", "interval_start")
    if proofs is not None and proofs["v_max_v"].notna().any():  # else nothing was to be proven
        kept_kw = total(proofs[["total_export_kw", "total_import_kw"]])
        group["certified_share"] = number(proofs["certified"].mean())
        group["proven_max_v"] = number(proofs["v_max_v"].max())
        group["proven_min_v"] = number(proofs["v_min_v"].min())
        group["proven_max_loading_percent"] = number(proofs["loading_max_percent"].max())
        group["proof_cost_share"] = share(total(proofs["proof_cost_kw"]), kept_kw + total(proofs["proof_cost_kw"]))
    points = rows(tables, "connection_point", "time", "prosumer", "p_kw", "export_limit_kw", "import_limit_kw")
    if points is None or points[["export_limit_kw", "import_limit_kw"]].isna().all(axis=None):
        return group
    p_kw = period_means(wide(points, "p_kw"), 300)
    hours = max(300, facts.step_s) / 3600.0
    limited = pd.DataFrame(False, index=p_kw.index, columns=p_kw.columns)
    breached, beyond_kwh = limited.copy(), 0.0
    for side, out_kw in (("export", p_kw), ("import", -p_kw)):
        limit_kw = period_means(wide(points, f"{side}_limit_kw"), 300)
        excess_kw = out_kw - limit_kw
        counts = excess_kw > (BREACH_SHARE * limit_kw).clip(lower=BREACH_KW)
        limited |= limit_kw.notna()
        breached |= counts
        beyond_kwh += total(excess_kw.where(counts)) * hours
        allowed_kwh = total(limit_kw) * hours
        used_kwh = total(out_kw.clip(lower=0).where(limit_kw.notna())) * hours
        group[f"{side}_limit_kwh_per_day"] = share(allowed_kwh, len(p_kw) * hours / 24.0)
        group[f"{side}_utilisation"] = share(used_kwh, allowed_kwh)
    group["breach_share"] = share(total(breached), total(limited))
    group["breach_kwh"] = number(beyond_kwh)
    return group
