"""The bound below every scheme: one plan for all prosumers over the whole run, with everything known in advance.

Load and sun are the true means of each interval, all sessions are known before they begin, and everybody's devices
serve the common cost: what is bought from and sold to the retailer, network charge on what is exchanged among peers,
wear, and the same penalties as the energy managers'.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from feederloop.simulators import timeseries
from feederloop.simulators.energy_manager.model import Weights
from feederloop.simulators.energy_manager.settings import Sites, Tariff


@dataclass(frozen=True, eq=False)
class Sessions:
    """All sessions of a run; arrays are (sessions,) or (sessions, intervals).

    Attributes:
        prosumer: Whose vehicle it is, as a position among the sites.
        first: Interval in which it begins.
        last: Interval in which it ends or the run does.
        share: Share of each interval in which the vehicle is there.
        arrival_kwh: Energy that it comes with.
        target_kwh: Energy asked for in the end: what the driver requires, or of a session that outlasts the run a part
            of the way there in proportion to time.
    """

    prosumer: np.ndarray
    first: np.ndarray
    last: np.ndarray
    share: np.ndarray
    arrival_kwh: np.ndarray
    target_kwh: np.ndarray

    @classmethod
    def of(
        cls, table: pd.DataFrame, names: Sequence[str], *, start: str, duration_s: int, step_s: int, interval_s: int
    ) -> "Sessions":
        """Lay a run's sessions out on its clock; arrivals and departures in whole steps, as the fleet has them."""
        origin = timeseries.utc_seconds(start)
        position = {name: number for number, name in enumerate(names)}
        begin, end = (
            np.array([moment.timestamp() for moment in table[column]]) - origin for column in ("arrival", "departure")
        )
        begin = np.maximum(-(-begin // step_s) * step_s, 0.0)
        end = end // step_s * step_s
        kept = np.flatnonzero((begin < duration_s) & (end > begin))
        table, begin, end = table.iloc[kept], begin[kept], end[kept]
        until = np.minimum(end, duration_s)
        edges = interval_s * np.arange(duration_s // interval_s + 1)
        inside = np.minimum(until[:, None], edges[None, 1:]) - np.maximum(begin[:, None], edges[None, :-1])
        arrival, required = (table[column].to_numpy(dtype=float) for column in ("arrival_kwh", "required_kwh"))
        part = np.where(end > duration_s, (until - begin) / (end - begin), 1.0)
        return cls(
            prosumer=np.array([position[name] for name in table["prosumer"]], dtype=int),
            first=(begin // interval_s).astype(int),
            last=((until - 1e-6) // interval_s).astype(int),
            share=np.maximum(inside, 0.0) / interval_s,
            arrival_kwh=arrival,
            target_kwh=np.where(part < 1.0, arrival + np.maximum(required - arrival, 0.0) * part, required),
        )


@dataclass(frozen=True, eq=False)
class Truth:
    """Means of each interval; arrays are (prosumers, intervals), export positive."""

    household_kw: np.ndarray
    household_kvar: np.ndarray
    pv_available_kw: np.ndarray


def state_optimum(
    sites: Sites, truth: Truth, sessions: Sessions, tariff: Tariff, interval_h: float, weights: Weights
) -> pyo.ConcreteModel:
    """State the whole run's problem; all data are numbers in it."""
    count, intervals = truth.household_kw.shape
    m = pyo.ConcreteModel("central_optimum")
    m.site, m.interval = pyo.RangeSet(0, count - 1), pyo.RangeSet(0, intervals - 1)
    m.there = pyo.Set(
        dimen=2,
        initialize=[
            (s, t)
            for s in range(len(sessions.prosumer))
            for t in range(int(sessions.first[s]), int(sessions.last[s]) + 1)
        ],
    )
    m.session = pyo.RangeSet(0, len(sessions.prosumer) - 1)
    m.buy_kw = pyo.Var(m.site, m.interval, bounds=lambda m, i, t: (0, float(sites.import_cap_kw[i])))
    # A user's household series may feed in; what nobody can curtail is let through.
    sell_kw = np.maximum(sites.export_cap_kw[:, None], truth.household_kw)
    m.sell_kw = pyo.Var(m.site, m.interval, bounds=lambda m, i, t: (0, float(sell_kw[i, t])))
    m.excess_kw = pyo.Var(m.site, m.interval, domain=pyo.NonNegativeReals)
    m.pv_kw = pyo.Var(m.site, m.interval, bounds=lambda m, i, t: (0, float(truth.pv_available_kw[i, t])))
    m.local_kw = pyo.Var(m.interval, domain=pyo.NonNegativeReals)
    _declare_vehicles(m, sites, sessions)
    _store(m, sites, sessions, interval_h)
    _balance(m, truth, sessions)
    _price(m, sites, sessions, tariff, interval_h, weights)
    return m


def _declare_vehicles(m: Any, sites: Sites, sessions: Sessions) -> None:
    def up_to(limit: np.ndarray) -> Any:
        return lambda m, s, t: (0, float(limit[sessions.prosumer[s]] * sessions.share[s, t]))

    m.charge_kw = pyo.Var(m.there, bounds=up_to(sites.ev_charge_kw))
    m.discharge_kw = pyo.Var(m.there, bounds=up_to(sites.ev_discharge_kw))
    m.energy_kwh = pyo.Var(m.there, bounds=lambda m, s, t: (0, float(sites.ev_capacity_kwh[sessions.prosumer[s]])))
    m.unserved_kwh = pyo.Var(m.session, domain=pyo.NonNegativeReals)


def _store(m: Any, sites: Sites, sessions: Sessions, interval_h: float) -> None:
    def storage(m: Any, s: int, t: int) -> Any:
        efficiency = float(sites.ev_efficiency[sessions.prosumer[s]])
        before = float(sessions.arrival_kwh[s]) if t == sessions.first[s] else m.energy_kwh[s, t - 1]
        stored = efficiency * m.charge_kw[s, t] - m.discharge_kw[s, t] / efficiency
        return m.energy_kwh[s, t] == before + interval_h * stored

    def departure(m: Any, s: int) -> Any:
        return m.energy_kwh[s, int(sessions.last[s])] + m.unserved_kwh[s] >= float(sessions.target_kwh[s])

    m.storage = pyo.Constraint(m.there, rule=storage)
    m.departure = pyo.Constraint(m.session, rule=departure)


def _balance(m: Any, truth: Truth, sessions: Sessions) -> None:
    present: dict[tuple[int, int], list[int]] = {}
    for s, t in m.there:
        present.setdefault((int(sessions.prosumer[s]), t), []).append(s)

    def balance(m: Any, i: int, t: int) -> Any:
        vehicle = sum(m.discharge_kw[s, t] - m.charge_kw[s, t] for s in present.get((i, t), []))
        position = m.sell_kw[i, t] - m.buy_kw[i, t] - m.excess_kw[i, t]
        return position - m.pv_kw[i, t] - vehicle == float(truth.household_kw[i, t])

    m.balance = pyo.Constraint(m.site, m.interval, rule=balance)
    m.local_sold = pyo.Constraint(m.interval, rule=lambda m, t: m.local_kw[t] <= sum(m.sell_kw[i, t] for i in m.site))
    m.local_bought = pyo.Constraint(m.interval, rule=lambda m, t: m.local_kw[t] <= sum(m.buy_kw[i, t] for i in m.site))


def _price(m: Any, sites: Sites, sessions: Sessions, tariff: Tariff, interval_h: float, weights: Weights) -> None:
    retail, feed_in = tariff.retail_per_kwh.tolist(), tariff.feed_in_per_kwh.tolist()
    # Charging and discharging at once never pays, see the energy managers' outlook.
    riddance = max(weights.curtailment_per_kwh, *(-price for price in feed_in))
    least_wear = (1.0 / sites.ev_efficiency**2 - 1.0) * riddance + 1e-5
    wear = np.maximum(sites.ev_wear_per_kwh, least_wear).tolist()
    outside = sum(
        retail[t] * (m.buy_kw[i, t] + m.excess_kw[i, t])
        - feed_in[t] * m.sell_kw[i, t]
        + weights.excess_per_kwh * m.excess_kw[i, t]
        - weights.curtailment_per_kwh * m.pv_kw[i, t]
        for i in m.site
        for t in m.interval
    )
    spared = sum((retail[t] - feed_in[t] - tariff.network_charge_per_kwh) * m.local_kw[t] for t in m.interval)
    worn = sum(wear[int(sessions.prosumer[s])] * m.discharge_kw[s, t] for s, t in m.there)
    unserved = weights.unserved_per_kwh * sum(m.unserved_kwh[s] for s in m.session)
    m.cost = pyo.Objective(expr=interval_h * (outside - spared + worn) + unserved)
