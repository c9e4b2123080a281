"""The power flow's derivative at one operating point, section by section.

From `dI = conj(ds) / conj(V) - mu conj(Z dI)`, `mu = conj(s) / conj(V)^2`: what happens within a section is solved with
the busbar's voltages held; what couples the sections, through these three voltages. Complex numbers are pairs of real
ones, as conj is not complex-linear: real parts first.
"""

import numpy as np
from scipy.linalg import lu_factor, lu_solve

from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.grid.columns import SectionMatrices
from feederloop.simulators.grid.feeder import Complex, Floats


class SectionTangent:
    """Derivatives of anything by the points' powers.

    Args:
        layout: Where everything stands.
        matrices: Impedances.
        s: [injectors] Power injected, in the order of the sections.
        v: [injectors] Voltage there.

    Attributes:
        v: [injectors] The voltages.
        mu: [injectors] By how much a current answers a change of its voltage, siemens.
        unit: Of active and of reactive power, [injectors] ampere per kW and per kvar at unmoved voltages.
        busbar: By active and by reactive power, [6, points] by how much the busbar's voltages move with each point's
            power, real parts first; nothing where nothing is coupled, as below.
        heard: [6, injectors] l, as in `adjoint`, of these six.
    """

    def __init__(self, layout: Layout, matrices: SectionMatrices, s: Complex, v: Complex) -> None:
        self._layout, self._matrices = layout, matrices
        self._coupled = len(layout.start) > 2
        self.mu = s.conj() / v.conj() ** 2
        unit = layout.unit / v.conj()
        self.unit = unit, -1j * unit
        right = matrices.busbar
        self._right = right if self._coupled else right[:0]
        self._factors: dict[int, tuple[Floats, Floats]] = {}
        self._within: dict[tuple[int, int], Floats] = {}
        self.v = v
        self._answers: list[Floats] = []
        self.heard = np.empty((6, 0), dtype=complex)
        self.busbar = self._couple() if self._coupled else []

    def moved(self, rows: SectionRows, section: int, kind: int) -> Complex:
        """[rows, points] By how much values move with each point's active (0) or reactive (1) power.

        Args:
            rows: Rows of one section.
            section: Their section; the number of sections for those that are in none.
            kind: By which power.
        """
        layout, part = self._layout, self._layout.injectors_of(section)
        result = np.zeros((len(rows.offset), len(layout.points)), dtype=complex)
        if self._coupled:
            np.matmul(self.through(rows, section), self.busbar[kind], out=result)
        if part.stop > part.start:
            result[:, layout.points_of(section)] += self._gain(rows, part) @ _joined(self._by_own(section, kind))
        return result

    def moved_by_own(self, rows: SectionRows, section: int, kind: int) -> Complex:
        """[rows, own points] The same by the section's own points only."""
        layout, part = self._layout, self._layout.injectors_of(section)
        result: Complex = self._gain(rows, part) @ _joined(self._by_own(section, kind))
        if self._coupled:
            result += self.through(rows, section) @ self.busbar[kind][:, layout.points_of(section)]
        return result

    def through(self, rows: SectionRows, section: int) -> Complex:
        """[rows, 6] By how much values move with the busbar's voltages; arguments as in `moved`."""
        part = self._layout.injectors_of(section)
        result: Complex = np.concatenate([rows.left, 1j * rows.left], axis=1)
        if self._coupled and part.stop > part.start:
            result += self._gain(rows, part) @ _joined(self._answers[section])
        return result

    def _gain(self, rows: SectionRows, part: slice) -> Complex:
        """[rows, own injectors] Per ampere, with the busbar's voltages held."""
        return rows.own - rows.left @ self._right[:, part] if self._coupled else rows.own

    def adjoint(self, rows: SectionRows, section: int, turned: Complex) -> tuple[Complex, Floats]:
        """[rows, injectors] l such that `Re(turned value)` moves by `Re(l dI)` when dI is injected.

        Args:
            rows: Rows of one section.
            section: Their section.
            turned: [rows]

        Returns:
            l, and [rows, 6] of which `heard` l is made outside the section; nothing where nothing is coupled.
        """
        weights, six = self._weights(rows, section, turned)
        result: Complex = np.zeros((len(turned), len(self.mu)), dtype=complex)
        if self._coupled:
            np.matmul(six, self.heard, out=result)
        if weights.shape[1]:
            within = self._solve(section, weights.T, transposed=True).T
            result[:, self._layout.injectors_of(section)] += _functional(within)
        return result, six

    def _weights(self, rows: SectionRows, section: int, turned: Complex) -> tuple[Floats, Floats]:
        """[rows, 2 own injectors] on currents of the section, and [rows, 6] on the busbar's voltages."""
        part = self._layout.injectors_of(section)
        gain, through = turned[:, None] * rows.own, turned[:, None] * rows.left
        if self._coupled:
            gain = gain - through @ self._right[:, part]
        weights = np.concatenate([gain.real, -gain.imag], axis=1)
        six = np.concatenate([through.real, -through.imag], axis=1)
        if self._coupled and part.stop > part.start:
            six = six + weights @ self._answers[section]
        return weights, six

    def _by_own(self, section: int, kind: int) -> Floats:
        """[2 own injectors, own points] Currents of a section by its own points, with the busbar's voltages held."""
        if (section, kind) not in self._within:
            layout, part = self._layout, self._layout.injectors_of(section)
            count, points = part.stop - part.start, layout.points_of(section)
            unit, size = self.unit[kind][part], points.stop - points.start
            point = np.repeat(np.arange(size), np.diff(layout.first[points.start : points.stop + 1]))
            right, rows = np.zeros((2 * count, size)), np.arange(count)
            right[rows, point], right[count + rows, point] = unit.real, unit.imag
            self._within[section, kind] = self._solve(section, right)
        return self._within[section, kind]

    def _solve(self, section: int, right: Floats, *, transposed: bool = False) -> Floats:
        """Solve the section's equations for its currents."""
        part = self._layout.injectors_of(section)
        mu = self.mu[part]
        if not mu.any():
            return right
        if section not in self._factors:
            z, left = self._matrices.section(section)
            if self._coupled:
                z = z - left @ self._right[:, part]
            k, count = mu[:, None] * z.conj(), len(mu)
            system = np.empty((2 * count, 2 * count))
            system[:count, :count], system[:count, count:] = k.real, k.imag
            system[count:, :count], system[count:, count:] = k.imag, -k.real
            system.flat[:: 2 * count + 1] += 1.0
            self._factors[section] = lu_factor(system, overwrite_a=True, check_finite=False)
        result: Floats = lu_solve(self._factors[section], right, trans=int(transposed), check_finite=False)
        return result

    def _couple(self) -> list[Floats]:
        """Return, by active and by reactive power, [6, points] busbar voltages."""
        layout = self._layout
        feedback, heard = np.eye(6), []
        for section in range(len(layout.start) - 1):
            part = layout.injectors_of(section)
            r, left = self._right[:, part], self._matrices.left_of(section)
            pushed = -self.mu[part, None] * left.conj()
            answer = self._solve(section, np.block([[pushed.real, pushed.imag], [pushed.imag, -pushed.real]]))
            to_busbar = np.block([[r.real, -r.imag], [r.imag, r.real]])
            self._answers.append(answer)
            feedback -= to_busbar @ answer
            heard.append(self._solve(section, to_busbar.T, transposed=True).T)
        self.heard = np.concatenate(
            [_functional(np.linalg.solve(feedback, part).astype(float, copy=False)) for part in heard], axis=1
        )
        return [np.add.reduceat((self.heard * unit).real, layout.first[:-1], axis=1) for unit in self.unit]


def _functional(weights: Floats) -> Complex:
    """[rows, n] l of the functional `Re(l x)` with [rows, 2 n] weights of real and imaginary parts."""
    count = weights.shape[1] // 2
    result: Complex = weights[:, :count] - 1j * weights[:, count:]
    return result


def _joined(parts: Floats) -> Complex:
    """[n, columns] Complex numbers of [2 n, columns] real, then imaginary parts."""
    count = len(parts) // 2
    result: Complex = parts[:count] + 1j * parts[count:]
    return result
