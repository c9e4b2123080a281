"""The power flow's derivative at one operating point, section by section.

From `dI = conj(ds) / conj(V) - mu conj(Z dI)`, `mu = conj(s) / conj(V)^2`: what happens within a section is solved with
the busbar's voltages held; what couples the sections, through these three voltages. Complex numbers are pairs of real
ones, as conj is not complex-linear: real parts first.
"""

import numpy as np
from scipy.linalg import inv

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
        self._inverse: dict[int, Floats] = {}
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
            result[:, self._layout.injectors_of(section)] += _functional(weights @ self._solved(section))
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
            points, unit = layout.points_of(section), self.unit[kind][part]
            solved = self._solved(section)
            by = solved[:, : len(unit)] * unit.real + solved[:, len(unit) :] * unit.imag
            if len(unit) > points.stop - points.start:
                by = np.add.reduceat(by, layout.first[points] - layout.first[points.start], axis=1)
            self._within[section, kind] = by
        return self._within[section, kind]

    def _solved(self, section: int) -> Floats:
        """[2 own injectors, 2 own injectors] Currents by what is injected, with the busbar's voltages held."""
        if section not in self._inverse:
            mu = self.mu[self._layout.injectors_of(section)]
            k, count = mu[:, None] * self._matrices.held(section).conj(), len(mu)
            system = np.empty((2 * count, 2 * count))
            system[:count, :count], system[:count, count:] = k.real, k.imag
            system[count:, :count], system[count:, count:] = k.imag, -k.real
            system.flat[:: 2 * count + 1] += 1.0
            self._inverse[section] = inv(system, overwrite_a=True, check_finite=False)
        return self._inverse[section]

    def _couple(self) -> list[Floats]:
        """Return, by active and by reactive power, [6, points] busbar voltages."""
        layout = self._layout
        feedback, heard = np.eye(6), []
        for section in range(len(layout.start) - 1):
            part = layout.injectors_of(section)
            r, left = self._right[:, part], self._matrices.left_of(section)
            pushed = -self.mu[part, None] * left.conj()
            answer = self._solved(section) @ np.block([[pushed.real, pushed.imag], [pushed.imag, -pushed.real]])
            to_busbar = np.block([[r.real, -r.imag], [r.imag, r.real]])
            self._answers.append(answer)
            feedback -= to_busbar @ answer
            heard.append(to_busbar @ self._solved(section))
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
