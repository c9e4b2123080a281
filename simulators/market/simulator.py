"""The market on the clock: books trades, settles the interval that has just ended.

Meters arrive with the delay of one step, so the last interval of a run is settled in the step at its very end: the
world has to run until one second after `duration_s`.
"""

from typing import Any

import mosaik_api_v3
import numpy as np

from feederloop.simulators.errors import InputError
from feederloop.simulators.market.accounts import Accounts, Readings
from feederloop.simulators.market.settlement import AuctionMoney, FloatArray, Settlement, SettlementRules
from feederloop.simulators.market.tariffs import expand_tariff
from feederloop.simulators.timeseries import utc_seconds

INPUTS = ("meter_kwh", "export_limit_kw", "import_limit_kw", "traded_kwh", "traded_price_per_kwh", "position_kwh")

SETTLEMENT_COLUMNS = (
    "meter_kwh",
    "traded_kwh",
    "position_kwh",
    "local_money",
    "retail_money",
    "network_money",
    "imbalance_kwh",
    "imbalance_money",
    "breach_kwh",
    "breach_money",
    "total_money",
)
"""What an account says of the interval just settled, in the order of the `settlement` table."""

META: dict[str, Any] = {
    "type": "time-based",
    "models": {
        "Account": {
            "public": True,
            "params": ["sites"],
            "attrs": list(dict.fromkeys((*INPUTS, *SETTLEMENT_COLUMNS))),
        },
        "Ledger": {
            "public": True,
            "params": [],
            "attrs": ["surplus_money", "fee_money", "interval_kwh", "grid_account"],
        },
    },
}

LEDGER = "Ledger"
"""The id of the one ledger."""


class MarketSimulator(mosaik_api_v3.Simulator):
    """Keeps the prosumers' accounts and the grid's ledger."""

    def __init__(self) -> None:
        super().__init__(META)
        self._names: list[str] = []

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        start: str,
        step_s: int,
        interval_s: int,
        duration_s: int,
        time_zone: str,
        tariff: dict[str, Any],
        kappa_per_kwh: float = 0.0,
        breach_price_per_kwh: float = 0.0,
    ) -> Any:
        """Set the market up.

        Args:
            sid: The simulator's id on the clock.
            time_resolution: Seconds per unit of time.
            start: Start of the run, ISO 8601 with offset.
            step_s: Physical step, s.
            interval_s: Market interval, s.
            duration_s: Length of the run, s.
            time_zone: Zone of the tariff's wall time.
            tariff: See `expand_tariff`.
            kappa_per_kwh: Surcharge on deviations from a trade.
            breach_price_per_kwh: Price of energy beyond the envelope.
        """
        self._rules = SettlementRules(kappa_per_kwh, breach_price_per_kwh)
        count = duration_s // interval_s
        self._tariff = expand_tariff(tariff, start=start, time_zone=time_zone, interval_s=interval_s, count=count)
        self._times = {"start_s": utc_seconds(start), "step_s": step_s, "interval_s": interval_s}
        self._data: dict[str, dict[str, float]] = {LEDGER: {"interval_kwh": 0.0, "grid_account": 0.0}}
        return self.meta

    def create(self, num: int, model: str, sites: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:  # type: ignore[override]
        """Create all accounts, one per site and named as it, or the ledger."""
        if model == LEDGER:
            return [{"eid": LEDGER, "type": LEDGER}]
        self._names = [site["name"] for site in sites or []]
        self._accounts = Accounts(len(self._names), self._tariff, self._rules, **self._times)
        blank = dict.fromkeys(SETTLEMENT_COLUMNS, float("nan"))
        self._data |= {name: dict(blank) for name in self._names}
        return [{"eid": name, "type": "Account"} for name in self._names]

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Take in meters, limits, trades and positions; settle when an interval has ended."""
        told = inputs.get(LEDGER, {})
        auction = AuctionMoney(*(_total(told.get(attr, {})) for attr in ("surplus_money", "fee_money")))
        readings = Readings(**{attr: self._column(attr, inputs) for attr in INPUTS}, auction=auction)
        if np.isnan(readings.meter_kwh).any():
            name = self._names[int(np.argmax(np.isnan(readings.meter_kwh)))]
            raise InputError(f"The account of {name!r} got no meter reading at {time} s.", key="meter_kwh")
        settled = self._accounts.step(time, readings)
        if settled is not None:
            self._publish(*settled)
        return time + self._times["step_s"]

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, dict[str, float]]:
        """Return the books of the last settled interval; NaN before there is one."""
        return {eid: {attr: self._data[eid][attr] for attr in attrs} for eid, attrs in outputs.items()}

    def _column(self, attr: str, inputs: dict[str, Any]) -> FloatArray:
        """Gather what all accounts were sent; a list over the horizon counts by its first value, the current one."""
        absent = 0.0 if attr == "traded_kwh" else float("nan")
        column = np.full(len(self._names), absent)
        for i, name in enumerate(self._names):
            for value in inputs.get(name, {}).get(attr, {}).values():
                now = value[0] if isinstance(value, list) and value else value
                column[i] = absent if now is None or isinstance(now, list) else now
        return column

    def _publish(self, settlement: Settlement, position_kwh: FloatArray) -> None:
        own = {name: getattr(settlement, name) for name in SETTLEMENT_COLUMNS if name != "position_kwh"}
        columns = own | {"position_kwh": position_kwh}
        rows = zip(*(columns[name].tolist() for name in SETTLEMENT_COLUMNS), strict=True)
        for name, row in zip(self._names, rows, strict=True):
            self._data[name] = dict(zip(SETTLEMENT_COLUMNS, row, strict=True))
        self._data[LEDGER] = {
            "interval_kwh": float(settlement.meter_kwh.sum()),
            "grid_account": settlement.grid_account,
        }


def _total(sent: dict[str, float | None]) -> float:
    """Add up what the ledger is told; nothing where nobody tells it anything."""
    return float(sum(value or 0.0 for value in sent.values()))


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(MarketSimulator(), "feederloop market")
