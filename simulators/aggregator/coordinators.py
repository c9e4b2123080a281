"""Those who schedule the devices of all: blind to the network, aware of it, or with perfect foresight as well."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from feederloop.simulators.aggregator.foresight import Sessions, Truth, state_optimum
from feederloop.simulators.aggregator.joint import JointProgramme, NetworkRowsOf
from feederloop.simulators.aggregator.lp import LinearProgramme
from feederloop.simulators.aggregator.network import Cut, NetworkRows, bearable_plan
from feederloop.simulators.aggregator.valley import ValleyFilling
from feederloop.simulators.energy_manager.outlook import Beliefs, Outlook, Vehicles, look_ahead
from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff

_NEAR = 0.02
"""Share of a limit's range that it may be away in the last plan for its row to be in the next one from the start."""
_CURTAILED_KW = 1e-3


@dataclass(frozen=True, eq=False)
class Situation:
    """What is known at the start of an interval; arrays are (prosumers, horizon), export positive.

    Attributes:
        interval: The interval that begins, counted from the run's start.
        household_kw: Forecast of homes.
        household_kvar: Their reactive power.
        pv_available_kw: Forecast of the sun.
        vehicles: The vehicles now.
    """

    interval: int
    household_kw: np.ndarray
    household_kvar: np.ndarray
    pv_available_kw: np.ndarray
    vehicles: Vehicles


@dataclass(frozen=True, eq=False)
class Schedule:
    """What everybody is to do in the interval that begins; arrays are (prosumers,).

    Attributes:
        ev_kw: Mean power of the vehicles, discharging positive.
        pv_limit_kw: What inverters may feed in at most, NaN for no limit.
        position_kwh: Energy at the connection point, export positive.
        traded_kwh: What is exchanged among the prosumers in the interval after this one, sold positive.
        traded_price_per_kwh: At which price, NaN where nothing is.
        rounds: How often a plan was made.
        rows: Limits of the network that took part.
        excess_kw: The most by which a limit is exceeded all the same, see `network.Bearable`.
    """

    ev_kw: np.ndarray
    pv_limit_kw: np.ndarray
    position_kwh: np.ndarray
    traded_kwh: np.ndarray
    traded_price_per_kwh: np.ndarray
    rounds: int = 1
    rows: int = 0
    excess_kw: float = 0.0


class Coordinator(Protocol):
    """Schedules all devices, at the start of every interval."""

    def schedule(self, situation: Situation) -> Schedule:
        """Return the schedule of the interval that begins."""
        ...


class _Receding:
    """Plans from the current interval to the horizon, every interval anew, without foresight of arrivals."""

    def __init__(self, sites: Sites, tariff: Tariff, options: Options, horizon: int, interval_s: float) -> None:
        self._sites, self._tariff, self._options = sites, tariff, options
        self._horizon, self._interval_s = horizon, interval_s

    def _outlook(self, situation: Situation) -> Outlook:
        count, first = self._horizon, situation.interval
        window = slice(first, first + count)
        shape = situation.household_kw.shape
        sites, prices = self._sites, self._tariff
        beliefs = Beliefs(
            situation.household_kw,
            situation.pv_available_kw,
            np.broadcast_to(sites.import_cap_kw[:, None], shape),
            np.broadcast_to(sites.export_cap_kw[:, None], shape),
        )
        return look_ahead(
            sites,
            beliefs,
            situation.vehicles,
            (prices.retail_per_kwh[window], prices.feed_in_per_kwh[window]),
            prices.feed_in_per_kwh[window],
            self._interval_s * np.arange(first, first + count, dtype=float),
            self._interval_s,
            self._options.curtailment_penalty_per_kwh,
            self._options.firm_pv_share,
        )

    def _nothing(self) -> np.ndarray:
        return np.zeros(len(self._sites))


class ValleyFiller(_Receding):
    """Flattens the load of the feeder as a whole; PV feeds in what there is."""

    def __init__(self, sites: Sites, tariff: Tariff, options: Options, horizon: int, interval_s: float) -> None:
        super().__init__(sites, tariff, options, horizon, interval_s)
        self._valley = ValleyFilling(sites.ev_capacity_kwh, sites.ev_efficiency, horizon, interval_s / 3600.0)

    def schedule(self, situation: Situation) -> Schedule:
        """Return the schedule of the interval that begins."""
        ev_kw = self._valley.plan(self._outlook(situation))[:, 0]
        position_kw = (situation.household_kw + situation.pv_available_kw)[:, 0] + ev_kw
        no_limit = np.full(len(ev_kw), np.nan)
        return Schedule(ev_kw, no_limit, position_kw * self._interval_s / 3600.0, self._nothing(), no_limit)


class NetworkAware(_Receding):
    """Minimises everybody's costs together within every limit of the network.

    Args:
        sites: The prosumers' devices.
        tariff: Prices over the whole run and a horizon beyond.
        options: Of the energy managers, whose problem it is.
        horizon: Planned intervals.
        interval_s: Length of one.
        network: The network.
        curtail_pv: Whether inverters may be limited.
    """

    def __init__(
        self,
        sites: Sites,
        tariff: Tariff,
        options: Options,
        horizon: int,
        interval_s: float,
        network: NetworkRows,
        curtail_pv: bool,
    ) -> None:
        super().__init__(sites, tariff, options, horizon, interval_s)
        self._network, self._curtail_pv = network, curtail_pv
        self._programme = JointProgramme(sites, horizon, interval_s, options.weights)
        self._last_kw: np.ndarray | None = None

    def schedule(self, situation: Situation) -> Schedule:
        """Return the schedule of the interval that begins."""
        known = situation if self._curtail_pv else _with_fixed_sun(situation)
        self._programme.begin(self._outlook(known))
        q_kvar = situation.household_kvar
        first: list[Cut] = []
        if self._last_kw is not None:
            first = self._network.cuts(np.roll(self._last_kw, -1, axis=1), q_kvar, near=_NEAR)
        plan = bearable_plan(self._network, q_kvar, self._programme.solve_within, first)
        self._last_kw = plan.p_kw
        now = self._programme.described()
        sun_kw = known.pv_available_kw[:, 0]
        curtailed = now.pv_kw[:, 0] < sun_kw - _CURTAILED_KW
        return Schedule(
            ev_kw=now.ev_kw[:, 0],
            pv_limit_kw=np.where(curtailed, now.pv_kw[:, 0], np.nan),
            position_kwh=plan.p_kw[:, 0] * self._interval_s / 3600.0,
            traded_kwh=self._nothing(),
            traded_price_per_kwh=np.full(len(sun_kw), np.nan),
            rounds=plan.rounds,
            rows=len(plan.cuts),
            excess_kw=plan.excess_kw,
        )


class PerfectForesight:
    """Carries out the best plan for the whole run, made once from the truth.

    Args:
        sites: The prosumers' devices.
        tariff: Prices over the whole run.
        options: Of the energy managers.
        interval_s: Length of an interval.
        network: The network.
        truth: What homes draw and the sun offers.
        sessions: When vehicles are there.
    """

    def __init__(
        self,
        sites: Sites,
        tariff: Tariff,
        options: Options,
        interval_s: float,
        network: NetworkRows,
        truth: Truth,
        sessions: Sessions,
    ) -> None:
        self._interval_h = interval_s / 3600.0
        self._tariff, self._truth = tariff, truth
        model = state_optimum(sites, truth, sessions, tariff, self._interval_h, options.weights)
        programme = LinearProgramme(model, "central optimum")
        shape = truth.household_kw.shape
        terms = programme.columns(model.sell_kw, model.buy_kw, model.excess_kw).reshape(3, *shape)
        sign = np.array([1.0, -1.0, -1.0])
        rows = NetworkRowsOf(programme.solver, terms.swapaxes(0, 1), sign, self._interval_h)

        def solve(cuts: list[Cut]) -> np.ndarray:
            rows.add(cuts)
            position: np.ndarray = np.tensordot(sign, programme.solve()[terms], axes=1)
            return position

        self._plan = bearable_plan(network, truth.household_kvar, solve, [])
        values = programme.solve()
        self._sold_kw, self._bought_kw = values[terms[0]], values[terms[1]]
        self._local_kw = values[programme.columns(model.local_kw)[0]]
        self._pv_kw = values[programme.columns(model.pv_kw)].reshape(shape)
        self._ev_kw = np.zeros(shape)
        if len(sessions.prosumer):
            session, interval = np.array(list(model.there)).T
            charge, discharge = values[programme.columns(model.charge_kw, model.discharge_kw)]
            np.add.at(self._ev_kw, (sessions.prosumer[session], interval), discharge - charge)

    def schedule(self, situation: Situation) -> Schedule:
        """Return the schedule of the interval that begins; at the run's very end, of the last one."""
        k = min(situation.interval, self._plan.p_kw.shape[1] - 1)
        curtailed = self._pv_kw[:, k] < self._truth.pv_available_kw[:, k] - _CURTAILED_KW
        traded, price = self._exchange(situation.interval + 1)
        return Schedule(
            ev_kw=self._ev_kw[:, k],
            pv_limit_kw=np.where(curtailed, self._pv_kw[:, k], np.nan),
            position_kwh=self._plan.p_kw[:, k] * self._interval_h,
            traded_kwh=traded,
            traded_price_per_kwh=np.where(traded != 0.0, price, np.nan),
            rounds=self._plan.rounds,
            rows=len(self._plan.cuts),
            excess_kw=self._plan.excess_kw,
        )

    def _exchange(self, k: int) -> tuple[np.ndarray, float]:
        """Return what is exchanged in an interval, in proportion among sellers and among buyers, and its price.

        The price is halfway between those that make the one and the other side indifferent.
        """
        if k >= self._plan.p_kw.shape[1] or self._local_kw[k] <= 1e-9:
            return np.zeros(len(self._sold_kw)), np.nan
        sold, bought = self._sold_kw[:, k], self._bought_kw[:, k]
        shares = sold / sold.sum() - bought / bought.sum()
        top = self._tariff.retail_per_kwh[k] - self._tariff.network_charge_per_kwh
        return shares * self._local_kw[k] * self._interval_h, float((self._tariff.feed_in_per_kwh[k] + top) / 2.0)


def _with_fixed_sun(situation: Situation) -> Situation:
    """Return the situation in which the sun is part of what nobody can change."""
    return Situation(
        situation.interval,
        situation.household_kw + situation.pv_available_kw,
        situation.household_kvar,
        np.zeros_like(situation.pv_available_kw),
        situation.vehicles,
    )
