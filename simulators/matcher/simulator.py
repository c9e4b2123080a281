"""The matcher on the clock: takes the prosumers' curves for the next interval and returns their trades."""

from typing import Any

import mosaik_api_v3
import numpy as np

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.clearing import Blocking, Clearing, Negotiation, Retail
from feederloop.simulators.matcher.mechanism import Foreseeing, Placed, make_mechanism
from feederloop.simulators.matcher.orders import SIDE_NAMES, FloatArray, OrderBook, book_from_curves
from feederloop.simulators.matcher.surroundings import surroundings
from feederloop.simulators.randomness import stream

TRADER_OUTPUTS = (
    "traded_kwh",
    "traded_price_per_kwh",
    "blocked_kwh",
    "attempts",
    "blocks",
    "refused_kwh",
    "retail_attempts",
    "retail_blocks",
    "blocked_by",
)
AUCTION_OUTPUTS = (
    "price_per_kwh",
    "volume_kwh",
    "offered_kwh",
    "wanted_kwh",
    "surplus_money",
    "fee_money",
    "rounds",
    "messages",
    "residual_kwh",
    "residual_per_kwh",
    "fell_back",
    "orders",
)

META: dict[str, Any] = {
    "type": "time-based",
    "models": {
        "Trader": {
            "public": True,
            "params": ["sites"],
            "attrs": ["curve_price_per_kwh", "curve_kwh", "household_p_kw", "household_q_kvar", *TRADER_OUTPUTS],
        },
        "Auction": {"public": True, "params": [], "attrs": list(AUCTION_OUTPUTS)},
    },
}

AUCTION = "Auction"
"""The id of the one auction."""


class MatcherSimulator(mosaik_api_v3.Simulator):
    """Pairs what the traders offer for the coming interval.

    It looks at the network only for a mechanism that asks for it: one in which the DSO is asked about every trade, or
    one in which distance counts. Only the former is told the households' forecasts.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._traders: tuple[str, ...] = ()

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        interval_s: int,
        mechanism: str = "k_double_auction",
        options: dict[str, Any] | None = None,
        seed: int = 0,
        network: str | None = None,
        feeders: int = 1,
        source_v_pu: float | None = None,
        limits: dict[str, Any] | None = None,
    ) -> Any:
        """Set the matcher up.

        Args:
            sid: The simulator's id on the clock.
            time_resolution: Seconds per unit of time.
            interval_s: Length of a market interval, s.
            mechanism: Name of the matching mechanism.
            options: The mechanism's own options.
            seed: The scenario's seed.
            network: Shipped network's name or path of a pandapower JSON file; loaded if the mechanism needs it.
            feeders: Copies of the low-voltage network behind the transformer.
            source_v_pu: Voltage of the external grid.
            limits: Fields of the envelope controller's `Limits`.
        """
        self._interval_s = interval_s
        self._mechanism = make_mechanism(mechanism, options)
        self._place: dict[str, Any] = {
            "network": network,
            "feeders": feeders,
            "source_v_pu": source_v_pu,
            "limits": limits,
        }
        self._rng = stream(seed, "matcher")
        self._data: dict[str, dict[str, Any]] = {}
        return self.meta

    def create(self, num: int, model: str, sites: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:  # type: ignore[override]
        """Create all traders, one per site and named as it, or the auction."""
        if model == AUCTION:
            return [{"eid": AUCTION, "type": AUCTION}]
        self._traders = tuple(site["name"] for site in sites or [])
        self._ordered_kwh = np.zeros(len(self._traders))
        self._matched_kwh = np.zeros(len(self._traders))
        if isinstance(self._mechanism, Placed):
            place: dict[str, Any] = self._place if self._mechanism.needs_network else {}
            self._mechanism.place(surroundings(sites or [], interval_s=self._interval_s, **place))
        return [{"eid": name, "type": "Trader"} for name in self._traders]

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Clear the interval that begins one interval from now."""
        if isinstance(self._mechanism, Foreseeing):
            self._mechanism.foresee(*(self._next(attr, inputs) for attr in ("household_p_kw", "household_q_kvar")))
        curves = [_curve(name, inputs.get(name, {})) for name in self._traders]
        book = book_from_curves(self._traders, [prices for prices, _ in curves], [kwh for _, kwh in curves])
        clearing = self._mechanism.clear(book, served_share=self._served_share(), rng=self._rng)
        self._ordered_kwh += book.per_trader(book.kwh)
        self._matched_kwh += book.per_trader(clearing.matched_kwh)
        self._data = self._published(book, clearing)
        return time + self._interval_s

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
        """Return what the last clearing brought."""
        return {eid: {attr: self._data[eid][attr] for attr in attrs} for eid, attrs in outputs.items()}

    def _served_share(self) -> FloatArray:
        ordered = self._ordered_kwh
        return np.where(ordered > 0, self._matched_kwh / np.where(ordered > 0, ordered, 1.0), 1.0)

    def _next(self, attr: str, inputs: dict[str, Any]) -> FloatArray:
        """Gather what is forecast for the next interval, the second of each list, [traders]; 0 where nothing is."""
        values = np.zeros(len(self._traders))
        for row, name in enumerate(self._traders):
            for series in inputs.get(name, {}).get(attr, {}).values():
                if series is None or len(series) < 2:
                    raise InputError(
                        "A forecast does not reach the next interval",
                        key=f"{name}.{attr}",
                        value=series,
                        allowed="a list of at least 2 values",
                    )
                values[row] += series[1]
        return values

    def _published(self, book: OrderBook, clearing: Clearing) -> dict[str, dict[str, Any]]:
        none = np.zeros(len(self._traders), dtype=np.int64)
        blocking = clearing.blocking or Blocking(none, none, none.astype(float), ("",) * len(self._traders))
        retail = blocking.retail or Retail(none, none, none.astype(float))
        columns = (
            clearing.traded_kwh,
            clearing.price_per_kwh,
            blocking.blocked_kwh,
            blocking.attempts,
            blocking.blocks,
            retail.refused_kwh,
            retail.attempts,
            retail.blocks,
        )
        rows = zip(*(column.tolist() for column in columns), blocking.blocked_by, strict=True)
        data: dict[str, dict[str, Any]] = {
            name: dict(zip(TRADER_OUTPUTS, row, strict=True)) for name, row in zip(self._traders, rows, strict=True)
        }
        negotiation = clearing.negotiation or Negotiation()
        orders = (book.trader, book.side, book.price_per_kwh, book.kwh, clearing.matched_kwh)
        data[AUCTION] = {
            "price_per_kwh": float(clearing.price),
            "volume_kwh": float(clearing.matched_kwh[book.is_ask].sum()),
            "offered_kwh": book.offered_kwh,
            "wanted_kwh": book.wanted_kwh,
            "surplus_money": float(clearing.surplus_money),
            "fee_money": float(clearing.fee_money),
            "rounds": int(negotiation.rounds),
            "messages": int(negotiation.messages),
            "residual_kwh": float(negotiation.residual_kwh),
            "residual_per_kwh": float(negotiation.residual_per_kwh),
            "fell_back": bool(negotiation.fell_back),
            "orders": [
                [book.traders[trader], SIDE_NAMES[side], price, kwh, matched]
                for trader, side, price, kwh, matched in zip(*(column.tolist() for column in orders), strict=True)
            ],
        }
        return data


def _curve(name: str, received: dict[str, dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Return the prices and positions a trader sent, two empty lists where it sent none."""
    sent = []
    for attr in ("curve_price_per_kwh", "curve_kwh"):
        values = list(received.get(attr, {}).values())
        if len(values) > 1:
            raise InputError(f"Trader {name!r} is sent two curves", key=attr, value=list(received[attr]), allowed="one")
        sent.append(list(values[0]) if values and values[0] is not None else [])
    return sent[0], sent[1]


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(MatcherSimulator(), "feederloop matcher")
