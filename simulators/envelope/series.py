"""What answers to answers add up to: bounds of Neumann series over absolute impedances."""

import numpy as np

from feederloop.simulators.envelope.enclosure import AbsoluteImpedance
from feederloop.simulators.grid.feeder import Floats


class Series:
    """Bounds of `y |Z| (1 + m |Z| + (m |Z|)^2 ...)`.

    Args:
        size: |Z|.
        most: [injectors] m, the greatest |mu|.
    """

    def __init__(self, size: AbsoluteImpedance, most: Floats) -> None:
        self._size, self._most = size, most
        self._probe = size.from_left(np.ones((1, len(most))))
        self._probe_ratio = float((size.from_left(self._probe * most) / self._probe).max())

    def converges(self) -> bool:
        """Whether the bounds hold: the power flow's derivative has an inverse everywhere in the discs."""
        return self._probe_ratio < 1.0

    def terms(self, y: Floats) -> tuple[Floats, Floats]:
        """[rows, injectors] The first term, and a bound of all others together.

        Where `x m |Z| <= c x`, the sum after x is at most `c / (1 - c) x`: with x the first term itself, or with the
        probe, scaled to be above the second.
        """
        once = self._size.from_left(y)
        twice = self._size.from_left(once * self._most)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(twice > 0, twice / once, 0.0).max(axis=1)
        by_itself = np.where(ratio < 1.0, ratio / np.maximum(1.0 - ratio, 1e-300), np.inf)[:, None] * np.maximum(
            once, 1e-300
        )
        scale = (twice / self._probe).max(axis=1) / max(1.0 - self._probe_ratio, 1e-300)
        return once, np.minimum(by_itself, scale[:, None] * self._probe)

    def summed(self, y: Floats) -> Floats:
        """[rows, injectors] All terms."""
        once, more = self.terms(y)
        return once + more
