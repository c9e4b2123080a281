"""A section in detail and the others by phase: enough where their injectors are bounded by absolute values only."""

from collections.abc import Callable

import numpy as np

from feederloop.simulators.envelope.impedance import AbsoluteImpedance
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.grid.feeder import Floats

_GROUPS = 4  # of each phase, by impedance


class ReducedImpedance:
    """|Z| as one section sees it; injectors of others with the same phase and nearly the same impedance are one.

    What is said of such a group holds for each of its injectors.

    Args:
        size: |Z| of all injectors.
        layout: Where everything stands.
        section: Which section; the number of sections for none, where nothing is put together.
    """

    def __init__(self, size: AbsoluteImpedance, layout: Layout, section: int) -> None:
        count, own = len(layout.phase), layout.injectors_of(section)
        self._size = size
        self._member: Floats | None = None
        self._group = self._order = self._first = np.arange(count)
        if own.stop - own.start in (0, count):
            return
        rank = size.diagonal.argsort(kind="stable").argsort(kind="stable") * _GROUPS // count
        outside = np.delete(np.arange(count), own)
        others = np.unique((layout.phase * _GROUPS + rank)[outside], return_inverse=True)[1]
        self._group = np.arange(count) - own.start
        self._group[outside] = own.stop - own.start + others
        self._order = np.argsort(self._group, kind="stable")
        self._first = np.flatnonzero(np.diff(self._group[self._order], prepend=-1))
        self._member = np.zeros((len(self._first), count))
        self._member[self._group, np.arange(count)] = 1.0

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(self._first)

    def most(self, values: Floats) -> Floats:
        """[..., groups] The greatest of each group's [..., injectors] values."""
        return values if self._member is None else self._greatest(values)

    def _greatest(self, values: Floats) -> Floats:
        result: Floats = np.maximum.reduceat(values[..., self._order], self._first, axis=-1)
        return result

    def each(self, values: Floats) -> Floats:
        """[..., injectors] Each one's group's [..., groups] value."""
        return values if self._member is None else values[..., self._group]

    def times(self, weight: Floats) -> Callable[[Floats], Floats]:
        """Return what makes `(y weight) |Z|` of non-negative [rows, groups] y, by [injectors] weights."""
        if self._member is None:
            return lambda y: self._size.from_left(y * weight)
        matrix = self._greatest(self._size.from_left(self._member * weight))
        return lambda y: y @ matrix
