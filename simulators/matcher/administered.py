"""Prices that follow from a formula instead of the limits: who can live with the price trades at it."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.matcher.clearing import Clearing, clearing_at
from feederloop.simulators.matcher.merit_order import RATIONING, matched_at, require_choice
from feederloop.simulators.matcher.orders import FloatArray, OrderBook


@dataclass(frozen=True)
class MidMarketRate:
    """Everybody trades half-way between what the retailer pays and takes.

    What finds no partner goes to the retailer at its own prices (Long, Wu, Zhang, Thomas, Cheng and Jenkins,
    "Peer-to-peer energy trading in a community microgrid", IEEE PES General Meeting 2017).

    Args:
        rationing: Who is served on the longer side: `pro_rata`, or `served_share`: worst served so far first.

    Raises:
        InputError: The rationing is unknown.
    """

    rationing: str = "pro_rata"

    def __post_init__(self) -> None:
        require_choice("rationing", self.rationing, RATIONING)

    def clear(self, book: OrderBook, *, served_share: FloatArray, rng: np.random.Generator) -> Clearing:
        """Match the orders of one interval; see `Mechanism`. Draws no lots."""
        del rng
        price = book.floor_per_kwh + (book.ceiling_per_kwh - book.floor_per_kwh) / 2
        return _cleared(book, price, served_share, self.rationing)


@dataclass(frozen=True)
class SupplyDemandRatio:
    """The price falls from what the retailer takes to what it pays as supply grows to meet demand.

    With R = supply / demand it is f·c / ((c - f)·R + f) up to R = 1, between the floor f and the ceiling c, and f
    beyond (Liu, Yu, Wang, Li, Ma and Lei, "Energy-sharing model with price-based demand response for microgrids of
    peer-to-peer prosumers", IEEE Trans. Power Systems 32(5), 2017). A buyer's rest from the retailer makes up the mixed
    price for buyers of the paper.

    Args:
        rationing: Who is served on the longer side: `pro_rata`, or `served_share`: worst served so far first.

    Raises:
        InputError: The rationing is unknown.
    """

    rationing: str = "pro_rata"

    def __post_init__(self) -> None:
        require_choice("rationing", self.rationing, RATIONING)

    def clear(self, book: OrderBook, *, served_share: FloatArray, rng: np.random.Generator) -> Clearing:
        """Match the orders of one interval; see `Mechanism`. Draws no lots."""
        del rng
        return _cleared(book, self._price(book), served_share, self.rationing)

    def _price(self, book: OrderBook) -> float:
        low, high = book.floor_per_kwh, book.ceiling_per_kwh
        supply, demand = book.offered_kwh, book.wanted_kwh
        if supply >= demand:
            return low
        # With f at zero or below, as a negative feed-in price is, the formula has no meaning; then the price falls
        # evenly with the ratio.
        if low <= 0:
            return high - (high - low) * supply / demand
        return min(high, max(low, low * high / ((high - low) * supply / demand + low)))


def _cleared(book: OrderBook, price: float, served_share: FloatArray, rationing: str) -> Clearing:
    shares = served_share if rationing == "served_share" else None
    return clearing_at(book, matched_at(book, price, shares, merit=False), price, price)
