"""Prices of the network's limits, found by asking the prosumers again and again.

The DSO posts to every prosumer i and interval t an adder to the tariff on what it exports, ``sum_k mu_kt A_ki``: the
prices of all limits, weighted with how strongly this prosumer acts on them. The energy managers answer with their best
plans x, and every price moves by what is left over, ``mu <- [mu + rho / sqrt(r) (A x - b)]+`` in round r: a subgradient
method on the dual of the problem that a central planner would solve (Boyd, Parikh, Chu, Peleato, Eckstein, "Distributed
optimization and statistical learning via ADMM", Foundations and Trends in Machine Learning 3(1), 2011, section 2.1).

Linear programmes answer a price by all or nothing, so that answers would jump to and fro. Each manager therefore minds
moving away from its last answer by ``sigma / 2`` per square of the distance, and moves from it towards its best plan
only as far as the gain is worth that. The DSO's rows are those that the exact power flow of an answer exceeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from feederloop.simulators.aggregator.network import Cut, NetworkRows
from feederloop.simulators.energy_manager.outlook import Outlook
from feederloop.simulators.energy_manager.planner import Planner
from feederloop.simulators.errors import InputError

_FRESH_CUTS_EVERY = 5
_FORGOTTEN_PER_KWH = 1e-9


@dataclass(frozen=True)
class Rules:
    """How prices move.

    Attributes:
        max_rounds: Most rounds in an interval.
        step_per_kwh: By how much a price moves in the first round, per kW of excess.
        proximal_per_kwh2: What a manager minds moving, per kW.
        tolerance_kw: Excess at which a limit counts as held; l intervals ahead, 1 + l times as much, as it will be
            negotiated l times again.
    """

    max_rounds: int = 50
    step_per_kwh: float = 0.02
    proximal_per_kwh2: float = 0.05
    tolerance_kw: float = 0.05

    @classmethod
    def from_dict(cls, rules: Mapping[str, Any]) -> "Rules":
        """Take the fields that are stated.

        Raises:
            InputError: A value out of range.
        """
        made = cls(**{field.name: rules[field.name] for field in fields(cls) if field.name in rules})
        checks = {
            "max_rounds": (made.max_rounds >= 1, "at least 1"),
            "step_per_kwh": (made.step_per_kwh > 0, "above 0"),
            "proximal_per_kwh2": (made.proximal_per_kwh2 >= 0, "at least 0"),
            "tolerance_kw": (made.tolerance_kw > 0, "above 0"),
        }
        for key, (fits, allowed) in checks.items():
            if not fits:
                raise InputError("no such rule", key=key, value=getattr(made, key), allowed=allowed)
        return made


@dataclass(frozen=True, eq=False)
class Agreement:
    """What the last round brought.

    Attributes:
        position_kw: Answers, (prosumers, intervals), export positive.
        adder_per_kwh: What exporting a kWh costs beside the tariff, (prosumers, intervals).
        rounds: Rounds of posting and answering.
        rows: Limits that had a price or an excess.
        excess_kw: By how much a limit of the first interval is exceeded all the same, at the connection point that acts
            on it most.
    """

    position_kw: np.ndarray
    adder_per_kwh: np.ndarray
    rounds: int
    rows: int
    excess_kw: float


class PriceNegotiation:
    """Negotiates at the start of every interval, beginning with the prices of the last time.

    Args:
        planner: The energy managers' plans.
        network: The network.
        interval_h: Length of an interval.
        rules: How prices move.
    """

    def __init__(self, planner: Planner, network: NetworkRows, interval_h: float, rules: Rules) -> None:
        self._planner, self._network, self._interval_h, self._rules = planner, network, interval_h, rules
        self._prices: dict[tuple[int, int], float] = {}
        self._cuts: dict[tuple[int, int], Cut] = {}

    def negotiate(self, first: int, outlook: Outlook, q_kvar: np.ndarray) -> Agreement:
        """Find prices for the intervals from `first` on.

        Args:
            first: The interval that begins, counted from the run's start.
            outlook: What the managers know, with the tariff as prices.
            q_kvar: Forecast reactive power, (prosumers, intervals).
        """
        intervals = q_kvar.shape[1]
        self._forget(first)
        answers = _Answers(self._planner, outlook, self._interval_h, self._rules.proximal_per_kwh2)
        for turn in range(1, self._rules.max_rounds + 1):
            adder = self._adder(first, q_kvar.shape)
            position = answers.to(adder)
            held = self._held(first, position)
            if held or turn % _FRESH_CUTS_EVERY == 1:
                held &= self._look_for_more(first, position, q_kvar)
            if held:
                break
            self._move_prices(first, position, self._rules.step_per_kwh / np.sqrt(turn))
        left = self._network.cuts(position[:, :1], q_kvar[:, :1], tolerance_kw=0.0)
        rows = sum(first <= interval < first + intervals for _, interval in self._cuts)
        return Agreement(position, adder, turn, rows, max((cut.excess_kw for cut in left), default=0.0))

    def _forget(self, first: int) -> None:
        """Drop what is past, and rows that no longer have a price: if they matter they will be found again."""
        kept = {key for key, price in self._prices.items() if key[1] >= first and price > _FORGOTTEN_PER_KWH}
        self._prices = {key: self._prices[key] for key in sorted(kept)}
        self._cuts = {key: self._cuts[key] for key in self._prices}

    def _adder(self, first: int, shape: tuple[int, ...]) -> np.ndarray:
        adder = np.zeros(shape)
        for (row, interval), price in self._prices.items():
            if price > 0.0 and interval - first < shape[1]:
                adder[:, interval - first] += price * self._cuts[row, interval].gradient
        return adder

    def _excess(self, first: int, position: np.ndarray) -> dict[tuple[int, int], float]:
        return {
            key: float(cut.gradient @ position[:, key[1] - first]) - cut.limit_kw
            for key, cut in self._cuts.items()
            if key[1] - first < position.shape[1]
        }

    def _tolerance(self, ahead: int) -> float:
        return self._rules.tolerance_kw * (1 + ahead)

    def _held(self, first: int, position: np.ndarray) -> bool:
        """Tell whether all limits known hold, and none with a price is held by more than it takes."""
        return all(
            excess <= self._tolerance(key[1] - first)
            and (self._prices[key] <= _FORGOTTEN_PER_KWH or excess >= -10 * self._tolerance(key[1] - first))
            for key, excess in self._excess(first, position).items()
        )

    def _look_for_more(self, first: int, position: np.ndarray, q_kvar: np.ndarray) -> bool:
        """Take the rows up that the exact power flow exceeds; tell whether there were none."""
        none = True
        for cut in self._network.cuts(position, q_kvar, tolerance_kw=self._rules.tolerance_kw):
            if cut.excess_kw > self._tolerance(cut.interval):
                none = False
                key = (cut.row, first + cut.interval)
                self._cuts[key] = cut
                self._prices.setdefault(key, 0.0)
        return none

    def _move_prices(self, first: int, position: np.ndarray, step: float) -> None:
        for key, excess in self._excess(first, position).items():
            self._prices[key] = max(self._prices[key] + step * excess, 0.0)


class _Answers:
    """The managers' answers through the rounds of one interval.

    Args:
        planner: Their plans.
        outlook: What they know, with the tariff as prices.
        interval_h: Length of an interval.
        proximal_per_kwh2: What they mind moving.
    """

    def __init__(self, planner: Planner, outlook: Outlook, interval_h: float, proximal_per_kwh2: float) -> None:
        self._planner, self._outlook, self._interval_h = planner, outlook, interval_h
        self._proximal = proximal_per_kwh2
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def to(self, adder_per_kwh: np.ndarray) -> np.ndarray:
        """Return the positions that answer an adder, (prosumers, intervals) in kW.

        A manager moves the share of the way from its last answer to its best plan that minimises cost plus proximal
        term; plans are a convex set, so that every share of the way is one.
        """
        plan = self._planner.plan(_priced(self._outlook, adder_per_kwh))
        best = plan.position_kw
        # What the best plan costs by the tariff alone, which of all that a plan costs is what adders leave as it is.
        own = plan.cost - self._interval_h * (adder_per_kwh * best).sum(axis=1)
        if self._last is None:
            self._last = best, own
            return best
        last, last_own = self._last
        way = best - last
        gain = last_own - own - self._interval_h * (adder_per_kwh * way).sum(axis=1)
        price = self._proximal * self._interval_h * (way * way).sum(axis=1)
        share = np.clip(np.where(price > 0, gain / np.maximum(price, 1e-300), 1.0), 0.0, 1.0)
        self._last = last + share[:, None] * way, last_own + share * (own - last_own)
        return self._last[0]


def _priced(outlook: Outlook, adder_per_kwh: np.ndarray) -> Outlook:
    """Return the outlook in which exporting costs, and importing saves, the adder.

    Wear is raised where feeding in costs money, so that burning energy by charging and discharging at once never pays.
    """
    return replace(
        outlook,
        buy_price_per_kwh=outlook.buy_price_per_kwh - adder_per_kwh,
        sell_price_per_kwh=outlook.sell_price_per_kwh - adder_per_kwh,
        wear_per_kwh=outlook.wear_per_kwh + 0.12 * np.maximum(adder_per_kwh - outlook.sell_price_per_kwh, 0.0),
    )
