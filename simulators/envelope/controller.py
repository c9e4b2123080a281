"""The DSO's envelope controller: allocate limits, correct them on the exact power flow, prove the result."""

from dataclasses import dataclass, replace

import numpy as np

from feederloop.simulators.envelope.allocation import RULES, Packing, feasible_floor
from feederloop.simulators.envelope.box import Bools, Box, Interval, Limits
from feederloop.simulators.envelope.certificate import Certificate, Certifier, distinct
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sensitivity import Tangent, along

_CORRECTIONS = 2
_TIGHTENINGS = 6
_ROWS_AT_ONCE = 16
_WATCHED_MARGIN = (
    0.25  # rows with less than this share of the distance between limit and no load left are solved exactly
)


@dataclass(frozen=True)
class Options:
    """How the controller shares out the room.

    Attributes:
        rule: A name in `allocation.RULES`.
        export_weight: Claim of an export limit relative to an import limit's `import_weight`.
        import_weight: Claim of an import limit.
        margin_v: Kept from both voltage limits.
        prove: Certify every envelope and tighten it until the proof holds.
    """

    rule: str = "proportional_fair"
    export_weight: float = 1.0
    import_weight: float = 1.0
    margin_v: float = 0.0
    prove: bool = True


@dataclass(frozen=True)
class Published:
    """Envelopes of one interval.

    Attributes:
        export_limit_kw: [points] Zero or more; of a passive point zero.
        import_limit_kw: [points] Zero or more.
        floor_cut: Some inflexible demand did not fit and its limit was set below it.
        certificate: The proof, if asked for.
    """

    export_limit_kw: Floats
    import_limit_kw: Floats
    floor_cut: bool
    certificate: Certificate | None = None


@dataclass
class _Watched:
    """Rows that may bind: lengths of node voltages and of branch currents.

    A length grows along its direction at the midpoint; a current, which can turn round, has a row for either direction.
    """

    gain: Complex
    offset: Complex
    direction: Complex  # [rows] of unit length; of a voltage, renewed at every linearisation
    sign: Floats  # [rows] -1 for the lowest voltage, else +1
    limit: Floats  # [rows] of `sign * quantity`
    is_voltage: Bools

    def value(self, current: Complex) -> Floats:
        """[rows] `sign * quantity` at [injectors] currents or, with a column per row, at each row's own."""
        if current.ndim == 1:
            phasor = self.offset + self.gain @ current
        else:
            phasor = self.offset + np.einsum("rj,jr->r", self.gain, current)
        return self.sign * np.abs(phasor)

    def subset(self, rows: Ints) -> "_Watched":
        return _Watched(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def joined(self, other: "_Watched") -> "_Watched":
        return _Watched(
            **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__dataclass_fields__}
        )


class EnvelopeController:
    """Publishes operating envelopes for the connection points of one network.

    Args:
        power_flow: Exact power flow of the network.
        limits: What the network must stay within.
        options: The rule and its weights.

    Raises:
        InputError: An unknown rule or limits that leave nothing between them.
    """

    def __init__(self, power_flow: PowerFlow, limits: Limits, options: Options) -> None:
        if options.rule not in RULES:
            raise InputError("no such allocation rule", key="rule", value=options.rule, allowed=", ".join(RULES))
        if limits.v_min_v + 2 * options.margin_v >= limits.v_max_v:
            raise InputError("the voltage limits leave no room", key="v_min_v", value=limits.v_min_v)
        self.power_flow, self.limits, self.options = power_flow, limits, options
        self._inner = replace(
            limits, v_min_v=limits.v_min_v + options.margin_v, v_max_v=limits.v_max_v - options.margin_v
        )
        self.certifier = Certifier(power_flow, self._inner)
        self._binding: Ints = np.empty(0, dtype=np.int64)
        self._watched = self._voltage_rows(self._customer_nodes())
        first = power_flow.feeder.w[0] * np.exp(2j * np.pi / 3 * power_flow.feeder.injector_phase[0])
        self._busbar_turn = first / abs(first)  # transformers turn the low-voltage side against the source

    def publish(self, interval: Interval, *, binding: bool = True) -> Published:
        """Return limits whose box, with every combination of uses in it, the network bears.

        Args:
            interval: What is known of the connection points.
            binding: Whether these limits will hold; of an outlook, nothing is proven yet.
        """
        watched = self._watched.joined(self._branch_rows(interval))
        correction = np.zeros(len(watched.limit))
        limits = np.zeros(2 * len(interval.p_kw))
        cut = False
        for _ in range(_CORRECTIONS):
            packing, derivatives = self._linearised(watched, interval, limits, correction)
            limits, cut = self._allocated(packing)
            error = self._error(watched, packing, derivatives, interval, limits)
            correction += error
            packing = replace(packing, b=packing.b - error)
        limits, cut = self._allocated(packing)
        if not (binding and self.options.prove):
            return self._published(interval, limits, cut, None)
        return self._tightened(watched, correction, interval, limits, cut)

    def _tightened(
        self, watched: _Watched, correction: Floats, interval: Interval, limits: Floats, cut: bool
    ) -> Published:
        """Prove the box; while the proof fails, keep what is over away from the limits and share out again."""
        tight_v, tight_share = 0.0, 0.0
        for attempt in range(_TIGHTENINGS + 1):
            certificate = self.certifier.certify(self._box(interval, limits))
            if certificate.certified or attempt == _TIGHTENINGS:
                break
            over_v = max(certificate.v_max_v - self._inner.v_max_v, self._inner.v_min_v - certificate.v_min_v, 0.0)
            over_share = max(certificate.loading_max_percent / 100.0 - 1.0, 0.0)
            if not np.isfinite(over_v + over_share):
                limits = limits * 0.8
                continue
            tight_v += 1.05 * over_v + (1e-4 if over_v else 0.0)
            tight_share += 1.05 * over_share + (1e-6 if over_share else 0.0)
            packing, _ = self._linearised(watched, interval, limits, correction)
            tighter = np.where(watched.is_voltage, tight_v, tight_share * watched.limit)
            limits, cut = self._allocated(replace(packing, b=packing.b - tighter))
        return self._published(interval, limits, cut, certificate)

    def _published(self, interval: Interval, limits: Floats, cut: bool, certificate: Certificate | None) -> Published:
        export, load = np.split(limits, 2)
        return Published(export, load, cut, certificate)

    def _box(self, interval: Interval, limits: Floats) -> Box:
        export, load = np.split(limits, 2)
        return Box.of(interval, export, load)

    def _customer_nodes(self) -> Ints:
        feeder = self.power_flow.feeder
        rows = np.unique(feeder.injector_row // 3)
        return (3 * rows[:, None] + np.arange(3)).reshape(-1)

    def _voltage_rows(self, nodes: Ints) -> _Watched:
        feeder = self.power_flow.feeder
        nodes = nodes[feeder.bus_vn_v[nodes // 3] < 1000.0]
        both = np.concatenate([nodes, nodes])
        sign = np.repeat([1.0, -1.0], len(nodes))
        limit = np.where(sign > 0, self._inner.v_max_v, -self._inner.v_min_v)
        offset = feeder.bus_w[both]
        return _Watched(
            feeder.bus_z[both], offset, offset / np.abs(offset), sign, limit, np.ones(len(both), dtype=bool)
        )

    def _branch_rows(self, interval: Interval) -> _Watched:
        """Facets of the phase conductors that the caps could overload."""
        branches = self.power_flow.feeder.branches
        feeder = self.power_flow.feeder
        greatest = np.where(
            interval.active,
            np.maximum(interval.export_cap_kw, interval.import_cap_kw),
            np.abs(interval.p_kw) + interval.uncertainty_kw,
        )
        reactive = np.maximum(np.abs(interval.q_low_kvar), np.abs(interval.q_high_kvar))
        apparent = np.hypot(greatest, reactive)[feeder.injector_point] * 1e3 * feeder.injector_share
        possible = np.abs(branches.i0) + np.abs(branches.gain) @ (apparent / self._inner.v_min_v)
        chosen = np.repeat(np.flatnonzero(possible > self.certifier.allowed_a), 2)
        count = len(chosen)
        # Power is along or against the phase's own voltage.
        direction = np.exp(-2j * np.pi / 3 * branches.row_phase[chosen]) * np.tile([1.0, -1.0], count // 2)
        direction = direction * self._busbar_turn
        return _Watched(
            gain=branches.gain[chosen],
            offset=branches.i0[chosen],
            direction=direction,
            sign=np.ones(count),
            limit=self.certifier.allowed_a[chosen],
            is_voltage=np.zeros(count, dtype=bool),
        )

    def _linearised(
        self, watched: _Watched, interval: Interval, limits: Floats, correction: Floats
    ) -> tuple[Packing, tuple[Floats, Floats]]:
        """Return the packing problem at the box's midpoint, and [rows, points] derivatives by p and q."""
        box = self._box(interval, limits)
        p, q = box.centre
        s = self.power_flow.injected_va(p[:, None], q[:, None])
        solution = self.power_flow.try_solve(s)
        current = solution.current[:, 0]
        tangent = Tangent.at(self.power_flow.feeder, s[:, 0], solution.v[:, 0])
        phasor = watched.offset + watched.gain @ current
        watched.direction = np.where(watched.is_voltage, phasor / np.abs(phasor), watched.direction)
        weights = watched.sign[:, None] * along(watched.gain, watched.direction)
        by_p, by_q = weights @ tangent.by_p, weights @ tangent.by_q
        passive_low = np.where(interval.active, 0.0, interval.p_kw - interval.uncertainty_kw)
        passive_high = np.where(interval.active, 0.0, interval.p_kw + interval.uncertainty_kw)
        at_centre = np.where(watched.is_voltage, watched.value(current), (watched.direction.conj() * phasor).real)
        base = at_centre + correction - by_p @ p - by_q @ q
        base += _worst(by_p, passive_low, passive_high) + _worst(by_q, interval.q_low_kvar, interval.q_high_kvar)
        rows = np.concatenate([np.maximum(by_p, 0.0), np.maximum(-by_p, 0.0)], axis=1)
        zero = np.zeros_like(interval.p_kw)
        packing = Packing(
            a=rows,
            b=watched.limit - base,
            floor=np.concatenate([zero, np.minimum(interval.import_floor_kw, interval.import_cap_kw)]),
            cap=np.where(
                np.tile(interval.active, 2), np.concatenate([interval.export_cap_kw, interval.import_cap_kw]), 0
            ),
            weight=np.repeat([self.options.export_weight, self.options.import_weight], len(zero)),
        )
        return packing, (by_p, by_q)

    def _allocated(self, packing: Packing) -> tuple[Floats, bool]:
        """Return the rule's limits, and whether some inflexible demand had to be cut."""
        wanted = np.minimum(packing.floor, packing.cap)
        floor = feasible_floor(replace(packing, floor=wanted))
        b = np.maximum(packing.b, 0.0)
        kept = self._binding[self._binding < len(b)]
        while True:  # cutting planes: only rows that a solution breaks are worth their cost
            small = replace(packing, a=packing.a[kept], b=b[kept], floor=floor)
            limits = RULES[self.options.rule](small)
            used = packing.a @ limits
            broken = used - b
            worst = np.argsort(-broken, kind="stable")[:_ROWS_AT_ONCE]
            worst = worst[broken[worst] > 1e-9 * np.abs(packing.b[worst]) + 1e-9]
            if len(worst) == 0:
                # Intervals follow each other: what nearly binds now is where the next one starts.
                self._binding = kept[used[kept] > 0.9 * b[kept]]
                return limits, bool((floor < wanted - 1e-9).any())
            kept = np.union1d(kept, worst)

    def _error(
        self,
        watched: _Watched,
        packing: Packing,
        derivatives: tuple[Floats, Floats],
        interval: Interval,
        limits: Floats,
    ) -> Floats:
        """[rows] Exact value at each near-binding row's worst corner, minus what the linear model says there."""
        predicted_room = packing.b - packing.a @ limits
        span = np.where(
            watched.is_voltage, np.abs(watched.limit - watched.sign * np.abs(watched.offset)), watched.limit
        )
        near = np.flatnonzero(predicted_room < _WATCHED_MARGIN * span)
        error = np.zeros(len(watched.limit))
        if len(near) == 0:
            return error
        box = self._box(interval, limits)
        patterns, which = distinct(np.concatenate([derivatives[0][near], derivatives[1][near]], axis=1))
        points = len(interval.p_kw)
        p = np.where(patterns[:, :points] > 0, box.p_high_kw, box.p_low_kw).T
        q = np.where(patterns[:, points:] > 0, box.q_high_kvar, box.q_low_kvar).T
        solution = self.power_flow.try_solve(self.power_flow.injected_va(p, q))
        rows = watched.subset(near)
        exact = rows.value(solution.current[:, which])
        # A corner without a solution is far outside: count it as one whole span too far.
        exact = np.where(solution.converged[which], exact, rows.limit + span[near])
        error[near] = exact - (rows.limit - predicted_room[near])
        return error


def _worst(by: Floats, low: Floats, high: Floats) -> Floats:
    """[rows] Greatest value of `by @ x` over low <= x <= high."""
    result: Floats = np.maximum(by, 0.0) @ high + np.minimum(by, 0.0) @ low
    return result
