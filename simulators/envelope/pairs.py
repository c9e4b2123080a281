"""Sums of second derivatives over all pairs of some points, each of which has injectors of its own."""

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.grid.columns import parts_of
from feederloop.simulators.grid.feeder import Complex, Floats, Ints


class Pairs:
    """Second derivatives of a row by two points of a section; the formula is that of `SecondOrder`.

    Args:
        kinds: By active (0), reactive (1) power.
        first: [points + 1] Where each point's injectors begin.
        answer: [injectors] d by active power.
        half: [kinds, points] Half-widths.
        moved: [kinds, injectors, points] D.
        asked: [kinds, points] Positive for points of which sums are wanted.
    """

    def __init__(
        self, kinds: tuple[int, ...], first: Ints, answer: Complex, half: Floats, moved: Complex, asked: Floats
    ) -> None:
        self._kinds, self._first, self._answer, self._half = np.array(kinds), first, answer, half
        self._points = np.flatnonzero((asked > 0).any(axis=0))
        count = np.diff(first)
        self._injectors = np.flatnonzero(np.isin(np.repeat(np.arange(len(count)), count), self._points))
        self._into_first = np.concatenate([[0], np.cumsum(count[self._points])])
        parts = np.stack([parts_of(by) for by in moved])
        self._moved = parts.take(self._points, axis=3)
        self._by = np.ascontiguousarray(parts[:, :, self._injectors].transpose(0, 1, 3, 2))

    def sums(self, adjoint: Complex, across: Floats, sign: float) -> Floats:
        """[kinds, rows, points] Sums by all points of absolute second derivatives times these points' half-widths.

        Args:
            adjoint: [rows, injectors] l.
            across: [kinds, rows, points] c.
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
