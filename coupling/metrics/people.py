"""Figures of the people: what they pay, and how evenly capacity and cost fall on them."""

import pandas as pd

from feederloop.coupling.metrics.tables import Group, RunFacts, Tables, gini, jain, number, rows

MONEY = ("local", "retail", "network", "imbalance", "breach")
OWNERS = ("pv_and_ev", "pv_only", "ev_only", "no_device")


def cost(tables: Tables, facts: RunFacts) -> Group:
    """What prosumers pay, as settled; negative is income. Standing charges are not part of the settlement.

    - total: over all prosumers and intervals; mean, median, min, max: of the prosumers' totals.
    - local, retail, network, imbalance, breach: the parts that make up the total.
    - mean_pv_and_ev, mean_pv_only, mean_ev_only, mean_no_device: mean per prosumer by what it owns.
    """
    figures = ("total", "mean", "median", "min", "max", *MONEY, *(f"mean_{owner}" for owner in OWNERS))
    group: Group = dict.fromkeys(figures)
    settled = rows(tables, "settlement", "prosumer", "total_money")
    if settled is None:
        return group
    each = settled.groupby("prosumer")["total_money"].sum()
    group["total"] = number(each.sum())
    for name in ("mean", "median", "min", "max"):
        group[name] = number(getattr(each, name)())
    for part in MONEY:
        if f"{part}_money" in settled:
            group[part] = number(settled[f"{part}_money"].sum())
    owner = _owner(tables)
    if owner is not None:
        means = each.groupby(owner.reindex(each.index)).mean()
        group |= {f"mean_{name}": number(value) for name, value in means.items()}
    return group


def fairness(tables: Tables, facts: RunFacts) -> Group:
    """How evenly envelopes and costs are spread; Jain's index is 1 and Gini's coefficient 0 where all have the same.

    - export_jain, export_gini, export_min_to_mean: of each PV owner's mean export limit per kWp installed;
      export_min_to_mean is the worst-off owner's share of the mean.
    - import_jain, import_gini, import_min_to_mean: of each prosumer's mean import limit.
    - cost_gini: of the prosumers' total costs; None if anybody earns.
    - cost_range: the highest less the lowest of the prosumers' total costs.
    """
    group: Group = dict.fromkeys(
        (
            "export_jain", "export_gini", "export_min_to_mean", "import_jain", "import_gini", "import_min_to_mean",
            "cost_gini", "cost_range",
        )
    )  # fmt: skip
    limits = rows(tables, "envelope", "prosumer", "export_limit_kw", "import_limit_kw")
    if limits is not None:
        means = limits.groupby("prosumer")[["export_limit_kw", "import_limit_kw"]].mean()
        group |= _evenness("import", means["import_limit_kw"].dropna())
        people = rows(tables, "prosumer", "prosumer", "pv_kwp")
        if people is not None:
            kwp = people.set_index("prosumer")["pv_kwp"].reindex(means.index)
            group |= _evenness("export", (means["export_limit_kw"] / kwp)[kwp > 0].dropna())
    settled = rows(tables, "settlement", "prosumer", "total_money")
    if settled is not None:
        each = settled.groupby("prosumer")["total_money"].sum()
        group["cost_gini"] = gini(each.to_numpy(float))
        group["cost_range"] = number(each.max() - each.min())
    return group


def _evenness(name: str, values: "pd.Series[float]") -> Group:
    if values.empty:
        return {}
    spread = values.to_numpy(float)
    mean = float(spread.mean())
    return {
        f"{name}_jain": jain(spread),
        f"{name}_gini": gini(spread),
        f"{name}_min_to_mean": number(spread.min() / mean) if mean > 0 else None,
    }


def _owner(tables: Tables) -> "pd.Series[str] | None":
    """What each prosumer owns, one of OWNERS."""
    people = rows(tables, "prosumer", "prosumer", "pv_kwp", "ev_capacity_kwh")
    if people is None:
        return None
    people = people.set_index("prosumer")
    has_pv, has_ev = people["pv_kwp"].fillna(0) > 0, people["ev_capacity_kwh"].fillna(0) > 0
    owner = pd.Series("no_device", index=people.index)
    owner[has_pv & ~has_ev], owner[~has_pv & has_ev], owner[has_pv & has_ev] = "pv_only", "ev_only", "pv_and_ev"
    return owner
