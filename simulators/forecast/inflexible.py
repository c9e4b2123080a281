"""How high inflexible demand may get: a quantile of what each home drew before, at the same time of day.

The estimate for the intervals that follow an issue uses nothing but the home's own demand in whole days before the day
of the issue (days of 24 h counted from the run's start, at most `HISTORY_DAYS` of them), in physical steps, so that it
holds for power and not for the mean of an interval. Where a source knows nothing before the run there is no estimate
for its first day; see `SiteForecasts` for what stands in.
"""

import numpy as np
from numpy.typing import NDArray

HISTORY_DAYS = 28


def daily_quantiles(
    demand_kw: NDArray[np.float64], *, history_days: int, days: int, slots: int, quantile: float
) -> list[NDArray[np.float64] | None]:
    """Return for each day of a run the quantile of demand by time of day.

    Args:
        demand_kw: Demand in physical steps from `history_days` before the run's start on, [n, steps].
        history_days: Whole days of demand before the run.
        days: Days of the run that forecasts are issued on.
        slots: Market intervals in a day.
        quantile: The quantile, 0 to 1; of the samples the next higher one.

    Returns:
        For each day kW of demand, [n, slots], or None where no earlier day is known.
    """
    count, steps = demand_kw.shape
    per_day = steps // (history_days + days)
    by_day = demand_kw.reshape(count, history_days + days, slots, per_day // slots)
    estimates: list[NDArray[np.float64] | None] = []
    for day in range(days):
        last = history_days + day
        if last == 0:
            estimates.append(None)
            continue
        seen = by_day[:, max(0, last - HISTORY_DAYS) : last]
        samples = np.moveaxis(seen, 2, 1).reshape(count, slots, -1)
        estimates.append(np.quantile(samples, quantile, axis=2, method="higher"))
    return estimates
