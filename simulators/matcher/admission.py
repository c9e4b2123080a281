"""The DSO's say in a trade: would the network still be within its limits, on top of all trades made so far."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.grid.feeder import Complex, Feeder, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sensitivity import Tangent, along
from feederloop.simulators.matcher.orders import FloatArray

Check = Literal["linear", "exact"]

Names = NDArray[np.str_]
NO_SOLUTION = "no power flow"

_A = np.exp(2j * np.pi / 3)
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Quantities:
    """Complex voltages and currents whose lengths have limits, as linear functions of the injected currents.

    Attributes:
        gain: [rows, injectors] Volt or ampere per ampere injected.
        offset: [rows] Value without injection.
        least: [rows] Least length; 0 for none.
        most: [rows] Greatest length.
        name: [rows] Of which element and phase.
    """

    gain: Complex
    offset: Complex
    least: Floats
    most: Floats
    name: Names

    @classmethod
    def of(cls, feeder: Feeder, limits: Limits) -> "Quantities":
        """Gather node voltages where traders are, currents of all rated conductors and, if limited, unbalance.

        Further in, voltages vary less than where traders are.
        """
        buses = np.unique(feeder.injector_row // 3)
        buses = buses[feeder.bus_vn_v[buses] < 1000.0]
        nodes = (3 * buses[:, None] + np.arange(3)).reshape(-1)
        branches = feeder.branches
        is_line = np.char.startswith(np.array(branches.names, dtype=str), "line")[branches.row_branch]
        percent = np.where(is_line, limits.line_loading_percent, limits.transformer_loading_percent)
        rated = np.flatnonzero(np.isfinite(branches.rating_a))
        parts = [
            (feeder.bus_z[nodes], feeder.bus_w[nodes], limits.v_min_v, np.full(len(nodes), limits.v_max_v)),
            (branches.gain[rated], branches.i0[rated], 0.0, (branches.rating_a * percent / 100.0)[rated]),
        ]
        names = [f"bus {bus} {phase}" for bus in feeder.buses[buses].tolist() for phase in "abc"]
        conductors = zip(branches.row_branch[rated].tolist(), branches.row_phase[rated].tolist(), strict=True)
        names += [f"loading of {branches.names[branch]} {'abc'[phase]}" for branch, phase in conductors]
        if limits.vuf_percent is not None:
            parts.append(_unbalance(feeder, buses, limits.vuf_percent))
            names += [f"unbalance at bus {bus}" for bus in feeder.buses[buses].tolist()]
        return cls(
            gain=np.concatenate([part[0] for part in parts]),
            offset=np.concatenate([part[1] for part in parts]),
            least=np.concatenate([np.full(len(part[1]), part[2]) for part in parts]),
            most=np.concatenate([part[3] for part in parts]),
            name=np.array(names),
        )

    def at(self, current: Complex) -> Complex:
        """[rows] Values at [injectors] currents."""
        result: Complex = self.offset + self.gain @ current
        return result

    def within_reach(self, current_a: Floats) -> "Quantities":
        """Leave out what injections of these lengths, [injectors] in ampere, could not bring to its limit."""
        most = np.abs(self.offset) + np.abs(self.gain) @ current_a
        kept = (self.least > 0) | (most > self.most)
        return Quantities(self.gain[kept], self.offset[kept], self.least[kept], self.most[kept], self.name[kept])

    def excess(self, value: Complex) -> Floats:
        """[rows] By how much values are beyond their limits, 0 where they are not."""
        length = np.abs(value)
        return np.maximum(0.0, np.maximum(length - self.most, self.least - length))

    def describe(self, row: int, value: complex) -> str:
        """Say which limit a value is beyond, such as `v_max at bus 3 a` or `loading of line 7 b`."""
        name = str(self.name[row])
        return f"v_{'max' if abs(value) > self.most[row] else 'min'} at {name}" if self.least[row] > 0 else name


class Admission:
    """Admits trades one after another.

    What a trader is going to trade and what it is forecast to draw or feed in anyway are not added up where they have
    the same direction: who buys covers its own demand first, who sells sells its own surplus first. A trade is admitted
    if nothing goes beyond its limit because of it, or farther than it was.

    Args:
        power_flow: Of the network whose connection points are the traders.
        quantities: What has limits in it.
        background: Powers that are forecast without trade, [traders] in kW and kvar.
        interval_h: Length of an interval, h.
        check: Whether to go by the tangent at the background, or by a power flow for each trade.
        ordered_kwh: What each trader may trade at most, [traders].
    """

    def __init__(
        self,
        power_flow: PowerFlow,
        quantities: Quantities,
        background: tuple[FloatArray, FloatArray],
        *,
        interval_h: float,
        check: Check,
        ordered_kwh: FloatArray,
    ) -> None:
        self._power_flow, self._interval_h, self._check = power_flow, interval_h, check
        self._background_kw, self._q_kvar = background
        self.refused_by = NO_SOLUTION
        """The limit because of which the last trade that was refused was refused."""
        self._traded_kw = np.zeros(len(self._background_kw))
        self._p_kw = self._background_kw.copy()
        s = power_flow.injected_va(self._p_kw[:, None], self._q_kvar[:, None])
        solution = power_flow.try_solve(s)
        self.solved = bool(solution.converged.all())
        self._v, current = solution.v, solution.current[:, 0]
        self._quantities = quantities.within_reach(self._reach_a(ordered_kwh))
        self._value = self._quantities.at(current)
        self._excess = self._quantities.excess(self._value)
        if self.solved:
            count = len(power_flow.feeder.w)
            tangent = Tangent.at(power_flow.feeder, s[:, 0], solution.v[:, 0]).by_p
            self._slope: Complex = self._quantities.gain @ (tangent[:count] + 1j * tangent[count:])
            self.marginal_loss = marginal_losses(power_flow.feeder, tangent, current)

    def admits(self, seller: int, buyer: int, kwh: float) -> bool:
        """Decide whether the network bears a trade; if so, it counts as made.

        Args:
            seller: Index of who sells.
            buyer: Index of who buys.
            kwh: How much.
        """
        return self._admits(np.array([seller, buyer]), np.array([kwh, -kwh]))

    def admits_retail(self, trader: int, kwh: float) -> bool:
        """Decide whether the network bears a sale to the retailer, or a purchase from it; if so, it counts as made.

        Args:
            trader: Index of who sells or buys.
            kwh: How much, sold positive.
        """
        return self._admits(np.array([trader]), np.array([kwh]))

    def _admits(self, both: Ints, kwh: FloatArray) -> bool:
        if not self.solved:
            return False
        traded_kw = self._traded_kw[both] + kwh / self._interval_h
        p_kw = _with_trade(self._background_kw[both], traded_kw)
        value = self._linear(both, p_kw) if self._check == "linear" else self._exact(both, p_kw)
        if value is None:
            self.refused_by = NO_SOLUTION
            return False
        excess = self._quantities.excess(value)
        growth = excess - self._excess
        if (growth > _ROUNDING).any():
            row = int(np.argmax(growth / self._quantities.most))
            self.refused_by = self._quantities.describe(row, value[row])
            return False
        self._traded_kw[both], self._p_kw[both] = traded_kw, p_kw
        self._value, self._excess = value, excess
        return True

    def _linear(self, both: Ints, p_kw: FloatArray) -> Complex:
        result: Complex = self._value + self._slope[:, both] @ (p_kw - self._p_kw[both])
        return result

    def _exact(self, both: Ints, p_kw: FloatArray) -> Complex | None:
        everybody = self._p_kw.copy()
        everybody[both] = p_kw
        s = self._power_flow.injected_va(everybody[:, None], self._q_kvar[:, None])
        solution = self._power_flow.try_solve(s, self._v)
        if not solution.converged.all():
            return None
        return self._quantities.at(solution.current[:, 0])

    def _reach_a(self, ordered_kwh: FloatArray) -> Floats:
        """[injectors] No trader's current exceeds this, down to four fifths of the voltage without load."""
        feeder = self._power_flow.feeder
        most_kw = np.maximum(np.abs(self._background_kw), ordered_kwh / self._interval_h)
        apparent = np.hypot(most_kw, self._q_kvar)[feeder.injector_point] * 1e3 * feeder.injector_share
        reach: Floats = apparent / (0.8 * np.abs(feeder.w))
        return reach


def _with_trade(background_kw: FloatArray, traded_kw: FloatArray) -> FloatArray:
    """Return net powers: of what is forecast and what is traded the larger, where both have the same direction."""
    larger = np.where(np.abs(background_kw) > np.abs(traded_kw), background_kw, traded_kw)
    return np.where((background_kw * traded_kw > 0) | (traded_kw == 0), larger, traded_kw)


def marginal_losses(feeder: Feeder, tangent_by_p: Floats, current: Complex) -> Floats:
    """[points] By how much losses grow with a kW more of export at each point, in kW per kW.

    Losses are what the source gives and what all points inject; the derivative of the former is that of a product of
    voltage and current at the source, both linear in the injected currents.

    Args:
        feeder: The network.
        tangent_by_p: See `Tangent.by_p`.
        current: [injectors] Ampere injected at the operating point.
    """
    v = feeder.source_z @ current + feeder.source_w
    drawn = feeder.source_gain @ current + feeder.source_i0
    weights = along(feeder.source_z, drawn) + along(feeder.source_gain, v)
    result: Floats = weights.sum(axis=0) @ tangent_by_p / 1e3 + 1.0
    return result


def _unbalance(feeder: Feeder, buses: Ints, vuf_percent: float) -> tuple[Complex, Complex, float, Floats]:
    """Negative-sequence voltages where traders are, against the positive sequence without load."""
    negative = np.array([1.0, _A**2, _A]) / 3
    z, w = feeder.bus_z.reshape(-1, 3, feeder.bus_z.shape[1])[buses], feeder.bus_w.reshape(-1, 3)[buses]
    most: Floats = vuf_percent / 100.0 * np.abs(w @ negative.conj())
    return np.einsum("p,bpj->bj", negative, z), w @ negative, 0.0, most
