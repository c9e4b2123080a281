"""The periodic k-double auction: one price for all who trade in an interval."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.clearing import Clearing
from feederloop.simulators.matcher.orders import NEGLIGIBLE_KWH, FloatArray, OrderBook


@dataclass(frozen=True)
class KDoubleAuction:
    """Clears at one price out of the interval of prices at which demand meets supply.

    With all limits, of bids and asks alike, laid out kWh by kWh from high to low, the market clears between the S-th
    kWh and the one after, where S is all that is offered; `k` says where in between (Rustichini, Satterthwaite and
    Williams, "Convergence to efficiency in a simple market with incomplete information", Econometrica 62, 1994). Where
    an order would only be filled in part, both ends are its limit, and all orders at this limit share pro rata what
    there is: only those are rationed to whom it makes no odds.

    Args:
        k: Where the price lies between the lowest (0) and the highest (1) that clears.

    Raises:
        InputError: k is not within 0 to 1.
    """

    k: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int | float) or not 0 <= self.k <= 1:
            raise InputError("The k of a k-double auction is out of range", key="k", value=self.k, allowed="0 to 1")

    def clear(self, book: OrderBook, *, served_share: FloatArray, rng: np.random.Generator) -> Clearing:
        """Match the orders of one interval; see `Mechanism`. The same for every served share and random stream."""
        del served_share, rng  # merit order and pro rata decide everything
        price = self._price(book)
        matched = np.zeros(len(book))
        if not np.isnan(price):
            asks = book.is_ask & (book.price_per_kwh <= price)
            bids = ~book.is_ask & (book.price_per_kwh >= price)
            supply, demand = float(book.kwh[asks].sum()), float(book.kwh[bids].sum())
            matched[asks] = _fill(book.kwh[asks], book.price_per_kwh[asks], supply, demand)
            matched[bids] = _fill(book.kwh[bids], -book.price_per_kwh[bids], demand, supply)
        traded = book.per_trader(book.side * matched)
        return Clearing(
            traded_kwh=traded,
            price_per_kwh=np.where(traded != 0, price, np.nan),
            matched_kwh=matched,
            price=price,
        )

    def _price(self, book: OrderBook) -> float:
        """Return the price that clears the book, NaN where no bid meets an ask."""
        real = book.kwh > NEGLIGIBLE_KWH
        price, kwh, is_ask = book.price_per_kwh[real], book.kwh[real], book.is_ask[real]
        asked, wanted = price[is_ask], price[~is_ask]
        if not asked.size or not wanted.size or wanted.max() < asked.min():
            return float("nan")
        falling = np.argsort(-price)
        total = np.cumsum(kwh[falling])
        offered = float(kwh[is_ask].sum())
        # Sums that differ by rounding alone are the same kWh.
        slack = min(NEGLIGIBLE_KWH, float(kwh.min()) / 2)
        high = float(price[falling[np.searchsorted(total, offered - slack, side="left")]])
        low = float(price[falling[np.searchsorted(total, offered + slack, side="right")]])
        # Rounding must not carry the price past the limit of those who set it.
        return min(high, max(low, low + self.k * (high - low)))


def _fill(kwh: FloatArray, rank: FloatArray, total: float, other_side: float) -> FloatArray:
    """Fill one side's orders up to what the other side takes, best rank first, pro rata where the last ones tie.

    Args:
        kwh: The amounts, [orders].
        rank: Lower is better, [orders].
        total: The sum of the amounts.
        other_side: What the other side takes or gives in all, kWh.
    """
    if total <= other_side:
        return kwh
    order = np.argsort(rank)
    filled_by = np.cumsum(kwh[order])
    margin = rank[order[min(int(np.searchsorted(filled_by, other_side, side="left")), len(order) - 1)]]
    at_margin = rank == margin
    better = np.where(rank < margin, kwh, 0.0)
    left = other_side - float(better.sum())
    share = min(1.0, max(0.0, left / float(kwh[at_margin].sum())))
    return better + np.where(at_margin, kwh * share, 0.0)
