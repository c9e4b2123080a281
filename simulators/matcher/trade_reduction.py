"""McAfee's double auction: the least valuable trade is given up so that nobody can gain by a false limit."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.matcher.clearing import Clearing, clearing_at, no_trade
from feederloop.simulators.matcher.merit_order import (
    RATIONING,
    fill,
    one_side_each,
    over_all_orders,
    require_choice,
)
from feederloop.simulators.matcher.orders import NEGLIGIBLE_KWH, FloatArray, OrderBook


@dataclass(frozen=True)
class TradeReduction:
    """Takes the price from the first orders that do not trade, or else gives up the last ones that would.

    Let b and s be the last bid and ask that would trade efficiently, b' and s' the next ones. If (b' + s') / 2 lies
    between s and b, it is the price for all. If not, b and s do not trade; all better buyers pay b, all better sellers
    get s, and the difference is the auction's surplus (McAfee, "A dominant strategy double auction", Journal of
    Economic Theory 56, 1992). For orders of unequal size, b and s are given up whole and the longer side is rationed
    (Huang, Scheller-Wolf and Sycara, "Design of a multi-unit double auction e-market", Computational Intelligence 18,
    2002). For traders with one order of one size each, to state one's true limit is a dominant strategy; a trader with
    several orders can gain when one of them sets the price of its others.

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
        kept = one_side_each(book)
        if not kept.size:
            return no_trade(book)
        shares = served_share if self.rationing == "served_share" else None
        return over_all_orders(_clear(book.subset(kept), shares), kept, len(book))


def _clear(book: OrderBook, served_share: FloatArray | None) -> Clearing:
    asks, bids = np.flatnonzero(book.is_ask), np.flatnonzero(~book.is_ask)
    asks = asks[np.argsort(book.price_per_kwh[asks], kind="stable")]
    bids = bids[np.argsort(-book.price_per_kwh[bids], kind="stable")]
    offered, wanted = np.cumsum(book.kwh[asks]), np.cumsum(book.kwh[bids])
    ask_price, bid_price = book.price_per_kwh[asks], book.price_per_kwh[bids]
    last_ask, last_bid = _last_efficient(ask_price, offered, bid_price, wanted)
    matched = np.zeros(len(book))
    both_whole = abs(offered[last_ask] - wanted[last_bid]) <= NEGLIGIBLE_KWH
    if both_whole and last_ask + 1 < len(asks) and last_bid + 1 < len(bids):
        price = float(ask_price[last_ask + 1] / 2 + bid_price[last_bid + 1] / 2)
        if ask_price[last_ask] <= price <= bid_price[last_bid]:
            traded = np.concatenate([asks[: last_ask + 1], bids[: last_bid + 1]])
            matched[traded] = book.kwh[traded]
            return clearing_at(book, matched, price, price)
    sellers, buyers = asks[:last_ask], bids[:last_bid]
    volume = min(float(book.kwh[sellers].sum()), float(book.kwh[buyers].sum()))
    for side in (sellers, buyers):
        shares = None if served_share is None else served_share[book.trader[side]]
        matched[side] = fill(book.kwh[side], np.zeros(len(side)), volume, shares)
    return clearing_at(book, matched, float(bid_price[last_bid]), float(ask_price[last_ask]))


def _last_efficient(
    ask_price: FloatArray, offered: FloatArray, bid_price: FloatArray, wanted: FloatArray
) -> tuple[int, int]:
    """Return the last ask and bid, best first, that trade with each other when welfare is greatest.

    Args:
        ask_price: Limits of the asks, ascending.
        offered: Their amounts, added up.
        bid_price: Limits of the bids, descending; the first is at least the first ask's.
        wanted: Their amounts, added up.
    """
    ends = np.unique(np.concatenate([offered, wanted]))
    ends = ends[ends <= min(offered[-1], wanted[-1])]
    # Sums that differ by rounding alone are the same kWh, so an order ends a little after its sum.
    ask_at = np.searchsorted(offered, ends - NEGLIGIBLE_KWH)
    bid_at = np.searchsorted(wanted, ends - NEGLIGIBLE_KWH)
    last = int(np.flatnonzero(bid_price[bid_at] >= ask_price[ask_at])[-1])
    return int(ask_at[last]), int(bid_at[last])
