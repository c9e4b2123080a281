"""The least that has to be curtailed of what was not traded, so that the network bears what is going to happen."""

import numpy as np
import pyomo.environ as pyo

from feederloop.simulators.aggregator.joint import NetworkRowsOf
from feederloop.simulators.aggregator.lp import LinearProgramme
from feederloop.simulators.aggregator.network import Bearable, Cut, NetworkRows, bearable_plan
from feederloop.simulators.grid.feeder import Floats


def state_curtailment(points: int) -> pyo.ConcreteModel:
    """State the problem: stay as near to the intended powers as limits on each allow; numbers are set each time."""
    model = pyo.ConcreteModel("curtailment")
    model.point = pyo.RangeSet(0, points - 1)
    model.p_kw = pyo.Var(model.point)
    model.less_kw = pyo.Var(model.point, domain=pyo.NonNegativeReals)
    model.more_kw = pyo.Var(model.point, domain=pyo.NonNegativeReals)
    model.intended = pyo.Constraint(model.point, rule=lambda m, i: m.p_kw[i] + m.less_kw[i] - m.more_kw[i] == 0.0)
    model.cost = pyo.Objective(expr=sum(model.less_kw[i] + model.more_kw[i] for i in model.point))
    return model


class Curtailment:
    """Curtails interval by interval.

    Args:
        network: The network.
        points: How many connection points there are.
        interval_h: Length of an interval.
    """

    def __init__(self, network: NetworkRows, points: int, interval_h: float) -> None:
        self._network, self._interval_h = network, interval_h
        model = state_curtailment(points)
        self._programme = LinearProgramme(model, "curtailment")
        self._power, self._intended = self._programme.columns(model.p_kw)[0], self._programme.rows(model.intended)
        columns = self._power[:, None, None]
        self._rows = NetworkRowsOf(self._programme.solver, columns, np.ones(1), interval_h)

    def held_by(self, plan: Bearable) -> list[tuple[str, str]]:
        """[points] The limits that hold each one's export, and import, back; empty where none does."""
        return self._network.holding(plan.cuts, plan.p_kw[:, 0])

    def bearable(self, intended_kw: Floats, traded_kw: Floats, demand_kw: Floats, q_kvar: Floats) -> Bearable:
        """Return powers that the network bears; arrays are [points], export positive.

        Nobody is curtailed of what was traded, nor of demand that cannot be moved.

        Args:
            intended_kw: What everybody is going to do.
            traded_kw: What of this was traded.
            demand_kw: Forecast of homes, at most zero.
            q_kvar: Reactive power.
        """
        least = np.minimum(intended_kw, np.maximum(traded_kw, 0.0))
        most = np.maximum(intended_kw, np.minimum(np.minimum(traded_kw, 0.0), demand_kw))
        low = np.where(intended_kw > 0, least, intended_kw)
        high = np.where(intended_kw > 0, intended_kw, most)
        self._rows.clear()
        self._programme.bound_columns(self._power, low, high)
        self._programme.bound_rows(self._intended, intended_kw, intended_kw)

        def solve(cuts: list[Cut]) -> Floats:
            self._rows.add(cuts)
            plan: Floats = self._programme.solve()[self._power][:, None]
            return plan

        return bearable_plan(self._network, q_kvar[:, None], solve, [])
