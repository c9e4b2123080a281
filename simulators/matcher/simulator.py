"""The matcher on the clock: takes the prosumers' curves for the next interval and returns their trades."""

from typing import Any

import mosaik_api_v3
import numpy as np

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.mechanism import Clearing, make_mechanism
from feederloop.simulators.matcher.orders import SIDE_NAMES, FloatArray, OrderBook, book_from_curves
from feederloop.simulators.randomness import stream

META: dict[str, Any] = {
    "type": "time-based",
    "models": {
        "Trader": {
            "public": True,
            "params": ["sites"],
            "attrs": ["curve_price_per_kwh", "curve_kwh", "traded_kwh", "traded_price_per_kwh"],
        },
        "Auction": {
            "public": True,
            "params": [],
            "attrs": ["price_per_kwh", "volume_kwh", "offered_kwh", "wanted_kwh", "orders"],
        },
    },
}

AUCTION = "Auction"
"""The id of the one auction."""


class MatcherSimulator(mosaik_api_v3.Simulator):
    """Pairs what the traders offer for the coming interval; knows nothing of the network."""

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
    ) -> Any:
        """Set the matcher up.

        Args:
            sid: The simulator's id on the clock.
            time_resolution: Seconds per unit of time.
            interval_s: Length of a market interval, s.
            mechanism: Name of the matching mechanism.
            options: The mechanism's own options.
            seed: The scenario's seed.
        """
        self._interval_s = interval_s
        self._mechanism = make_mechanism(mechanism, options)
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
        return [{"eid": name, "type": "Trader"} for name in self._traders]

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Clear the interval that begins one interval from now."""
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

    def _published(self, book: OrderBook, clearing: Clearing) -> dict[str, dict[str, Any]]:
        trades = zip(self._traders, clearing.traded_kwh.tolist(), clearing.price_per_kwh.tolist(), strict=True)
        data: dict[str, dict[str, Any]] = {
            name: {"traded_kwh": kwh, "traded_price_per_kwh": price} for name, kwh, price in trades
        }
        columns = (book.trader, book.side, book.price_per_kwh, book.kwh, clearing.matched_kwh)
        data[AUCTION] = {
            "price_per_kwh": float(clearing.price),
            "volume_kwh": float(clearing.matched_kwh[book.is_ask].sum()),
            "offered_kwh": book.offered_kwh,
            "wanted_kwh": book.wanted_kwh,
            "orders": [
                [book.traders[trader], SIDE_NAMES[side], price, kwh, matched]
                for trader, side, price, kwh, matched in zip(*(column.tolist() for column in columns), strict=True)
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
