"""How voltages and currents move when the power at a connection point does: the exact tangent of the power flow."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.grid.feeder import Complex, Feeder, Floats


@dataclass(frozen=True)
class Tangent:
    """Derivative of the injected currents at one operating point.

    Attributes:
        by_p: [2 * injectors (real, then imaginary), points] Ampere per kW of net power.
        by_q: The same per kvar.
    """

    by_p: Floats
    by_q: Floats

    @classmethod
    def at(cls, feeder: Feeder, s_va: Complex, v: Complex) -> "Tangent":
        """Differentiate `I = conj(S / V)`, `V = w + Z I` at a solution.

        A change dS moves the current by `dI = conj(dS) / conj(V) - mu conj(Z) conj(dI)`, `mu = conj(S) / conj(V)^2`,
        which is linear in the real and imaginary parts of dI.

        Args:
            feeder: The reduced network.
            s_va: [injectors] Power injected.
            v: [injectors] Voltage there.
        """
        count = len(v)
        k = (s_va.conj() / v.conj() ** 2)[:, None] * feeder.z.conj()
        system = np.empty((2 * count, 2 * count))
        system[:count, :count], system[:count, count:] = k.real, k.imag
        system[count:, :count], system[count:, count:] = k.imag, -k.real
        system.flat[:: 2 * count + 1] += 1.0
        unit = 1e3 * feeder.injector_share / v.conj()
        points = len(feeder.points)
        right = np.zeros((2 * count, 2 * points))
        rows, point = np.arange(count), feeder.injector_point
        right[rows, point], right[count + rows, point] = unit.real, unit.imag
        right[rows, points + point], right[count + rows, points + point] = unit.imag, -unit.real
        solution: Floats = np.linalg.solve(system, right).astype(np.float64, copy=False)
        return cls(solution[:, :points], solution[:, points:])


def along(gain: Complex, direction: Complex) -> Floats:
    """[rows, 2 * injectors] Real weights by which the real and imaginary parts of currents act along a direction.

    Args:
        gain: [rows, injectors] Volt (or ampere) per ampere injected.
        direction: [rows] Unit complex numbers; the real part of `conj(direction) * gain @ I` is what is meant.
    """
    turned = direction.conj()[:, None] * gain
    return np.concatenate([turned.real, -turned.imag], axis=1)
