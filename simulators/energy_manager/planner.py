"""The plans of all prosumers, and what each would take or give at every local price."""

from dataclasses import dataclass, replace

import numpy as np

from feederloop.simulators.energy_manager.closed_form import plan_without_vehicle
from feederloop.simulators.energy_manager.compiled import VARIABLES, compile_problem
from feederloop.simulators.energy_manager.model import Weights
from feederloop.simulators.energy_manager.outlook import Outlook
from feederloop.simulators.energy_manager.settings import Sites
from feederloop.simulators.energy_manager.stacked import PlanningError, StackedProgramme

#: How far a net position may fall with a rising price before it is no longer the solver's rounding.
_MONOTONE_WITHIN_KW = 1e-6
#: An iteration of the simplex method takes longer in a larger programme, a call to the solver has a price of its own:
#: stacks of this size keep the time in proportion to the number of prosumers.
_STACKED_AT_MOST = 8


@dataclass(frozen=True, eq=False)
class Plan:
    """What all prosumers intend; arrays of shape (prosumers, intervals) where not said otherwise.

    Attributes:
        position_kw: Net power at the connection point, export positive.
        pv_kw: PV power used.
        ev_kw: Power of the vehicle, discharging positive.
        energy_kwh: Energy in the vehicle at each interval's end.
        excess_kw: Import beyond the envelope that nothing can prevent.
        unserved_kwh: Energy missing at departure, shape (prosumers,).
        cost: Value of the objective, shape (prosumers,).
    """

    position_kw: np.ndarray
    pv_kw: np.ndarray
    ev_kw: np.ndarray
    energy_kwh: np.ndarray
    excess_kw: np.ndarray
    unserved_kwh: np.ndarray
    cost: np.ndarray


class Planner:
    """Plans for all prosumers at once; those without a vehicle by formula, the others in stacked linear programmes.

    Args:
        sites: The prosumers' devices.
        intervals: Planned intervals.
        interval_s: Length of one in seconds.
        weights: Penalties and tie-breakers.
    """

    def __init__(self, sites: Sites, intervals: int, interval_s: float, weights: Weights) -> None:
        self._weights, self._intervals = weights, intervals
        efficiencies = sites.ev_efficiency.tolist()
        self._problems = [compile_problem(intervals, interval_s / 3600.0, eta, weights) for eta in efficiencies]
        with_ev = np.flatnonzero(sites.ev_capacity_kwh > 0)
        self._without_ev = np.flatnonzero(sites.ev_capacity_kwh == 0)
        self._names = sites.names
        self._stacks = [self._stack(members) for members in _in_parts(with_ev, _STACKED_AT_MOST)]

    def _stack(self, members: np.ndarray) -> tuple[np.ndarray, StackedProgramme]:
        """Stack the problems of some prosumers."""
        names, problems = [self._names[i] for i in members], [self._problems[i] for i in members]
        return members, StackedProgramme(names, problems)

    def plan(self, outlook: Outlook) -> Plan:
        """Return everyone's cheapest plan.

        Raises:
            PlanningError: A prosumer has no plan; names those concerned.
        """
        data = outlook.data()
        for members, programme in self._stacks:
            programme.load(data[members])
        return self._describe(self._solve(outlook), data)

    def net_position_curve(
        self, outlook: Outlook, buy_price_per_kwh: np.ndarray, sell_price_per_kwh: np.ndarray
    ) -> np.ndarray:
        """Return the position in the first interval at each of several prices, all later prices as in the outlook.

        A price change moves an optimal position one way only: with more to earn for a kWh nobody offers fewer. What
        the solver's rounding leaves is levelled, so that the result rises without exception.

        Args:
            outlook: Data of the problem.
            buy_price_per_kwh: What buying costs in the first interval, ascending, shape (points,).
            sell_price_per_kwh: What selling earns in the first interval, ascending, shape (points,).

        Returns:
            Net power in kW, shape (prosumers, points).

        Raises:
            PlanningError: A prosumer has no plan, or offers less for more.
        """
        positions = np.empty((len(self._names), len(buy_price_per_kwh)))
        first = np.array([VARIABLES.index(name) * self._intervals for name in ("buy_kw", "excess_kw", "sell_kw")])
        for point in range(len(buy_price_per_kwh)):
            priced = _with_first_price(outlook, buy_price_per_kwh[point], sell_price_per_kwh[point])
            data = priced.data()
            for members, programme in self._stacks:
                if point == 0:
                    programme.load(data[members])
                else:
                    programme.reprice(data[members], first)
            columns = self._solve(priced)
            positions[:, point] = columns[:, first] @ [-1.0, -1.0, 1.0]
        rising = np.maximum.accumulate(positions, axis=1)
        wrong = np.flatnonzero((rising - positions).max(axis=1) > _MONOTONE_WITHIN_KW)
        if wrong.size:
            raise PlanningError(f"offers less at a higher price: {', '.join(self._names[i] for i in wrong)}")
        return rising

    def _solve(self, outlook: Outlook) -> np.ndarray:
        """Return the optimal columns of all prosumers for the programmes as loaded."""
        columns = np.empty((len(self._names), len(VARIABLES) * self._intervals + 1))
        for members, programme in self._stacks:
            columns[members] = programme.solve()
        if self._without_ev.size:
            own = outlook.of(self._without_ev)
            columns[self._without_ev] = plan_without_vehicle(own, self._weights.curtailment_per_kwh)
        return columns

    def _describe(self, columns: np.ndarray, data: np.ndarray) -> Plan:
        """Turn columns into a plan."""
        blocks = columns[:, :-1].reshape(len(columns), len(VARIABLES), self._intervals).swapaxes(0, 1)
        part = dict(zip(VARIABLES, blocks, strict=True))
        cost = np.empty(len(columns))
        for problem in set(self._problems):
            own = np.array([candidate is problem for candidate in self._problems])
            cost[own] = (problem.cost.at(data[own]) * columns[own]).sum(axis=1)
        return Plan(
            position_kw=part["sell_kw"] - part["buy_kw"] - part["excess_kw"],
            pv_kw=part["pv_kw"],
            ev_kw=part["discharge_kw"] - part["charge_kw"] - part["fast_charge_kw"],
            energy_kwh=part["energy_kwh"],
            excess_kw=part["excess_kw"],
            unserved_kwh=columns[:, -1],
            cost=cost,
        )


def _in_parts(members: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut a list of prosumers into parts of at most some size."""
    return [members[start : start + size] for start in range(0, len(members), size)]


def _with_first_price(outlook: Outlook, buy_per_kwh: float, sell_per_kwh: float) -> Outlook:
    """Return the outlook with other prices in its first interval."""
    buy, sell = outlook.buy_price_per_kwh.copy(), outlook.sell_price_per_kwh.copy()
    buy[:, 0], sell[:, 0] = buy_per_kwh, sell_per_kwh
    return replace(outlook, buy_price_per_kwh=buy, sell_price_per_kwh=sell)
