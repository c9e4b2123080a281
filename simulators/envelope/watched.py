"""The rows that may bind when limits are shared out, and their linear model."""

from dataclasses import dataclass, fields

import numpy as np

from feederloop.simulators.envelope.box import Bools, Box, Boxes, Limits
from feederloop.simulators.envelope.certificate import Certifier
from feederloop.simulators.envelope.corners import distinct
from feederloop.simulators.grid.feeder import Complex, Feeder, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sensitivity import Tangent, along

_A = np.exp(2j * np.pi / 3)
_UNBALANCE_DIRECTIONS = 12
_SAME_SLOPES = 0.1  # of the widths: boxes this much alike have the same slopes
_ALL = slice(None)


@dataclass
class Watched:
    """Lengths of node voltages, branch currents and negative-sequence voltages.

    A length grows along its direction at the midpoint; currents and negative-sequence voltages, which can turn round,
    have rows for several fixed directions.

    Attributes:
        gain: [rows, injectors] Volt or ampere per ampere injected.
        offset: [rows] Value without injection.
        direction: [rows] Of unit length; of a voltage, renewed at every linearisation.
        sign: [rows] -1 for the lowest voltage, else +1.
        limit: [rows] Of `sign * length`.
        is_voltage: [rows]
        mirrored: The first so many rows are upper voltages, and the next so many the lower ones of the same nodes.
    """

    gain: Complex
    offset: Complex
    direction: Complex
    sign: Floats
    limit: Floats
    is_voltage: Bools
    mirrored: int = 0

    def value(self, current: Complex) -> Floats:
        """[rows] `sign * length` at [injectors] currents or, with a column per row, at each row's own."""
        if current.ndim == 1:
            phasor = self.offset + self.gain @ current
        else:
            phasor = self.offset + np.einsum("rj,jr->r", self.gain, current)
        length: Floats = self.sign * np.abs(phasor)
        return length

    @property
    def span(self) -> Floats:
        """[rows] Distance between the limit and the value without injection."""
        return np.where(self.is_voltage, np.abs(self.limit - self.sign * np.abs(self.offset)), self.limit)

    def subset(self, rows: Ints) -> "Watched":
        """Return some of the rows."""
        return Watched(**{name: getattr(self, name)[rows] for name in _PER_ROW})

    def joined(self, *others: "Watched") -> "Watched":
        """Return these rows and others'."""
        parts = (self, *(other for other in others if len(other.limit)))
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _PER_ROW}
        return Watched(**joined, mirrored=self.mirrored)

    def reachable(self, apparent_va: Floats, v_least_v: float) -> Ints:
        """Return the rows but for those of currents that these [injectors] powers could never bring to their limit."""
        free = ~self.is_voltage
        possible = np.abs(self.offset[free]) + np.abs(self.gain[free]) @ (apparent_va / v_least_v)
        kept = self.is_voltage.copy()
        kept[free] = possible > self.limit[free]
        return np.flatnonzero(kept)


_PER_ROW = tuple(field.name for field in fields(Watched) if field.name != "mirrored")


def voltage_rows(feeder: Feeder, limits: Limits) -> Watched:
    """Upper and lower voltage of all phases where customers are: further in, voltages vary less."""
    buses = np.unique(feeder.injector_row // 3)
    buses = buses[feeder.bus_vn_v[buses] < 1000.0]
    nodes = np.tile((3 * buses[:, None] + np.arange(3)).reshape(-1), 2)
    sign = np.repeat([1.0, -1.0], len(nodes) // 2)
    offset = feeder.bus_w[nodes]
    return Watched(
        gain=feeder.bus_z[nodes],
        offset=offset,
        direction=offset / np.abs(offset),
        sign=sign,
        limit=np.where(sign > 0, limits.v_max_v, -limits.v_min_v),
        is_voltage=np.ones(len(nodes), dtype=bool),
        mirrored=len(nodes) // 2,
    )


def branch_rows(certifier: Certifier) -> Watched:
    """Currents of the phase conductors whose rating is known, along and against the phase's own voltage."""
    feeder = certifier.power_flow.feeder
    branches, conductors = feeder.branches, certifier.conductors
    rated = np.isfinite(conductors.allowed_a)
    chosen = np.repeat(conductors.rows[rated], 2)
    along_voltage = np.exp(-2j * np.pi / 3 * branches.row_phase[chosen]) * _low_voltage_turn(feeder)
    return Watched(
        gain=branches.gain[chosen],
        offset=branches.i0[chosen],
        direction=along_voltage * np.tile([1.0, -1.0], len(chosen) // 2),
        sign=np.ones(len(chosen)),
        limit=np.repeat(conductors.allowed_a[rated], 2),
        is_voltage=np.zeros(len(chosen), dtype=bool),
    )


def unbalance_rows(feeder: Feeder, limits: Limits) -> Watched:
    """Negative-sequence voltage where customers are, along directions all round; no rows without a limit."""
    buses = np.unique(feeder.injector_row // 3) if limits.vuf_percent is not None else np.empty(0, dtype=np.int64)
    negative = np.array([1.0, _A**2, _A]) / 3
    z, w = feeder.bus_z.reshape(-1, 3, feeder.bus_z.shape[1])[buses], feeder.bus_w.reshape(-1, 3)[buses]
    chosen = np.repeat(np.arange(len(buses)), _UNBALANCE_DIRECTIONS)
    round_ = np.exp(2j * np.pi * np.arange(_UNBALANCE_DIRECTIONS) / _UNBALANCE_DIRECTIONS)
    positive = np.abs(w @ negative.conj())
    return Watched(
        gain=np.einsum("p,bpj->bj", negative, z)[chosen],
        offset=(w @ negative)[chosen],
        direction=np.tile(round_, len(buses)),
        sign=np.ones(len(chosen)),
        limit=((limits.vuf_percent or 0.0) / 100.0 * positive)[chosen],
        is_voltage=np.zeros(len(chosen), dtype=bool),
    )


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
    def at(cls, watched: Watched, power_flow: PowerFlow, p_kw: Floats, q_kvar: Floats) -> "LinearModel | None":
        """Linearise at [points] powers; none where these have no power-flow solution."""
        s = power_flow.injected_va(p_kw[:, None], q_kvar[:, None])
        solution = power_flow.try_solve(s)
        if not solution.converged.all():
            return None
        current = solution.current[:, 0]
        tangent = Tangent.at(power_flow.feeder, s[:, 0], solution.v[:, 0])
        phasor = watched.offset + watched.gain @ current
        # A current may be zero at the midpoint; its rows keep their own directions.
        along_itself = phasor / np.maximum(np.abs(phasor), 1e-300)
        watched.direction = np.where(watched.is_voltage, along_itself, watched.direction)
        # What raises a node's upper voltage row lowers its lower one by as much.
        half = watched.mirrored
        own = np.concatenate([np.arange(half), np.arange(2 * half, len(watched.limit))])
        weights = watched.sign[own, None] * along(watched.gain[own], watched.direction[own])
        by_p, by_q = weights @ tangent.by_p, weights @ tangent.by_q
        if half:
            by_p = np.concatenate([by_p[:half], -by_p[:half], by_p[half:]])
            by_q = np.concatenate([by_q[:half], -by_q[:half], by_q[half:]])
        value = watched.sign * (watched.direction.conj() * phasor).real
        return cls(by_p, by_q, value - by_p @ p_kw - by_q @ q_kvar)

    def subset(self, rows: Ints) -> "LinearModel":
        """Return some of the rows."""
        return LinearModel(self.by_p[rows], self.by_q[rows], self.origin[rows])


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
        self.rise = np.concatenate([np.maximum(model.by_p, 0.0), np.maximum(-model.by_p, 0.0)], axis=1)
        self._trusted = np.zeros(len(watched.limit), dtype=bool)
        self._around: Boxes | None = None

    def worst(self, box: Box, rows: Ints | slice = _ALL) -> Floats:
        """[rows] Greatest values of some rows in a box."""
        points = len(box.p_low_kw)
        rise, by_q = self.rise[rows], self._by_q[rows]
        result: Floats = self._origin[rows] + rise[:, :points] @ box.p_high_kw - rise[:, points:] @ box.p_low_kw
        if box.q_low_kvar.any() or box.q_high_kvar.any():
            q, half = box.centre[1], box.half_width[1]
            result = result + by_q @ q
            if half.any():
                result += np.abs(by_q) @ half
        return result

    def correct(self, rows: Ints, box: Box, power_flow: PowerFlow) -> bool:
        """Make some rows right at their worst corner of a box; false if its midpoint has no power-flow solution.

        Their slopes are renewed where they are those of quite another box.
        """
        watched = self._watched.subset(rows)
        if not (self._around is not None and self._around.include(box) and self._trusted[rows].all()):
            model = LinearModel.at(watched, power_flow, *box.centre)
            if model is None:
                return False
            self._around = Boxes.around(box, _SAME_SLOPES)
            self._trusted[:] = False
            self._trusted[rows] = True
            self.rise[rows] = np.concatenate([np.maximum(model.by_p, 0.0), np.maximum(-model.by_p, 0.0)], axis=1)
            self._by_q[rows], self._origin[rows] = model.by_q, model.origin
        points = len(box.p_low_kw)
        by_p = self.rise[rows, :points] - self.rise[rows, points:]
        exact = at_worst_corners(watched, by_p, self._by_q[rows], power_flow, box)
        self._origin[rows] += exact - self.worst(box, rows)
        return True


def worst(by: Floats, low: Floats, high: Floats) -> Floats:
    """[rows] Greatest value of `by @ x` over low <= x <= high."""
    result: Floats = np.maximum(by, 0.0) @ high + np.minimum(by, 0.0) @ low
    return result


def at_worst_corners(watched: Watched, by_p: Floats, by_q: Floats, power_flow: PowerFlow, box: Box) -> Floats:
    """[rows] Exact values at the corner that [rows, points] slopes show as the worst; far over if it has no solution."""
    if len(watched.limit) == 0:
        return np.empty(0)
    patterns, which = distinct(np.concatenate([by_p, by_q], axis=1))
    points = len(box.p_low_kw)
    p = np.where(patterns[:, :points] > 0, box.p_high_kw, box.p_low_kw).T
    q = np.where(patterns[:, points:] > 0, box.q_high_kvar, box.q_low_kvar).T
    solution = power_flow.try_solve(power_flow.injected_va(p, q))
    exact = watched.value(solution.current[:, which])
    return np.where(solution.converged[which], exact, watched.limit + watched.span)


def _low_voltage_turn(feeder: Feeder) -> complex:
    """The angle by which the low-voltage side's phase a is turned against the source."""
    first = feeder.w[0] * np.exp(2j * np.pi / 3 * feeder.injector_phase[0])
    return complex(first / abs(first))
