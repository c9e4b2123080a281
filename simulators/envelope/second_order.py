"""By how much customers' uses change each other's derivatives: second derivatives at a box's midpoint.

From `I = conj(s / V)`, with u the unit of a point's power, D the voltages' derivatives and l a row's adjoint, the
second derivative of a row by points j and k is

    Re sum_i l_i (d_ij conj(D_ik) + d_ik conj(D_ij)) + c_j c_k,      d_ij = -conj(u_ij) / conj(V_i)^2

of which c, what a point moves a value across its own direction, is there for lengths only. One part is not here but
with all that is bounded: how power that flows anyway answers two changes of its voltage.

Within a section sums over pairs of points are exact. Sections act on each other through the busbar's three voltages,
six real numbers, and no pair is looked at: with B how a point moves these six, `D = L B` between sections, and
`l = l6 heard` outside the row's own,

- a point j of the row's section and k of another have `y_j B_k + l6 M_k B_j`,
- points j and k of two sections that are not the row's have `y_j B_k + y_k B_j`, with y linear in l6, and rows of one
  phase have nearly the same l6: this is done for one of them, and what others' l6 differ by is charged.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from feederloop.simulators.envelope.enclosure import Enclosure
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.pairs import Pairs
from feederloop.simulators.envelope.phases import Phases
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.sections import absolute

_MOST_CHOSEN = 12  # rows of a section that stand for all
_ALIKE = 0.03  # distance between vectors of unit length


@dataclass(frozen=True)
class Acting:
    """How points and injectors act on rows of one section.

    Attributes:
        section: Theirs; the number of sections for those that are in none.
        adjoint: [rows, injectors] l.
        six: [rows, 6] l6; nothing where nothing is coupled.
        across: [kinds, rows, points] c, over the lengths' roots; zeros for what has a fixed direction.
        across_six: [rows, 6] The same of the busbar's voltages.
        sign: -1 where negated lengths are meant.
    """

    section: int
    adjoint: Complex
    six: Floats
    across: Floats
    across_six: Floats
    sign: float


class SecondOrder:
    """Second derivatives over one box.

    Args:
        layout: Where everything stands.
        enclosure: The box's midpoint and derivatives there.
        asked: [kinds, points] Positive for points of which they are wanted.
    """

    def __init__(self, layout: Layout, enclosure: Enclosure, asked: Floats) -> None:
        self._layout, self._half, self._moved = layout, enclosure.half, enclosure.moved
        self._tangent, self._kinds, self._asked = enclosure.tangent, enclosure.kinds, asked
        self._answer = -layout.unit / enclosure.v.conj() ** 2
        # d of each kind: a kvar is a kW times j, which the conjugate of the power turns to -j.
        self._answers = np.array([-1j if kind else 1.0 for kind in enclosure.kinds])[:, None] * self._answer
        self._pairs: dict[int, Pairs] = {}
        self._section = np.repeat(np.arange(len(layout.start) - 1), np.diff(layout.point_start))

    def sums(self, acting: Acting) -> Floats:
        """[kinds, rows, points] Bounds of sums by all points of absolute second derivatives times half-widths.

        Those of points that are not asked for are not meant.
        """
        if self._moved.phases is None:
            return self._within(0).sums(acting.adjoint, acting.across, acting.sign)
        own = self._layout.points_of(acting.section)
        if own.start == own.stop:
            return self._among_others(acting.six, acting.across_six, acting)
        y = self._own_vectors(acting, own)
        result = self._others(acting, own, y)
        result[:, :, own] = self._own(acting, own, y)
        return result

    def _within(self, section: int) -> Pairs:
        if section not in self._pairs:
            own, part = self._layout.points_of(section), self._layout.injectors_of(section)
            first = self._layout.first[own.start : own.stop + 1] - self._layout.first[own.start]
            self._pairs[section] = Pairs(
                self._kinds, first, self._answer[part], self._half[:, own], self._moved.within[section],
                self._asked[:, own],
            )  # fmt: skip
        return self._pairs[section]

    def _own_vectors(self, acting: Acting, own: slice) -> Floats:
        """[kinds, rows, own points, 6] y of each point of the rows' section."""
        layout, part = self._layout, self._layout.injectors_of(acting.section)
        answered, through = acting.adjoint[:, part] * self._answers[:, None, part], self._moved.through[acting.section]
        first = layout.first[own] - layout.first[own.start]
        y = _by_point(answered, through, first)
        y += acting.sign * acting.across[:, :, own, None] * acting.across_six[:, None, :]
        return y

    def _own(self, acting: Acting, own: slice, y: Floats) -> Floats:
        """[kinds, rows, own points] Sums of points of the section, by these and by others."""
        section, part = acting.section, self._layout.injectors_of(acting.section)
        result = self._within(section).sums(acting.adjoint[:, part], acting.across[:, :, own], acting.sign)
        phases = self._moved.phases
        assert phases is not None
        result += phases.parts(y) @ phases.outside(section)
        others = self._matrices.copy()
        others[:, own] = 0.0
        matrix = np.einsum("kpab,kp->ab", others, self._half)
        result += np.abs(acting.six) @ matrix @ np.abs(self._moved.by[:, own]).transpose(0, 2, 1)
        return result

    @cached_property
    def _matrices(self) -> Floats:
        """[kinds, points, 6, 6] Absolute M of each point."""
        answered = (self._tangent.heard * self._answers[:, None, :]).transpose(0, 2, 1)[..., None]
        by = answered * np.concatenate(self._moved.through).conj()[:, None, :]
        return np.abs(np.add.reduceat(by.real, self._layout.first[:-1], axis=1))

    def _others(self, acting: Acting, own: slice, y: Floats) -> Floats:
        """[kinds, rows, points] Sums of points outside the section, by those inside and those outside."""
        half, by, phases = self._half[:, own], self._moved.by, self._moved.phases
        assert phases is not None
        result: Floats = np.einsum("krpi,kp->ri", phases.parts(y), half) @ phases.weight
        swing = np.einsum("kpa,kp->a", np.abs(by[:, own]), half)
        result += np.abs(acting.six) @ (self._matrices @ swing).transpose(0, 2, 1)
        chosen, which, times = _alike(acting.six)
        like, across_like = acting.six[chosen], acting.across_six[chosen]
        result += self._among_others(like, across_like, acting)[:, which] * times[:, None]
        other = np.abs(acting.six - times[:, None] * like[which])
        result += np.tensordot(other, self._charge, axes=1).transpose(1, 0, 2)
        if acting.across_six.any():
            across_like = np.sqrt(times)[:, None] * across_like[which]
            more, outside = acting.across_six - across_like, phases.outside(acting.section)
            for one, other in ((more, acting.across_six), (across_like, more)):
                result += np.abs(one @ by.transpose(0, 2, 1)) * (phases.parts(other) @ outside)[:, None]
        return result

    @cached_property
    def _charge(self) -> Floats:
        """[6, kinds, points] Sums by absolute values, for l6 of one."""
        point = np.repeat(np.arange(self._half.shape[1]), np.diff(self._layout.first))
        answered = absolute(self._tangent.heard) * np.abs(self._answer)
        own = np.add.reduceat(answered * self._moved.first_order, self._layout.first[:-1], axis=1)
        answered *= self._half.sum(axis=0)[point]
        result: Floats = self._moved.weighed(answered).transpose(1, 0, 2) + own[:, None]
        return result

    def _among_others(self, six: Floats, across_six: Floats, acting: Acting) -> Floats:
        """[kinds, rows, points] Sums of points outside the section by such points, for [rows, 6] l6 and c."""
        layout, by = self._layout, self._moved.by
        adjoint: Complex = six.astype(complex) @ self._tangent.heard
        across: Floats = across_six @ by.transpose(0, 2, 1)
        result = np.empty((len(self._kinds), len(six), self._half.shape[1]))
        inside = range(len(self._moved.within))
        for section in inside:
            own, part = layout.points_of(section), layout.injectors_of(section)
            result[:, :, own] = self._within(section).sums(adjoint[:, part], across[:, :, own], acting.sign)
        y = _by_point(adjoint * self._answers[:, None], np.concatenate(self._moved.through), layout.first[:-1])
        turned = y + acting.sign * across[..., None] * across_six[:, None, :]
        without = [acting.section] if acting.section in inside else []
        for row in range(len(six)):
            phases = Phases(layout, self._half, np.concatenate([by, y[:, row]], axis=2))
            outside = np.stack([phases.outside(section, *without) for section in inside])[self._section]
            parts = phases.parts(np.concatenate([turned[:, row], by], axis=2))
            result[:, row] += np.einsum("kpi,pi->kp", parts, outside)
        return result


def _by_point(answered: Complex, through: Complex, first: Ints) -> Floats:
    """[kinds, rows, points, 6] Real parts of `answered conj(through)`, added up by point.

    Args:
        answered: [kinds, rows, injectors]
        through: [injectors, 6]
        first: [points] Where each point's injectors begin.
    """
    y: Floats = answered.real[..., None] * through.real + answered.imag[..., None] * through.imag
    return y if len(first) == len(through) else np.add.reduceat(y, first, axis=2)


def _alike(six: Floats) -> tuple[Ints, Ints, Floats]:
    """Choose rows that stand for those with nearly the same direction.

    Args:
        six: [rows, 6]

    Returns:
        [chosen] rows, [rows] which of these each one is like, and [rows] how many times as long it is.
    """
    size = np.linalg.norm(six, axis=1)
    unit = six / np.maximum(size, 1e-300)[:, None]
    apart, which = np.full(len(six), np.inf), np.zeros(len(six), dtype=np.int64)
    chosen: list[int] = []
    while len(chosen) < _MOST_CHOSEN and (apart > _ALIKE).any():
        chosen.append(int(np.where(apart > _ALIKE, size, -1.0).argmax()))
        distance = np.linalg.norm(unit - unit[chosen[-1]], axis=1)
        which[distance < apart] = len(chosen) - 1
        apart = np.minimum(apart, distance)
    rows = np.array(chosen)
    times = np.einsum("ra,ra->r", six, six[rows][which]) / np.maximum(size[rows][which], 1e-300) ** 2
    return rows, which, np.maximum(times, 0.0)
