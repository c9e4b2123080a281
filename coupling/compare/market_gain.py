"""What the local market is worth to each prosumer: the same limits with it and without."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from feederloop.coupling.compare.across import CENT, People
from feederloop.coupling.compare.variants import VARIANTS

GOAL_SHARE = 0.95
"""So many prosumers should pay no more with a market than without."""


@dataclass(frozen=True)
class MarketGain:
    """A scheme with a market beside the same limits without one, over all seeds in which both ran.

    Attributes:
        variant: With the market.
        reference: Without it.
        difference: By how much each prosumer's cost a day is higher with the market; negative is a gain.
        reasons: For those who pay more, the mean difference of each part of the cost, the greatest first.
    """

    variant: str
    reference: str
    difference: "pd.Series[float]"
    reasons: "pd.Series[float]"

    @property
    def no_worse_share(self) -> float:
        """Share of prosumers who pay no more, to the cent."""
        return float((self.difference <= CENT).mean())


def without_market(variant: str) -> str | None:
    """Return the variant that has the same limits and no market, None where there is none."""
    if variant in ("doe_lem:corner", "static_limits:lem"):
        return {"doe_lem:corner": "doe:corner", "static_limits:lem": "static_limits"}[variant]
    return "doe" if VARIANTS[variant].scheme == "doe_lem" else None


def market_gains(variants: list[str], known: Mapping[tuple[str, int], People]) -> list[MarketGain]:
    """Return what the market is worth in every scheme that has one and whose reference ran as well.

    Args:
        variants: Of the comparison.
        known: What each run came to for its prosumers, by variant and seed.
    """
    gains = []
    for variant in variants:
        reference = without_market(variant)
        seeds = [seed for name, seed in known if name == variant and (reference, seed) in known]
        if reference is None or not seeds:
            continue
        pairs = [(known[variant, seed], known[reference, seed]) for seed in seeds]
        difference = pd.concat([mine.cost - other.cost for mine, other in pairs], keys=seeds).dropna()
        parts = pd.concat([mine.parts.sub(other.parts, fill_value=0.0) for mine, other in pairs], keys=seeds)
        worse = parts.reindex(difference.index[difference > CENT])
        reasons = worse.mean().sort_values(ascending=False) if len(worse) else pd.Series(dtype=float)
        gains.append(MarketGain(variant, reference, difference, reasons))
    return gains
