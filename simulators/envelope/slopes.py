"""How watched quantities move with a customer's power, at the box's midpoint and how differently anywhere in the box.

The midpoint's tangent is exact. Over the enclosure's discs 1/V, mu and a length's direction leave their midpoint values
by bounded amounts; what that makes of a derivative is bounded through the row's own adjoint, once for each cluster of
alike rows.
"""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.envelope.enclosure import AbsoluteImpedance, Enclosure
from feederloop.simulators.envelope.frames import Busbar, Frame, chord
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.others import OtherSections
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.envelope.series import Series
from feederloop.simulators.envelope.tangent import SectionTangent
from feederloop.simulators.grid.columns import SectionMatrices
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.sections import absolute

_SIZES = 12  # clusters of rows by how strongly they react


@dataclass(frozen=True)
class Ends:
    """The worst ends of rows' customers; [rows, 2 points] by active and then reactive power, in the sections' order.

    Attributes:
        end: 1 where the most is worst, -1 where the least is, 0 where it is neither for sure.
        proven: Of these, what is proven for the whole box.
        slack: What a customer whose end is not proven could add, per kW or kvar of half-width.
    """

    end: np.ndarray
    proven: np.ndarray
    slack: Floats


class Slopes:
    """Derivatives over one box.

    Args:
        layout: Where everything stands.
        matrices: Impedances.
        size: Bounds of their absolute values.
        enclosure: The box's discs.
        box: The box.
        fixed: [2 points] Whose ends are known already, by active and then reactive power, in the sections' order.
        busbar_v: [3] The busbar's voltages without injection.
    """

    def __init__(
        self,
        layout: Layout,
        matrices: SectionMatrices,
        size: AbsoluteImpedance,
        enclosure: Enclosure,
        box: Box,
        fixed: np.ndarray,
        busbar_v: Complex,
    ) -> None:
        self._layout, self._matrices, self._size, self._enclosure = layout, matrices, size, enclosure
        half_p, half_q = box.half_width
        self._half = half_p[layout.points], half_q[layout.points]
        self._fixed = np.split(fixed, 2)
        self._asked = [np.where(known == 0, half, 0.0) for known, half in zip(self._fixed, self._half, strict=True)]
        self._kinds = [kind for kind, asked in enumerate(self._asked) if asked.any()]
        self._tangent = SectionTangent(layout, matrices, enclosure.s, enclosure.v)
        self._mu = self._tangent.mu
        self._coupled = len(layout.start) > 2
        self._still = Frame.of(layout, enclosure, enclosure.radius)
        self._frames: dict[int, Frame] = {}
        self._series = Series(size, self._still.most)
        if self._coupled:
            half = self._half_of_injectors()
            self._busbar = Busbar.of(matrices, enclosure, half, self._tangent.unit[0], busbar_v)
            self._others = OtherSections(layout, matrices, size, self._tangent, self._series, half)

    def valid(self) -> bool:
        """Whether the bounds hold: the power flow's derivative has an inverse everywhere in the discs."""
        return self._series.converges()

    def ends(self, rows: SectionRows, section: int, value: Complex, way: Complex | None, sign: float) -> Ends:
        """Find the worst ends for rows of one section.

        Args:
            rows: The rows.
            section: Their section; the number of sections for those that are in none.
            value: [rows] At the midpoint.
            way: [rows] Directions of unit length of which `Re(conj(way) value)` is meant; none for lengths.
            sign: -1 for least lengths.
        """
        shape = len(rows.offset), 2 * len(self._layout.points)
        ends = Ends(np.zeros(shape, dtype=np.int8), np.zeros(shape, dtype=np.int8), np.zeros(shape))
        ends.end[:] = ends.proven[:] = np.concatenate(self._fixed)
        for kind, (derivative, error) in self.intervals(rows, section, value, way, sign).items():
            part = slice(kind * shape[1] // 2, (kind + 1) * shape[1] // 2)
            _decide(derivative, error, self._asked[kind], ends.end[:, part], ends.proven[:, part], ends.slack[:, part])
        return ends

    def intervals(
        self, rows: SectionRows, section: int, value: Complex, way: Complex | None, sign: float
    ) -> dict[int, tuple[Floats, Floats]]:
        """Derivatives at the midpoint, and by how much they may be others anywhere in the box; arguments as in `ends`.

        Returns:
            By active (0) and reactive (1) power, where any of it is asked: [rows, points] derivatives per kW or kvar,
            and [rows, points] bounds; zeros for points that are not asked.
        """
        count, points = len(rows.offset), len(self._layout.points)
        found = {kind: (np.zeros((count, points)), np.zeros((count, points))) for kind in self._kinds}
        if way is not None:
            self._fill(found, np.arange(count), rows, section, sign * way.conj(), np.zeros(count), self._still)
            return found
        turned = sign * value.conj() / absolute(value)
        if not self._coupled:
            reach = rows.own_size @ self._enclosure.spread
            self._fill(found, np.arange(count), rows, section, turned, chord(reach, absolute(value)), self._still)
            return found
        follows = rows.left_size.argmax(axis=1)
        for phase in np.unique(follows):
            chosen = np.flatnonzero(follows == phase)
            some = rows.subset(chosen)
            turn = self._busbar.turn(some, self._layout.injectors_of(section), value[chosen], int(phase))
            self._fill(found, chosen, some, section, turned[chosen], turn, self._frame(int(phase)))
        return found

    def _fill(
        self,
        found: dict[int, tuple[Floats, Floats]],
        into: Ints,
        rows: SectionRows,
        section: int,
        turned: Complex,
        turn: Floats,
        frame: Frame,
    ) -> None:
        """Put the intervals of some rows in their places."""
        layout, part = self._layout, self._layout.injectors_of(section)
        columns = layout.points_of(section)
        first = layout.first[columns.start : columns.stop + 1] - part.start
        cluster = self._clusters(rows, section)
        errors = None
        if self._coupled:
            errors = self._others.errors(rows, section, turned, turn, cluster, frame, self._asked)
        own = any(asked[columns].any() for asked in self._asked)
        added = self._answered(rows, section, turn, cluster, frame)[:, part] if own else np.empty((0, 0))
        for kind in self._kinds:
            derivative = self._tangent.slopes(rows, section, turned, kind, own=own)
            error = np.zeros_like(derivative) if errors is None else errors[kind]
            if own:
                _own_error(
                    rows.own_size, turn, cluster, added, frame.b[part], frame.reach[part], first,
                    self._asked[kind][columns], error[:, columns],
                )  # fmt: skip
            found[kind][0][into], found[kind][1][into] = derivative, error

    def _half_of_injectors(self) -> tuple[Floats, Floats]:
        counts = np.diff(self._layout.first)
        return np.repeat(self._half[0], counts), np.repeat(self._half[1], counts)

    def _frame(self, phase: int) -> Frame:
        """The discs as they are seen by who turns with a phase of the busbar."""
        if phase not in self._frames:
            radius, angle = np.empty(len(self._mu)), np.empty(len(self._mu))
            for section in range(len(self._layout.start) - 1):
                part = self._layout.injectors_of(section)
                own, left = self._matrices.section(section)
                rows = SectionRows(np.empty(0, dtype=np.int64), np.empty(0, dtype=complex), own, left)
                radius[part], angle[part] = self._busbar.seen(rows, part, self._enclosure, phase)
            self._frames[phase] = Frame.of(self._layout, self._enclosure, radius, angle)
        return self._frames[phase]

    def _clusters(self, rows: SectionRows, section: int) -> Ints:
        """[rows] Numbers of clusters of rows that are alike."""
        part = self._layout.injectors_of(section)
        weight = rows.own_size.sum(axis=1) + rows.left_size.sum(axis=1)
        phase = np.zeros(len(weight), dtype=np.int64)
        if rows.own_size.shape[1]:
            phase = self._layout.phase[part.start + rows.own_size.argmax(axis=1)]
        level = np.minimum((_SIZES * weight / max(float(weight.max()), 1e-300)).astype(np.int64), _SIZES - 1)
        cluster = 3 * level + phase
        numbers: Ints = np.searchsorted(np.flatnonzero(np.bincount(cluster)), cluster)
        return numbers

    def _answered(self, rows: SectionRows, section: int, turn: Floats, cluster: Ints, frame: Frame) -> Floats:
        """[clusters, injectors] What answers add to deviations, for customers of the rows' own section."""
        part = self._layout.injectors_of(section)
        members = [cluster == number for number in range(int(cluster.max()) + 1)]
        size = np.zeros((len(members), len(self._mu)))
        if self._coupled:
            size = np.array([rows.left_size[chosen].max(axis=0) for chosen in members]) @ self._size.right
        size[:, part] = [rows.own_size[chosen].max(axis=0) for chosen in members]
        turns = np.array([turn[chosen].max() for chosen in members])
        reacting = self._series.summed(size * absolute(self._mu))
        moving = self._series.summed((size + reacting) * frame.change + turns[:, None] * size * frame.most)
        return reacting * frame.b + moving * frame.reach


@compiled
def _decide(derivative, error, asked, end, proven, slack):  # type: ignore[no-untyped-def]
    """Choose the worst ends, say which of them are proven, and what the choice may leave out."""
    for r in range(derivative.shape[0]):
        for j in range(derivative.shape[1]):
            if asked[j] > 0:
                size = abs(derivative[r, j])
                likely = 1 if derivative[r, j] > 0 else -1
                wrong = max(error[r, j] - size, 0.0) * 2
                either = size + error[r, j]
                if size > error[r, j]:
                    proven[r, j] = likely
                if wrong <= either:
                    end[r, j] = likely
                slack[r, j] = min(wrong, either)


@compiled
def _own_error(size, turn, cluster, added, b, reach, first, asked, error):  # type: ignore[no-untyped-def]
    for r in range(error.shape[0]):
        add = added[cluster[r]]
        for j in range(error.shape[1]):
            if asked[j] > 0:
                for i in range(first[j], first[j + 1]):
                    error[r, j] += size[r, i] * (b[i] + turn[r] * reach[i]) + add[i]
