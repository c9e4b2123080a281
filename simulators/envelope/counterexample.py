"""Uses that break a limit: the search that refutes a box, and what the network is like at one known use.

The power flow's tangent at the box's midpoint names a likely worst corner for every voltage and current. The most
threatening are solved exactly, then improved: renew the tangent at the corner found, then move one customer at a time.
What is found is a fact about the exact power flow; that nothing is found proves nothing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from feederloop.simulators.envelope.box import Box, Limits
from feederloop.simulators.envelope.corners import MARGIN_V, distinct
from feederloop.simulators.grid.feeder import SEQUENCE_FROM_PHASE, Complex, Feeder, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow, Solution
from feederloop.simulators.grid.sensitivity import Tangent
from feederloop.simulators.grid.volt_var import VoltVarPowerFlow

KINDS = ("v_max", "v_min", "line_loading", "transformer_loading", "vuf")
_CANDIDATES = 32  # rows per kind whose likely worst corner is solved
_DIRECTIONS = np.exp(2j * np.pi * np.arange(8) / 8)  # in which a current or a negative-sequence voltage may grow
_ROUNDS = 20


@dataclass(frozen=True)
class Violation:
    """A use of the network and the limit that it breaks.

    Attributes:
        kind: One of `KINDS`, or `no_solution` where the power flow has none.
        element: `"bus 7"`, `"line 3"` or `"trafo 0"`.
        phase: a, b or c; empty for unbalance and where there is no solution.
        value: Exact value there: volt, percent of the rating, or percent of unbalance.
        limit: What it should stay within.
        bus: pandapower index of the bus, of a branch the far one; -1 where there is no solution.
        v_v: [3] Exact phase-to-neutral voltages there.
        p_kw: [points] The use.
        q_kvar: [points] With what inverters supply by their voltage.
        contribution: [points] By how much the value would be better if this customer's power alone were zero.
    """

    kind: str
    element: str
    phase: str
    value: float
    limit: float
    bus: int
    v_v: tuple[float, ...]
    p_kw: Floats
    q_kvar: Floats
    contribution: Floats

    @property
    def excess(self) -> float:
        """How far beyond the limit, relative to it."""
        return abs(self.value - self.limit) / self.limit if self.limit else np.inf


class Search:
    """Looks for uses that break the limits of one network.

    Args:
        power_flow: Exact power flow of the network.
        limits: What to stay within.
        volt_var_kva: [points] Rated power of inverters that supply reactive power by their voltage, if there are any;
            all other reactive power is what uses and boxes state.
    """

    def __init__(self, power_flow: PowerFlow, limits: Limits, volt_var_kva: Floats | None = None) -> None:
        self.power_flow, self.limits = power_flow, limits
        rated_kva = np.zeros(len(power_flow.feeder.points)) if volt_var_kva is None else volt_var_kva
        self._solve = VoltVarPowerFlow(power_flow, rated_kva).try_solve
        self._groups = _groups(power_flow.feeder, limits)

    def at(self, p_kw: Floats, q_kvar: Floats) -> list[Violation]:
        """Return what is broken at [points] net powers, the worst first."""
        return self._violations(p_kw[:, None], q_kvar[:, None])

    def within(self, box: Box) -> list[Violation]:
        """Return the worst use found in a box for every kind of limit that breaks, the worst first."""
        corners_p, corners_q = _ends(box, self._likely(*box.centre, *box.half_width))
        solution, _ = self._solve(corners_p, corners_q)
        if not solution.converged.all():
            return self._violations(corners_p, corners_q)
        violations = []
        for group in self._groups:
            excess = group.excess(solution.current)
            row, column = (int(place) for place in np.unravel_index(int(excess.argmax()), excess.shape))
            worst_p, worst_q = self._ascended(box, group.row(row), corners_p[:, column], corners_q[:, column])
            violations += self._violations(worst_p[:, None], worst_q[:, None])
        worst: dict[str, Violation] = {}
        for violation in sorted(violations, key=lambda violation: -violation.excess):
            worst.setdefault(violation.kind, violation)
        return list(worst.values())

    def _likely(self, p: Floats, q: Floats, half_p: Floats, half_q: Floats) -> Floats:
        """[corners, 2 * points] Likely worst corners as -1 and 1; both extremes of the total are always among them."""
        everybody = np.ones((1, 2 * len(p)))
        patterns = [everybody, -everybody]
        centre, total_q = self._solve(p[:, None], q[:, None])
        if centre.converged.all():
            tangent = self._tangent(p, total_q, centre)
            patterns += [group.likely(centre.current[:, 0], tangent, half_p, half_q) for group in self._groups]
        return distinct(np.concatenate(patterns))[0]

    def _violations(self, p_kw: Floats, q_kvar: Floats) -> list[Violation]:
        solution, total_q = self._solve(p_kw, q_kvar)
        if not solution.converged.all():
            lost = int(np.flatnonzero(~solution.converged)[0])
            nothing = np.zeros(len(p_kw))
            return [Violation("no_solution", "", "", np.nan, np.nan, -1, (), p_kw[:, lost], total_q[:, lost], nothing)]
        violations = []
        for group in self._groups:
            excess = group.excess(solution.current)
            row, column = np.unravel_index(int(excess.argmax()), excess.shape)
            if excess[row, column] > MARGIN_V:
                violations.append(self._described(group, int(row), p_kw[:, column], q_kvar[:, column]))
        return sorted(violations, key=lambda violation: -violation.excess)

    def _ascended(self, box: Box, row: "_Group", p: Floats, q: Floats) -> tuple[Floats, Floats]:
        """Coordinate ascent over the box's corners on one row's exact value."""
        best = -np.inf
        movable_p, movable_q = (np.flatnonzero(half > 0) for half in box.half_width)
        for _ in range(_ROUNDS):
            tries_p, tries_q = self._renewed(box, row, p, q)
            flips_p = np.repeat(p[:, None], len(movable_p) + len(movable_q), axis=1)
            flips_q = np.repeat(q[:, None], len(movable_p) + len(movable_q), axis=1)
            columns_p, columns_q = np.arange(len(movable_p)), len(movable_p) + np.arange(len(movable_q))
            flips_p[movable_p, columns_p] = np.where(p == box.p_high_kw, box.p_low_kw, box.p_high_kw)[movable_p]
            flips_q[movable_q, columns_q] = np.where(q == box.q_high_kvar, box.q_low_kvar, box.q_high_kvar)[movable_q]
            tries_p = np.concatenate([p[:, None], tries_p, flips_p], axis=1)
            tries_q = np.concatenate([q[:, None], tries_q, flips_q], axis=1)
            solution, _ = self._solve(tries_p, tries_q)
            value = np.where(solution.converged, row.excess(solution.current)[0], np.inf)
            top = int(value.argmax())
            if not value[top] > best + 1e-9:
                break
            best, p, q = float(value[top]), tries_p[:, top], tries_q[:, top]
        return p, q

    def _renewed(self, box: Box, row: "_Group", p: Floats, q: Floats) -> tuple[Floats, Floats]:
        """[points, corners] Likely worst corners by the tangent at a use."""
        half_p, half_q = box.half_width
        solution, total_q = self._solve(p[:, None], q[:, None])
        return _ends(box, row.likely(solution.current[:, 0], self._tangent(p, total_q, solution), half_p, half_q))

    def _tangent(self, p: Floats, total_q: Floats, solution: Solution) -> Tangent:
        """Of the network at a use, inverters' answers left out: it only says which corners are likely."""
        s = self.power_flow.injected_va(p[:, None], total_q)
        return Tangent.at(self.power_flow.feeder, s[:, 0], solution.v[:, 0])

    def _described(self, group: "_Group", row: int, p_kw: Floats, q_kvar: Floats) -> Violation:
        one = group.row(row)
        # The use itself, then the use without each customer's power in turn.
        p = np.concatenate([p_kw[:, None], p_kw[:, None] * (1.0 - np.eye(len(p_kw)))], axis=1)
        solution, total_q = self._solve(p, np.repeat(q_kvar[:, None], p.shape[1], 1))
        value = one.value(solution.current)[0]
        contribution = one.sign * (value[0] - np.where(solution.converged[1:], value[1:], value[0]))
        feeder, nodes = self.power_flow.feeder, 3 * one.bus[0] + np.arange(3)
        v = np.abs(feeder.bus_w[nodes] + feeder.bus_z[nodes] @ solution.current[:, 0])
        return Violation(
            kind=group.kind,
            element=one.element[0],
            phase=one.phase[0],
            value=float(value[0]),
            limit=float(one.limit[0]),
            bus=int(feeder.buses[one.bus[0]]),
            v_v=tuple(v.tolist()),
            p_kw=p_kw,
            q_kvar=total_q[:, 0],
            contribution=contribution,
        )


@dataclass(frozen=True)
class _Group:
    """Quantities of one kind: `scale |offset + gain I|`, for unbalance relative to the positive-sequence voltage."""

    kind: str
    sign: float  # -1 where too small is bad
    gain: Complex  # [rows, injectors]
    offset: Complex  # [rows]
    scale: Floats  # [rows]
    limit: Floats  # [rows] of the value
    per_excess: Floats  # [rows] volt or ampere per unit of the value, so that excesses of all kinds have one margin
    element: tuple[str, ...]
    phase: tuple[str, ...]
    bus: Ints  # [rows] place of the bus, of a branch the far one
    relative_gain: Complex | None = None
    relative_offset: Complex | None = None

    def row(self, row: int) -> "_Group":
        """Return one row alone."""
        gain, offset = self.relative_gain, self.relative_offset
        return _Group(
            self.kind, self.sign, self.gain[[row]], self.offset[[row]], self.scale[[row]], self.limit[[row]],
            self.per_excess[[row]], (self.element[row],), (self.phase[row],), self.bus[[row]],
            None if gain is None else gain[[row]], None if offset is None else offset[[row]],
        )  # fmt: skip

    def value(self, current: Complex) -> Floats:
        """[rows, columns] Exact values at [injectors, columns] currents."""
        value: Floats = self.scale[:, None] * np.abs(self.offset[:, None] + self.gain @ current)
        if self.relative_gain is not None and self.relative_offset is not None:
            value = value / np.abs(self.relative_offset[:, None] + self.relative_gain @ current)
        return value

    def excess(self, current: Complex) -> Floats:
        """[rows, columns] How far beyond the limit, in volt or ampere."""
        result: Floats = self.sign * (self.value(current) - self.limit[:, None]) * self.per_excess[:, None]
        return result

    def likely(self, current: Complex, tangent: Tangent, half_p: Floats, half_q: Floats) -> Floats:
        """[corners, 2 * points] The corners where the tangent sees the most threatened rows at their worst."""
        count = len(current)
        phasor = self.offset + self.gain @ current
        by = [self.gain @ (part[:count] + 1j * part[count:]) for part in (tangent.by_p, tangent.by_q)]
        along = phasor / np.maximum(np.abs(phasor), 1e-12)
        ways = [self.sign * along] if self.kind.startswith("v_") else [np.full(len(along), way) for way in _DIRECTIONS]
        scores, patterns = [], []
        for way in ways:
            slope_p, slope_q = ((way.conj()[:, None] * part).real for part in by)
            worst = (way.conj() * phasor).real + np.abs(slope_p) @ half_p + np.abs(slope_q) @ half_q
            score = worst * self.scale - self.sign * self.limit
            top = np.argsort(-score * self.per_excess, kind="stable")[:_CANDIDATES]
            scores.append(score[top] * self.per_excess[top])
            patterns.append(np.where(np.concatenate([slope_p[top], slope_q[top]], axis=1) > 0, 1.0, -1.0))
        order = np.argsort(-np.concatenate(scores), kind="stable")[:_CANDIDATES]
        result: Floats = np.concatenate(patterns)[order]
        return result


def _ends(box: Box, patterns: Floats) -> tuple[Floats, Floats]:
    """[points, corners] The box's own ends where [corners, 2 * points] patterns are positive or negative."""
    up_p, up_q = (part.T > 0 for part in np.split(patterns, 2, axis=1))
    p_kw = np.where(up_p, box.p_high_kw[:, None], box.p_low_kw[:, None])
    return p_kw, np.where(up_q, box.q_high_kvar[:, None], box.q_low_kvar[:, None])


def _groups(feeder: Feeder, limits: Limits) -> list[_Group]:
    low_voltage = np.flatnonzero(feeder.bus_vn_v < 1000.0)
    nodes = (3 * low_voltage[:, None] + np.arange(3)).reshape(-1)
    names = tuple(f"bus {bus}" for bus in feeder.buses[low_voltage])
    one = np.ones(len(nodes))
    groups = [
        _Group(
            kind, sign, feeder.bus_z[nodes], feeder.bus_w[nodes], one, one * limit, one,
            tuple(np.repeat(names, 3).tolist()), tuple("abc" * len(names)), np.repeat(low_voltage, 3),
        )
        for kind, sign, limit in (("v_max", 1.0, limits.v_max_v), ("v_min", -1.0, limits.v_min_v))
    ]  # fmt: skip
    is_trafo = np.array([name.startswith("trafo") for name in feeder.branches.names], dtype=bool)
    groups += [
        _branch_group(feeder, kind, percent, chosen[feeder.branches.row_branch])
        for kind, percent, chosen in (
            ("line_loading", limits.line_loading_percent, ~is_trafo),
            ("transformer_loading", limits.transformer_loading_percent, is_trafo),
        )
    ]
    if limits.vuf_percent is not None:
        groups.append(_unbalance_group(feeder, limits.vuf_percent, low_voltage, names))
    return [group for group in groups if len(group.offset)]


def _branch_group(feeder: Feeder, kind: str, percent: float, chosen: np.ndarray) -> _Group:
    branches = feeder.branches
    rows = np.flatnonzero(chosen & np.isfinite(branches.rating_a))
    far = pd.Index(feeder.buses).get_indexer(branches.ends[:, 1])
    return _Group(
        kind, 1.0, branches.gain[rows], branches.i0[rows], 100.0 / branches.rating_a[rows],
        np.full(len(rows), percent), branches.rating_a[rows] / 100.0,
        tuple(branches.names[branch] for branch in branches.row_branch[rows]),
        tuple("abc"[phase] for phase in branches.row_phase[rows]), far[branches.row_branch[rows]],
    )  # fmt: skip


def _unbalance_group(feeder: Feeder, percent: float, buses: Ints, names: tuple[str, ...]) -> _Group:
    by_phase = np.concatenate([feeder.bus_z, feeder.bus_w[:, None]], axis=1).reshape(len(feeder.buses), 3, -1)[buses]
    positive, negative = (np.einsum("p,bpi->bi", SEQUENCE_FROM_PHASE[sequence], by_phase) for sequence in (1, 2))
    count = len(buses)
    return _Group(
        "vuf", 1.0, negative[:, :-1], negative[:, -1], np.full(count, 100.0), np.full(count, percent),
        feeder.bus_vn_v[buses] / 100.0, names, ("",) * count, buses, positive[:, :-1], positive[:, -1],
    )  # fmt: skip
