"""How watched quantities move with a customer's power, at the box's midpoint and how differently anywhere in the box.

The midpoint's derivative is exact, and so is by how much every customer's use changes every other's: the second
derivatives there, in which what one customer does to a voltage's length by turning it, by the phases of a three-phase
connection or by neighbours' answers mostly cancels. Only what is beyond that is bounded by absolute values.
"""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.envelope.answers import Answers
from feederloop.simulators.envelope.enclosure import Encloser, Enclosure
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.moved import swing
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.envelope.second_order import Acting, SecondOrder
from feederloop.simulators.grid.feeder import Complex, Floats
from feederloop.simulators.grid.sections import absolute


@dataclass(frozen=True)
class Ends:
    """The worst ends of rows' customers; [rows, 2 points] by active and then reactive power, in the sections' order.

    Attributes:
        end: 1 where the most is worst, -1 where the least is; 0 where there is nothing to choose.
        slack: What another use of one customer could be worse than its end, whatever all others do, per kW or kvar of
            its half-width; zero where the end is proven.
    """

    end: np.ndarray
    slack: Floats


class Slopes:
    """Derivatives over one box.

    Args:
        layout: Where everything stands.
        encloser: Of the network.
        enclosure: The box's discs.
        fixed: [2 points] Whose ends are known already, by active and then reactive power, in the sections' order.
    """

    def __init__(self, layout: Layout, encloser: Encloser, enclosure: Enclosure, fixed: np.ndarray) -> None:
        self._layout, self._encloser, self._enclosure, self._fixed = layout, encloser, enclosure, np.split(fixed, 2)
        volt, radius, power, width = absolute(enclosure.v), enclosure.radius, absolute(enclosure.s), enclosure.width
        room = volt - radius
        of_square = (2 * volt + radius) * radius / (volt * room) ** 2  # change of 1/V^2
        # Of mu, siemens: the change, and of that what is by voltage; and the greatest value.
        self._by_voltage = (power + width) * of_square
        change, most = width / volt**2 + self._by_voltage, (power + width) / room**2
        # Of 1/V, times the unit of power: its change, what of that is beyond the first order, and its greatest value.
        turned, reach = layout.unit * radius / (volt * room), layout.unit / room
        self._beyond = layout.unit * (radius**2 / (volt**2 * room) + enclosure.beyond_v / volt**2)
        self._bounds, self._answers_of = (most, change, turned, reach), dict[int, Answers]()
        self._half = enclosure.half
        self._asked = np.stack([self._fixed[kind] == 0 for kind in enclosure.kinds]) * self._half
        self._second = SecondOrder(layout, enclosure, self._asked)
        self._point = np.repeat(np.arange(len(layout.points)), np.diff(layout.first))

    def valid(self) -> bool:
        """Whether the bounds hold: the power flow's derivative has an inverse everywhere in the discs."""
        return self._answers(len(self._layout.start) - 1).converge()

    def _answers(self, section: int) -> Answers:
        if section not in self._answers_of:
            self._answers_of[section] = Answers(self._encloser.seen_from(section), *self._bounds)
        return self._answers_of[section]

    def ends(self, rows: SectionRows, section: int, value: Complex, way: Complex | None, sign: float) -> Ends:
        """Find the worst ends for rows of one section.

        Args:
            rows: The rows.
            section: Their section; the number of sections for those that are in none.
            value: [rows] At the midpoint.
            way: [rows] Directions of unit length of which `Re(conj(way) value)` is meant; none for lengths.
            sign: -1 for least lengths.
        """
        points = len(self._layout.points)
        shape = len(rows.offset), 2 * points
        ends = Ends(np.zeros(shape, dtype=np.int8), np.zeros(shape))
        ends.end[:] = np.concatenate(self._fixed)
        intervals = self.intervals(rows, section, value, way, sign)
        for (kind, (middle, error)), asked in zip(intervals.items(), self._asked, strict=True):
            part = slice(kind * points, (kind + 1) * points)
            likely = np.where(middle < 0, -1, 1)
            ends.end[:, part] = np.where(asked > 0, likely, ends.end[:, part])
            ends.slack[:, part] = np.where(asked > 0, 2 * np.maximum(error - np.abs(middle), 0.0), 0.0)
        return ends

    def intervals(
        self, rows: SectionRows, section: int, value: Complex, way: Complex | None, sign: float
    ) -> dict[int, tuple[Floats, Floats]]:
        """Derivatives at the midpoint, and by how much they may be others anywhere in the box; arguments as in `ends`.

        Returns:
            By active (0) and reactive (1) power, where the box has any width in it: [rows, points] derivatives per kW
            or kvar, and [rows, points] bounds; those of points whose end is known are not meant.
        """
        enclosure, tangent = self._enclosure, self._enclosure.tangent
        direction = value / absolute(value) if way is None else way
        turned = sign * direction.conj()
        moved = np.stack([tangent.moved(rows, section, kind) for kind in enclosure.kinds])
        adjoint, six = tangent.adjoint(rows, section, turned)
        across, across_six = np.zeros(moved.shape), np.zeros_like(six)
        if way is None:
            root = np.sqrt(absolute(value))[:, None]
            across = (turned[:, None] * moved).imag / root
            across_six = (turned[:, None] * tangent.through(rows, section)).imag / root
        error = self._second.sums(Acting(section, adjoint, six, across, across_six, sign))
        error += self._beyond_second_order(rows, section, value, moved, adjoint, across if way is None else None)
        return {
            kind: ((turned[:, None] * by).real, part)
            for kind, by, part in zip(enclosure.kinds, moved, error, strict=True)
        }

    def _beyond_second_order(
        self,
        rows: SectionRows,
        section: int,
        value: Complex,
        moved: Complex,
        adjoint: Complex,
        across: Floats | None,
    ) -> Floats:
        """[kinds, rows, points] By how much derivatives may differ from what second derivatives at the midpoint say."""
        length, answers = absolute(adjoint), self._answers(section)
        by_injector = length * self._beyond + answers.of_voltages(length)
        turning = self._turning(rows, section, value, moved, across) if across is not None else None
        if turning is not None:
            by_injector += turning.sum(axis=0)[:, None] * answers.of_currents(self._gain(rows, section))
        result = self._enclosure.moved.weighed(length * self._by_voltage)
        result += np.add.reduceat(by_injector, self._layout.first[:-1], axis=1)
        if turning is not None:
            result += turning[0][:, None] * absolute(moved)
        return result

    def _turning(self, rows: SectionRows, section: int, value: Complex, moved: Complex, across: Floats) -> Floats:
        """[2, rows] How far the values' directions turn beyond the first order, and by it."""
        enclosure, size = self._enclosure, absolute(value)
        rest = self._encloser.size.of_rows(rows, self._layout.injectors_of(section), enclosure.beyond_a)
        first = np.einsum("krp,kp->r", np.abs(across), self._half) / np.sqrt(size)
        reach = np.minimum((swing(moved, self._half) + rest) / size, 1.0)
        with np.errstate(divide="ignore"):
            of_log = reach**2 / (2 * (1.0 - reach))
        beyond = np.minimum(of_log + np.arcsin(reach) ** 2 / 2 + rest / size, 2.0 + first)
        return np.stack([beyond, first])

    def _gain(self, rows: SectionRows, section: int) -> Floats:
        """[rows, injectors] Upper bounds of rows' absolute values."""
        gain = np.zeros((len(rows.offset), len(self._point)))
        if rows.left.shape[1]:
            np.matmul(rows.left_size, self._encloser.size.right, out=gain)
        gain[:, self._layout.injectors_of(section)] = rows.own_size
        return gain
