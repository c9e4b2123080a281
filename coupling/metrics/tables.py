"""What all figures share: the tables, the facts about the run, and careful arithmetic."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Tables = Mapping[str, pd.DataFrame]
"""A run's tables by name, as described in the architecture; any may be missing or short."""
Group = dict[str, float | int | None]
"""One group of figures; None where a figure does not apply."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RunFacts:
    """What the tables do not say.

    Attributes:
        step_s: Physical step, s.
        interval_s: Market interval, s.
        voltage_range_v: Lowest and highest voltage allowed, phase to neutral.
        nominal_v: Nominal voltage, phase to neutral.
        line_limit_percent: Highest loading allowed of a line's phase.
        transformer_limit_percent: Highest loading allowed of a transformer's phase.
    """

    step_s: int
    interval_s: int
    voltage_range_v: tuple[float, float] = (216.2, 253.0)
    nominal_v: float = 230.0
    line_limit_percent: float = 100.0
    transformer_limit_percent: float = 100.0

    @property
    def step_h(self) -> float:
        """Physical step in hours."""
        return self.step_s / 3600.0


def rows(tables: Tables, name: str, *columns: str) -> pd.DataFrame | None:
    """Return a table if it is there, has rows and has these columns."""
    table = tables.get(name)
    if table is None or table.empty or not set(columns) <= set(table.columns):
        return None
    return table


def number(value: object) -> float | None:
    """A finite Python float, or None."""
    result = float(value)  # type: ignore[arg-type]
    return result if math.isfinite(result) else None


def share(part: float, whole: float) -> float | None:
    """Part / whole, or None where there is no whole."""
    return number(part / whole) if whole > 0 else None


def total(values: pd.DataFrame) -> float:
    """Sum over rows and columns, without missing values."""
    return float(np.nansum(values.to_numpy(float)))


def wide(table: pd.DataFrame, value: str, *, column: str = "prosumer") -> pd.DataFrame:
    """One row per time and one column per prosumer (or bus)."""
    result = table.pivot(index="time", columns=column, values=value)
    return result.astype(float).sort_index()


def period_means(values: pd.DataFrame, period_s: int) -> pd.DataFrame:
    """Means over periods that are aligned with UTC; a step that is longer than the period stands for itself.

    Args:
        values: Indexed by UTC time, one column per series.
        period_s: Length of the period, s.
    """
    return values.groupby(pd.DatetimeIndex(values.index).floor(f"{period_s}s")).mean()


def jain(values: Floats) -> float | None:
    """Jain's fairness index (sum x)^2 / (n sum x^2): 1 if all are equal, 1/n if one has everything.

    Source: Jain, Chiu, Hawe, DEC-TR-301 (1984).
    """
    squares = float(np.square(values).sum())
    return number(values.sum() ** 2 / (len(values) * squares)) if squares > 0 else None


def gini(values: Floats) -> float | None:
    """Gini coefficient, sum_ij |x_i - x_j| / (2 n^2 mean): 0 if all are equal; None if any value is negative."""
    total = float(values.sum())
    if total <= 0 or (values < 0).any():
        return None
    ordered, count = np.sort(values), len(values)
    ranks = 2 * np.arange(1, count + 1) - count - 1
    return number(float((ranks * ordered).sum()) / (count * total))
