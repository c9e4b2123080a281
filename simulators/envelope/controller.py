"""The DSO's envelope controller: allocate limits, correct them on the exact power flow, prove the result."""

from dataclasses import dataclass, field, replace

import numpy as np

from feederloop.simulators.envelope.allocation import RULES, Packing, allocate, feasible_floor
from feederloop.simulators.envelope.box import Box, Interval, Limits
from feederloop.simulators.envelope.certificate import Certificate, Certifier
from feederloop.simulators.envelope.corner import corner_limits
from feederloop.simulators.envelope.proving import Allocated, Prover
from feederloop.simulators.envelope.watched import LinearModel, RobustModel, Watched, WorstCorners
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow

SAFETIES = ("certified", "robust", "corner")
_CORRECTIONS = 3
_ANY_KW = 1e-6
# Boxes that are this much larger or smaller, as a share of the widths, are proven at once; where feeders act on each
# other, what that costs in tightness counts, but what room a proof needs is soon known.
_PROVEN_TOGETHER, _PROVEN_TOGETHER_COUPLED = (0.03, 0.03), (0.002, 0.01)
_STILL = 0.003  # of the largest limit: a correction elsewhere by less is right here, too
_ROWS_AT_ONCE = 24
_LIKE = 0.95  # cosine
# Rows with less than this share of the distance between limit and no load left are solved exactly.
_WATCHED_MARGIN = 0.25


@dataclass(frozen=True)
class Options:
    """How the controller shares out the room.

    Attributes:
        rule: A name in `allocation.RULES`.
        safety: `certified` proves the limits for every combination of uses and tightens them until the proof holds;
            `robust` allocates for every combination without proving it; `corner` is what the literature does: everybody
            at the export limit, and everybody at the import limit.
        alpha: Of the rule `alpha_fair`.
        export_weight: Claim of an export limit relative to an import limit's `import_weight`.
        import_weight: Claim of an import limit.
        margin_v: Kept from both voltage limits.
    """

    rule: str = "proportional_fair"
    safety: str = "certified"
    alpha: float = 2.0
    export_weight: float = 1.0
    import_weight: float = 1.0
    margin_v: float = 0.0


@dataclass(frozen=True)
class Published:
    """Envelopes of one interval.

    Attributes:
        export_limit_kw: [points] Zero or more; of a passive point zero.
        import_limit_kw: [points] Zero or more.
        floor_cut: Some inflexible demand did not fit and its limit was set below it.
        certificate: The proof, if asked for.
        proof_cost_kw: By how much the proof lowered the sum of all limits.
        blame: Where passive customers alone break a limit: which limit, where. No envelope can help that.
        q_low_kvar: [points] Lowest reactive power that the limits allow for, besides what volt-var inverters supply.
        q_high_kvar: [points] Highest.
    """

    export_limit_kw: Floats
    import_limit_kw: Floats
    floor_cut: bool
    certificate: Certificate | None = None
    proof_cost_kw: float = 0.0
    blame: str = ""
    q_low_kvar: Floats = field(default_factory=lambda: np.empty(0))
    q_high_kvar: Floats = field(default_factory=lambda: np.empty(0))


class EnvelopeController:
    """Publishes operating envelopes for the connection points of one network.

    Args:
        power_flow: Exact power flow of the network.
        limits: What the network must stay within.
        options: The rule, its weights and how safe the limits have to be.

    Raises:
        InputError: An unknown rule or safety, or limits that leave nothing between them.
    """

    def __init__(self, power_flow: PowerFlow, limits: Limits, options: Options) -> None:
        if options.rule not in RULES:
            raise InputError("no such allocation rule", key="rule", value=options.rule, allowed=", ".join(RULES))
        if options.safety not in SAFETIES:
            raise InputError("no such safety", key="safety", value=options.safety, allowed=", ".join(SAFETIES))
        if limits.v_min_v + 2 * options.margin_v >= limits.v_max_v:
            raise InputError("the voltage limits leave no room", key="v_min_v", value=limits.v_min_v)
        self.power_flow, self.limits, self.options = power_flow, limits, options
        self._inner = replace(
            limits, v_min_v=limits.v_min_v + options.margin_v, v_max_v=limits.v_max_v - options.margin_v
        )
        together = _PROVEN_TOGETHER if len(power_flow.sections) == 1 else _PROVEN_TOGETHER_COUPLED
        self.certifier = Certifier(power_flow, self._inner, together)
        self._watched = Watched.of(self.certifier)
        nothing = np.zeros(len(power_flow.feeder.points))
        idle = LinearModel.at(self._watched, nothing, nothing)
        if idle is None:
            raise InputError("the network has no power-flow solution without load", key="network")
        self._idle = idle
        self._prover = Prover(self.certifier, self._watched, self._allocated)
        self.forget()
        # What is compiled at its first call is compiled now, not in somebody's step.
        nobody = nothing.astype(bool)
        self.publish(Interval(nothing, nothing, nothing, ~nobody, nothing + 1e-3, nothing + 1e-3, nothing, nothing))
        self.forget()

    def forget(self) -> None:
        """Forget earlier intervals.

        Intervals follow each other: what binds in one is where the next one starts, slopes and proofs of one serve the
        next, and what the proof needed it will need again, or nearly. What is published is proven in any case.
        """
        self._model = RobustModel(self._watched, self._idle)
        self._binding: Ints = np.empty(0, dtype=np.int64)
        self._prover.forget()
        self._last = np.empty(0)
        self.certifier.forget()

    def publish(
        self, interval: Interval, *, binding: bool = True, point_v: tuple[Floats, Floats] | None = None
    ) -> Published:
        """Return limits whose box, with every combination of uses in it, the network bears.

        Args:
            interval: What is known of the connection points.
            binding: Whether these limits will hold; of an outlook, nothing is proven yet.
            point_v: [points], twice: voltages between which volt-var is to be allowed for when room is shared out; all
                that are permitted if none are given. The proof finds out for itself which can be.
        """
        published = self._published(interval, binding, point_v)
        return replace(published, q_low_kvar=interval.q_low_kvar, q_high_kvar=interval.q_high_kvar)

    def _published(self, stated: Interval, binding: bool, point_v: tuple[Floats, Floats] | None) -> Published:
        interval = stated.with_volt_var(*(point_v or (self._inner.v_min_v, self._inner.v_max_v)))
        if self.options.safety == "corner":
            limits = corner_limits(self.power_flow, self._watched, interval, self._signed)
            return replace(_plain(limits, cut=False), blame=self._blame_if_shut(interval, limits))
        packing, allocated = self._corrected(interval)
        if binding and self.options.safety == "certified":
            return self._proven(packing, allocated, stated)
        return replace(_plain(*allocated), blame=self._blame_if_shut(interval, allocated[0]))

    def _corrected(self, interval: Interval) -> tuple[Packing, Allocated]:
        """Return the packing problem whose rows are right at the worst corners of its own solution, and that."""
        watched, model = self._watched, self._model
        nothing = self._box(interval, np.zeros(2 * len(interval.p_kw)))
        packing = self._packing(interval, model.rise, watched.limit - model.worst(nothing))
        # The first guess is what was published last.
        limits = np.clip(self._last, packing.floor, packing.cap) if len(self._last) else self._allocated(packing)[0]
        for _ in range(_CORRECTIONS):
            near = np.flatnonzero(packing.b - packing.a @ limits < _WATCHED_MARGIN * watched.span)
            while (corrected := model.correct(near, self._box(interval, limits))) is None and limits.any():
                limits = np.where(limits > _ANY_KW, limits / 2, 0.0)  # far beyond what the network bears
            if corrected is None:
                break
            packing.b[corrected] = watched.limit[corrected] - model.worst(nothing, corrected)
            guess, (limits, cut) = limits, self._allocated(packing)
            if (np.abs(limits - guess) <= _STILL * limits.max()).all():
                return packing, (limits, cut)
        return packing, self._allocated(packing)

    def _proven(self, packing: Packing, allocated: Allocated, interval: Interval) -> Published:
        tried = self._prover.prove(packing, allocated, interval)
        self._last = tried.limits
        blame = "" if tried.certificate.certified else self._passive_blame(interval)
        cost_kw = float(allocated[0].sum() - tried.limits.sum())
        published = _plain(tried.limits, tried.cut)
        return replace(published, certificate=tried.certificate, proof_cost_kw=cost_kw, blame=blame)

    def _blame_if_shut(self, interval: Interval, limits: Floats) -> str:
        return "" if limits.any() else self._passive_blame(interval)

    def _passive_blame(self, interval: Interval) -> str:
        """Which limit breaks even if nobody with an envelope uses the network at all; empty if none does."""
        box = self._box(interval, np.zeros(2 * len(interval.p_kw)))
        watched = self._watched
        model = LinearModel.at(watched, *box.centre)
        if model is None:
            return "the passive customers' forecast has no power-flow solution"
        exact = WorstCorners(watched, np.arange(len(watched)), model.by_p, model.by_q).values(box)
        if (exact <= watched.limit + 1e-6).all():
            return ""
        return self.certifier.certify(box, interval.volt_var).reason

    def _box(self, interval: Interval, limits: Floats) -> Box:
        export, load = np.split(limits, 2)
        return Box.of(interval, export, load)

    def _signed(self, interval: Interval, rows: Floats, b: Floats) -> Floats:
        """[2 * points] The rule's limits where using them may also relieve a row."""
        packing = self._packing(interval, rows, np.maximum(b, 0.0))
        return self._by_cutting_planes(replace(packing, floor=np.zeros_like(packing.floor)))

    def _packing(self, interval: Interval, rows: Floats, b: Floats) -> Packing:
        caps = np.concatenate([interval.export_cap_kw, interval.import_cap_kw])
        claims = np.repeat([self.options.export_weight, self.options.import_weight], len(interval.p_kw))
        return Packing(
            a=rows,
            b=b,
            floor=np.concatenate([np.zeros_like(interval.p_kw), interval.import_floor_kw]),
            cap=np.where(np.tile(interval.active, 2), caps, 0.0),
            weight=claims * np.tile(interval.weight, 2),
        )

    def _allocated(self, packing: Packing) -> Allocated:
        """Return the rule's limits, and whether some inflexible demand had to be cut."""
        wanted = np.minimum(packing.floor, packing.cap)
        floor = feasible_floor(replace(packing, floor=wanted))
        limits = self._by_cutting_planes(replace(packing, b=np.maximum(packing.b, 0.0), floor=floor))
        return limits, bool((limits < wanted - _ANY_KW).any())

    def _by_cutting_planes(self, packing: Packing) -> Floats:
        """[2 * points] The rule's limits; only rows that a solution breaks are worth their cost."""
        b = packing.b
        kept = self._binding[self._binding < len(b)]
        while True:
            small = replace(packing, a=packing.a[kept], b=b[kept])
            limits = allocate(self.options.rule, small, self.options.alpha)
            used = packing.a @ limits
            broken = np.flatnonzero(used > b + 1e-9 * np.abs(b) + 1e-12)
            if len(broken) > _ROWS_AT_ONCE:
                broken = _unlike(packing.a, broken[np.argsort(b[broken] - used[broken], kind="stable")])
            most = np.setdiff1d(broken, kept) if len(broken) else broken
            if len(most) == 0:
                self._binding = kept[used[kept] > 0.98 * b[kept]]
                return limits
            kept = np.union1d(kept, most)


def _unlike(a: Floats, rows: Ints) -> Ints:
    """Of [rows] numbers, the first whose rows of `a` are not much like those of others before them."""
    unit = a[rows] / np.linalg.norm(a[rows], axis=1, keepdims=True)
    left = np.ones(len(rows), dtype=bool)
    chosen: list[int] = []
    while left.any() and len(chosen) < _ROWS_AT_ONCE:
        chosen.append(int(left.argmax()))
        left &= unit @ unit[chosen[-1]] < _LIKE
    return rows[chosen]


def _plain(limits: Floats, cut: bool) -> Published:
    export, load = np.split(limits, 2)
    return Published(export, load, cut)
