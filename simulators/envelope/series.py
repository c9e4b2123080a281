"""What answers to answers add up to: bounds of Neumann series over absolute impedances."""

from collections.abc import Callable

import numpy as np

from feederloop.simulators.grid.feeder import Floats


class Series:
    """Bounds of `x (1 + m |Z| + (m |Z|)^2 ...)`.

    Args:
        times: What makes `(x m) |Z|` of [rows, n] x, with m the greatest |mu|.
        count: n.
    """

    def __init__(self, times: Callable[[Floats], Floats], count: int) -> None:
        self._times = times
        self._probe = np.maximum(times(np.ones((1, count))), 1e-300)  # zero where nobody can use anything
        self._probe_ratio = float((times(self._probe) / self._probe).max())

    def converges(self) -> bool:
        """Whether the bounds hold: the power flow's derivative has an inverse everywhere in the discs."""
        return self._probe_ratio < 1.0

    def summed(self, once: Floats) -> Floats:
        """[rows, n] Bounds for [rows, n] first terms.

        Where `x m |Z| <= c x`, the sum after x is at most `c / (1 - c) x`: with x the first term itself, or with the
        probe, scaled to be above the second.
        """
        twice = self._times(once)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(twice > 0, twice / once, 0.0).max(axis=1)
        by_itself = np.where(ratio < 1.0, ratio / np.maximum(1.0 - ratio, 1e-300), np.inf)[:, None] * np.maximum(
            once, 1e-300
        )
        scale = (twice / self._probe).max(axis=1) / max(1.0 - self._probe_ratio, 1e-300)
        result: Floats = once + np.minimum(by_itself, scale[:, None] * self._probe)
        return result
