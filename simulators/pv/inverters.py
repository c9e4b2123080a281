"""Photovoltaic inverters: feed in what is available, up to the limit they are given."""

import numpy as np
from numpy.typing import NDArray


class Inverters:
    """The plants of a street.

    Args:
        available_kw: AC power available to each plant in each step, at least zero, [n, T].
    """

    def __init__(self, available_kw: NDArray[np.float64]) -> None:
        self.available_kw = available_kw

    def power(self, step: int, p_limit_kw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return active power in kW, export positive and never negative, [n].

        Args:
            step: Number of the physical step.
            p_limit_kw: Highest power; NaN for no limit, below zero for zero [n].
        """
        limit = np.where(np.isnan(p_limit_kw), np.inf, np.maximum(p_limit_kw, 0.0))
        return np.minimum(self.available_kw[:, step], limit)
