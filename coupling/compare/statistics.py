"""Means over seeds and how far to trust them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure over several seeds.

    Attributes:
        mean: Mean over the seeds that have the figure.
        half_width: Half the width of the 95 % confidence interval of the mean; None for a single seed.
        least: Lowest value.
        most: Highest value.
        count: How many seeds have the figure.
    """

    mean: float
    half_width: float | None
    least: float
    most: float
    count: int


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """Estimate the mean with its confidence interval by Student's t-distribution; None without any value.

    Args:
        values: A value per seed; None where a seed has none.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known):
        return None
    half_width = None
    if len(known) > 1:
        quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(known) - 1)
        half_width = float(quantile * known.std(ddof=1) / np.sqrt(len(known)))
    return Estimate(float(known.mean()), half_width, float(known.min()), float(known.max()), len(known))
