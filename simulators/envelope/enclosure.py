"""Where the solutions of all uses in a box can be, and how far derivatives can be from the midpoint's."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.envelope.box import Box
from feederloop.simulators.grid.feeder import Complex, Feeder, Floats
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sensitivity import Tangent


@dataclass(frozen=True)
class Enclosure:
    """Discs that hold every solution, and bounds of how currents and their derivatives leave their midpoint values.

    Attributes:
        s: [injectors] Power at the midpoint, VA.
        v: [injectors] Voltage there.
        current: [injectors] Current there.
        radius: [injectors] Of the voltage discs.
        current_radius: [injectors] Of the current discs.
        tangent: Derivatives at the midpoint.
        size: [injectors, points] Bound of |dI/dp| and |dI/dq| at the midpoint, ampere per kW or kvar.
        slope: [injectors, points] Bound of how far these derivatives move over the discs.
    """

    s: Complex
    v: Complex
    current: Complex
    radius: Floats
    current_radius: Floats
    tangent: Tangent
    size: Floats
    slope: Floats


def enclose(power_flow: PowerFlow, box: Box) -> Enclosure | None:
    """Return discs that hold the solution of every use in the box, or none where none could be found.

    A use changes the injected current by at most `sigma / (|V| - rho) + |S| rho / (|V| (|V| - rho))`, with sigma the
    half-width of the power and rho the disc's radius; where |Z| times that stays below rho, the power-flow equation
    maps the discs into themselves and has a solution in them (Brouwer).
    """
    feeder = power_flow.feeder
    p, q = box.centre
    s = power_flow.injected_va(p[:, None], q[:, None])
    centre = power_flow.try_solve(s)
    if not centre.converged.all():
        return None
    s, v = s[:, 0], centre.v[:, 0]
    width = half_width_va(feeder, box)
    z, volt, size = feeder.abs_z, np.abs(v), np.abs(s)
    # The solver stops before it arrives, the farther the nearer the network is to collapse.
    residual = np.abs(feeder.w + feeder.z @ centre.current[:, 0] - v)
    radius = np.zeros(len(v))
    for _ in range(100):
        room = volt - radius
        if (room <= 0.5 * volt).any():
            return None
        spread = width / room + size * radius / (volt * room)
        grown = z @ spread + residual
        if (grown <= radius).all():
            return _with_slopes(feeder, s, v, centre.current[:, 0], radius, spread, width)
        radius = grown * (1 + 1e-6) + 1e-9
    return None


def half_width_va(feeder: Feeder, box: Box) -> Floats:
    """[injectors] Largest distance of the injected power from the box's midpoint."""
    half_p, half_q = box.half_width
    result: Floats = 1e3 * feeder.injector_share * np.hypot(half_p, half_q)[feeder.injector_point]
    return result


def _with_slopes(
    feeder: Feeder, s: Complex, v: Complex, current: Complex, radius: Floats, spread: Floats, width: Floats
) -> Enclosure | None:
    """Bound how the derivative of the injected currents varies over the discs.

    From `dI = conj(dS) / conj(V) - conj(S) / conj(V)^2 conj(dV)`: with `b` the bound of the change of 1/V, `m` the
    midpoint's and `dm` the change's bound of |S / V^2|, the deviation E of dV/du obeys
    `E <= |Z| (b D + m E + dm (|J| + E))`, where |J| <= |Z| |dI/du|.
    """
    volt, z = np.abs(v), feeder.abs_z
    room = volt - radius
    b = radius / (volt * room)
    m = np.abs(s) / volt**2
    dm = width / room**2 + np.abs(s) * (2 * volt * radius + radius**2) / (volt * room) ** 2
    tangent = Tangent.at(feeder, s, v)
    count = len(v)
    size = np.maximum(
        np.hypot(tangent.by_p[:count], tangent.by_p[count:]), np.hypot(tangent.by_q[:count], tangent.by_q[count:])
    )
    source = dm[:, None] * (z @ size)
    source[np.arange(count), feeder.injector_point] += 1e3 * feeder.injector_share * b
    system = -z * (m + dm)
    system.flat[:: count + 1] += 1.0
    error = np.linalg.solve(system, z @ source)
    # The inverse is non-negative exactly where the iteration that it sums up converges.
    if not (np.isfinite(error).all() and (error >= 0).all()):
        return None
    return Enclosure(s, v, current, radius, spread, tangent, size, source + (m + dm)[:, None] * error)
