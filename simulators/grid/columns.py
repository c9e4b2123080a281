"""The power flow's fixed point for one scenario after the other, each until it has converged by itself.

All arrays are real: real and imaginary parts stand side by side. Injectors are in the order of the sections.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.grid.counted import count_solved
from feederloop.simulators.grid.feeder import Complex, Feeder, Floats, Ints
from feederloop.simulators.grid.sections import Sections


@dataclass(frozen=True)
class SectionMatrices:
    """Impedances as the compiled loops read them.

    Attributes:
        start: [sections + 1] Where each section begins.
        offset: [sections] Where each section's impedances begin in `own`.
        own: [2, sum of squares] Transposed impedances within each section, row by row.
        left: [2, 3, injectors] Volt per volt at the busbar.
        right: [2, 3, injectors] Volt at the busbar per ampere.
        w: [2, injectors] No-load voltages.
    """

    start: Ints
    offset: Ints
    own: Floats
    left: Floats
    right: Floats
    w: Floats
    _held: dict[int, Complex] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, feeder: Feeder, sections: Sections) -> "SectionMatrices":
        """Arrange a network's impedances by section."""
        parts = np.split(sections.order, sections.start[1:-1])
        own = np.concatenate([feeder.z[np.ix_(part, part)].T.reshape(-1) for part in parts])
        sizes = np.diff(sections.start) ** 2
        return cls(
            start=sections.start,
            offset=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            own=parts_of(own),
            left=parts_of(sections.left[sections.order].T),
            right=parts_of(sections.right[:, sections.order]),
            w=parts_of(feeder.w[sections.order]),
        )

    @cached_property
    def busbar(self) -> Complex:
        """[3, injectors] Volt at the busbar per ampere."""
        result: Complex = self.right[0] + 1j * self.right[1]
        return result

    def section(self, number: int) -> tuple[Complex, Complex]:
        """Impedances within a section, and how its voltages follow the busbar's three."""
        part, at = slice(self.start[number], self.start[number + 1]), self.offset[number]
        size = part.stop - part.start
        own = self.own[:, at : at + size**2].reshape(2, size, size)
        return np.ascontiguousarray(own[0].T + 1j * own[1].T), self.left_of(number)

    def held(self, number: int) -> Complex:
        """Impedances within a section with the busbar's voltages held; of the only one, as they are."""
        if number not in self._held:
            z, left = self.section(number)
            coupled = len(self.start) > 2
            part = slice(self.start[number], self.start[number + 1])
            self._held[number] = z - left @ self.busbar[:, part] if coupled else z
        return self._held[number]

    def left_of(self, number: int) -> Complex:
        """[injectors of a section, 3] How its voltages follow the busbar's."""
        left = self.left[:, :, self.start[number] : self.start[number + 1]]
        return np.ascontiguousarray(left[0].T + 1j * left[1].T)

    def voltages(self, current: Complex) -> Complex:
        """[injectors] Voltages that [injectors] currents make, in the order of the sections."""
        result: Complex = self.w[0] + 1j * self.w[1]
        coupled = len(self.start) > 2
        left, right = (part[0] + 1j * part[1] for part in (self.left, self.right))
        total = right @ current
        for f in range(len(self.start) - 1):
            part, at = slice(self.start[f], self.start[f + 1]), self.offset[f]
            size = part.stop - part.start
            own = self.own[:, at : at + size**2].reshape(2, size, size)
            result[part] += current[part] @ own[0] + 1j * (current[part] @ own[1])
            if coupled:
                result[part] += (total - right[:, part] @ current[part]) @ left[:, part]
        return result

    def solve(self, s: Floats, v: Floats, tolerance_v: float, most: int) -> tuple[Floats, np.ndarray, int]:
        """Solve [2, scenarios, injectors] powers from the voltages `v`, which are overwritten.

        Returns:
            [2, scenarios, injectors] currents, [scenarios] whether each converged, and the most passes that one took.
        """
        count_solved(s.shape[1])
        current = np.empty_like(v)
        converged = np.empty(s.shape[1], dtype=np.bool_)
        passes = _solve(
            s, v, current, converged, self.w, self.own, self.offset, self.start, self.left, self.right, tolerance_v,
            most,
        )  # fmt: skip
        return current, converged, int(passes)


def parts_of(values: Complex) -> Floats:
    """[2, ...] Real and imaginary parts, contiguous."""
    result: Floats = np.stack([values.real, values.imag])
    return result


_LOST = 1e30  # square of a move after which a scenario is given up


@compiled
def _inject(s_re, s_im, v_re, v_im, i_re, i_im):  # type: ignore[no-untyped-def]
    """Put conj(S / V) into the current."""
    for i in range(len(s_re)):
        scale = 1.0 / (v_re[i] * v_re[i] + v_im[i] * v_im[i])
        i_re[i] = (s_re[i] * v_re[i] + s_im[i] * v_im[i]) * scale
        i_im[i] = (s_re[i] * v_im[i] - s_im[i] * v_re[i]) * scale


@compiled
def _dot(a_re, a_im, b_re, b_im):  # type: ignore[no-untyped-def]
    re, im = 0.0, 0.0
    for i in range(len(a_re)):
        re += a_re[i] * b_re[i] - a_im[i] * b_im[i]
        im += a_re[i] * b_im[i] + a_im[i] * b_re[i]
    return re, im


@compiled
def _add_product(into_re, into_im, columns_re, columns_im, x_re, x_im):  # type: ignore[no-untyped-def]
    """Add a matrix, column after column, times `x`. Places in slices cannot be negative: this becomes vector code."""
    size = len(into_re)
    for j in range(len(x_re)):
        re, im = x_re[j], x_im[j]
        a_re, a_im = columns_re[j * size : j * size + size], columns_im[j * size : j * size + size]
        for i in range(size):
            into_re[i] += a_re[i] * re - a_im[i] * im
            into_im[i] += a_re[i] * im + a_im[i] * re


@compiled
def _solve(s, v, current, converged, w, own, offset, start, left, right, tolerance_v, most):  # type: ignore[no-untyped-def]
    scenarios, count = s.shape[1], s.shape[2]
    new_re, new_im = np.empty(count), np.empty(count)
    total_re, total_im = np.zeros(3), np.zeros(3)
    part_re, part_im = np.zeros((len(start) - 1, 3)), np.zeros((len(start) - 1, 3))
    coupled = len(start) > 2
    passes = 0
    for k in range(scenarios):
        converged[k] = False
        for iteration in range(most):
            s_re, s_im, v_re, v_im = s[0, k], s[1, k], v[0, k], v[1, k]
            i_re, i_im = current[0, k], current[1, k]
            _inject(s_re, s_im, v_re, v_im, i_re, i_im)
            for i in range(count):
                new_re[i], new_im[i] = w[0, i], w[1, i]
            if coupled:
                total_re[:], total_im[:] = 0.0, 0.0
                for f in range(len(start) - 1):
                    one, end = start[f], start[f + 1]
                    for c in range(3):
                        part_re[f, c], part_im[f, c] = _dot(
                            right[0, c, one:end], right[1, c, one:end], i_re[one:end], i_im[one:end]
                        )
                        total_re[c] += part_re[f, c]
                        total_im[c] += part_im[f, c]
            for f in range(len(start) - 1):
                one, end, at = start[f], start[f + 1], offset[f]
                into_re, into_im = new_re[one:end], new_im[one:end]
                if coupled:
                    for c in range(3):
                        re, im = total_re[c] - part_re[f, c], total_im[c] - part_im[f, c]
                        a_re, a_im = left[0, c, one:end], left[1, c, one:end]
                        for i in range(end - one):
                            into_re[i] += a_re[i] * re - a_im[i] * im
                            into_im[i] += a_re[i] * im + a_im[i] * re
                until = at + (end - one) ** 2
                _add_product(into_re, into_im, own[0, at:until], own[1, at:until], i_re[one:end], i_im[one:end])
            farthest, lost = 0.0, False
            for i in range(count):
                move = (new_re[i] - v_re[i]) ** 2 + (new_im[i] - v_im[i]) ** 2
                lost |= not move < _LOST  # also what is not a number
                farthest = max(farthest, move)
                v_re[i], v_im[i] = new_re[i], new_im[i]
            passes = max(passes, iteration + 1)
            if lost:
                break
            if farthest <= tolerance_v**2:
                converged[k] = True
                break
        _inject(s[0, k], s[1, k], v[0, k], v[1, k], current[0, k], current[1, k])
    return passes
