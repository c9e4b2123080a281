"""Figures that only a comparison has: who is worse off than elsewhere, how far from the optimum, where one lives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from feederloop.coupling.compare.jobs import Done
from feederloop.coupling.compare.measures import looked_up
from feederloop.coupling.metrics.tables import Group, number
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.results import Run

OPTIMUM = "central_optimum"
REFERENCES = {"uncoordinated": "uncoordinated", "time_of_use": "price_based:time_of_use", "doe": "doe"}
"""Against which schemes it is asked who is worse off."""
MOST_TOTAL = "doe:max_total"
CENT = 0.01


@dataclass(frozen=True)
class People:
    """What a run came to for its prosumers.

    Attributes:
        cost: Cost per prosumer and day: bill and battery wear, less the value of what its vehicle has beyond need.
        lost_share: What of each roof's energy was curtailed.
        parts: What made up each prosumer's cost per day, a column each.
    """

    cost: "pd.Series[float]"
    lost_share: "pd.Series[float]"
    parts: pd.DataFrame = field(default_factory=pd.DataFrame)


def people(run: Run) -> People | None:
    """Gather what a run came to for its prosumers; None where nothing was settled.

    Schemes leave vehicles with different charge behind: energy beyond what a session needed, and what a session that
    goes on has got so far, is worth what it would cost at the lowest retail price; energy that was needed and is
    missing costs as much. Wear is not on any bill, but is a cost of giving back.
    """
    facts = Facts(run)
    settled = facts.table(
        "settlement", "interval_start", "prosumer", "meter_kwh", "total_money", "imbalance_money", "breach_money"
    )  # fmt: skip
    line = facts.timeline
    if settled is None or line is None:
        return None
    parts = _billed(facts, settled)
    parts["battery wear"], parts["charge left"] = _wear(facts), -_stored(facts)
    parts = parts.fillna(0.0) / (line.steps * line.step_s / 86_400.0)
    return People(parts.sum(axis=1), _lost_share(facts), parts)


def compared(done: Sequence[Done], known: Mapping[tuple[str, int], People]) -> dict[tuple[str, int], Group]:
    """Return the group `comparison` of each complete run; figures without their reference are None.

    Args:
        done: The runs.
        known: What each came to for its prosumers, by variant and seed.
    """
    groups = {}
    summaries = {(one.job.variant, one.job.seed): one.summary for one in done if one.complete}
    for (variant, seed), mine in known.items():
        group: Group = {"cost_per_prosumer_day": number(mine.cost.mean())}
        for name, reference in REFERENCES.items():
            other = known.get((reference, seed))
            group[f"worse_off_than_{name}_share"] = (
                None if other is None or reference == variant else _worse_off(mine.cost, other.cost)
            )
        best = known.get((OPTIMUM, seed))
        group["above_optimum_per_prosumer_day"] = None if best is None else number((mine.cost - best.cost).mean())
        group["price_of_fairness_share"] = _price_of_fairness(summaries, variant, seed)
        groups[variant, seed] = group
    return groups


def location_bias(lost_share: "pd.Series[float]", sensitivity_v_per_kw: "pd.Series[float]") -> float | None:
    """Spearman's rank correlation of what roofs lost with how much their export lifts their own voltage.

    Args:
        lost_share: What of each roof's energy was curtailed, by prosumer.
        sensitivity_v_per_kw: By prosumer.
    """
    both = pd.concat([lost_share, sensitivity_v_per_kw], axis=1, join="inner").dropna()
    spread = both.max() - both.min()
    if len(both) < 3 or (spread < 1e-6).any():
        return None
    return number(stats.spearmanr(both.iloc[:, 0], both.iloc[:, 1]).statistic)


def _worse_off(cost: "pd.Series[float]", other: "pd.Series[float]") -> float | None:
    difference = (cost - other).dropna()
    return number((difference > CENT).mean()) if len(difference) else None


def _price_of_fairness(summaries: Mapping[tuple[str, int], Any], variant: str, seed: int) -> float | None:
    """What of the greatest total of export and import limits a fairer rule gives up (Bertsimas et al., 2011)."""
    if not variant.startswith("doe") or (MOST_TOTAL, seed) not in summaries:
        return None
    sums = []
    for name in (variant, MOST_TOTAL):
        sides = [
            looked_up(summaries[name, seed], f"envelope.{side}_limit_kwh_per_day") for side in ("export", "import")
        ]
        sums.append(sum(side for side in sides if side is not None))
    return number(1 - sums[0] / sums[1]) if sums[1] else None


def _billed(facts: Facts, settled: pd.DataFrame) -> pd.DataFrame:
    """Each prosumer's bill in parts: its energy as if all of it were the retailer's, and what local trade changes.

    Standing charges, which are alike in all schemes, are counted with the latter.
    """
    sums = settled.groupby("prosumer")[["total_money", "imbalance_money", "breach_money"]].sum()
    energy = sums["total_money"] - sums["imbalance_money"] - sums["breach_money"]
    parts = pd.DataFrame({"deviations": sums["imbalance_money"], "breaches": sums["breach_money"]})
    tariff, line = facts.tariff(), facts.timeline
    if tariff is None or line is None:
        return parts.assign(energy=energy)
    row = facts.row_numbers(settled["interval_start"], line.interval_s)
    retail, feed_in = tariff.retail_per_kwh[row], tariff.feed_in_per_kwh[row]
    at_tariff = settled["meter_kwh"].clip(upper=0).abs() * retail - settled["meter_kwh"].clip(lower=0) * feed_in
    parts["energy at the tariff"] = at_tariff.groupby(settled["prosumer"]).sum()
    parts["local trade"] = energy - parts["energy at the tariff"]
    return parts


def _wear(facts: Facts) -> "pd.Series[float]":
    cars, known = facts.table("ev", "prosumer", "p_kw"), facts.table("prosumer", "prosumer", "ev_wear_per_kwh")
    line = facts.timeline
    if cars is None or known is None or line is None:
        return pd.Series(dtype=float)
    given_kwh = cars["p_kw"].clip(lower=0).groupby(cars["prosumer"]).sum() * line.step_s / 3600.0
    return given_kwh * known.set_index("prosumer")["ev_wear_per_kwh"].astype(float).reindex(given_kwh.index)


def _stored(facts: Facts) -> "pd.Series[float]":
    """Value of what is in the vehicles beyond what is needed: after ended sessions, and so far of those that go on."""
    tariff, line = facts.tariff(), facts.timeline
    if tariff is None or line is None:
        return pd.Series(dtype=float)
    parts = []
    ended = facts.table("ev_session", "prosumer", "departure_kwh", "required_kwh")
    if ended is not None:
        parts.append((ended["departure_kwh"] - ended["required_kwh"]).groupby(ended["prosumer"]).sum())
    cars = facts.table("ev", "time", "prosumer", "soc_kwh", "plugged", "p_kw")
    if cars is not None:
        parts.append(_charged_so_far(cars.sort_values("time"), line.step_s / 3600.0))
    beyond = pd.concat(parts).groupby(level=0).sum() if parts else pd.Series(dtype=float)
    return beyond * float(tariff.retail_per_kwh.min())


def _charged_so_far(cars: pd.DataFrame, step_h: float) -> "pd.Series[float]":
    """What the vehicles that are still there have got since they came."""
    away = cars[~cars["plugged"].astype(bool)].groupby("prosumer")["time"].max()
    came_after = cars["prosumer"].map(away)
    here = cars[came_after.isna() | (cars["time"] > came_after)]
    first, last = here.groupby("prosumer").first(), here.groupby("prosumer").last()
    # The first state recorded has the first step's charge in it, at the connection point and so nearly.
    return last["soc_kwh"] - (first["soc_kwh"] + first["p_kw"] * step_h)


def _lost_share(facts: Facts) -> "pd.Series[float]":
    points = facts.table("connection_point", "prosumer", "pv_available_kw", "pv_p_kw")
    if points is None:
        return pd.Series(dtype=float)
    sums = points.groupby("prosumer")[["pv_available_kw", "pv_p_kw"]].sum()
    sums = sums[sums["pv_available_kw"] > 0]
    return np.maximum(1.0 - sums["pv_p_kw"] / sums["pv_available_kw"], 0.0)
