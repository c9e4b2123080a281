"""Lengths of voltages and currents, bounded over a family of boxes: simply where that is enough, else at corners."""

from collections.abc import Sequence

import numpy as np

from feederloop.simulators.envelope.corners import MARGIN_V, Bounds, Corners
from feederloop.simulators.envelope.region import Region
from feederloop.simulators.envelope.rows import Rows
from feederloop.simulators.grid.feeder import Floats, Ints
from feederloop.simulators.grid.sections import absolute

FACETS = 96
BLUNT = float(np.cos(np.pi / FACETS))  # how much nearer than its corners the middles of a polygon's edges are
# Bounds this close to a limit must not be loose: those of voltages by the limit itself, of lengths by a share of it.
_CLOSE_V, CLOSE = 1.0, 0.001
# Rows nearest to each limit are bounded exactly even when far from it, so that the proven extreme is tight.
_ALWAYS_EXACT = 4


class Voltages:
    """Greatest or least voltages.

    Args:
        region: What is known of all uses.
        rows: The voltages.
        simple: [rows] Simple bounds.
        sign: 1 for the greatest, -1 for the least.
        limit_v: What they must stay below or above.
    """

    def __init__(self, region: Region, rows: Rows, simple: Floats, sign: float, limit_v: float) -> None:
        self._simple, self._sign, self._limit = simple, sign, sign * limit_v
        signed = sign * simple
        near = signed > self._limit - _CLOSE_V
        near[np.argpartition(-signed, min(_ALWAYS_EXACT, len(signed) - 1))[:_ALWAYS_EXACT]] = True
        self.corners: list[Corners] = []
        self._places: list[Ints] = []
        for section, some in enumerate(rows.sections):
            chosen = np.flatnonzero(near[some.place])
            if len(chosen):
                limit, close = np.full(len(chosen), self._limit), np.full(len(chosen), _CLOSE_V)
                self.corners.append(region.corners(some.subset(chosen), section, sign, limit, close)[0])
                self._places.append(some.place[chosen])

    def proven(self, bounds: Sequence[Bounds]) -> Floats:
        """[rows] Proven voltages, by what is known of `corners`."""
        result = self._simple.copy()
        for place, bound in zip(self._places, bounds, strict=True):
            result[place] = self._sign * np.minimum(bound.upper, self._sign * result[place])
        return result

    def looseness_v(self, bounds: Sequence[Bounds]) -> float:
        """How far bounds are from corners, where these are within 1 V of the limit; simple ones from the worst one."""
        near = [bound for bound in bounds if bound.upper.max() > self._limit - _CLOSE_V]
        apart = [float(bound.upper.max() - bound.found.max()) for bound in near]
        highest = float((self._sign * self.proven(bounds)).max())
        if highest > self._limit - _CLOSE_V:
            apart.append(highest - max(float(bound.found.max()) for bound in bounds))
        return max(apart, default=0.0)


class Lengths:
    """Greatest lengths of what can turn round: by a polygon around the circle.

    Args:
        region: What is known of all uses.
        rows: The quantities.
        allowed: [rows] What their lengths must stay below.
    """

    def __init__(self, region: Region, rows: Rows, allowed: Floats) -> None:
        self._simple = np.empty(rows.count)
        self.corners: list[Corners] = []
        self._facets: list[tuple[Ints, Floats, Ints]] = []
        round_ = np.exp(2j * np.pi * np.arange(FACETS) / FACETS)
        for section, some in enumerate(rows.sections):
            if not len(some.offset):
                continue
            value = region.centre(some, section)
            simple = absolute(value) + region.reach(some, section)[0] + MARGIN_V
            self._simple[some.place] = simple
            chosen = np.flatnonzero(simple > (1 - CLOSE) * allowed[some.place])
            if not len(chosen):
                continue
            directions = np.tile(round_, (len(chosen), 1))
            swing = region.reach(some.subset(chosen), section, directions)[1]
            upper = ((directions.conj() * value[chosen, None]).real + swing + MARGIN_V).reshape(-1)
            within = np.repeat(allowed[some.place[chosen]], FACETS) * BLUNT
            over = np.flatnonzero(upper > (1 - CLOSE) * within)
            if not len(over):
                self._simple[some.place[chosen]] = np.minimum(simple[chosen], _around(upper))
                continue
            facets, direction = some.subset(chosen[over // FACETS]), directions.reshape(-1)
            self._facets.append((some.place[chosen], upper, over))
            limit = within[over]
            self.corners.append(region.corners(facets, section, 1.0, limit, CLOSE * limit, direction[over])[0])

    def proven(self, bounds: Sequence[Bounds]) -> Floats:
        """[rows] Proven lengths, by what is known of `corners`."""
        result = self._simple.copy()
        for (place, simple, over), bound in zip(self._facets, bounds, strict=True):
            upper = simple.copy()
            upper[over] = np.minimum(upper[over], bound.upper)
            result[place] = np.minimum(result[place], _around(upper))
        return result


def _around(upper: Floats) -> Floats:
    """[rows] Lengths of what is within [rows * facets] bounds along the facets' directions."""
    result: Floats = upper.reshape(-1, FACETS).max(axis=1) / BLUNT
    return result
