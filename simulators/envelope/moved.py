"""How the injectors' voltages move with the points' powers."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.phases import Phases
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.envelope.tangent import SectionTangent
from feederloop.simulators.grid.feeder import Complex, Floats
from feederloop.simulators.grid.sections import absolute


class Moved:
    """Derivatives, point by point within each section; between sections through the busbar.

    Args:
        layout: Where everything stands.
        tangent: Derivatives.
        rows: The injectors' voltages, section by section.
        kinds: By which power the box has any width: active (0), reactive (1).
        half: [kinds, points] Half-widths.

    Attributes:
        kinds: As given.
        half: As given.
        within: [sections] of [kinds, own injectors, own points] derivatives.
        size: Their absolute values.
        through: [sections] of [own injectors, 6] by how much voltages move with the busbar's, real parts first.
        by: [kinds, points, 6] By how much these move with the points' powers.
        phases: The same, added up; none where nothing is coupled.
    """

    def __init__(
        self,
        layout: Layout,
        tangent: SectionTangent,
        rows: Sequence[SectionRows],
        kinds: tuple[int, ...],
        half: Floats,
    ) -> None:
        self._layout, self.kinds, self.half = layout, kinds, half
        self.within = [
            np.stack([tangent.moved_by_own(part, section, kind) for kind in kinds]) for section, part in enumerate(rows)
        ]
        self.size = [absolute(within) for within in self.within]
        self.through = [tangent.through(part, section) for section, part in enumerate(rows)]
        self.phases: Phases | None = None
        if len(rows) > 1:
            self.by = np.stack([tangent.busbar[kind].T for kind in kinds])
            self.phases = Phases(layout, half, self.by)
            self._parts = [self.phases.parts(through) for through in self.through]

    @cached_property
    def first_order(self) -> Floats:
        """[injectors] How far voltages can move within the box by these derivatives."""
        result = []
        for section, within in enumerate(self.within):
            result.append(swing(within, self.half[:, self._layout.points_of(section)]))
            if self.phases is not None:
                result[-1] += self._parts[section] @ self.phases.outside(section)
        return np.concatenate(result)

    def weighed(self, weight: Floats) -> Floats:
        """[kinds, rows, points] Bounds of `weight |D|`, of [rows, injectors] weights and the derivatives D."""
        layout, result = self._layout, np.empty((len(self.kinds), len(weight), self.half.shape[1]))
        of = [weight[:, layout.injectors_of(section)] for section in range(len(self.within))]
        parts = [] if self.phases is None else [some @ parts for some, parts in zip(of, self._parts, strict=True)]
        for section, size in enumerate(self.size):
            points = layout.points_of(section)
            into = result[:, :, points]
            np.matmul(of[section], size, out=into)
            if self.phases is not None:
                others = sum(part for number, part in enumerate(parts) if number != section)
                into += others @ self.phases.weight[:, :, points]
        return result


def swing(by: Complex, half: Floats) -> Floats:
    """[rows] How far [kinds, rows, points] derivatives can move values, by [kinds, points] half-widths."""
    if len(by) == 1:
        result: Floats = absolute(by[0]) @ half[0]
        return result
    by_p, by_q = by * half[:, None]
    along = np.abs(by_p.real * by_q.real + by_p.imag * by_q.imag)
    squares = by_p.real**2 + by_p.imag**2 + by_q.real**2 + by_q.imag**2
    both: Floats = np.sqrt(squares + 2 * along).sum(axis=1)
    return both
