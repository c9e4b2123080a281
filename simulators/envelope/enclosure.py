"""Where the solutions of all uses in a box can be."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.grid.columns import SectionMatrices
from feederloop.simulators.grid.feeder import Complex, Feeder, Floats
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sections import Sections

_MOST_ROUNDS = 100


@dataclass(frozen=True)
class Enclosure:
    """Discs that hold the solution of every use; injectors are in the order of the sections.

    Attributes:
        s: [injectors] Power at the midpoint, VA.
        v: [injectors] Voltage there.
        current: [injectors] Current there.
        width: [injectors] How far the power may be from the midpoint's, VA.
        radius: [injectors] Of the voltage discs.
        spread: [injectors] Of the current discs.
    """

    s: Complex
    v: Complex
    current: Complex
    width: Floats
    radius: Floats
    spread: Floats


class Encloser:
    """Finds discs that hold all solutions of one network.

    Args:
        power_flow: Exact power flow of the network.
        sections: Its sections.
    """

    def __init__(self, power_flow: PowerFlow, sections: Sections) -> None:
        self._power_flow, self._order = power_flow, sections.order
        feeder = power_flow.feeder
        self.size = AbsoluteImpedance.of(feeder, sections, power_flow.matrices)

    def enclose(self, box: Box, start: Complex | None = None) -> Enclosure | None:
        """Return discs that hold the solution of every use in the box, or none where none could be found.

        A use changes the injected current by at most `sigma / (|V| - rho) + |S| rho / (|V| (|V| - rho))`, with sigma
        the half-width of the power and rho the disc's radius; where |Z| times that stays below rho, the power-flow
        equation maps the discs into themselves and has a solution in them (Brouwer).

        Args:
            box: The uses.
            start: [injectors] Voltage near the midpoint's, in the order of the sections.
        """
        feeder, order = self._power_flow.feeder, self._order
        p, q = box.centre
        s = self._power_flow.injected_va(p[:, None], q[:, None])[order]
        solved = self._power_flow.solve_sections(s, None if start is None else start[:, None])
        if not solved.converged.all():
            return None
        v, current = solved.v[:, 0], solved.current[:, 0]
        width = half_width_va(feeder, box)[order]
        radius, spread = np.zeros(len(v)), np.empty(len(v))
        # The solver stops before it arrives, the farther the nearer the network is to collapse.
        residual = np.abs(self._power_flow.matrices.voltages(current) - v)
        size = self.size
        closed = _close(
            np.abs(v), np.abs(s[:, 0]), width, residual, size.own, size.offset, size.start, size.left, size.right,
            radius, spread,
        )  # fmt: skip
        return Enclosure(s[:, 0], v, current, width, radius, spread) if closed else None


@dataclass(frozen=True)
class AbsoluteImpedance:
    """Upper bounds of |Z|: exact within each section, by absolute values of the factors between sections.

    Attributes:
        start: [sections + 1] Where each section begins.
        offset: [sections] Where each section's part of `own` begins.
        own: [sum of squares] |Z| within each section, column after column.
        left: [3, injectors]
        right: [3, injectors]
    """

    start: np.ndarray
    offset: np.ndarray
    own: Floats
    left: Floats
    right: Floats

    @classmethod
    def of(cls, feeder: Feeder, sections: Sections, matrices: SectionMatrices) -> "AbsoluteImpedance":
        """Return the bounds of a network."""
        left, right = (np.hypot(*parts) for parts in (matrices.left, matrices.right))
        if len(sections) == 1:
            left, right = left[:0], right[:0]
        return cls(matrices.start, matrices.offset, np.hypot(*matrices.own), left, right)

    def from_left(self, y: Floats) -> Floats:
        """[rows, injectors] Bounds of `y |Z|` for non-negative [rows, injectors] y."""
        result = np.empty_like(y)
        for f in range(len(self.start) - 1):
            part = slice(self.start[f], self.start[f + 1])
            size = part.stop - part.start
            block = self.own[self.offset[f] : self.offset[f] + size**2].reshape(size, size)
            np.matmul(y[:, part], block.T, out=result[:, part])
        return result + self.between(y) if len(self.left) else result

    def between(self, y: Floats) -> Floats:
        """[rows, injectors] Of `from_left(y)` what other sections contribute."""
        own = np.stack([y[:, a:b] @ self.left[:, a:b].T for a, b in pairwise(self.start)])
        total = own.sum(axis=0)
        others = [(total - mine) @ self.right[:, a:b] for mine, (a, b) in zip(own, pairwise(self.start), strict=True)]
        return np.concatenate(others, axis=1)


def half_width_va(feeder: Feeder, box: Box) -> Floats:
    """[injectors] Largest distance of the injected power from the box's midpoint."""
    half_p, half_q = box.half_width
    result: Floats = 1e3 * feeder.injector_share * np.hypot(half_p, half_q)[feeder.injector_point]
    return result


@compiled
def _close(volt, size, width, residual, own, offset, start, left, right, radius, spread):  # type: ignore[no-untyped-def]
    count = len(volt)
    grown = np.empty(count)
    coupled = len(left) > 0
    total = np.zeros(3)
    part = np.zeros((len(start), 3))
    for _ in range(_MOST_ROUNDS):
        for i in range(count):
            room = volt[i] - radius[i]
            if not room > 0.5 * volt[i]:
                return False
            spread[i] = width[i] / room + size[i] * radius[i] / (volt[i] * room)
            grown[i] = residual[i]
        if coupled:
            total[:] = 0.0
            for f in range(len(start) - 1):
                for c in range(3):
                    part[f, c] = 0.0
                    for i in range(start[f], start[f + 1]):
                        part[f, c] += right[c, i] * spread[i]
                    total[c] += part[f, c]
        for f in range(len(start) - 1):
            one, end, at = start[f], start[f + 1], offset[f]
            into = grown[one:end]
            if coupled:
                for c in range(3):
                    factor = left[c, one:end]
                    from_others = max(total[c] - part[f, c], 0.0)
                    for i in range(end - one):
                        into[i] += factor[i] * from_others
            for j in range(one, end):
                column = own[at : at + end - one]
                by = spread[j]
                for i in range(end - one):
                    into[i] += column[i] * by
                at += end - one
        inside = True
        for i in range(count):
            if not grown[i] <= radius[i]:
                inside = False
        if inside:
            return True
        for i in range(count):
            radius[i] = grown[i] * (1 + 1e-6) + 1e-9
    return False
