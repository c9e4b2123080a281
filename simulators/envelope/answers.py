"""What changes of voltages and currents make of each other, bounded by absolute values."""

from feederloop.simulators.envelope.reduced import ReducedImpedance
from feederloop.simulators.envelope.series import Series
from feederloop.simulators.grid.feeder import Floats


class Answers:
    """Bounds of how much the derivatives change over a box.

    Args:
        size: |Z|, by groups of injectors.
        most: [injectors] The greatest |mu|.
        change: [injectors] The greatest change of mu.
        turned: [injectors] Of 1/V, times the unit of power, the greatest change.
        reach: [injectors] Its greatest value.
    """

    def __init__(self, size: ReducedImpedance, most: Floats, change: Floats, turned: Floats, reach: Floats) -> None:
        self._size, self._most, self._turned, self._reach = size, most, turned, reach
        self._by_most, self._by_change = size.times(most), size.times(change)
        self._series = Series(self._by_most, size.count)

    def converge(self) -> bool:
        """Whether the bounds hold: the power flow's derivative has an inverse everywhere in the discs."""
        return self._series.converges()

    def of_voltages(self, weight: Floats) -> Floats:
        """[rows, injectors] Bounds of how the voltages' derivatives change, weighed by changes of mu times weights."""
        return self._of_voltages(self._by_change(self._size.most(weight)))

    def of_currents(self, weight: Floats) -> Floats:
        """[rows, injectors] Bounds of the [rows, injectors] weighed change of the currents' derivatives."""
        most = self._size.most(weight)
        moving = self._size.each(self._series.summed(self._by_change(most))) * self._reach
        return weight * self._turned + moving + self._of_voltages(self._by_most(most))

    def _of_voltages(self, first: Floats) -> Floats:
        """The same for the first terms of what is weighed, by groups."""
        reacting = self._series.summed(first)
        moving = self._series.summed(self._by_change(reacting))
        return self._size.each(reacting) * self._turned + self._size.each(moving) * self._reach
