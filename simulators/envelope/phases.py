"""What many points do to the busbar's voltages, added up without a look at each.

Points of one phase move these voltages in nearly the same way, but for how much: a sum over them is that of their
phase, and of what they differ from it by.
"""

from itertools import pairwise

import numpy as np

from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.grid.feeder import Complex, Floats

_PHASES = 4  # three-phase points are one of their own


class Phases:
    """Points that act through vectors, grouped by kind of power and by phase.

    With b the vector of a point's group, `|v b_k| <= a_k |v b| + sum |v_n| r_kn`: products with a vector v become the
    parts of v, `|v b|` for each group and the `|v_n|`, and points have weights of these.

    Args:
        layout: Where everything stands.
        half: [kinds, points] Half-widths.
        by: [kinds, points, n] The vectors, of which the first six are by how much the busbar's voltages move.

    Attributes:
        weight: [kinds, parts, points] Of the parts, for each point.
    """

    def __init__(self, layout: Layout, half: Floats, by: Floats) -> None:
        phase = np.where(np.diff(layout.first) > 1, _PHASES - 1, layout.phase[layout.first[:-1]])
        kinds, points, parts = by.shape
        groups = kinds * _PHASES
        self._direction = np.zeros((groups, parts))
        self.weight = np.zeros((kinds, groups + parts, points))
        for kind in range(kinds):
            for number in range(_PHASES):
                some, group = np.flatnonzero(phase == number), kind * _PHASES + number
                direction = half[kind, some] @ by[kind, some]
                direction /= max(float(np.linalg.norm(direction[:6])), 1e-300)
                along = by[kind, some, :6] @ direction[:6]
                self._direction[group] = direction
                self.weight[kind, group, some] = np.abs(along)
                self.weight[kind, groups:, some] = np.abs(by[kind, some] - along[:, None] * direction)
        weighed = np.einsum("kip,kp->pi", self.weight, half)
        self._of_section = np.stack([weighed[one:end].sum(axis=0) for one, end in pairwise(layout.point_start)])

    def parts(self, vectors: Floats | Complex) -> Floats:
        """[..., parts] The parts of [..., n] vectors."""
        return np.concatenate([np.abs(vectors @ self._direction.T), np.abs(vectors)], axis=-1)

    def outside(self, *sections: int) -> Floats:
        """[parts] Weights of all points of other sections, times their half-widths."""
        result: Floats = np.delete(self._of_section, sections, axis=0).sum(axis=0)
        return result
