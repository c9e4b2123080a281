"""Where a plan is beyond what the network bears, and the linear rows ``gradient @ x <= limit`` that mend it.

A plan is put through the exact power flow, interval by interval. Where a voltage or a current is beyond its limit, the
tangent of that voltage or current at the plan becomes a row of the plan's programme, which is solved again: Kelley's
cutting planes ("The cutting-plane method for solving convex programs", J. SIAM 8(4), 1960) on the exact power flow, so
that of all rows at all nodes and branches only those enter that matter. Rows are scaled so that one unit is one kW at
the connection point that acts on them most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sensitivity import Tangent, along

_BINDING_KW = 0.02
_HALVINGS = 8
_ROUNDS = 12


@dataclass(frozen=True, eq=False)
class Cut:
    """A linear limit on the powers of one interval.

    Attributes:
        interval: Which one.
        gradient: [points] Per kW of export, at most 1 in size.
        limit_kw: Of `gradient @ p_kw`.
        row: Number of the voltage or current that is limited.
        excess_kw: By how much the plan it was made at is beyond it; negative if it is not.
    """

    interval: int
    gradient: Floats
    limit_kw: float
    row: int
    excess_kw: float


class NetworkRows:
    """Voltages of all phases where customers are, and currents of all phase conductors with a rating.

    Args:
        power_flow: Exact power flow of the network.
        limits: What must hold; unbalance is not looked at.
    """

    def __init__(self, power_flow: PowerFlow, limits: Limits) -> None:
        self._power_flow = power_flow
        feeder, branches = power_flow.feeder, power_flow.feeder.branches
        nodes = _customer_nodes(power_flow)
        is_line = np.array([name.startswith("line") for name in branches.names], dtype=bool)
        percent = np.where(is_line, limits.line_loading_percent, limits.transformer_loading_percent)
        allowed = branches.rating_a * percent[branches.row_branch] / 100.0
        rated = np.flatnonzero(np.isfinite(allowed))
        self._gain: Complex = np.concatenate([feeder.bus_z[nodes], feeder.bus_z[nodes], branches.gain[rated]])
        self._offset: Complex = np.concatenate([feeder.bus_w[nodes], feeder.bus_w[nodes], branches.i0[rated]])
        self._sign: Floats = np.concatenate([np.ones(len(nodes)), -np.ones(len(nodes)), np.ones(len(rated))])
        high, low = np.full(len(nodes), limits.v_max_v), np.full(len(nodes), -limits.v_min_v)
        self._limit: Floats = np.concatenate([high, low, allowed[rated]])
        self._span: Floats = np.concatenate([np.full(2 * len(nodes), limits.v_max_v - limits.v_min_v), allowed[rated]])
        on_phase = np.concatenate([nodes % 3, 3 + nodes % 3, 6 + branches.row_phase[rated]])
        on_phase[2 * len(nodes) :] += 3 * is_line[branches.row_branch[rated]]
        self._kind: Ints = on_phase
        buses = feeder.buses[nodes[::3] // 3].tolist()
        self._names = [
            f"{kind} at bus {bus} {phase}" for kind in ("v_max", "v_min") for bus in buses for phase in "abc"
        ]
        conductors = zip(branches.row_branch[rated].tolist(), branches.row_phase[rated].tolist(), strict=True)
        self._names += [f"loading of {branches.names[branch]} {'abc'[phase]}" for branch, phase in conductors]

    def holding(self, cuts: Sequence[Cut], p_kw: Floats, interval: int = 0) -> list[tuple[str, str]]:
        """[points] The limits that hold each one's export, and import, back most in a plan; empty where none does.

        Args:
            cuts: The rows that the plan is within.
            p_kw: [points] Its powers in one interval.
            interval: Which one.
        """
        binding = [cut for cut in cuts if cut.interval == interval and cut.gradient @ p_kw > cut.limit_kw - _BINDING_KW]
        if not binding:
            return [("", "")] * len(p_kw)
        gradient, names = np.array([cut.gradient for cut in binding]), [self._names[cut.row] for cut in binding]
        held = []
        for pull in (gradient, -gradient):
            most = pull.argmax(axis=0)
            felt = pull[most, np.arange(len(p_kw))] > 0
            held.append([names[row] if some else "" for row, some in zip(most.tolist(), felt.tolist(), strict=True)])
        return list(zip(*held, strict=True))

    def cuts(self, p_kw: Floats, q_kvar: Floats, tolerance_kw: float = 0.01, near: float = 0.0) -> list[Cut]:
        """Return for each interval, kind of limit and phase the row that a plan exceeds the most.

        Args:
            p_kw: [points, intervals] The plan, export positive.
            q_kvar: [points, intervals] Reactive power.
            tolerance_kw: Rows exceeded by no more than this are left out.
            near: Share of the range that a row may be away from its limit to be there nevertheless.
        """
        p_kw, solved = self._solvable(p_kw, q_kvar)
        current = self._power_flow.try_solve(self._power_flow.injected_va(p_kw, q_kvar)).current
        excess = self._sign[:, None] * np.abs(self._offset[:, None] + self._gain @ current) - self._limit[:, None]
        concerned = (excess > -near * self._span[:, None]).any(axis=0) | ~solved
        found: list[Cut] = []
        for interval in np.flatnonzero(concerned):
            least = -np.inf if not solved[interval] or near > 0 else tolerance_kw
            least_share = -near if solved[interval] else -np.inf
            found += self._interval_cuts(int(interval), p_kw, q_kvar, least, least_share)
        return found

    def linear(self, p_kw: Floats, q_kvar: Floats, interval: int) -> tuple[Floats, Floats]:
        """Return all rows linearised at a plan: [rows, points] gradients and [rows] limits, both in kW."""
        gradient, value = self._tangents(p_kw[:, interval], q_kvar[:, interval])
        scale = np.maximum(np.abs(gradient).max(axis=1), 1e-12)
        return gradient / scale[:, None], (self._limit - value + gradient @ p_kw[:, interval]) / scale

    def _interval_cuts(
        self, interval: int, p_kw: Floats, q_kvar: Floats, least_kw: float, least_share: float
    ) -> list[Cut]:
        gradient, value = self._tangents(p_kw[:, interval], q_kvar[:, interval])
        scale = np.maximum(np.abs(gradient).max(axis=1), 1e-12)
        excess_kw = (value - self._limit) / scale
        relative = (value - self._limit) / self._span
        chosen: list[Cut] = []
        for kind in np.unique(self._kind):
            rows = np.flatnonzero((self._kind == kind) & (excess_kw > least_kw) & (relative > least_share))
            if rows.size:
                row = int(rows[np.argmax(relative[rows])])
                unit = gradient[row] / scale[row]
                limit = float(unit @ p_kw[:, interval] - excess_kw[row])
                chosen.append(Cut(interval, unit, limit, row, float(excess_kw[row])))
        return chosen

    def _tangents(self, p_kw: Floats, q_kvar: Floats) -> tuple[Floats, Floats]:
        """[rows, points] Derivatives by power in V or A per kW, and [rows] values, of all rows at one plan."""
        s = self._power_flow.injected_va(p_kw[:, None], q_kvar[:, None])
        solution = self._power_flow.try_solve(s)
        tangent = Tangent.at(self._power_flow.feeder, s[:, 0], solution.v[:, 0])
        phasor = self._offset + self._gain @ solution.current[:, 0]
        length = np.abs(phasor)
        direction = phasor / np.maximum(length, 1e-12)
        return self._sign[:, None] * (along(self._gain, direction) @ tangent.by_p), self._sign * length

    def _solvable(self, p_kw: Floats, q_kvar: Floats) -> tuple[Floats, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
        """Return the plan with intervals that have no power-flow solution drawn towards zero until they have one."""
        p_kw = p_kw.copy()
        solved = np.ones(p_kw.shape[1], dtype=bool)
        for _ in range(_HALVINGS):
            done = self._power_flow.try_solve(self._power_flow.injected_va(p_kw, q_kvar)).converged
            if done.all():
                break
            p_kw[:, ~done] /= 2.0
            solved &= done
        return p_kw, solved


@dataclass(frozen=True, eq=False)
class Bearable:
    """A plan that the network bears, as far as that is possible.

    Attributes:
        p_kw: [points, intervals] The plan.
        rounds: How often it was solved.
        cuts: The rows it took.
        excess_kw: The most by which any limit is still exceeded, at its most sensitive connection point.
    """

    p_kw: Floats
    rounds: int
    cuts: tuple[Cut, ...]
    excess_kw: float


def bearable_plan(
    network: NetworkRows,
    q_kvar: Floats,
    solve: Callable[[list[Cut]], Floats],
    first: list[Cut],
    tolerance_kw: float = 0.01,
) -> Bearable:
    """Solve, add the rows that the exact power flow of the solution exceeds, and solve again until there are none.

    Args:
        network: The network.
        q_kvar: [points, intervals] Reactive power, whatever the plan.
        solve: Returns the [points, intervals] plan in kW within further rows; rows of earlier calls stay.
        first: Rows to begin with.
        tolerance_kw: Excess that is let be.
    """
    kept = list(first)
    p_kw, rounds = solve(kept), 1
    while (new := network.cuts(p_kw, q_kvar, tolerance_kw)) and rounds < _ROUNDS:
        kept += new
        p_kw, rounds = solve(new), rounds + 1
    return Bearable(p_kw, rounds, tuple(kept), max((cut.excess_kw for cut in new), default=0.0))


def _customer_nodes(power_flow: PowerFlow) -> Ints:
    """[nodes] Rows of the low-voltage buses' phases where customers are: further in, voltages vary less."""
    feeder = power_flow.feeder
    buses = np.unique(feeder.injector_row // 3)
    buses = buses[feeder.bus_vn_v[buses] < 1000.0]
    nodes: Ints = (3 * buses[:, None] + np.arange(3)).reshape(-1)
    return nodes
