"""The rows that may bind when limits are shared out, and their linear models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from feederloop.simulators.envelope.box import Box, Boxes
from feederloop.simulators.envelope.certificate import Certifier
from feederloop.simulators.envelope.corners import Corners, CornerValues, distinct
from feederloop.simulators.envelope.rows import Rows, SectionRows
from feederloop.simulators.envelope.tangent import SectionTangent
from feederloop.simulators.envelope.unbalance import unbalance_rows
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.sections import absolute

_DIRECTIONS = 12  # of what can turn round
_IDLE = 0.1  # of what a conductor may carry
_NEAR = 0.9  # of the limit
_SAME_SLOPES = 0.1  # of the widths: boxes this much alike have the same slopes
_ALL = slice(None)


@dataclass(frozen=True)
class WatchedPart:
    """Rows of one kind and section: lengths of node voltages, branch currents or negative-sequence voltages.

    A voltage's length grows along itself; currents and negative-sequence voltages, which can turn round, have rows for
    several fixed directions.

    Attributes:
        rows: The rows.
        section: Their section.
        sign: -1 for the lowest voltages.
        way: [rows] Fixed directions; none for voltages.
        limit: [rows] Of `sign * length`.
    """

    rows: SectionRows
    section: int
    sign: float
    way: Complex | None
    limit: Floats

    @property
    def span(self) -> Floats:
        """[rows] Distance between the limit and the value without injection; of what can turn round, the limit."""
        return np.abs(self.limit - self.sign * np.abs(self.rows.offset)) if self.way is None else self.limit

    def values(self, value: Complex) -> Floats:
        """[rows, ...] `sign * length` of [rows, ...] values."""
        length: Floats = self.sign * absolute(value)
        return length

    def subset(self, rows: Ints) -> "WatchedPart":
        """Return some of the rows."""
        way = None if self.way is None else self.way[rows]
        return WatchedPart(self.rows.subset(rows), self.section, self.sign, way, self.limit[rows])


class Watched:
    """All rows that are watched.

    Args:
        certifier: The network.
        parts: The rows.
    """

    def __init__(self, certifier: Certifier, parts: Sequence[WatchedPart]) -> None:
        self.certifier, self.parts = certifier, tuple(part for part in parts if len(part.limit))
        self._start = np.cumsum([0, *(len(part.limit) for part in self.parts)])
        self.limit = self._joined([part.limit for part in self.parts])
        self.span = self._joined([part.span for part in self.parts])
        self.sign = self._joined([np.full(len(part.limit), part.sign) for part in self.parts])
        self.is_voltage = self._joined([np.full(len(part.limit), part.way is None) for part in self.parts]) > 0

    @classmethod
    def of(cls, certifier: Certifier) -> "Watched":
        """Watch what the certifier limits."""
        return cls(certifier, [*_voltages(certifier), *_unbalance(certifier), *_currents(certifier)])

    def __len__(self) -> int:
        return len(self.limit)

    @staticmethod
    def _joined(parts: Sequence[Floats]) -> Floats:
        return np.concatenate([np.empty(0), *parts])

    def slices(self) -> list[tuple[WatchedPart, slice]]:
        """Return the parts, and where their rows stand."""
        ends = zip(self._start, self._start[1:], strict=False)
        return [(part, slice(int(one), int(end))) for part, (one, end) in zip(self.parts, ends, strict=True)]

    def subset(self, rows: Ints) -> "Watched":
        """Return some of the rows, whose numbers ascend."""
        cuts = np.searchsorted(rows, self._start)
        chosen = [rows[one:end] - start for one, end, start in zip(cuts, cuts[1:], self._start, strict=False)]
        return Watched(self.certifier, [part.subset(some) for part, some in zip(self.parts, chosen, strict=True)])

    def along(self, value: Complex) -> "Watched":
        """Return rows that can turn round with the directions of [rows] values."""
        parts = [replace(part, way=value[rows] / np.abs(value[rows])) for part, rows in self.slices()]
        return Watched(self.certifier, parts)

    def lengths(self, current: Complex) -> Floats:
        """[rows, scenarios] `sign * length` at [injectors, scenarios] currents, in the order of the sections."""
        layout, right = self.certifier.layout, self.certifier.power_flow.matrices.busbar
        total = right @ current
        result = np.empty((len(self), current.shape[1]))
        for part, rows in self.slices():
            own = layout.injectors_of(part.section)
            value = part.rows.offset[:, None] + part.rows.own @ current[own]
            if part.rows.left.shape[1]:
                value += part.rows.left @ (total - right[:, own] @ current[own])
            result[rows] = part.values(value)
        return result


def _voltages(certifier: Certifier) -> list[WatchedPart]:
    """Upper and lower voltage of all phases where customers are: further in, voltages vary less."""
    feeder, limits = certifier.power_flow.feeder, certifier.limits
    watched = np.isin(certifier.node_rows // 3, feeder.injector_row // 3)
    return [
        WatchedPart(rows, section, sign, None, np.full(len(rows.offset), limit))
        for sign, limit in ((1.0, limits.v_max_v), (-1.0, -limits.v_min_v))
        for section, rows in enumerate(_some(certifier.nodes, watched))
    ]


def _currents(certifier: Certifier) -> list[WatchedPart]:
    """Currents of the phase conductors whose rating is known, along and against what active power makes them do.

    Those of transformers, which several phases feed, and those that are far from zero without load are watched all
    round.
    """
    feeder, conductors = certifier.power_flow.feeder, certifier.conductors
    rated, branches = np.isfinite(conductors.allowed_a), feeder.branches
    made = branches.gain[conductors.rows] * (feeder.injector_share / feeder.w.conj())
    axis = np.exp(0.5j * np.angle((made**2).sum(axis=1)))
    is_trafo = np.array([name.startswith("trafo") for name in branches.names], dtype=bool)
    idle = np.abs(branches.i0[conductors.rows]) > _IDLE * conductors.allowed_a
    all_round = is_trafo[branches.row_branch[conductors.rows]] | idle
    ways = np.exp(2j * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS)
    return [
        WatchedPart(rows, section, 1.0, way * axis[rows.place], conductors.allowed_a[rows.place])
        for number, way in enumerate(ways)
        for section, rows in enumerate(
            _some(certifier.currents, rated if number % (_DIRECTIONS // 2) == 0 else rated & all_round)
        )
    ]


def _unbalance(certifier: Certifier) -> list[WatchedPart]:
    """Negative-sequence voltage where customers are, along directions all round; no rows without a limit.

    Their limit is that without load; where the positive-sequence voltage is higher the rows are less, and the reverse.
    """
    feeder, percent = certifier.power_flow.feeder, certifier.limits.vuf_percent
    if percent is None:
        return []
    watched = np.isin(certifier.node_rows[::3] // 3, feeder.injector_row // 3)
    share, parts = percent / 100.0, []
    pairs = list(zip(_some(certifier.negative, watched), _some(certifier.positive, watched), strict=True))
    for way in np.exp(2j * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS):
        for section, (negative, positive) in enumerate(pairs):
            idle, ones = positive.offset, np.ones(len(positive.offset), dtype=complex)
            limit = share * np.abs(idle)
            rows = unbalance_rows(negative, positive, way * ones, idle / np.maximum(limit, 1e-300))
            parts.append(WatchedPart(replace(rows, offset=rows.offset + limit), section, 1.0, ones, limit))
    return parts


def _some(rows: Rows, watched: np.ndarray) -> list[SectionRows]:
    """Return of each section those rows that are watched."""
    return [section.subset(np.flatnonzero(watched[section.place])) for section in rows.sections]


@dataclass(frozen=True)
class LinearModel:
    """Rows linearised at one operating point.

    Attributes:
        by_p: [rows, points] Derivative by active power, per kW.
        by_q: The same by reactive power.
        origin: [rows] Value that the model gives for zero power everywhere.
    """

    by_p: Floats
    by_q: Floats
    origin: Floats

    @classmethod
    def at(cls, watched: Watched, p_kw: Floats, q_kvar: Floats) -> "LinearModel | None":
        """Linearise at [points] powers; none where these have no power-flow solution."""
        certifier = watched.certifier
        power_flow, layout = certifier.power_flow, certifier.layout
        s = power_flow.injected_va(p_kw[:, None], q_kvar[:, None])[power_flow.sections.order]
        solution = power_flow.solve_sections(s)
        if not solution.converged.all():
            return None
        current, right = solution.current[:, 0], power_flow.matrices.busbar
        tangent = SectionTangent(layout, power_flow.matrices, s[:, 0], solution.v[:, 0])
        by = np.empty((2, len(watched), len(layout.points)))
        value = np.empty(len(watched))
        total = right @ current
        for part, rows in watched.slices():
            own = layout.injectors_of(part.section)
            phasor = part.rows.offset + part.rows.own @ current[own]
            if part.rows.left.shape[1]:
                phasor = phasor + part.rows.left @ (total - right[:, own] @ current[own])
            # A current may be zero at the midpoint; its rows keep their own directions.
            way = phasor / np.maximum(np.abs(phasor), 1e-300) if part.way is None else part.way
            turned = part.sign * way.conj()
            value[rows] = (turned * phasor).real
            for kind in (0, 1):
                moved = tangent.moved(part.rows, part.section, kind)
                by[kind, rows][:, layout.points] = (turned[:, None] * moved).real
        return cls(by[0], by[1], value - by[0] @ p_kw - by[1] @ q_kvar)


class RobustModel:
    """Linear models of rows in the form in which the worst use of a box is closed, kept true where limits come near.

    Args:
        watched: The rows.
        model: Their model to begin with.

    Attributes:
        rise: [rows, 2 * points] By how much a row may rise per kW of export limit, and per kW of import limit.
    """

    def __init__(self, watched: Watched, model: LinearModel) -> None:
        self._watched, self._by_q, self._origin = watched, model.by_q.copy(), model.origin.copy()
        self.rise = _rise(model)
        self._around: Boxes | None = None
        self._corners: WorstCorners | None = None

    def worst(self, box: Box, rows: Ints | slice = _ALL) -> Floats:
        """[rows] Greatest values of some rows in a box."""
        points = len(box.p_low_kw)
        rise = self.rise[rows]
        result: Floats = self._origin[rows] + rise[:, :points] @ box.p_high_kw - rise[:, points:] @ box.p_low_kw
        if box.q_low_kvar.any() or box.q_high_kvar.any():
            by_q = self._by_q[rows]
            result += by_q @ box.centre[1] + np.abs(by_q) @ box.half_width[1]
        return result

    def correct(self, rows: Ints, box: Box) -> Ints | None:
        """Make some rows right at their worst corner of a box.

        Slopes are renewed where they are those of quite another box.

        Returns:
            The rows that were corrected, these and perhaps more; none if the box's midpoint has no power-flow solution.
        """
        alike = self._around is not None and self._around.include(box)
        known = self._corners.rows if self._corners is not None and alike else rows[:0]
        if self._corners is None or not np.isin(rows, known).all():
            rows = np.union1d(rows, known)
            if not self._renewed(rows, box):
                return None
            points = len(box.p_low_kw)
            by_p = self.rise[rows, :points] - self.rise[rows, points:]
            self._corners = WorstCorners(self._watched, rows, by_p, self._by_q[rows])
        rows = self._corners.rows
        self._origin[rows] += self._corners.values(box) - self.worst(box, rows)
        return rows

    def _renewed(self, rows: Ints, box: Box) -> bool:
        some = self._watched.subset(rows)
        model = LinearModel.at(some, *box.centre)
        if model is None:
            return False
        _renew_at_corners(model, some, box)
        self._around = Boxes.around(box, _SAME_SLOPES, _SAME_SLOPES)
        self.rise[rows], self._by_q[rows], self._origin[rows] = _rise(model), model.by_q, model.origin
        return True


def _renew_at_corners(model: LinearModel, watched: Watched, box: Box) -> None:
    """Replace slopes of what can turn round by those at its worst corner, where that is near the limit.

    Whoever is on another phase acts on a current through the voltage of those who make it. In the middle of a box,
    where little flows, that is nothing; at the corner where most flows it is most.
    """
    turning = [(part, place) for part, place in watched.slices() if part.way is not None]
    if not turning:
        return
    certifier, end = watched.certifier, _ends(watched, model.by_p, model.by_q)
    corners = [
        Corners(part.rows, part.section, 1.0, np.full(len(part.limit), axis), end[place], np.empty((0, 0)))
        for axis in (1.0 + 0.0j, 1j)
        for part, place in turning
    ]
    found = _corner_values(certifier, corners).found(box)
    value = np.zeros(len(watched), dtype=complex)
    for (_, place), re, im in zip(turning, found[: len(turning)], found[len(turning) :], strict=True):
        solved = np.isfinite(re)  # at a corner without a solution both parts are infinite
        value[place] = np.where(solved, re, 0.0) + 1j * np.where(solved, im, 0.0)
    near = np.flatnonzero(~watched.is_voltage & (np.abs(value) > _NEAR * watched.limit))
    patterns, which = distinct(end[near])
    sides, centre, half = np.zeros((2, len(box.p_low_kw))), np.stack(box.centre), np.stack(box.half_width)
    for number, pattern in enumerate(patterns):
        rows = near[which == number]
        sides[:, certifier.layout.points] = pattern.reshape(2, -1)
        at = LinearModel.at(watched.subset(rows).along(value[rows]), *(centre + half * sides))
        if at is not None:
            model.by_p[rows], model.by_q[rows], model.origin[rows] = at.by_p, at.by_q, at.origin


def _ends(watched: Watched, by_p: Floats, by_q: Floats) -> np.ndarray:
    """[rows, 2 points] The ends that slopes show as the worst, in the order of the sections."""
    order = watched.certifier.layout.points
    return np.where(np.concatenate([by_p[:, order], by_q[:, order]], axis=1) > 0, 1, -1).astype(np.int8)


def _corner_values(certifier: Certifier, corners: Sequence[Corners]) -> CornerValues:
    power_flow = certifier.power_flow
    return CornerValues(power_flow, certifier.layout, corners, power_flow.feeder.w[power_flow.sections.order])


def _rise(model: LinearModel) -> Floats:
    return np.concatenate([np.maximum(model.by_p, 0.0), np.maximum(-model.by_p, 0.0)], axis=1)


class WorstCorners:
    """Solves some rows at the corners that their slopes show as the worst.

    Args:
        watched: All rows.
        rows: Which of them, ascending.
        by_p: [rows, points] Slopes of these.
        by_q: The same by reactive power.
    """

    def __init__(self, watched: Watched, rows: Ints, by_p: Floats, by_q: Floats) -> None:
        self.rows, some = rows, watched.subset(rows)
        end = _ends(some, by_p, by_q)
        parts = [
            Corners(part.rows, part.section, part.sign, None, end[place], np.empty((0, 0)))
            for part, place in some.slices()
        ]
        self._far_over = some.limit + some.span
        self._values = _corner_values(watched.certifier, parts)

    def values(self, box: Box) -> Floats:
        """[rows] Exact values at their corners of a box; far over where there is no solution."""
        found = np.concatenate([np.empty(0), *self._values.found(box)])
        return np.where(np.isfinite(found), found, self._far_over)


def worst(by: Floats, low: Floats, high: Floats) -> Floats:
    """[rows] Greatest value of `by @ x` over low <= x <= high."""
    result: Floats = np.maximum(by, 0.0) @ high + np.minimum(by, 0.0) @ low
    return result
