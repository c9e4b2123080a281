"""The periodic k-double auction: one price for all who trade in an interval."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.matcher.clearing import Clearing, clearing_at, no_trade
from feederloop.simulators.matcher.merit_order import (
    RATIONING,
    clearing_price,
    matched_at,
    require_choice,
    require_number,
)
from feederloop.simulators.matcher.orders import FloatArray, OrderBook


@dataclass(frozen=True)
class KDoubleAuction:
    """Clears at one price out of the interval of prices at which demand meets supply.

    With all limits, of bids and asks alike, laid out kWh by kWh from high to low, the market clears between the S-th
    kWh and the one after, where S is all that is offered; `k` says where in between (Rustichini, Satterthwaite and
    Williams, "Convergence to efficiency in a simple market with incomplete information", Econometrica 62, 1994). Where
    an order would only be filled in part, both ends are its limit, and all orders at this limit share what there is:
    only those are rationed to whom it makes no odds.

    Args:
        k: Where the price lies between the lowest (0) and the highest (1) that clears.
        rationing: Who is served of those at the limit: `pro_rata`, or `served_share`: worst served so far first.

    Raises:
        InputError: k is not within 0 to 1, or the rationing is unknown.
    """

    k: float = 0.5
    rationing: str = "pro_rata"

    def __post_init__(self) -> None:
        require_number("k", self.k, 0.0, 1.0)
        require_choice("rationing", self.rationing, RATIONING)

    def clear(self, book: OrderBook, *, served_share: FloatArray, rng: np.random.Generator) -> Clearing:
        """Match the orders of one interval; see `Mechanism`. Draws no lots."""
        del rng
        price = clearing_price(book, self.k)
        if np.isnan(price):
            return no_trade(book)
        matched = matched_at(book, price, served_share if self.rationing == "served_share" else None)
        return clearing_at(book, matched, price, price)
