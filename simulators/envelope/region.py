"""What is known of all uses of a family of boxes: where their solutions are, and who acts on what in which way."""

from typing import TYPE_CHECKING

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.box import Boxes
from feederloop.simulators.envelope.corners import Bounds, Corners, CornerValues
from feederloop.simulators.envelope.enclosure import Enclosure
from feederloop.simulators.envelope.moved import swing
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.envelope.slopes import Slopes
from feederloop.simulators.grid.columns import parts_of
from feederloop.simulators.grid.feeder import Complex, Floats, Ints

if TYPE_CHECKING:
    from feederloop.simulators.envelope.certificate import Certifier

_REFINEMENTS = 6
_REFINED_AT_MOST = 24  # groups of alike rows, for each section
_ALIKE = 0.9
# Of what a bound is loose by: how much may be charged for ends that are not quite proven, when some were fixed before,
# and where no more are proven. At first bounds are so loose that even a little of it would be much.
_CHARGED, _CHARGED_FOR_MORE = 0.02, 0.1
_LOOSER = 0.1  # of what is left to the limit: where much is, bounds may be loose by more


class Region:
    """All uses of a family of boxes, some of whose customers' ends may be known."""

    def __init__(
        self, certifier: "Certifier", boxes: Boxes, loose: float, fixed: np.ndarray, enclosure: Enclosure, depth: int
    ) -> None:
        self._of, self._boxes, self._loose, self._fixed, self._depth = certifier, boxes, loose, fixed, depth
        self.enclosure = enclosure
        self.slopes = Slopes(certifier.layout, certifier.encloser, enclosure, fixed)
        self._right = certifier.power_flow.matrices.busbar
        self._busbar = self._right @ enclosure.current

    @classmethod
    def of(
        cls,
        certifier: "Certifier",
        boxes: Boxes,
        loose: float,
        fixed: np.ndarray | None = None,
        start: Complex | None = None,
        depth: int = 0,
    ) -> "Region | None":
        """Return the region, or none where no bound of all its solutions was found.

        Args:
            certifier: The network.
            boxes: The boxes.
            loose: Volt or ampere: bounds that are farther than this from what was found are refined.
            fixed: [2 points] Who is known to be at the upper (1) or lower (-1) end, by active and then reactive power,
                in the order of the sections; nobody if not given.
            start: [injectors] Voltages near the middle's.
            depth: How often ends were fixed.
        """
        points = certifier.layout.points
        fixed = np.zeros(2 * len(points), dtype=np.int8) if fixed is None else fixed
        ends = np.zeros((2, len(points)))
        ends[:, points] = fixed.reshape(2, -1)
        hull = boxes.faces(*ends)
        enclosure = certifier.encloser.enclose(hull, start)
        if enclosure is None:
            return None
        region = cls(certifier, boxes, loose, fixed, enclosure, depth)
        return region if region.slopes.valid() else None

    def centre(self, rows: SectionRows, section: int) -> Complex:
        """[rows] Values at the midpoint."""
        part, current = self._of.layout.injectors_of(section), self.enclosure.current
        value: Complex = rows.offset + rows.own @ current[part]
        if rows.left.shape[1]:
            value = value + rows.left @ (self._busbar - self._right[:, part] @ current[part])
        return value

    def reach(self, rows: SectionRows, section: int, direction: Complex | None = None) -> tuple[Floats, Floats]:
        """How far values can be from the midpoint's: [rows] in any direction, and [rows, directions] along some.

        Args:
            rows: The rows, of one section.
            section: Which.
            direction: [rows, directions] Of unit length.
        """
        enclosure = self.enclosure
        rest = self._of.encloser.size.of_rows(rows, self._of.layout.injectors_of(section), enclosure.beyond_a)
        moved = np.stack([enclosure.tangent.moved(rows, section, kind) for kind in enclosure.kinds])
        along = np.zeros((len(rest), 0 if direction is None else direction.shape[1]))
        if direction is not None:
            along += rest[:, None]
            for by, half in zip(moved, enclosure.half, strict=True):
                _add_swing(parts_of(by), parts_of(direction), half, along)
        return swing(moved, enclosure.half) + rest, along

    def corners(
        self, rows: SectionRows, section: int, sign: float, limit: Floats, close: Floats, way: Complex | None = None
    ) -> tuple[Corners, Bounds]:
        """Find where rows are worst, and bound them for the outer box.

        Args:
            rows: The rows, of one section.
            section: Which.
            sign: -1 for least lengths.
            limit: [rows] What the bound should stay below.
            close: [rows] Bounds that are this close to it should not be loose.
            way: [rows] Fixed directions along which parts are meant; none for lengths.
        """
        ends = self.slopes.ends(rows, section, self.centre(rows, section), way, sign)
        corners = Corners(rows, section, sign, way, ends.end, ends.slack)
        bounds = self._widest(corners)
        if self._depth < _REFINEMENTS:
            away = limit - bounds.upper
            apart = self._loose + _LOOSER * np.maximum(away, 0.0)
            loose = np.flatnonzero((away < close) & (bounds.upper - bounds.found > apart))
            if len(loose):
                self._refine(corners, bounds, loose, limit, close)
        return corners, bounds

    def _widest(self, corners: Corners) -> Bounds:
        values = CornerValues(self._of.power_flow, self._of.layout, [corners], self.enclosure.v)
        return values.bounds(self._boxes.outer)[0]

    def _refine(self, corners: Corners, bounds: Bounds, loose: Ints, limit: Floats, close: Floats) -> None:
        """Tighten the bounds of loose rows: with some customers fixed at their ends, more can be told of the others.

        Fixed are those whose ends are proven, and those whose wrong end could cost so little that it is charged: the
        smaller the box, the more is told of the others. Rows that lie close together have nearly the same and are
        refined together, with those that all of them have.
        """
        points, slack = self._of.layout.points, corners.slack.copy()
        half = np.concatenate([half[points] for half in self._boxes.outer.half_width])
        for _ in range(_REFINED_AT_MOST):
            if len(loose) == 0:
                break
            first = loose[bounds.upper[loose].argmax()]
            cost = slack[first] * half
            proven = np.count_nonzero((cost == 0) & (corners.end[first] != 0))
            more = proven > np.count_nonzero(self._fixed)
            share = _CHARGED_FOR_MORE if not more else _CHARGED if self._depth else 0.0
            budget = share * (bounds.upper[first] - bounds.found[first])
            known = np.flatnonzero(corners.end[first])
            cheapest = known[np.argsort(cost[known], kind="stable")]
            fixed = cheapest[np.cumsum(cost[cheapest]) <= budget]
            if len(fixed) <= np.count_nonzero(self._fixed):
                loose = loose[loose != first]
                continue
            some = np.ix_(loose, fixed)
            same = corners.end[some] == corners.end[first, fixed]
            alike = (same.mean(axis=1) >= _ALIKE) & (slack[some] @ half[fixed] <= 2 * budget)
            members, loose = loose[alike], loose[~alike]
            pattern = np.zeros_like(self._fixed)
            pattern[fixed] = np.where(same[alike].all(axis=0), corners.end[first, fixed], 0)
            if np.count_nonzero(pattern) <= np.count_nonzero(self._fixed):
                continue
            finer = Region.of(self._of, self._boxes, self._loose, pattern, self.enclosure.v, self._depth + 1)
            if finer is None:
                continue
            way = None if corners.way is None else corners.way[members]
            rows = corners.rows.subset(members)
            found, finer_bounds = finer.corners(
                rows, corners.section, corners.sign, limit[members], close[members], way
            )
            charged = slack[members] * (pattern != 0)
            upper = finer_bounds.upper + charged @ half
            tighter = upper < bounds.upper[members]
            into = members[tighter]
            corners.end[into], corners.slack[into] = found.end[tighter], (found.slack + charged)[tighter]
            bounds.upper[into], bounds.found[into] = upper[tighter], finer_bounds.found[tighter]


@compiled
def _add_swing(moved, direction, half, swing):  # type: ignore[no-untyped-def]
    for r in range(swing.shape[0]):
        by_re, by_im = moved[0, r], moved[1, r]
        for d in range(swing.shape[1]):
            re, im = direction[0, r, d], direction[1, r, d]
            total = 0.0
            for j in range(len(half)):
                total += abs(re * by_re[j] + im * by_im[j]) * half[j]
            swing[r, d] += total
