"""The proof that a box is safe: bounds that hold for every combination of independent uses on the exact power flow.

1. *Enclosure.* Solve the power flow at the box's midpoint. If discs around its voltages are mapped into themselves by
   the power-flow equation for every use in the box (Brouwer), a solution lies inside them for every use.
2. *Interval Jacobian.* Over those discs the derivative of every voltage and current by every use stays within a bound
   of its midpoint value. Where that interval excludes zero the sign is proven, and the worst use of that customer is
   one known end.
3. *Refinement.* Where signs are left unproven and that matters, those that are proven are fixed at their end: the worst
   use is in that smaller box, whose tighter enclosure proves more of them. That is what tells the signs of customers
   who act on a row only through a common transformer.
4. *Corners.* Each row's proven worst corner is solved exactly. Customers whose sign is not proven add what they could
   at most change, so the bound stays sound inside the box too.

Rows that simple bounds keep away from the limits never get to step 2.
"""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.envelope.box import Box, Limits
from feederloop.simulators.envelope.enclosure import Enclosure, enclose, half_width_va
from feederloop.simulators.envelope.nodes import watched_nodes
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow, PowerFlowError
from feederloop.simulators.grid.sensitivity import along

MARGIN_V = 1e-5  # covers the solver's tolerance and rounding; loading has the same in ampere
FACETS = 32
# Rows nearest to each limit are bounded exactly even when far from it, so that the proven extreme is tight.
_ALWAYS_EXACT = 4
_REFINEMENTS = 2
_REFINED_AT_MOST = 6
_ALIKE = 0.9
_LOOSE = 0.02  # volt or ampere
_VOLT_VAR_ROUNDS = 3
_CLOSING_ROUNDS = 40
_ANY_VOLTAGE = 1e4
_A = np.exp(2j * np.pi / 3)


@dataclass(frozen=True)
class Certificate:
    """What is proven of a box.

    Attributes:
        certified: Every use stays within every limit. Never true without proof.
        reason: Why not, where not.
        v_max_v: No use lifts any low-voltage bus above this; infinite where no bound could be proven.
        v_max_at: Bus and phase of that bound.
        v_min_v: No use lowers any low-voltage bus below this.
        v_min_at: Bus and phase.
        loading_max_percent: No use loads any branch more than this, relative to what is allowed for it.
        loading_max_at: The branch and its phase.
        vuf_max_percent: No use unbalances any bus more than this; not a number where it was not asked for.
        vuf_max_at: The bus.
        looseness_v: Where voltages come within 1 V of a limit, how far the proven bound is from the worst corner found.
        rows: Rows that needed the interval Jacobian.
        corners: Distinct corners solved.
    """

    certified: bool
    reason: str
    v_max_v: float = np.inf
    v_max_at: tuple[int, str] = (-1, "")
    v_min_v: float = 0.0
    v_min_at: tuple[int, str] = (-1, "")
    loading_max_percent: float = np.inf
    loading_max_at: tuple[str, str] = ("", "")
    vuf_max_percent: float = np.nan
    vuf_max_at: int = -1
    looseness_v: float = np.inf
    rows: int = 0
    corners: int = 0


@dataclass(frozen=True)
class _Rows:
    """Quantities to bound from above: `sign |offset + gain I|`, or parts `Re(conj(direction) (offset + gain I))`."""

    gain: Complex  # [rows, injectors]
    offset: Complex  # [rows]
    direction: Complex  # [rows] of unit length; of a length, its direction at the midpoint
    limit: Floats  # [rows] what the bound should stay below
    sign: float = 1.0
    turn: Floats | None = None  # [rows] how far a length's direction may turn over the box; none for parts


@dataclass(frozen=True)
class _Bounds:
    upper: Floats  # [rows] proven
    found: Floats  # [rows] at the corner that was solved


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
        own = np.isin(feeder.injector_row, self._nodes)
        self._own_rows = np.searchsorted(self._nodes, feeder.injector_row[own])
        self._own_points = feeder.injector_point[own]
        branches = feeder.branches
        is_trafo = np.array([name.startswith("trafo") for name in branches.names], dtype=bool)
        percent = np.where(is_trafo, limits.transformer_loading_percent, limits.line_loading_percent)
        self.allowed_a = branches.rating_a * percent[branches.row_branch] / 100.0
        self.conductors = _distinct_conductors(branches.gain, branches.i0, self.allowed_a)
        self._gain, self._i0 = branches.gain[self.conductors], branches.i0[self.conductors]
        self._abs_gain = np.abs(self._gain)

    def certify(self, box: Box, volt_var_kva: Floats | None = None) -> Certificate:
        """Bound voltages, currents and, if limited, unbalance over every use in the box.

        Args:
            box: The uses.
            volt_var_kva: [points] Rated power of inverters that supply reactive power by their own voltage.
        """
        if volt_var_kva is not None and volt_var_kva.any():
            return self._certify_with_volt_var(box, volt_var_kva)
        return self._certify(box)[0]

    def _certify(self, box: Box) -> tuple[Certificate, Floats, Floats]:
        """Return the certificate, and [points] between which voltages each point stays (all positive ones unproven)."""
        enclosure = enclose(self.power_flow, box)
        count = len(box.p_low_kw)
        if enclosure is None:
            reason = "no bound of the power flow's solutions was found: the box is too wide"
            return Certificate(False, reason), np.zeros(count), np.full(count, np.inf)
        proof = _Proof(self, box, enclosure)
        try:
            certificate = proof.certificate()
        except PowerFlowError as error:
            return Certificate(False, f"a corner of the box: {error}"), np.zeros(count), np.full(count, np.inf)
        low, high = np.zeros(count), np.full(count, np.inf)
        low[self._own_points], high[self._own_points] = np.inf, 0.0
        np.minimum.at(low, self._own_points, proof.low[self._own_rows])
        np.maximum.at(high, self._own_points, proof.high[self._own_rows])
        return certificate, low, high

    def _certify_with_volt_var(self, box: Box, rated_kva: Floats) -> Certificate:
        """Prove the box with what volt-var can supply at the voltages that are proven, closing in on them.

        The first range of voltages is one in which the enclosure closes: for voltages in its discs volt-var supplies
        only what the range allows, so that discs are mapped into themselves and hold a solution. Its proven voltages
        are the next, narrower range, which holds the same solution.
        """
        low, high = self._voltages_that_close(box, rated_kva)
        for _ in range(_VOLT_VAR_ROUNDS):
            certificate, low, high = self._certify(box.with_volt_var(rated_kva, low, high))
            if not np.isfinite(high).all():
                break
        return certificate

    def _voltages_that_close(self, box: Box, rated_kva: Floats) -> tuple[Floats, Floats]:
        """[points] Least range of voltages whose volt-var keeps the discs within it; all voltages if none is found."""
        count, point = len(box.p_low_kw), self.power_flow.feeder.injector_point
        low, high = np.full(count, np.inf), np.zeros(count)
        volt = np.abs(self.power_flow.feeder.w)
        np.minimum.at(low, point, volt)
        np.maximum.at(high, point, volt)
        for _ in range(_CLOSING_ROUNDS):
            enclosure = enclose(self.power_flow, box.with_volt_var(rated_kva, low, high))
            if enclosure is None:
                break
            volt = np.abs(enclosure.v)
            lowest, highest = low.copy(), high.copy()
            np.minimum.at(lowest, point, volt - enclosure.radius)
            np.maximum.at(highest, point, volt + enclosure.radius)
            if (lowest == low).all() and (highest == high).all():
                return low, high
            low, high = lowest - 0.02, highest + 0.02
        return np.zeros(count), np.full(count, _ANY_VOLTAGE)

    def node_name(self, row: int) -> tuple[int, str]:
        """Bus and phase of a watched node."""
        node = self._nodes[row]
        return int(self.power_flow.feeder.buses[node // 3]), "abc"[node % 3]


class _Proof:
    """The bounds of one box."""

    def __init__(self, certifier: Certifier, box: Box, enclosure: Enclosure, depth: int = 0) -> None:
        self._of, self._box, self._enclosure, self._depth = certifier, box, enclosure, depth
        self.high: Floats
        self.low: Floats
        self._rows, self._corners, self._looseness = 0, 0, 0.0

    def certificate(self) -> Certificate:
        of, limits = self._of, self._of.limits
        self.high, self.low = high, low = self._voltages()
        loading = self._loading()
        top, bottom, worst = int(high.argmax()), int(low.argmin()), int(loading.argmax())
        branches, row = of.power_flow.feeder.branches, of.conductors[worst]
        at = (branches.names[branches.row_branch[row]], "abc"[branches.row_phase[row]])
        reasons = []
        if not high[top] <= limits.v_max_v:
            reasons.append(f"voltage up to {high[top]:.3f} V at bus {of.node_name(top)}")
        if not low[bottom] >= limits.v_min_v:
            reasons.append(f"voltage down to {low[bottom]:.3f} V at bus {of.node_name(bottom)}")
        if not loading[worst] <= 1.0:
            reasons.append(f"current up to {100 * loading[worst]:.1f} % of what is allowed in {at}")
        vuf, vuf_at = np.nan, -1
        if limits.vuf_percent is not None:
            vuf, vuf_at = self._unbalance(limits.vuf_percent)
            if not vuf <= limits.vuf_percent:
                reasons.append(f"unbalance up to {vuf:.2f} % at bus {vuf_at}")
        return Certificate(
            certified=not reasons,
            reason="; ".join(reasons),
            v_max_v=float(high[top]),
            v_max_at=of.node_name(top),
            v_min_v=float(low[bottom]),
            v_min_at=of.node_name(bottom),
            loading_max_percent=float(100 * loading[worst]),
            loading_max_at=at,
            vuf_max_percent=vuf,
            vuf_max_at=vuf_at,
            looseness_v=self._looseness,
            rows=self._rows,
            corners=self._corners,
        )

    def _voltages(self) -> tuple[Floats, Floats]:
        """[nodes] Proven highest and lowest voltages; those that matter by the interval Jacobian."""
        of, enclosure, limits = self._of, self._enclosure, self._of.limits
        centre = of._w + of._z @ enclosure.current
        size = np.abs(centre)
        reach = of._abs_z @ enclosure.current_radius
        swing = self._swing(centre / size)
        # The part across the direction lengthens a voltage by less than its square over twice its length.
        high, low = size + swing + reach**2 / (2 * np.maximum(size - swing, 1.0)), size - swing
        turn = self._turn(of._abs_z, size)
        for bound, sign, limit in ((high, 1.0, limits.v_max_v), (low, -1.0, -limits.v_min_v)):
            simple = sign * bound
            over = simple > limit
            over[np.argpartition(-simple, min(_ALWAYS_EXACT, len(simple) - 1))[:_ALWAYS_EXACT]] = True
            chosen = np.flatnonzero(over)
            limits_ = np.full(len(chosen), limit)
            rows = _Rows(of._z[chosen], of._w[chosen], centre[chosen] / size[chosen], limits_, sign, turn[chosen])
            found = self._bound(rows)
            bound[chosen] = sign * np.minimum(found.upper, simple[chosen])
            if found.upper.max() > limit - 1.0:
                self._looseness = max(self._looseness, float(found.upper.max() - found.found.max()))
        return high, self._sagged(low, centre)

    def _swing(self, direction: Complex) -> Floats:
        """[nodes] How far a voltage's length can move, from first-order terms plus the remainder's bound."""
        of, enclosure, box = self._of, self._enclosure, self._box
        feeder = of.power_flow.feeder
        half_p, half_q = box.half_width
        point, share = feeder.injector_point, 1e3 * feeder.injector_share
        volt = np.abs(enclosure.v)
        turned = direction.conj()[:, None] * of._z * (1.0 / enclosure.v.conj())
        rest = (
            (half_width_va(feeder, box) + np.abs(enclosure.s)) * enclosure.radius / (volt * (volt - enclosure.radius))
        )
        swing = np.abs(turned.real) @ (share * half_p[point]) + of._abs_z @ rest
        if half_q.any():
            swing += np.abs(turned.imag) @ (share * half_q[point])
        result: Floats = swing
        return result

    def _sagged(self, low: Floats, centre: Complex) -> Floats:
        """[nodes] Lowest voltages with what a straight span between two watched nodes may lie below both of them."""
        of = self._of
        one, other = of._spans.T
        length = np.abs(centre[one] - centre[other]) + of._span_abs_z @ self._enclosure.current_radius
        lowest = np.minimum(low[one], low[other])
        middle = np.sqrt(np.maximum(lowest**2 - length**2 / 4, 0.0))
        result = low.copy()
        np.minimum.at(result, one, middle)
        return result

    def _loading(self) -> Floats:
        """[conductors] Proven current relative to what is allowed."""
        of = self._of
        allowed = of.allowed_a[of.conductors]
        bound = self._facetted(of._gain, of._i0, of._abs_gain, allowed)
        return bound / allowed

    def _unbalance(self, limit_percent: float) -> tuple[float, int]:
        """Proven highest unbalance in percent, and its bus."""
        of, enclosure = self._of, self._enclosure
        z, w = of._z.reshape(-1, 3, of._z.shape[1]), of._w.reshape(-1, 3)
        negative = np.array([1.0, _A**2, _A]) / 3
        positive = negative.conj()
        gain_1, offset_1 = np.einsum("p,bpj->bj", positive, z), w @ positive
        gain_2, offset_2 = np.einsum("p,bpj->bj", negative, z), w @ negative
        lowest = np.abs(offset_1 + gain_1 @ enclosure.current) - np.abs(gain_1) @ enclosure.current_radius
        highest = self._facetted(gain_2, offset_2, np.abs(gain_2), limit_percent / 100.0 * lowest)
        vuf = np.where(lowest > 0, 100.0 * highest / np.maximum(lowest, 1e-9), np.inf)
        worst = int(vuf.argmax())
        return float(vuf[worst]), of.node_name(3 * worst)[0]

    def _facetted(self, gain: Complex, offset: Complex, abs_gain: Floats, allowed: Floats) -> Floats:
        """[rows] Proven lengths, by a polygon around the circle for those that simple bounds do not keep within."""
        enclosure = self._enclosure
        bound: Floats = np.abs(offset + gain @ enclosure.current) + abs_gain @ enclosure.current_radius + MARGIN_V
        chosen = np.flatnonzero(bound > allowed)
        if len(chosen):
            row = np.repeat(chosen, FACETS)
            direction = np.tile(np.exp(2j * np.pi * np.arange(FACETS) / FACETS), len(chosen))
            within = allowed[row] * np.cos(np.pi / FACETS)
            found = self._bound(_Rows(gain[row], offset[row], direction, within))
            outer = found.upper.reshape(-1, FACETS).max(axis=1) / np.cos(np.pi / FACETS)
            bound[chosen] = np.minimum(bound[chosen], outer)
        return bound

    def _bound(self, rows: _Rows) -> _Bounds:
        """Bound rows by their proven worst corner, plus what customers of unproven sign could add."""
        enclosure, gain = self._enclosure, np.abs(rows.gain)
        weights = rows.sign * along(rows.gain, rows.direction)
        error = gain @ enclosure.slope
        if rows.turn is not None:
            error += rows.turn[:, None] * (gain @ enclosure.size + error)
        extra = np.zeros(len(rows.offset))
        ends, proven = [], []
        tangent = enclosure.tangent
        for by, half in zip((tangent.by_p, tangent.by_q), self._box.half_width, strict=True):
            if not half.any():
                ends.append(np.zeros(error.shape))
                proven.append(ends[-1])
                continue
            derivative = weights @ by
            size = np.abs(derivative)
            end = np.where(half > 0, np.sign(derivative), 0.0)
            proven.append(np.where(size > error, end, 0.0))
            wrong = np.maximum(error - size, 0.0) * 2 * half
            either = (size + error) * half
            end[either < wrong] = 0.0
            extra += np.minimum(wrong, either).sum(axis=1)
            ends.append(end)
        bounds = self._solve_corners(rows, ends[0], ends[1], extra)
        if self._depth < _REFINEMENTS:
            loose = np.flatnonzero((bounds.upper > rows.limit) & (extra > _LOOSE))
            if len(loose):
                self._refine(rows, np.concatenate(proven, axis=1), loose, bounds)
        return bounds

    def _refine(self, rows: _Rows, proven: Floats, loose: Ints, bounds: _Bounds) -> None:
        """Tighten the bounds of loose rows: with their proven customers fixed at their ends, the others' signs show.

        Rows that lie close together have nearly the same proven customers and are refined together, with those fixed
        that all of them have.
        """
        for _ in range(_REFINED_AT_MOST):
            if len(loose) == 0:
                break
            first = loose[bounds.upper[loose].argmax()]
            same = proven[loose] == proven[first]
            fixed = proven[first] != 0
            alike = same[:, fixed].mean(axis=1) >= _ALIKE if fixed.any() else loose == first
            members, loose = loose[alike], loose[~alike]
            pattern = np.where(same[alike].all(axis=0), proven[first], 0.0)
            box = self._box.fixed_at(*np.split(pattern, 2))
            enclosure = enclose(self._of.power_flow, box) if pattern.any() else None
            if enclosure is None:
                continue
            finer = _Proof(self._of, box, enclosure, self._depth + 1)
            found = finer._bound(finer._renewed(rows, members))
            bounds.upper[members] = np.minimum(bounds.upper[members], found.upper)
            bounds.found[members] = np.maximum(bounds.found[members], found.found)
            self._rows += finer._rows
            self._corners += finer._corners

    def _renewed(self, rows: _Rows, members: Ints) -> _Rows:
        """Return some rows as seen from this box's midpoint."""
        gain, offset = rows.gain[members], rows.offset[members]
        if rows.turn is None:
            return _Rows(gain, offset, rows.direction[members], rows.limit[members])
        centre = offset + gain @ self._enclosure.current
        size = np.abs(centre)
        return _Rows(gain, offset, centre / size, rows.limit[members], rows.sign, self._turn(np.abs(gain), size))

    def _turn(self, abs_gain: Floats, size: Floats) -> Floats:
        """[rows] How far, as a chord, a length's direction may turn over the box."""
        reach = abs_gain @ self._enclosure.current_radius
        turn: Floats = 2 * np.sin(np.arcsin(np.minimum(reach / size, 1.0)) / 2)
        return turn

    def _solve_corners(self, rows: _Rows, end_p: Floats, end_q: Floats, extra: Floats) -> _Bounds:
        patterns, which = distinct(np.concatenate([end_p, end_q], axis=1))
        (p, q), (half_p, half_q) = self._box.centre, self._box.half_width
        points = len(p)
        p_kw = p[:, None] + half_p[:, None] * patterns[:, :points].T
        q_kvar = q[:, None] + half_q[:, None] * patterns[:, points:].T
        solution = self._of.power_flow.solve(p_kw, q_kvar)
        value = rows.offset + np.einsum("rj,jr->r", rows.gain, solution.current[:, which])
        found = rows.sign * np.abs(value) if rows.turn is not None else (rows.direction.conj() * value).real
        self._rows += len(extra)
        self._corners += len(patterns)
        return _Bounds(found + extra + MARGIN_V, found)


def distinct(patterns: Floats) -> tuple[Floats, Ints]:
    """[distinct, columns] The different rows of signs, and [rows] which of them each row is."""
    packed = np.packbits(np.concatenate([patterns > 0, patterns < 0], axis=1), axis=1)
    keys = packed.view(f"V{packed.shape[1]}").reshape(-1)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return patterns[first], which


def _distinct_conductors(gain: Complex, i0: Complex, allowed_a: Floats) -> Ints:
    """Rows that stand for all: of conductors in series, which carry the same current, the one that may carry least."""
    scale = np.abs(gain).max(initial=1e-300)
    rounded = np.round(np.concatenate([gain, i0[:, None]], axis=1) / scale, 12) + 0.0
    order = np.argsort(allowed_a, kind="stable")
    _, first = np.unique(np.ascontiguousarray(rounded[order]).view(f"V{rounded.shape[1] * 16}"), return_index=True)
    result: Ints = np.sort(order[first])
    return result
