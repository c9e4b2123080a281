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
        self._first, self._kinds = layout.first, np.array(enclosure.kinds)
        self._half = np.stack([enclosure.half[kind] for kind in enclosure.kinds])
        self._answer = -layout.unit / enclosure.v.conj() ** 2
        self._points = np.flatnonzero((asked > 0).any(axis=0))
        count = np.diff(layout.first)
        self._injectors = np.flatnonzero(np.isin(np.repeat(np.arange(len(count)), count), self._points))
        self._into_first = np.concatenate([[0], np.cumsum(count[self._points])])
        moved = np.stack([parts_of(moved) for moved in enclosure.moved])
        self._moved = moved.take(self._points, axis=3)
        self._by = np.ascontiguousarray(moved[:, :, self._injectors].transpose(0, 1, 3, 2))

    def sums(self, adjoint: Complex, across: Floats, sign: float) -> Floats:
        """[kinds, rows, points] Sums by all points of absolute second derivatives times these points' half-widths.

        Args:
            adjoint: [rows, injectors]
            across: [kinds, rows, points] How far points move values across their direction, over the lengths' roots;
                zeros for what has a fixed direction.
            sign: -1 where negated lengths are meant.

        Returns:
            Of points that are not asked for, zeros.
        """
        result, answered = np.zeros(across.shape), parts_of(adjoint * self._answer)
        found = np.zeros((*across.shape[:2], len(self._points)))
        of_asked = answered.take(self._injectors, axis=2)
        _add_up(
            answered, np.stack([*of_asked, -of_asked[0]]), self._moved, self._by, across,
            across.take(self._points, axis=2), sign, self._kinds, self._points, self._first, self._into_first,
            self._half, found,
        )  # fmt: skip
        result[:, :, self._points] = found
        return result


@compiled
def _add_up(  # type: ignore[no-untyped-def]
    answered, of_asked, moved, by, across, across_asked, sign, kinds, points, first, into_first, half, result
):
    count, asked = len(half), len(points)
    single = first[half.shape[1]] == half.shape[1]
    place = np.full(half.shape[1], asked)
    place[points] = np.arange(asked)
    half_asked = np.ascontiguousarray(half[:, points])
    part = np.empty(asked)
    for r in range(answered.shape[1]):
        re, im = answered[0, r], answered[1, r]
        for a in range(count):
            for j in range(half.shape[1]):
                if not half[a, j] > 0:
                    continue
                turn, here = sign * across[a, r, j], place[j]
                # Second derivatives are symmetric: of two points asked for, the first does for both.
                both = single and here < asked
                for b in range(a if both else 0, count):
                    start = here if both and a == b else 0
                    x, y = (of_asked[1, r], of_asked[2, r]) if kinds[b] else (of_asked[0, r], of_asked[1, r])
                    some, weight = part[start:], half[a, j]
                    if single:
                        one, other = (im[j], -re[j]) if kinds[a] else (re[j], im[j])
                        _single(
                            turn, across_asked[b, r, start:], one, moved[b, 0, j, start:], other,
                            moved[b, 1, j, start:], x[start:], by[a, 0, j, start:], y[start:],
                            by[a, 1, j, start:], some,
                        )  # fmt: skip
                    else:
                        for k in range(asked):
                            part[k] = turn * across_asked[b, r, k]
                        for i in range(first[j], first[j + 1]):
                            one, other = (im[i], -re[i]) if kinds[a] else (re[i], im[i])
                            for k in range(asked):
                                part[k] += one * moved[b, 0, i, k] + other * moved[b, 1, i, k]
                        for k in range(asked):
                            for i in range(into_first[k], into_first[k + 1]):
                                part[k] += x[i] * by[a, 0, j, i] + y[i] * by[a, 1, j, i]
                            part[k] = abs(part[k])
                    _add(some, weight, result[b, r, start:])
                    if both:
                        rest = here + 1 if a == b else 0
                        result[a, r, here] += np.dot(part[rest:], half_asked[b, rest:])


@compiled
def _single(turn, c, one, moved_re, other, moved_im, x, by_re, y, by_im, part):  # type: ignore[no-untyped-def]
    for k in range(len(part)):
        part[k] = abs(turn * c[k] + one * moved_re[k] + other * moved_im[k] + x[k] * by_re[k] + y[k] * by_im[k])


@compiled
def _add(part, weight, into):  # type: ignore[no-untyped-def]
    for k in range(len(into)):
        into[k] += part[k] * weight
