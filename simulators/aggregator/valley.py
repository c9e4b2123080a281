"""Valley filling: charge all vehicles so that the feeder's load as a whole is as flat as it can be.

Minimises the sum of squares of the total load over the intervals (Gan, Topcu, Low, "Optimal decentralized protocol for
electric vehicle charging", IEEE Trans. Power Systems 28(2), 2013), here by one who knows all. The squares are cut into
chords so fine that a linear programme does. Nothing is known of where in the network anybody is.
"""

import numpy as np
import pyomo.environ as pyo

from feederloop.simulators.aggregator.lp import LinearProgramme
from feederloop.simulators.energy_manager.outlook import Outlook

_CHORDS = 96
_UNSERVED = 1e4
"""Per kWh; above the slope of any chord, of which the highest is twice the highest load in kW."""


def state_valley(vehicles: int, intervals: int) -> pyo.ConcreteModel:
    """State the problem for some vehicles; bounds and right-hand sides are set for each plan.

    The load lies in chords of equal width from the lowest that can be; a chord's slope is the number of its middle, to
    which the square's slope is proportional up to a constant, and a constant times the total energy changes nothing
    but the worth of energy, which is far below that of serving a vehicle.
    """
    model = pyo.ConcreteModel("valley_filling")
    model.vehicle, model.interval, model.chord = pyo.RangeSet(vehicles), pyo.RangeSet(intervals), pyo.RangeSet(_CHORDS)
    model.charge_kw = pyo.Var(model.vehicle, model.interval, domain=pyo.NonNegativeReals)
    model.part_kw = pyo.Var(model.interval, model.chord, domain=pyo.NonNegativeReals)
    model.unserved_kwh = pyo.Var(model.vehicle, domain=pyo.NonNegativeReals)

    def load(m: pyo.ConcreteModel, t: int) -> object:
        return sum(m.part_kw[t, s] for s in m.chord) - sum(m.charge_kw[i, t] for i in m.vehicle) == 0.0

    def served(m: pyo.ConcreteModel, i: int) -> object:
        return sum(m.charge_kw[i, t] for t in m.interval) + m.unserved_kwh[i] == 0.0

    model.levelled = pyo.Constraint(model.interval, rule=load)
    model.served = pyo.Constraint(model.vehicle, rule=served)
    rise = sum((s - 0.5) * model.part_kw[t, s] for t in model.interval for s in model.chord)
    model.cost = pyo.Objective(expr=rise + _UNSERVED * sum(model.unserved_kwh[i] for i in model.vehicle))
    return model


class ValleyFilling:
    """Plans the charging of all vehicles, interval by interval anew.

    Args:
        capacity_kwh: Batteries of all prosumers, 0 without a vehicle, (prosumers,).
        efficiency: Of charging, (prosumers,).
        intervals: Planned intervals.
        interval_h: Length of one.
    """

    def __init__(self, capacity_kwh: np.ndarray, efficiency: np.ndarray, intervals: int, interval_h: float) -> None:
        self._with_ev = np.flatnonzero(capacity_kwh > 0)
        self._efficiency, self._interval_h = efficiency[self._with_ev], interval_h
        model = state_valley(len(self._with_ev), intervals)
        self._programme = LinearProgramme(model, "valley filling")
        self._charge = self._programme.columns(model.charge_kw)
        self._part = self._programme.columns(model.part_kw)
        self._load, self._served = self._programme.rows(model.levelled), self._programme.rows(model.served)

    def plan(self, outlook: Outlook) -> np.ndarray:
        """Return the power of the vehicles, discharging positive, (prosumers, intervals) in kW."""
        base_kw = -(outlook.household_kw + outlook.pv_available_kw).sum(axis=0)
        limit_kw = outlook.charge_limit_kw[self._with_ev]
        missing_kwh = np.maximum(outlook.target_kwh - outlook.initial_kwh, 0.0)[self._with_ev]
        # What cannot be reached is given up here, so that the rest is planned like any other.
        need_kw = np.minimum(missing_kwh / self._efficiency / self._interval_h, limit_kw.sum(axis=1))
        lowest, highest = float(base_kw.min()), float((base_kw + limit_kw.sum(axis=0)).max())
        width = np.full(self._part.size, max(highest - lowest, 1e-3) / _CHORDS * 1.001)
        programme = self._programme
        programme.bound_columns(self._charge, np.zeros(limit_kw.size), limit_kw.ravel())
        programme.bound_columns(self._part, np.zeros(width.size), width)
        programme.bound_rows(self._load, base_kw - lowest, base_kw - lowest)
        programme.bound_rows(self._served, need_kw, need_kw)
        values = programme.solve()
        power = np.zeros(outlook.household_kw.shape)
        power[self._with_ev] = -values[self._charge].reshape(limit_kw.shape)
        return power
