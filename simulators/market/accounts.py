"""The market's memory: which trades hold for which interval, and what the meters said meanwhile."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from feederloop.simulators.errors import InputError
from feederloop.simulators.market.settlement import (
    AuctionMoney,
    FloatArray,
    IntervalPrices,
    Settlement,
    SettlementRules,
    breach_energy_kwh,
    check,
    settle,
)
from feederloop.simulators.market.tariffs import Tariff

BREACH_WINDOW_S = 300
"""Envelopes are judged on means over five minutes, or over a physical step where that is longer."""


@dataclass(frozen=True)
class Readings:
    """What the market is told in one step; arrays are [prosumers].

    Attributes:
        meter_kwh: Register of each meter now, export positive.
        export_limit_kw: Limits from now on, NaN where there is none.
        import_limit_kw: As above.
        traded_kwh: Trades for the interval after the current one, export positive; 0 where there is none.
        traded_price_per_kwh: Their price, NaN where there is none.
        position_kwh: The position taken for the current interval, NaN where there is none.
        auction: What the trades' prices leave over.
    """

    meter_kwh: FloatArray
    export_limit_kw: FloatArray
    import_limit_kw: FloatArray
    traded_kwh: FloatArray
    traded_price_per_kwh: FloatArray
    position_kwh: FloatArray
    auction: AuctionMoney = field(default_factory=AuctionMoney)


class Accounts:
    """The accounts of all prosumers, led from step to step.

    Args:
        count: Number of prosumers.
        tariff: Prices of every interval of the run.
        rules: Prices of deviations.
        start_s: Start of the run, seconds since 1970 UTC.
        step_s: Physical step, s.
        interval_s: Market interval, a multiple of the step, s.

    Raises:
        InputError: The interval is not a multiple of the step.
    """

    def __init__(
        self, count: int, tariff: Tariff, rules: SettlementRules, *, start_s: int, step_s: int, interval_s: int
    ) -> None:
        if step_s <= 0 or interval_s <= 0 or interval_s % step_s:
            raise InputError(
                "The market interval is not a multiple of the physical step.",
                key="interval_s",
                value=interval_s,
                allowed=f"multiples of {step_s} s",
            )
        self._tariff, self._rules = tariff, rules
        self._start_s, self._step_s, self._interval_s = start_s, step_s, interval_s
        self._window_s = step_s * _steps_per_window(step_s, interval_s)
        self._interval_register = self._window_register = np.zeros(count)
        self._limits = (np.full(count, np.nan), np.full(count, np.nan))
        self._breach_kwh = np.zeros(count)
        nothing = (np.zeros(count), np.full(count, np.nan), AuctionMoney())
        self._current, self._next = nothing, nothing
        self._position = np.full(count, np.nan)

    def step(self, time_s: int, readings: Readings) -> tuple[Settlement, FloatArray] | None:
        """Take in what is known at a time; settle the interval that ends then.

        Args:
            time_s: Seconds since the start of the run, a multiple of the step.
            readings: What is known then.

        Returns:
            The settlement and the position held, [prosumers] in kWh, when an interval of the run has just ended.

        Raises:
            SettlementError: The books do not close.
        """
        settled = None
        if time_s > 0 and time_s % self._window_s == 0:
            self._close_window(readings.meter_kwh)
        if time_s % self._interval_s == 0:
            k = time_s // self._interval_s
            if 0 < k <= len(self._tariff.retail_per_kwh):
                settled = self._settle(k - 1, readings.meter_kwh), self._position
            trades = (readings.traded_kwh, readings.traded_price_per_kwh, readings.auction)
            self._current, self._next = self._next, trades
            self._position = readings.position_kwh
            self._interval_register = readings.meter_kwh
            self._breach_kwh = np.zeros_like(self._breach_kwh)
        self._limits = (readings.export_limit_kw, readings.import_limit_kw)
        return settled

    def _close_window(self, register_kwh: FloatArray) -> None:
        """Judge the minutes that have just ended by the limits that held during them."""
        energy_kwh = register_kwh - self._window_register
        self._breach_kwh = self._breach_kwh + breach_energy_kwh(energy_kwh, self._window_s / 3600, *self._limits)
        self._window_register = register_kwh

    def _settle(self, k: int, register_kwh: FloatArray) -> Settlement:
        traded_kwh, price_per_kwh, auction = self._current
        prices = IntervalPrices(
            retail_per_kwh=float(self._tariff.retail_per_kwh[k]),
            feed_in_per_kwh=float(self._tariff.feed_in_per_kwh[k]),
            network_charge_per_kwh=self._tariff.network_charge_per_kwh,
            supply_charge=self._tariff.supply_charge_per_day * self._interval_s / 86400,
        )
        meter_kwh = register_kwh - self._interval_register
        settlement = settle(meter_kwh, traded_kwh, price_per_kwh, self._breach_kwh, prices, self._rules, auction)
        check(settlement, interval=datetime.fromtimestamp(self._start_s + k * self._interval_s, UTC).isoformat())
        return settlement


def _steps_per_window(step_s: int, interval_s: int) -> int:
    """Return the most steps that last no longer than the window and divide the interval, at least one."""
    longest = max(1, BREACH_WINDOW_S // step_s)
    return next(n for n in range(longest, 0, -1) if (interval_s // step_s) % n == 0)
