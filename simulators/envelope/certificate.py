"""The proof that a box is safe: bounds that hold for every combination of independent uses on the exact power flow.

1. *Enclosure.* Solve the power flow at the box's midpoint. If discs around its voltages are mapped into themselves by
   the power-flow equation for every use in the box (Brouwer), a solution lies inside them for every use.
2. *Interval Jacobian.* Over those discs the derivative of every voltage and current by every use stays within a bound
   of its midpoint value. Where that interval excludes zero the sign is proven, and the worst use of that customer is
   one known end.
3. *Corners.* Each row's proven worst corner is solved exactly. Customers whose sign is not proven add what they could
   at most change, so the bound stays sound inside the box too.

Rows that simple bounds keep away from the limits never get to step 2.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from feederloop.simulators.envelope.box import Box, Limits
from feederloop.simulators.grid.feeder import Complex, Feeder, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sensitivity import Tangent, along

MARGIN_V = 1e-5  # covers the solver's tolerance and rounding; loading has the same in ampere
FACETS = 32
_ALWAYS_EXACT = (
    4  # rows nearest to each limit are bounded exactly even when far from it, so that the proven extreme is tight
)


@dataclass(frozen=True)
class Certificate:
    """What is proven of a box.

    Attributes:
        certified: Every use stays within every limit. Never true without proof.
        reason: Why not, where not.
        v_max_v: No use lifts any bus above this; infinite where no bound could be proven.
        v_max_at: Bus and phase of that bound.
        v_min_v: No use lowers any low-voltage bus below this.
        v_min_at: Bus and phase.
        loading_max_percent: No use loads any branch more than this, relative to its own limit.
        loading_max_at: The branch and its phase.
        looseness_v: Largest distance between a voltage bound that was solved exactly and the corner found for it.
        rows: Rows that needed the interval Jacobian.
        corners: Distinct corners solved.
    """

    certified: bool
    reason: str
    v_max_v: float
    v_max_at: tuple[int, str]
    v_min_v: float
    v_min_at: tuple[int, str]
    loading_max_percent: float
    loading_max_at: tuple[str, str]
    looseness_v: float
    rows: int
    corners: int


@dataclass(frozen=True)
class _Enclosure:
    """Discs that hold every solution, and bounds of how currents and their derivatives leave their midpoint values."""

    s: Complex  # [injectors] power at the midpoint
    v: Complex  # [injectors] voltage there
    current: Complex  # [injectors]
    radius: Floats  # [injectors] of the voltage discs
    current_radius: Floats  # [injectors]
    slope_p: Floats  # [injectors, points] deviation of d current / d p from the midpoint's, ampere per kW
    slope_q: Floats
    tangent: Tangent


def enclose(power_flow: PowerFlow, box: Box) -> _Enclosure | None:
    """Return discs that hold the solution of every use in the box, or none where none could be found."""
    feeder = power_flow.feeder
    p, q = box.centre
    s = power_flow.injected_va(p[:, None], q[:, None])
    centre = power_flow.try_solve(s)
    if not centre.converged.all():
        return None
    s, v = s[:, 0], centre.v[:, 0]
    half_p, half_q = box.half_width
    width = 1e3 * feeder.injector_share * np.hypot(half_p, half_q)[feeder.injector_point]
    z, volt = np.abs(feeder.z), np.abs(v)
    radius = np.zeros(len(v))
    for _ in range(100):
        room = volt - radius
        if (room <= 0.5 * volt).any():
            return None
        spread = width / room + np.abs(s) * radius / (volt * room)
        grown = z @ spread
        if (grown <= radius).all():
            break
        radius = grown * (1 + 1e-6) + 1e-9
    else:
        return None
    return _with_slopes(feeder, s, v, centre.current[:, 0], radius, spread, width)


def _with_slopes(
    feeder: Feeder, s: Complex, v: Complex, current: Complex, radius: Floats, spread: Floats, width: Floats
) -> _Enclosure | None:
    """Bound how the derivative of the injected currents varies over the discs.

    From `dI = conj(dS) / conj(V) - conj(S) / conj(V)^2 conj(dV)`: with `b` the bound of the change of 1/V, `m` the
    midpoint's and `dm` the change's bound of |S / V^2|, the deviation E of dV/du obeys
    `E <= |Z| (b D + m E + dm (|J| + E))`.
    """
    volt, z = np.abs(v), np.abs(feeder.z)
    room = volt - radius
    b = radius / (volt * room)
    m = np.abs(s) / volt**2
    dm = width / room**2 + np.abs(s) * (2 * volt * radius + radius**2) / (volt * room) ** 2
    system = np.eye(len(v)) - z * (m + dm)
    tangent = Tangent.at(feeder, s, v)
    count, points = len(v), len(feeder.points)
    direct = np.zeros((count, points))
    direct[np.arange(count), feeder.injector_point] = 1e3 * feeder.injector_share * b
    slopes = []
    for by in (tangent.by_p, tangent.by_q):
        jacobian = np.abs(feeder.z @ (by[:count] + 1j * by[count:]))
        source = direct + dm[:, None] * jacobian
        error = np.linalg.solve(system, z @ source)
        # The inverse is non-negative exactly where the iteration that it sums up converges.
        if (error < 0).any() or not np.isfinite(error).all():
            return None
        slopes.append(source + (m + dm)[:, None] * error)
    return _Enclosure(s, v, current, radius, spread, slopes[0], slopes[1], tangent)


@dataclass(frozen=True)
class _Rows:
    """Quantities to bound from above: `sign |offset + gain I|`, or parts `Re(conj(direction) (offset + gain I))`."""

    gain: Complex  # [rows, injectors]
    offset: Complex  # [rows]
    direction: Complex  # [rows] of unit length; of a length, its direction at the midpoint
    sign: float = 1.0
    turn: Floats | None = None  # [rows] how far a length's direction may turn over the box; none for parts


@dataclass(frozen=True)
class _Bounds:
    upper: Floats  # [rows] proven
    found: Floats  # [rows] at the corner that was solved
    corners: int


def watched_nodes(feeder: Feeder) -> tuple[Ints, Ints]:
    """Return the low-voltage nodes (rows of `bus_z`) that stand for all, and the spans between them.

    Where nothing is connected and one cable runs on, a bus's voltage lies on the straight line between those of the
    span's ends, so its length is at most that of the longer end. Whether it does is read off the impedances.

    Returns:
        [nodes] rows of `bus_z`, and [spans, 2] positions in them.
    """
    position = pd.Index(feeder.buses)
    ends = position.get_indexer(feeder.branches.ends.reshape(-1)).reshape(-1, 2)
    is_line = np.array([name.startswith("line") for name in feeder.branches.names], dtype=bool)
    is_line &= (ends >= 0).all(axis=1)
    neighbours: dict[int, list[int]] = {bus: [] for bus in range(len(position))}
    for one, other in ends[is_line]:
        neighbours[int(one)].append(int(other))
        neighbours[int(other)].append(int(one))
    busy = set((feeder.injector_row // 3).tolist()) | set(ends[~is_line].reshape(-1).tolist())
    rows = np.concatenate([feeder.bus_z, feeder.bus_w[:, None]], axis=1).reshape(len(position), 3, -1)
    low_voltage = feeder.bus_vn_v < 1000.0
    passed = {
        bus
        for bus, near in neighbours.items()
        if low_voltage[bus] and bus not in busy and len(near) == 2 and _on_line(rows[near[0]], rows[bus], rows[near[1]])
    }
    kept = np.array([bus for bus in range(len(position)) if low_voltage[bus] and bus not in passed], dtype=np.int64)
    order = {int(bus): place for place, bus in enumerate(kept)}
    spans = set()
    for bus in passed:
        far = [_walk(neighbours, passed, bus, start) for start in neighbours[bus]]
        spans.add((min(far), max(far)))
    pairs = np.array([[order[a], order[b]] for a, b in sorted(spans)], dtype=np.int64).reshape(-1, 2)
    phase = np.arange(3)
    return (3 * kept[:, None] + phase).reshape(-1), (3 * pairs[:, None, :] + phase[:, None]).reshape(-1, 2)


def _on_line(one: Complex, middle: Complex, other: Complex) -> bool:
    """Whether all three phases of `middle` divide the span at the same place."""
    span, part = (other - one).reshape(-1), (middle - one).reshape(-1)
    length = float((span.conj() @ span).real)
    if length == 0.0:
        return bool(np.abs(part).max() == 0.0)
    share = float((span.conj() @ part).real) / length
    return 0.0 <= share <= 1.0 and float(np.abs(part - share * span).max()) <= 1e-9 * float(np.abs(middle).max())


def _walk(neighbours: dict[int, list[int]], passed: set[int], bus: int, step: int) -> int:
    """Follow a cable from `bus` over `step` to the next watched bus."""
    while step in passed:
        bus, step = step, next(near for near in neighbours[step] if near != bus)
    return step


class Certifier:
    """Proves boxes of one network safe against one set of limits.

    Args:
        power_flow: Exact power flow of the network.
        limits: What to stay within. Voltages are judged at low-voltage buses (below 1 kV) only.
    """

    def __init__(self, power_flow: PowerFlow, limits: Limits) -> None:
        self.power_flow, self.limits = power_flow, limits
        feeder = power_flow.feeder
        self._nodes, self._spans = watched_nodes(feeder)
        self._z, self._w = feeder.bus_z[self._nodes], feeder.bus_w[self._nodes]
        self._abs_z = np.abs(self._z)
        self._span_abs_z = np.abs(self._z[self._spans[:, 0]] - self._z[self._spans[:, 1]])
        self._abs_gain = np.abs(feeder.branches.gain)
        is_trafo = np.array([name.startswith("trafo") for name in feeder.branches.names], dtype=bool)
        percent = np.where(is_trafo, limits.transformer_loading_percent, limits.line_loading_percent)
        self.allowed_a = feeder.branches.rating_a * percent[feeder.branches.row_branch] / 100.0

    def certify(self, box: Box) -> Certificate:
        """Bound voltages and currents over every use in the box."""
        enclosure = enclose(self.power_flow, box)
        if enclosure is None:
            return _unproven("no enclosure of the power flow's solutions was found: the box is too wide to bound")
        centre = self._w + self._z @ enclosure.current
        swing = self._swing(enclosure, box, centre)
        reach = self._abs_z @ enclosure.current_radius
        size = np.abs(centre)
        # The part across the direction lengthens a voltage by less than its square over twice its length.
        upper, lower = size + swing + reach**2 / (2 * np.maximum(size - swing, 1.0)), size - swing
        high, low, looseness, rows, corners = self._voltages(box, enclosure, centre, upper, lower)
        low = self._sagged(low, enclosure, centre)
        loading, branch_rows, branch_corners = self._loading(box, enclosure)
        top, bottom, worst = int(high.argmax()), int(low.argmin()), int(loading.argmax()) if len(loading) else -1
        branches = self.power_flow.feeder.branches
        loading_at = (branches.names[branches.row_branch[worst]], "abc"[branches.row_phase[worst]])
        reasons = [
            text
            for broken, text in (
                (high[top] > self.limits.v_max_v, f"voltage up to {high[top]:.3f} V at {self._name(top)}"),
                (low[bottom] < self.limits.v_min_v, f"voltage down to {low[bottom]:.3f} V at {self._name(bottom)}"),
                (loading[worst] > 1.0, f"current up to {100 * loading[worst]:.1f} % of the limit in {loading_at}"),
            )
            if broken
        ]
        return Certificate(
            certified=not reasons,
            reason="; ".join(reasons),
            v_max_v=float(high[top]),
            v_max_at=self._name(top),
            v_min_v=float(low[bottom]),
            v_min_at=self._name(bottom),
            loading_max_percent=float(100 * loading[worst]),
            loading_max_at=loading_at,
            looseness_v=looseness,
            rows=rows + branch_rows,
            corners=corners + branch_corners,
        )

    def _name(self, row: int) -> tuple[int, str]:
        node = self._nodes[row]
        return int(self.power_flow.feeder.buses[node // 3]), "abc"[node % 3]

    def _swing(self, enclosure: _Enclosure, box: Box, centre: Complex) -> Floats:
        """[nodes] How far a voltage's length can move, from first-order terms plus the remainder's bound."""
        feeder = self.power_flow.feeder
        half_p, half_q = box.half_width
        point, share = feeder.injector_point, 1e3 * feeder.injector_share
        volt = np.abs(enclosure.v)
        first = 1.0 / enclosure.v.conj()
        turned = (centre.conj() / np.abs(centre))[:, None] * self._z * first
        room = volt - enclosure.radius
        width = share * np.hypot(half_p, half_q)[point]
        rest = enclosure.radius / (volt * room) * (width + np.abs(enclosure.s))
        result: Floats = (
            np.abs(turned.real) @ (share * half_p[point])
            + np.abs(turned.imag) @ (share * half_q[point])
            + self._abs_z @ rest
        )
        return result

    def _voltages(
        self, box: Box, enclosure: _Enclosure, centre: Complex, upper: Floats, lower: Floats
    ) -> tuple[Floats, Floats, float, int, int]:
        """[nodes] proven highest and lowest voltages; those that matter by the interval Jacobian."""
        high, low = upper.copy(), lower.copy()
        looseness, rows, corners = 0.0, 0, 0
        for bound, sign in ((high, 1.0), (low, -1.0)):
            simple = sign * (upper if sign > 0 else lower)
            limit = sign * (self.limits.v_max_v if sign > 0 else self.limits.v_min_v)
            chosen = np.flatnonzero(simple > limit)
            nearest = np.argsort(-simple, kind="stable")[:_ALWAYS_EXACT]
            chosen = np.union1d(chosen, nearest)
            direction = centre[chosen] / np.abs(centre[chosen])
            turn = (self._abs_z[chosen] @ enclosure.current_radius) / np.abs(centre[chosen])
            turn = 2 * np.sin(np.arcsin(np.minimum(turn, 1.0)) / 2)
            found = self._bound(box, enclosure, _Rows(self._z[chosen], self._w[chosen], direction, sign, turn))
            bound[chosen] = sign * np.minimum(found.upper, simple[chosen])
            looseness = max(looseness, float((found.upper - found.found).max(initial=0.0)))
            rows, corners = rows + len(chosen), corners + found.corners
        return high, low, looseness, rows, corners

    def _sagged(self, low: Floats, enclosure: _Enclosure, centre: Complex) -> Floats:
        """[nodes] Lowest voltages with what a straight span between two watched nodes may lie below both of them."""
        one, other = self._spans.T
        length = np.abs(centre[one] - centre[other]) + self._span_abs_z @ enclosure.current_radius
        lowest = np.minimum(low[one], low[other])
        middle = np.sqrt(np.maximum(lowest**2 - length**2 / 4, 0.0))
        result = low.copy()
        np.minimum.at(result, one, middle)
        return result

    def _loading(self, box: Box, enclosure: _Enclosure) -> tuple[Floats, int, int]:
        """[branch rows] Proven current relative to what is allowed."""
        branches = self.power_flow.feeder.branches
        centre = branches.i0 + branches.gain @ enclosure.current
        bound = np.abs(centre) + self._abs_gain @ enclosure.current_radius + MARGIN_V
        chosen = np.flatnonzero(bound > self.allowed_a)
        corners = 0
        if len(chosen):
            facet = np.exp(2j * np.pi * np.arange(FACETS) / FACETS)
            row = np.repeat(chosen, FACETS)
            direction = np.tile(facet, len(chosen))
            found = self._bound(box, enclosure, _Rows(branches.gain[row], branches.i0[row], direction))
            outer = found.upper.reshape(-1, FACETS).max(axis=1) / np.cos(np.pi / FACETS)
            bound[chosen] = np.minimum(bound[chosen], outer)
            corners = found.corners
        relative: Floats = bound / self.allowed_a
        return relative, len(chosen), corners

    def _bound(self, box: Box, enclosure: _Enclosure, rows: _Rows) -> _Bounds:
        """Bound rows by their proven worst corner, plus what customers of unproven sign could add."""
        weights = along(rows.gain, rows.direction)
        gain = np.abs(rows.gain)
        half_p, half_q = box.half_width
        count = len(enclosure.v)
        extra = np.zeros(len(rows.offset))
        ends = []
        for by, slope, half in (
            (enclosure.tangent.by_p, enclosure.slope_p, half_p),
            (enclosure.tangent.by_q, enclosure.slope_q, half_q),
        ):
            derivative = rows.sign * (weights @ by)
            error = gain @ slope
            if rows.turn is not None:
                size = np.abs(rows.gain @ (by[:count] + 1j * by[count:]))
                error = error + rows.turn[:, None] * (size + error)
            end = np.where(half > 0, np.sign(derivative), 0.0)
            wrong = np.maximum(error - np.abs(derivative), 0.0) * 2 * half
            either = (np.abs(derivative) + error) * half
            end[either < wrong] = 0.0
            extra += np.minimum(wrong, either).sum(axis=1)
            ends.append(end)
        return self._solve_corners(box, rows, ends[0], ends[1], extra)

    def _solve_corners(self, box: Box, rows: _Rows, end_p: Floats, end_q: Floats, extra: Floats) -> _Bounds:
        patterns, which = distinct(np.concatenate([end_p, end_q], axis=1))
        (p, q), (half_p, half_q) = box.centre, box.half_width
        points = len(p)
        p_kw = p[:, None] + half_p[:, None] * patterns[:, :points].T
        q_kvar = q[:, None] + half_q[:, None] * patterns[:, points:].T
        solution = self.power_flow.solve(p_kw, q_kvar)
        value = rows.offset + np.einsum("rj,jr->r", rows.gain, solution.current[:, which])
        found = rows.sign * np.abs(value) if rows.turn is not None else (rows.direction.conj() * value).real
        return _Bounds(found + extra + MARGIN_V, found, len(patterns))


def distinct(patterns: Floats) -> tuple[Floats, Ints]:
    """[distinct, columns] The different rows of -1, 0 and 1, and [rows] which of them each row is."""
    packed = np.packbits(np.concatenate([patterns > 0, patterns < 0], axis=1), axis=1)
    keys = packed.view(f"V{packed.shape[1]}").reshape(-1)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return patterns[first], which


def _unproven(reason: str) -> Certificate:
    nowhere = (-1, "")
    return Certificate(False, reason, np.inf, nowhere, 0.0, nowhere, np.inf, ("", ""), np.inf, 0, 0)
