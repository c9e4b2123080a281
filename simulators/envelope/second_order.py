"""By how much customers' uses change each other's derivatives: exact second derivatives at a box's midpoint.

From `I = conj(s / V)`, with u the unit of a point's power, D the voltages' derivatives and l a row's adjoint, the
second derivative of a row by points j and k is

    Re sum_i l_i (d_ij conj(D_ik) + d_ik conj(D_ij)) + c_j c_k,      d_ij = -conj(u_ij) / conj(V_i)^2

of which c, what a point moves a value across its own direction, is there for lengths only. One part is not here but
with all that is bounded: how power that flows anyway answers two changes of its voltage.
"""

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.enclosure import Enclosure
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.grid.columns import parts_of
from feederloop.simulators.grid.feeder import Complex, Floats


class SecondOrder:
    """Second derivatives over one box.

    Args:
        layout: Where everything stands.
        enclosure: The box's midpoint and derivatives there.
        asked: [kinds, points] Positive for points of which they are wanted.
    """

    def __init__(self, layout: Layout, enclosure: Enclosure, asked: Floats) -> None:
        self._first, self._kinds, self._asked = layout.first, np.array(enclosure.kinds), asked
        self._half = np.stack([enclosure.half[kind] for kind in enclosure.kinds])
        self._answer = -layout.unit / enclosure.v.conj() ** 2
        self._moved = np.stack([parts_of(moved) for moved in enclosure.moved])
        self._by = np.ascontiguousarray(self._moved.transpose(0, 1, 3, 2))

    def sums(self, adjoint: Complex, across: Floats, sign: float) -> Floats:
        """[kinds, rows, points] Sums by all points of absolute second derivatives times these points' half-widths.

        Args:
            adjoint: [rows, injectors]
            across: [kinds, rows, points] How far points move values across their direction, over the lengths' roots;
                zeros for what has a fixed direction.
            sign: -1 where negated lengths are meant.
        """
        result = np.zeros(across.shape)
        _add_up(
            parts_of(adjoint * self._answer), self._moved, self._by, across, sign, self._kinds, self._first,
            self._half, self._asked, result,
        )  # fmt: skip
        return result


@compiled
def _add_up(adjoint, moved, by, across, sign, kinds, first, half, asked, result):  # type: ignore[no-untyped-def]
    count, points = len(kinds), asked.shape[1]
    single = first[points] == points
    into = np.empty(points)
    for r in range(adjoint.shape[1]):
        re, im = adjoint[0, r], adjoint[1, r]
        for a in range(count):
            for j in range(points):
                if not asked[a, j] > 0:
                    continue
                for b in range(count):
                    _times(sign * across[a, r, j], across[b, r], into)
                    for i in range(first[j], first[j + 1]):
                        one, other = (im[i], -re[i]) if kinds[a] else (re[i], im[i])
                        _add_two(one, moved[b, 0, i], other, moved[b, 1, i], into)
                    one, other, turn = (im, re, -1.0) if kinds[b] else (re, im, 1.0)
                    if single:
                        _add_products(one, by[a, 0, j], turn, other, by[a, 1, j], into)
                    else:
                        _add_by_point(one, by[a, 0, j], turn, other, by[a, 1, j], first, into)
                    result[a, r, j] += _weighed(into, half[b])


@compiled
def _times(factor, x, into):  # type: ignore[no-untyped-def]
    for k in range(len(into)):
        into[k] = factor * x[k]


@compiled
def _add_two(one, x, other, y, into):  # type: ignore[no-untyped-def]
    for k in range(len(into)):
        into[k] += one * x[k] + other * y[k]


@compiled
def _add_products(a, x, turn, b, y, into):  # type: ignore[no-untyped-def]
    for k in range(len(into)):
        into[k] += a[k] * x[k] + turn * (b[k] * y[k])


@compiled
def _add_by_point(a, x, turn, b, y, first, into):  # type: ignore[no-untyped-def]
    for k in range(len(into)):
        for i in range(first[k], first[k + 1]):
            into[k] += a[i] * x[i] + turn * (b[i] * y[i])


@compiled
def _weighed(x, weight):  # type: ignore[no-untyped-def]
    """Sum of |x| weight; in four parts, which a processor adds up side by side."""
    whole = len(x) // 4 * 4
    one, two, three, four = 0.0, 0.0, 0.0, 0.0
    for k in range(0, whole, 4):
        one += abs(x[k]) * weight[k]
        two += abs(x[k + 1]) * weight[k + 1]
        three += abs(x[k + 2]) * weight[k + 2]
        four += abs(x[k + 3]) * weight[k + 3]
    for k in range(whole, len(x)):
        one += abs(x[k]) * weight[k]
    return one + two + three + four
