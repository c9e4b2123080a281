"""Bounds of impedances' absolute values."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.grid.columns import SectionMatrices
from feederloop.simulators.grid.feeder import Feeder, Floats
from feederloop.simulators.grid.sections import Sections


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

    @cached_property
    def diagonal(self) -> Floats:
        """[injectors] Of their own."""
        sizes = np.diff(self.start)
        return np.concatenate([self.own[at : at + n**2 : n + 1] for at, n in zip(self.offset, sizes, strict=True)])

    def from_left(self, y: Floats) -> Floats:
        """[rows, injectors] Bounds of `y |Z|` for non-negative [rows, injectors] y."""
        result = np.empty_like(y)
        for f in range(len(self.start) - 1):
            part = slice(self.start[f], self.start[f + 1])
            size = part.stop - part.start
            block = self.own[self.offset[f] : self.offset[f] + size**2].reshape(size, size)
            np.matmul(y[:, part], block.T, out=result[:, part])
        return result + self.between(y) if len(self.left) else result

    def of_rows(self, rows: SectionRows, own: slice, y: Floats) -> Floats:
        """[rows] Greatest lengths that currents of [injectors] lengths y can make.

        Args:
            rows: Rows of one section.
            own: The section's injectors.
            y: Ampere.
        """
        length: Floats = rows.own_size @ y[own]
        if rows.left.shape[1]:
            length += rows.left_size @ np.maximum(self.right @ y - self.right[:, own] @ y[own], 0.0)
        return length

    def between(self, y: Floats) -> Floats:
        """[rows, injectors] Of `from_left(y)` what other sections contribute."""
        own = np.stack([y[:, a:b] @ self.left[:, a:b].T for a, b in pairwise(self.start)])
        total = own.sum(axis=0)
        others = [(total - mine) @ self.right[:, a:b] for mine, (a, b) in zip(own, pairwise(self.start), strict=True)]
        return np.concatenate(others, axis=1)
