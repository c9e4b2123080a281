"""Exact unbalanced power flow, many scenarios at once.

Loads and generation are current injections that hold their power, never part of the admittance matrix, so the voltage
at the injectors is the fixed point of `V = w + Z conj(S / V)` (the Z-bus method: Chen, Chen, Hwang, Kotas, Chebli,
"Distribution system power flow analysis - a rigid approach", IEEE Trans. Power Delivery 6(3), 1991). Each column of a
batch is one scenario.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from feederloop.simulators.grid.columns import SectionMatrices, parts_of
from feederloop.simulators.grid.feeder import Complex, Feeder, Floats
from feederloop.simulators.grid.sections import Sections

TOLERANCE_V = 1e-6
MAX_ITERATIONS = 200


class PowerFlowError(RuntimeError):
    """The power flow has no solution: says in how many scenarios and where the voltage was lowest."""


@dataclass(frozen=True)
class Solution:
    """Voltages at the injectors and the currents injected there.

    Attributes:
        v: [injectors, scenarios] Volt.
        current: [injectors, scenarios] Ampere injected.
        converged: [scenarios]
        iterations: How many passes the slowest scenario took.
    """

    v: Complex
    current: Complex
    converged: npt.NDArray[np.bool_]
    iterations: int


class PowerFlow:
    """Solves a feeder for given powers at its connection points.

    Args:
        feeder: The reduced network.
        tolerance_v: A scenario has converged when no injector's voltage moves by more than this in a pass.
    """

    def __init__(self, feeder: Feeder, *, tolerance_v: float = TOLERANCE_V) -> None:
        self.feeder = feeder
        self.tolerance_v = tolerance_v
        self.sections = Sections.of(feeder)
        self.matrices = SectionMatrices.of(feeder, self.sections)
        self._back = np.argsort(self.sections.order)
        # What is compiled at its first call is compiled now, not in somebody's step.
        self.solve_sections(np.zeros((len(feeder.w), 1), dtype=complex))

    def injected_va(self, p_kw: Floats, q_kvar: Floats) -> Complex:
        """[injectors, scenarios] Power injected by [points, scenarios] net power, export positive."""
        scale = 1e3 * self.feeder.injector_share[:, None]
        return _complex(np.stack([p_kw, q_kvar])[:, self.feeder.injector_point] * scale)

    def try_solve(self, s_va: Complex, start: Complex | None = None) -> Solution:
        """Solve [injectors, scenarios] powers; scenarios without a solution are marked, never raised.

        Args:
            s_va: Power injected, export positive.
            start: [injectors, 1 or scenarios] Voltage to start from; the no-load voltage if none.
        """
        order = self.sections.order
        if start is not None:
            start = np.broadcast_to(start, s_va.shape)[order]
        solved = self.solve_sections(s_va[order], start)
        return replace(solved, v=solved.v[self._back], current=solved.current[self._back])

    def solve_sections(self, s_va: Complex, start: Complex | None = None) -> Solution:
        """Solve [injectors, scenarios] powers as `try_solve` does, with all injectors in the order of the sections."""
        s = parts_of(s_va.T)
        v = np.repeat(self.matrices.w[:, None], s_va.shape[1], axis=1) if start is None else parts_of(start.T)
        current, converged, passes = self.matrices.solve(s, v, self.tolerance_v, MAX_ITERATIONS)
        return Solution(_complex(v.transpose(0, 2, 1)), _complex(current.transpose(0, 2, 1)), converged, passes)

    def solve_parts(self, s_va: Floats, v: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Solve [2 (real, imaginary), scenarios, injectors] powers in the order of the sections.

        Args:
            s_va: Powers.
            v: Voltages to start from; overwritten.

        Returns:
            [2, scenarios, injectors] currents, and [scenarios] whether each converged.
        """
        current, converged, _ = self.matrices.solve(s_va, v, self.tolerance_v, MAX_ITERATIONS)
        return current, converged

    def solve(self, p_kw: Floats, q_kvar: Floats) -> Solution:
        """Solve [points, scenarios] net powers, export positive, in kW and kvar.

        Raises:
            PowerFlowError: Some scenario has no solution, or some power is not a finite number.
        """
        for name, powers in (("p_kw", p_kw), ("q_kvar", q_kvar)):
            if not np.isfinite(powers).all():
                point, scenario = np.argwhere(~np.isfinite(powers))[0]
                raise PowerFlowError(f"{name} of {self.feeder.points[point]} is {powers[point, scenario]}")
        solution = self.try_solve(self.injected_va(p_kw, q_kvar))
        if not solution.converged.all():
            failed = np.flatnonzero(~solution.converged)
            worst = self.feeder.points[int(np.argmin(p_kw[:, failed[0]]))]
            raise PowerFlowError(
                f"no power-flow solution in {len(failed)} of {len(solution.converged)} scenarios, first {failed[0]}: "
                f"{p_kw[:, failed[0]].sum():.1f} kW in all, largest import at {worst}"
            )
        return solution

    def bus_voltages(self, current: Complex) -> Complex:
        """[buses, 3, scenarios] Volt, from [injectors, scenarios] currents."""
        feeder = self.feeder
        return (feeder.bus_z @ current + feeder.bus_w[:, None]).reshape(len(feeder.buses), 3, -1)

    def branch_loading_percent(self, current: Complex) -> Floats:
        """[branches, 3, scenarios] Loading of each phase on the worse end, from [injectors, scenarios] currents."""
        branches = self.feeder.branches
        rows = np.abs(branches.gain @ current + branches.i0[:, None]) / branches.rating_a[:, None] * 100.0
        loading = np.zeros((len(branches.names), 3, current.shape[1]))
        np.maximum.at(loading, (branches.row_branch, branches.row_phase), rows)
        return loading

    def source_power_kw(self, current: Complex) -> Floats:
        """[scenarios] Active power drawn from the external grid at its bus."""
        feeder = self.feeder
        v = feeder.source_z @ current + feeder.source_w[:, None]
        drawn = feeder.source_gain @ current + feeder.source_i0[:, None]
        result: Floats = (v * drawn.conj()).sum(axis=0).real / 1e3
        return result


def _complex(parts: Floats) -> Complex:
    # Not real + 1j * imaginary, in which an infinite imaginary part would turn the real one into NaN.
    result: Complex = np.empty(parts.shape[1:], dtype=complex)
    result.real, result.imag = parts
    return result


def unbalance_percent(v: Complex) -> Floats:
    """[buses, scenarios] Voltage unbalance factor |V2| / |V1| (IEC 61000-4-30) of [buses, 3, scenarios] voltages."""
    a = np.exp(2j * np.pi / 3)
    v1 = v[:, 0] + a * v[:, 1] + a * a * v[:, 2]
    v2 = v[:, 0] + a * a * v[:, 1] + a * v[:, 2]
    result: Floats = np.abs(v2) / np.abs(v1) * 100.0
    return result
