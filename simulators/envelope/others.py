"""By how much the effect of another section's customers on a row may differ anywhere in a box.

Such a customer acts through the busbar alone, where most of the voltage moves across the row's direction. Absolute
values would hide that; so what one customer's neighbours do to the busbar in answer is bounded along the row's own
adjoint, and only what is left by absolute values, once for each cluster of alike rows.
"""

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.enclosure import AbsoluteImpedance
from feederloop.simulators.envelope.frames import Frame
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.envelope.series import Series
from feederloop.simulators.envelope.tangent import SectionTangent
from feederloop.simulators.grid.columns import SectionMatrices, parts_of
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.sections import absolute


class OtherSections:
    """Bounds for one box.

    Args:
        layout: Where everything stands.
        matrices: Impedances.
        size: Bounds of their absolute values.
        tangent: Derivatives at the midpoint.
        series: Sums of answers.
        half: [injectors] Half-widths of active and of reactive power, kW and kvar.
    """

    def __init__(
        self,
        layout: Layout,
        matrices: SectionMatrices,
        size: AbsoluteImpedance,
        tangent: SectionTangent,
        series: Series,
        half: tuple[Floats, Floats],
    ) -> None:
        self._layout, self._matrices, self._size = layout, matrices, size
        self._tangent, self._series, self._half = tangent, series, half
        # Siemens by which a current's answer to its voltage changes per kW.
        self._answer = parts_of(layout.unit / tangent.v.conj() ** 2)

    def errors(
        self,
        rows: SectionRows,
        section: int,
        turned: Complex,
        turn: Floats,
        cluster: Ints,
        frame: Frame,
        asked: list[Floats],
    ) -> list[Floats]:
        """[rows, points] Bounds for active and for reactive power; zeros for points that are not asked.

        Args:
            rows: Rows of one section.
            section: Their section.
            turned: [rows] Their directions' conjugates.
            turn: [rows] How far directions may turn.
            cluster: [rows] Numbers of clusters of rows that are alike.
            frame: The discs as these rows see them.
            asked: By active and reactive power, [points] positive where it is asked.
        """
        layout = self._layout
        adjoint = self._tangent.adjoint(rows, section, turned)
        length = absolute(adjoint)
        between, within = self._answered(length, turn, rows, cluster, frame)
        across = turn[:, None] * absolute(rows.left @ self._matrices.busbar) * frame.reach
        errors = []
        for kind, unit in enumerate(self._tangent.unit):
            acting = (adjoint * unit).real
            # A voltage that only becomes longer or shorter scales what it makes; to change a sign it must turn.
            direct = np.abs(acting) * frame.shrink + length * (frame.reach * frame.angle)
            error = self._by_point(np.minimum(direct, length * frame.b) + across + between[cluster])
            derivative, simple = np.abs(self._by_point(acting)), self._by_point(within)[cluster]
            for other in range(len(layout.start) - 1):
                points = layout.points_of(other)
                if other == section or not asked[kind][points].any():
                    error[:, points] = 0.0
                    continue
                hopeful = np.flatnonzero((derivative[:, points] > error[:, points]).any(axis=1))
                if len(hopeful):
                    simple[hopeful, points] = self._along_adjoint(adjoint[hopeful], other, kind)
                error[:, points] += simple[:, points]
            errors.append(error)
        return errors

    def _answered(
        self, length: Floats, turn: Floats, rows: SectionRows, cluster: Ints, frame: Frame
    ) -> tuple[Floats, Floats]:
        """[clusters, injectors] By absolute values: answers but for the first of one's own section, and that one."""
        clusters = range(int(cluster.max()) + 1)
        greatest = np.array([length[cluster == number].max(axis=0) for number in clusters])
        turning = np.array([turn[cluster == number].max() for number in clusters])
        gain = np.array([rows.left_size[cluster == number].max(axis=0) for number in clusters]) @ self._size.right
        by_power, change = greatest * frame.by_power, greatest * frame.change
        first, more = self._series.terms(np.concatenate([change, turning[:, None] * gain * frame.most]))
        later, turned = more[: len(clusters)], first[len(clusters) :] + more[len(clusters) :]
        firsts = self._size.from_left(np.concatenate([by_power, greatest * frame.by_voltage]))
        total, by_voltage = firsts[: len(clusters)], firsts[len(clusters) :]
        coupled = self._size.between(by_power)
        return (
            (coupled + by_voltage + later + turned) * frame.reach + total * frame.b,
            np.maximum(total - coupled, 0.0) * frame.reach,
        )

    def _by_point(self, values: Floats) -> Floats:
        result: Floats = np.add.reduceat(values, self._layout.first[:-1], axis=1)
        return result

    def _along_adjoint(self, adjoint: Complex, section: int, kind: int) -> Floats:
        """[rows, points of a section] What its first answers to its own customers are, along the rows' adjoints."""
        layout, part = self._layout, self._layout.injectors_of(section)
        pushed = parts_of((self._matrices.section(section)[0] * self._tangent.unit[0][part]).conj())
        result = np.zeros((len(adjoint), part.stop - part.start))
        _add_along(
            parts_of(adjoint[:, part]), self._answer[:, part], pushed, self._half[kind][part],
            self._half[1 - kind][part], result,
        )  # fmt: skip
        points = layout.points_of(section)
        by_point: Floats = np.add.reduceat(result, layout.first[points] - part.start, axis=1)
        return by_point


@compiled
def _add_along(adjoint, answer, pushed, half_re, half_im, result):  # type: ignore[no-untyped-def]
    """Add `half_re |Re x| + half_im |Im x|` of every x that one injector's answer to another makes."""
    for r in range(adjoint.shape[1]):
        into = result[r]
        for j in range(adjoint.shape[2]):
            if half_re[j] > 0 or half_im[j] > 0:
                a, b = adjoint[0, r, j], adjoint[1, r, j]
                re = a * answer[0, j] - b * answer[1, j]
                im = a * answer[1, j] + b * answer[0, j]
                z_re, z_im = pushed[0, j], pushed[1, j]
                for i in range(len(into)):
                    along = abs(re * z_re[i] - im * z_im[i])
                    across = abs(re * z_im[i] + im * z_re[i])
                    into[i] += half_re[j] * along + half_im[j] * across
