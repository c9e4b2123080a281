"""Rows with the corner at which each is proven to be worst, and their exact values there."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.grid.columns import parts_of
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow, PowerFlowError

MARGIN_V = 1e-5  # covers the solver's tolerance and rounding; loading has the same in ampere


@dataclass(frozen=True)
class Corners:
    """Rows of one section, and where each of them is worst.

    Attributes:
        rows: The rows.
        section: Their section; the number of sections for those that are in none.
        sign: -1 for least lengths.
        way: [rows] Directions of unit length along which parts are meant; none for lengths.
        end: [rows, 2 points] 1 where the most active (then: reactive) power is worst, -1 where the least is, 0 where it
            is neither for sure and the middle is taken; points in the order of the sections.
        slack: [rows, 2 points] By how much the row could be worse than there, per kW or kvar of half-width.
    """

    rows: SectionRows
    section: int
    sign: float
    way: Complex | None
    end: np.ndarray
    slack: Floats


@dataclass(frozen=True)
class Bounds:
    """Of rows: what is proven, and what was found at the corners."""

    upper: Floats
    found: Floats


class CornerValues:
    """Solves the corners of any box for some rows, each different corner once.

    Args:
        power_flow: Exact power flow of the network.
        layout: Where everything stands.
        parts: The rows.
        v: [injectors] Voltages to start from.
    """

    def __init__(self, power_flow: PowerFlow, layout: Layout, parts: Sequence[Corners], v: Complex) -> None:
        self._power_flow, self._layout, self._first_v = power_flow, layout, v
        self._v: Floats | None = None
        points = len(layout.points)
        ends = [part.end for part in parts]
        patterns, which = distinct(np.concatenate([np.empty((0, 2 * points), dtype=np.int8), *ends]))
        split = np.split(which, np.cumsum([len(end) for end in ends]))[:-1]
        self._rows = [_RowsByCorner.of(part, of_part) for part, of_part in zip(parts, split, strict=True)]
        self._charged = [np.flatnonzero(part.slack.any(axis=1)) for part in parts]
        self._slack = [part.slack[charged] for part, charged in zip(parts, self._charged, strict=True)]
        self._sides = patterns[:, :points].astype(float), patterns[:, points:].astype(float)
        self._point = np.repeat(np.arange(points), np.diff(layout.first))

    def __len__(self) -> int:
        return len(self._sides[0])

    def bounds(self, box: Box) -> list[Bounds]:
        """Return the bounds of each part's rows for one box.

        Raises:
            PowerFlowError: A corner has no solution.
        """
        half = np.concatenate([half[self._layout.points] for half in box.half_width])
        result = []
        for found, charged, slack in zip(self.found(box), self._charged, self._slack, strict=True):
            if not np.isfinite(found).all():
                raise PowerFlowError("no power-flow solution")
            upper = found + MARGIN_V
            upper[charged] += slack @ half
            result.append(Bounds(upper, found))
        return result

    def found(self, box: Box) -> list[Floats]:
        """Return exact values of each part's rows at their corners of one box; infinite where there is no solution."""
        current, converged = self._solved(box)
        busbar = self._power_flow.matrices.right
        total = _product(current, busbar) if len(self._layout.start) > 2 else current[:, :, :0]
        values = []
        for rows in self._rows:
            own = self._layout.injectors_of(rows.part.section)
            acting = [current[:, :, own], total]
            if total.shape[2] and own.stop > own.start:
                acting[1] = total - _product(current[:, :, own], busbar[:, :, own])
            found = rows.values(np.concatenate(acting, axis=2))
            values.append(found if converged.all() else np.where(converged[rows.which], found, np.inf))
        return values

    def _solved(self, box: Box) -> tuple[Floats, np.ndarray]:
        """[2, patterns, injectors] Currents, and [patterns] whether there is a solution."""
        layout = self._layout
        s = np.empty((2, len(self), len(layout.unit)))
        for into, side, centre, half in zip(s, self._sides, box.centre, box.half_width, strict=True):
            powers = centre[layout.points] + half[layout.points] * side
            np.multiply(powers[:, self._point], layout.unit, out=into)
        if self._v is None:
            self._v = np.repeat(parts_of(self._first_v)[:, None], len(self), axis=1)
        # The solution takes the start's place, so that the next box starts where this one ends.
        current, converged = self._power_flow.solve_parts(s, self._v)
        if not converged.all():
            self._v = None
        return current, converged


@dataclass(frozen=True)
class _RowsByCorner:
    """Rows of a part in the order of their corners, so that those of one corner are computed side by side.

    Attributes:
        part: The rows.
        which: [rows] Which corner is each one's.
        order: [rows] The rows, corner by corner.
        corner: [corners of these rows] Their numbers.
        start: [corners of these rows + 1] Where in `order` the rows of each begin.
        columns: [2, rows * (own injectors + 3)] Of each corner's rows, what they are per ampere of each own injector
            and per volt at the busbar, column after column.
    """

    part: Corners
    which: Ints
    order: Ints
    corner: Ints
    start: Ints
    columns: Floats

    @classmethod
    def of(cls, part: Corners, which: Ints) -> "_RowsByCorner":
        """Arrange a part's rows."""
        order = np.argsort(which, kind="stable")
        corner, start = np.unique(which[order], return_index=True)
        start = np.append(start, len(which)).astype(np.int64)
        gain = np.concatenate([part.rows.own, part.rows.left], axis=1)
        columns = [gain[order[one:end]].T.reshape(-1) for one, end in pairwise(start)]
        return cls(part, which, order, corner, start, parts_of(np.concatenate([gain[:0].reshape(-1), *columns])))

    def values(self, acting: Floats) -> Floats:
        """[rows] `sign * length`, or the part along the way, at [2, corners, own injectors + 3] currents and volts."""
        value, part = np.zeros((2, len(self.order))), self.part
        _add_columns(self.columns, self.start, self.corner, acting, value)
        offset, way = part.rows.offset[self.order], None if part.way is None else part.way[self.order]
        value[0] += offset.real
        value[1] += offset.imag
        result = np.empty(len(self.order))
        if way is None:
            result[self.order] = part.sign * np.sqrt(value[0] ** 2 + value[1] ** 2)
        else:
            result[self.order] = way.real * value[0] + way.imag * value[1]
        return result


def _product(current: Floats, right: Floats) -> Floats:
    """[2, corners, 3] Volt at the busbar by [2, corners, injectors] currents."""
    re, im = current
    return np.stack([re @ right[0].T - im @ right[1].T, re @ right[1].T + im @ right[0].T])


@compiled
def _add_columns(columns, start, corner, acting, value):  # type: ignore[no-untyped-def]
    at = 0
    for k in range(len(corner)):
        into_re, into_im = value[0, start[k] : start[k + 1]], value[1, start[k] : start[k + 1]]
        size = len(into_re)
        for j in range(acting.shape[2]):
            re, im = acting[0, corner[k], j], acting[1, corner[k], j]
            a_re, a_im = columns[0, at : at + size], columns[1, at : at + size]
            for i in range(size):
                into_re[i] += a_re[i] * re - a_im[i] * im
                into_im[i] += a_re[i] * im + a_im[i] * re
            at += size


def distinct(patterns: np.ndarray) -> tuple[np.ndarray, Ints]:
    """[distinct, columns] The different rows of signs, and [rows] which of them each row is."""
    signs = np.ascontiguousarray(np.sign(patterns), dtype=np.int8)
    which = np.empty(len(signs), dtype=np.int64)
    first = np.empty(len(signs), dtype=np.int64)
    count = _find_alike(signs, which, first)
    return patterns[first[:count]], which


@compiled
def _find_alike(signs, which, first):  # type: ignore[no-untyped-def]
    count = 0
    for r in range(len(signs)):
        which[r] = -1
        for known in range(count):
            other = first[known]
            same = True
            for j in range(signs.shape[1]):
                if signs[r, j] != signs[other, j]:
                    same = False
                    break
            if same:
                which[r] = known
                break
        if which[r] < 0:
            first[count], which[r] = r, count
            count += 1
    return count
