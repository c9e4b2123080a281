"""The voltage unbalance factor |V2| / |V1|, bounded over a family of boxes as one quantity.

The uses that make |V2| greatest are not those that make |V1| least. With a limit u on their ratio, `|V2| - u |V1|` must
not be above zero, and neither is it where `Re(V2 / way) / cos(pi / facets) - u Re(V1 / along)` is not for all facets'
ways, of unit length like `along`, which is V1's direction in the middle: these are linear in the currents.
"""

from collections.abc import Sequence

import numpy as np

from feederloop.simulators.envelope.corners import MARGIN_V, Bounds, Corners
from feederloop.simulators.envelope.lengths import BLUNT, CLOSE, FACETS
from feederloop.simulators.envelope.region import Region
from feederloop.simulators.envelope.rows import Rows, SectionRows
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.sections import absolute


def unbalance_rows(negative: SectionRows, positive: SectionRows, way: Complex, along: Complex) -> SectionRows:
    """Return rows `V2 / way - V1 / along`.

    Args:
        negative: V2 of some buses.
        positive: V1 of the same buses.
        way: [buses] What V2 is divided by.
        along: [buses] What V1 is divided by.
    """
    pairs = zip(
        (negative.offset[:, None], negative.own, negative.left),
        (positive.offset[:, None], positive.own, positive.left),
        strict=True,
    )
    offset, own, left = (two / way[:, None] - one / along[:, None] for two, one in pairs)
    return SectionRows(negative.place, offset[:, 0], own, left)


class Unbalance:
    """Greatest unbalance factors.

    Args:
        region: What is known of all uses.
        negative: V2 of the buses.
        positive: V1 of the buses.
        share: The limit u.
    """

    def __init__(self, region: Region, negative: Rows, positive: Rows, share: float) -> None:
        self._share = share
        self._least, self._most, self._simple = (np.empty(negative.count) for _ in range(3))
        self.corners: list[Corners] = []
        self._facets: list[tuple[Ints, Floats, Ints]] = []
        ways: Complex = np.exp(2j * np.pi * np.arange(FACETS) / FACETS)
        for section, (two, one) in enumerate(zip(negative.sections, positive.sections, strict=True)):
            if not len(two.offset):
                continue
            middle, reach = region.centre(one, section), region.reach(one, section)[0]
            least = absolute(middle) - reach
            self._least[one.place], self._most[one.place] = least, absolute(middle) + reach
            value, directions = region.centre(two, section), np.tile(ways, (len(two.offset), 1))
            upper = (directions.conj() * value[:, None]).real + region.reach(two, section, directions)[1] + MARGIN_V
            excess = upper / BLUNT - share * least[:, None]
            self._simple[two.place] = excess.max(axis=1)
            close = CLOSE * share * np.maximum(least, 0.0)
            over = np.flatnonzero(excess > -close[:, None])
            if not len(over):
                continue
            bus = over // FACETS
            along = middle[bus] / absolute(middle[bus]) / share
            rows = unbalance_rows(two.subset(bus), one.subset(bus), BLUNT * ways[over % FACETS], along)
            fixed = np.ones(len(over), dtype=complex)
            self.corners.append(region.corners(rows, section, 1.0, np.zeros(len(over)), close[bus], fixed)[0])
            self._facets.append((two.place, excess, over))

    def proven_percent(self, bounds: Sequence[Bounds]) -> Floats:
        """[buses] Proven factors, by what is known of `corners`; infinite where V1 could vanish."""
        highest = self._simple.copy()
        for (place, simple, over), bound in zip(self._facets, bounds, strict=True):
            excess = simple.copy()
            excess.flat[over] = np.minimum(excess.flat[over], bound.upper)
            highest[place] = excess.max(axis=1)
        least = np.maximum(self._least, 1e-9)
        by_limit = self._share + highest / np.where(highest > 0, least, self._most)
        by_itself = (self._simple + self._share * self._least) / least
        result: Floats = np.where(self._least > 0, 100.0 * np.minimum(by_limit, by_itself), np.inf)
        return result
