"""Looks for the use of a box that the network bears worst: ascent over its corners and inside it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandapower as pp
import pandas as pd
from peers.power_grid_model_3ph import PowerGridModelPeer

from feederloop.simulators.envelope.box import Box
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.powerflow import PowerFlow, unbalance_percent
from feederloop.simulators.pv.volt_var import volt_var_share

Evaluate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""[quantities, scenarios] from [points, scenarios] p_kw and q_kvar; every quantity is worse the higher it is."""


class Engine:
    """Evaluates uses: highest and negated lowest voltage of every low-voltage bus and phase, loading of every branch.

    Attributes:
        evaluate: See `Evaluate`: voltages, negated voltages, loadings in percent, in this order.
        nodes: How many voltages there are.
    """

    evaluate: Evaluate
    nodes: int


class OwnEngine(Engine):
    """The package's own power flow, to a tolerance at which what is left is rounding."""

    def __init__(self, feeder: Feeder) -> None:
        self.power_flow = PowerFlow(feeder, tolerance_v=1e-9)
        self._low = np.repeat(feeder.bus_vn_v < 1000.0, 3)
        self.nodes = int(self._low.sum())

    def evaluate(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        current = self.power_flow.solve(p_kw, q_kvar).current
        volts = np.abs(self.power_flow.bus_voltages(current)).reshape(len(self._low), -1)[self._low]
        loading = self.power_flow.branch_loading_percent(current).reshape(-1, p_kw.shape[1])
        return np.concatenate([volts, -volts, loading])


class UnbalanceEngine(OwnEngine):
    """Voltage unbalance factors in percent of every low-voltage bus, in the place of voltages and of loadings."""

    def __init__(self, feeder: Feeder) -> None:
        super().__init__(feeder)
        self.nodes //= 3

    def evaluate(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        current = self.power_flow.solve(p_kw, q_kvar).current
        vuf = unbalance_percent(self.power_flow.bus_voltages(current))[self._low[::3]]
        return np.concatenate([vuf, -vuf, vuf])


class VoltVarEngine(OwnEngine):
    """As the own engine, with inverters whose reactive power follows their voltage, each on a single phase."""

    def __init__(self, feeder: Feeder, rated_kva: np.ndarray) -> None:
        super().__init__(feeder)
        self._rated_kva = rated_kva[:, None]

    def evaluate(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        supplied = np.zeros_like(q_kvar)
        for _ in range(60):
            volts = np.abs(self.power_flow.solve(p_kw, q_kvar + supplied).v)
            wanted = self._rated_kva * volt_var_share(volts)
            if np.abs(wanted - supplied).max() < 1e-9:
                return super().evaluate(p_kw, q_kvar + supplied)
            supplied = (supplied + wanted) / 2  # damped: the droop is steep
        raise ArithmeticError("voltage and reactive power found no balance")


class PowerGridModelEngine(Engine):
    """power-grid-model: its own modelling of lines and transformers, and a Newton-Raphson of its own."""

    def __init__(self, net: pp.pandapowerNet, points: pd.DataFrame) -> None:
        self.peer = PowerGridModelPeer(net, points)
        self._low = self.peer.bus_vn_v < 1000.0
        self.nodes = 3 * int(self._low.sum())
        self._line_a = (net.line["max_i_ka"] * net.line["df"] * net.line["parallel"] * 1e3).to_numpy()
        rated_va = (net.trafo["sn_mva"] * net.trafo["parallel"] * 1e6).to_numpy()
        self._winding_a = [rated_va / (np.sqrt(3) * net.trafo[kv].to_numpy() * 1e3) for kv in ("vn_hv_kv", "vn_lv_kv")]

    def evaluate(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        node, line, trafo = self.peer.run_all(self.peer.update(p_kw, q_kvar))
        scenarios = p_kw.shape[1]
        volts = node["u"][:, self._low].reshape(scenarios, -1)
        of_line = np.maximum(line["i_from"], line["i_to"]) / self._line_a[:, None]
        hv_a, lv_a = self._winding_a
        of_trafo = np.maximum(trafo["i_from"] / hv_a[:, None], trafo["i_to"] / lv_a[:, None])
        loading = 100.0 * np.concatenate([of_line, of_trafo], axis=1).reshape(scenarios, -1)
        return np.concatenate([volts, -volts, loading], axis=1).T


@dataclass(frozen=True)
class Found:
    """The worst that was found, and the uses that do it.

    Attributes:
        v_max_v, v_min_v, loading_percent: Over every bus, phase and branch.
        p_kw: [points, 3] A use for each of them.
        q_kvar: [points, 3]
    """

    v_max_v: float
    v_min_v: float
    loading_percent: float
    p_kw: np.ndarray
    q_kvar: np.ndarray


class _Best:
    """Keeps the worst use of each kind over everything that was ever evaluated, also on the way to another."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.kinds = kinds(engine)
        self.value = np.full(3, -np.inf)
        self.use: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty(0))] * 3

    def evaluate(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        values = self.engine.evaluate(p_kw, q_kvar)
        for kind, rows in enumerate(self.kinds):
            worst = values[rows].max(axis=0)
            column = int(worst.argmax())
            if worst[column] > self.value[kind]:
                self.value[kind] = worst[column]
                self.use[kind] = p_kw[:, column].copy(), q_kvar[:, column].copy()
        return values


def attack(
    engine: Engine,
    box: Box,
    phases: pd.Series,
    *,
    seed: int = 0,
    starts: int = 6,
    rows_each: int = 2,
    inside: bool = False,
    rounds: int = 12,
) -> Found:
    """Look for the worst use of the box.

    Args:
        engine: What computes a use.
        box: The uses.
        phases: [points] a, b, c or abc.
        seed: Of the random starts.
        starts: Random corners and balanced trades, besides the corners that everybody thinks of.
        rows_each: From each kind's worst start, ascend for this many buses or branches.
        inside: Also look inside the box: along each coordinate and at random.
        rounds: Ascend at most this often.
    """
    rng = np.random.default_rng(seed)
    best = _Best(engine)
    ends = _start_ends(box, phases, rng, starts)
    p, q = _uses(box, ends)
    values = best.evaluate(p, q)
    for rows in best.kinds:
        worst = np.argsort(-values[rows].max(axis=1), kind="stable")[: 2 * rows_each : 2] + rows.start
        for row in worst:
            start = int(values[row].argmax())
            _ascend(best, box, ends[:, start], int(row), inside, rounds)
    highest, negated_lowest, loading = best.value
    uses_p, uses_q = (np.stack([use[part] for use in best.use], axis=1) for part in range(2))
    return Found(float(highest), float(-negated_lowest), float(loading), uses_p, uses_q)


def kinds(engine: Engine) -> tuple[slice, slice, slice]:
    """Return which quantities are voltages, which are negated voltages and which are loadings."""
    return slice(0, engine.nodes), slice(engine.nodes, 2 * engine.nodes), slice(2 * engine.nodes, None)


def random_corners(box: Box, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """[points, count] p_kw and q_kvar of random corners."""
    return _uses(box, rng.choice([0.0, 1.0], (2 * len(box.p_low_kw), count)))


def balanced_trades(box: Box, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """[points, count] p_kw and q_kvar of trades in which some export what others import, as in a market."""
    points = len(box.p_low_kw)
    exporting = rng.random((points, count)) < rng.uniform(0.2, 0.8, count)
    export = np.where(exporting, np.maximum(box.p_high_kw, 0.0)[:, None], 0.0)
    load = np.where(exporting, 0.0, np.minimum(box.p_low_kw, 0.0)[:, None])
    sold, bought = export.sum(axis=0), -load.sum(axis=0)
    traded = np.minimum(sold, bought)
    with np.errstate(invalid="ignore", divide="ignore"):
        p_kw = export * np.nan_to_num(traded / sold) + load * np.nan_to_num(traded / bought)
    p_kw = np.clip(p_kw, box.p_low_kw[:, None], box.p_high_kw[:, None])
    q = rng.choice([0.0, 1.0], (points, count))
    return p_kw, box.q_low_kvar[:, None] + q * (box.q_high_kvar - box.q_low_kvar)[:, None]


def _uses(box: Box, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[points, scenarios] p and q of [2 points, scenarios] places between the low end (0) and the high one (1)."""
    points = len(box.p_low_kw)
    p = box.p_low_kw[:, None] + ends[:points] * (box.p_high_kw - box.p_low_kw)[:, None]
    q = box.q_low_kvar[:, None] + ends[points:] * (box.q_high_kvar - box.q_low_kvar)[:, None]
    return p, q


def _start_ends(box: Box, phases: pd.Series, rng: np.random.Generator, starts: int) -> np.ndarray:
    """[2 points, scenarios] All export, all import, one phase against the others, random corners."""
    points = len(box.p_low_kw)
    columns = [np.zeros(points), np.ones(points)]
    for phase in "abc":
        on = phases.str.contains(phase).to_numpy(dtype=float)
        columns += [on, 1 - on]
    columns += list(rng.choice([0.0, 1.0], (starts, points)))
    p_ends = np.stack(columns, axis=1)
    q_ends = rng.choice([0.0, 1.0], p_ends.shape)
    q_ends[:, : q_ends.shape[1] // 2] = p_ends[:, : q_ends.shape[1] // 2]
    return np.concatenate([p_ends, q_ends])


def _ascend(best: _Best, box: Box, ends: np.ndarray, row: int, inside: bool, rounds: int) -> None:
    """Move every coordinate that makes this row worse, then the best one alone, until none does."""
    width = np.concatenate([box.p_high_kw - box.p_low_kw, box.q_high_kvar - box.q_low_kvar])
    free = np.flatnonzero(width > 0)
    if not len(free):
        return
    here = float(best.evaluate(*_uses(box, ends[:, None]))[row, 0])
    for _ in range(rounds):
        tried = [1.0 - np.round(ends[free])] + (
            [np.clip(ends[free] + by, 0, 1) for by in (-0.3, 0.3)] if inside else []
        )
        candidates = np.repeat(ends[:, None], len(free) * len(tried), axis=1)
        target = np.concatenate(tried)
        coordinate = np.tile(free, len(tried))
        candidates[coordinate, np.arange(len(target))] = target
        gain = best.evaluate(*_uses(box, candidates))[row] - here
        if gain.max() <= 1e-9:
            return
        together = ends.copy()
        for move in np.argsort(gain):  # the best move of a coordinate is written last
            if gain[move] > 0:
                together[coordinate[move]] = target[move]
        joint = float(best.evaluate(*_uses(box, together[:, None]))[row, 0])
        if joint >= here + gain.max():
            ends, here = together, joint
        else:
            ends, here = candidates[:, int(gain.argmax())], here + float(gain.max())
