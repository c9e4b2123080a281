"""What is known of all uses of a family of boxes: where their solutions are, and who acts on what in which way."""

from typing import TYPE_CHECKING

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.box import Box, Boxes
from feederloop.simulators.envelope.corners import Bounds, Corners, CornerValues
from feederloop.simulators.envelope.enclosure import Enclosure
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.envelope.slopes import Slopes
from feederloop.simulators.grid.columns import parts_of
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.sections import absolute

if TYPE_CHECKING:
    from feederloop.simulators.envelope.certificate import Certifier

_REFINEMENTS = 6
_REFINED_AT_MOST = 24  # groups of alike rows, for each section
_ALIKE = 0.9
_LOOSE = 0.02  # volt or ampere
NEAR = 0.002  # of a limit: whose bound is closer must not be loose, or it would be in the way of a somewhat larger box


class Region:
    """All uses of a family of boxes, some of whose customers' ends may be known."""

    def __init__(
        self, certifier: "Certifier", boxes: Boxes, hull: Box, fixed: np.ndarray, enclosure: Enclosure, depth: int
    ) -> None:
        self._of, self._boxes, self._hull, self._fixed, self._depth = certifier, boxes, hull, fixed, depth
        power_flow, self.enclosure = certifier.power_flow, enclosure
        matrices, size = power_flow.matrices, certifier.encloser.size
        self.slopes = Slopes(certifier.layout, matrices, size, enclosure, hull, fixed, power_flow.sections.w)
        self._start = certifier.layout.start
        self._right = matrices.busbar
        self._busbar = self._right @ enclosure.current
        self._busbar_spread = size.right @ enclosure.spread

    @classmethod
    def of(
        cls,
        certifier: "Certifier",
        boxes: Boxes,
        fixed: np.ndarray | None = None,
        start: Complex | None = None,
        depth: int = 0,
    ) -> "Region | None":
        """Return the region, or none where no bound of all its solutions was found.

        Args:
            certifier: The network.
            boxes: The boxes.
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
        region = cls(certifier, boxes, hull, fixed, enclosure, depth)
        return region if region.slopes.valid() else None

    def _part(self, section: int) -> slice:
        start = self._start
        return slice(int(start[section]), int(start[section + 1])) if section < len(start) - 1 else slice(0, 0)

    def centre(self, rows: SectionRows, section: int) -> Complex:
        """[rows] Values at the midpoint."""
        part, current = self._part(section), self.enclosure.current
        value: Complex = rows.offset + rows.own @ current[part]
        if rows.left.shape[1]:
            value = value + rows.left @ (self._busbar - self._right[:, part] @ current[part])
        return value

    def reach(self, rows: SectionRows, section: int) -> Floats:
        """[rows] How far a value can be from the midpoint's, in any direction."""
        part, spread = self._part(section), self.enclosure.spread
        reach: Floats = rows.own_size @ spread[part]
        if rows.left.shape[1]:
            own = self._of.encloser.size.right[:, part] @ spread[part]
            reach = reach + rows.left_size @ np.maximum(self._busbar_spread - own, 0.0)
        return reach

    def swing(self, rows: SectionRows, section: int, direction: Complex) -> Floats:
        """[rows] How far a value can move along a direction: first-order terms plus the remainder's bound."""
        enclosure, part, layout = self.enclosure, self._part(section), self._of.layout
        half_p, half_q = (np.repeat(half[layout.points], np.diff(layout.first)) for half in self._hull.half_width)
        volt = absolute(enclosure.v)
        rest = (enclosure.width + absolute(enclosure.s)) * enclosure.radius / (volt * (volt - enclosure.radius))
        swing: Floats = rows.own_size @ rest[part]
        if rows.left.shape[1]:
            own = self._of.encloser.size.right[:, part] @ rest[part]
            total = self._of.encloser.size.right @ rest
            swing += rows.left_size @ np.maximum(total - own, 0.0)
        turned = parts_of(direction.conj())
        unit = parts_of(layout.unit / enclosure.v.conj())
        _add_swing(rows.own_parts, turned, unit[:, part], half_p[part], half_q[part], swing)
        if rows.left.shape[1]:
            others_p, others_q = half_p.copy(), half_q.copy()
            others_p[part], others_q[part] = 0.0, 0.0
            right = self._of.power_flow.matrices.right
            _add_swing_of_others(parts_of(rows.left), right, turned, unit, others_p, others_q, swing)
        return swing

    def corners(
        self, rows: SectionRows, section: int, sign: float, limit: Floats | float, way: Complex | None = None
    ) -> tuple[Corners, Bounds]:
        """Find where rows are worst, and bound them for the outer box.

        Args:
            rows: The rows, of one section.
            section: Which.
            sign: -1 for least lengths.
            limit: [rows] What the bound should stay below.
            way: [rows] Fixed directions along which parts are meant; none for lengths.
        """
        ends = self.slopes.ends(rows, section, self.centre(rows, section), way, sign)
        corners = Corners(rows, section, sign, way, ends.end, ends.slack)
        bounds = self._widest(corners)
        if self._depth < _REFINEMENTS:
            near = np.broadcast_to(limit - NEAR * np.abs(limit), bounds.upper.shape)
            loose = np.flatnonzero((bounds.upper > near) & (bounds.upper - bounds.found > _LOOSE))
            if len(loose):
                self._refine(corners, bounds, ends.proven, loose, np.broadcast_to(limit, near.shape))
        return corners, bounds

    def _widest(self, corners: Corners) -> Bounds:
        values = CornerValues(self._of.power_flow, self._of.layout, [corners], self.enclosure.v)
        return values.bounds(self._boxes.outer)[0]

    def _refine(self, corners: Corners, bounds: Bounds, proven: np.ndarray, loose: Ints, limit: Floats) -> None:
        """Tighten the bounds of loose rows: with their proven customers fixed at their ends, the others' signs show.

        Rows that lie close together have nearly the same proven customers and are refined together, with those fixed
        that all of them have.
        """
        for _ in range(_REFINED_AT_MOST):
            if len(loose) == 0:
                break
            first = loose[bounds.upper[loose].argmax()]
            same = proven[loose] == proven[first]
            fixed = proven[first] != 0
            alike = same[:, fixed].mean(axis=1) >= _ALIKE if fixed.any() else loose == first
            members, loose = loose[alike], loose[~alike]
            pattern = np.where(same[alike].all(axis=0), proven[first], 0)
            if np.count_nonzero(pattern) <= np.count_nonzero(self._fixed):
                continue
            finer = Region.of(self._of, self._boxes, pattern, self.enclosure.v, self._depth + 1)
            if finer is None:
                continue
            way = None if corners.way is None else corners.way[members]
            rows = corners.rows.subset(members)
            found, finer_bounds = finer.corners(rows, corners.section, corners.sign, limit[members], way)
            tighter = finer_bounds.upper < bounds.upper[members]
            into = members[tighter]
            corners.end[into], corners.slack[into] = found.end[tighter], found.slack[tighter]
            bounds.upper[into], bounds.found[into] = finer_bounds.upper[tighter], finer_bounds.found[tighter]


@compiled
def _add_swing(own, turned, unit, half_p, half_q, swing):  # type: ignore[no-untyped-def]
    for r in range(own.shape[1]):
        re, im = turned[0, r], turned[1, r]
        own_re, own_im = own[0, r], own[1, r]
        total = 0.0
        for j in range(own.shape[2]):
            a, b = re * own_re[j] - im * own_im[j], re * own_im[j] + im * own_re[j]
            by_p, by_q = a * unit[0, j] - b * unit[1, j], a * unit[1, j] + b * unit[0, j]
            total += abs(by_p) * half_p[j] + abs(by_q) * half_q[j]
        swing[r] += total


@compiled
def _add_swing_of_others(left, right, turned, unit, half_p, half_q, swing):  # type: ignore[no-untyped-def]
    for r in range(left.shape[1]):
        re, im = turned[0, r], turned[1, r]
        total = 0.0
        for j in range(right.shape[2]):
            if half_p[j] > 0 or half_q[j] > 0:
                z_re, z_im = 0.0, 0.0
                for c in range(3):
                    z_re += left[0, r, c] * right[0, c, j] - left[1, r, c] * right[1, c, j]
                    z_im += left[0, r, c] * right[1, c, j] + left[1, r, c] * right[0, c, j]
                a, b = re * z_re - im * z_im, re * z_im + im * z_re
                by_p, by_q = a * unit[0, j] - b * unit[1, j], a * unit[1, j] + b * unit[0, j]
                total += abs(by_p) * half_p[j] + abs(by_q) * half_q[j]
        swing[r] += total
