"""Rows with the corner at which each is proven to be worst, and their exact values there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.grid.columns import parts_of
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow, PowerFlowError
from feederloop.simulators.grid.sections import absolute

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
        self._power_flow, self._layout, self._parts, self._v = power_flow, layout, parts, v
        points = len(layout.points)
        ends = [part.end for part in parts]
        self._patterns, which = distinct(np.concatenate([np.empty((0, 2 * points), dtype=np.int8), *ends]))
        self._which = np.split(which, np.cumsum([len(end) for end in ends])[:-1])
        self._charged = [np.flatnonzero(part.slack.any(axis=1)) for part in parts]
        self._slack = [part.slack[charged] for part, charged in zip(parts, self._charged, strict=True)]
        self._right = power_flow.matrices.right[0] + 1j * power_flow.matrices.right[1]

    def __len__(self) -> int:
        return len(self._patterns)

    def bounds(self, box: Box) -> list[Bounds]:
        """Return the bounds of each part's rows for one box.

        Raises:
            PowerFlowError: A corner has no solution.
        """
        half = np.concatenate([half[self._layout.points] for half in box.half_width])
        current = self._solved(box)
        total = self._right @ current if len(self._layout.start) > 2 else np.empty((0, current.shape[1]))
        parts_current, result = parts_of(current.T), []
        for part, which, charged, slack in zip(self._parts, self._which, self._charged, self._slack, strict=True):
            found = self._values(part, which, current, parts_current, total)
            upper = found + MARGIN_V
            upper[charged] += slack @ half
            result.append(Bounds(upper, found))
        return result

    def _solved(self, box: Box) -> Complex:
        """[injectors, patterns] Currents."""
        points, patterns = self._layout.points, self._patterns
        (p, q), (half_p, half_q) = box.centre, box.half_width
        p_kw, q_kvar = np.repeat(p[:, None], len(patterns), axis=1), np.repeat(q[:, None], len(patterns), axis=1)
        p_kw[points] += half_p[points, None] * patterns[:, : len(points)].T
        q_kvar[points] += half_q[points, None] * patterns[:, len(points) :].T
        s = self._power_flow.injected_va(p_kw, q_kvar)[self._power_flow.sections.order]
        solution = self._power_flow.solve_sections(s, np.broadcast_to(self._v[:, None], s.shape))
        if not solution.converged.all():
            raise PowerFlowError("no power-flow solution")
        return solution.current

    def _values(self, part: Corners, which: Ints, current: Complex, parts_current: Floats, total: Complex) -> Floats:
        """[rows] Exact values, each at its own corner."""
        start = self._layout.start
        own = slice(0, 0)
        if part.section < len(start) - 1:
            own = slice(int(start[part.section]), int(start[part.section + 1]))
        others = total - self._right[:, own] @ current[own] if len(total) else total
        value = part.rows.offset.copy()
        _add_values(
            part.rows.own_parts, part.rows.left_parts, which, parts_current[:, :, own], parts_of(others.T), value
        )
        return part.sign * absolute(value) if part.way is None else (part.way.conj() * value).real


@compiled
def _add_values(own, left, which, current, others, value):  # type: ignore[no-untyped-def]
    for r in range(own.shape[1]):
        re, im = 0.0, 0.0
        a_re, a_im, b_re, b_im = own[0, r], own[1, r], current[0, which[r]], current[1, which[r]]
        for j in range(own.shape[2]):
            re += a_re[j] * b_re[j] - a_im[j] * b_im[j]
            im += a_re[j] * b_im[j] + a_im[j] * b_re[j]
        for c in range(left.shape[2]):
            to_re, to_im = others[0, which[r], c], others[1, which[r], c]
            re += left[0, r, c] * to_re - left[1, r, c] * to_im
            im += left[0, r, c] * to_im + left[1, r, c] * to_re
        value[r] += complex(re, im)


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
