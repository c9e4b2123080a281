"""What several mechanisms need of a book: the price that clears it, the side that each trader takes, rationing."""

from dataclasses import replace
from typing import Any

import numpy as np

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.clearing import Clearing
from feederloop.simulators.matcher.orders import ASK, BID, NEGLIGIBLE_KWH, FloatArray, IntArray, OrderBook

RATIONING = ("pro_rata", "served_share")
"""Who comes first where equally good orders exceed what there is: all alike, or who was served worst so far."""


def clearing_price(book: OrderBook, k: float = 0.5) -> float:
    """Return a price at which demand meets supply, NaN where no bid meets an ask.

    Args:
        book: The orders.
        k: Where the price lies between the lowest (0) and the highest (1) that clears.
    """
    real = book.kwh > NEGLIGIBLE_KWH
    price, kwh, is_ask = book.price_per_kwh, book.kwh, book.is_ask
    if not real.all():
        price, kwh, is_ask = price[real], kwh[real], is_ask[real]
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
    return min(high, max(low, low + k * (high - low)))


def matched_at(
    book: OrderBook, price: float, served_share: FloatArray | None = None, *, merit: bool = True
) -> FloatArray:
    """Fill the orders that a price suits, as far as the other side allows, [orders] in kWh.

    Args:
        book: The orders.
        price: What buyers pay and sellers get.
        served_share: See `fill`, [traders]; without it, equally good orders are served pro rata.
        merit: Whether better limits come first; without it, all orders that the price suits are equally good.
    """
    matched = np.zeros(len(book))
    asks = np.flatnonzero(book.is_ask & (book.price_per_kwh <= price))
    bids = np.flatnonzero(~book.is_ask & (book.price_per_kwh >= price))
    offered, wanted = book.kwh[asks], book.kwh[bids]
    for chosen, kwh, sign, other_side in ((asks, offered, 1.0, wanted), (bids, wanted, -1.0, offered)):
        rank = sign * book.price_per_kwh[chosen] * merit
        shares = None if served_share is None else served_share[book.trader[chosen]]
        matched[chosen] = fill(kwh, rank, float(other_side.sum()), shares)
    return matched


def fill(kwh: FloatArray, rank: FloatArray, available_kwh: float, served_share: FloatArray | None = None) -> FloatArray:
    """Fill orders of one side up to what the other side takes or gives, best rank first, [orders] in kWh.

    Args:
        kwh: The amounts, [orders].
        rank: Lower is better, [orders].
        available_kwh: What the other side takes or gives in all.
        served_share: How well the owner of each was served so far, [orders]: of those who tie in rank, the worst served
            come first. Without it, and where the shares tie as well, all get the same part of their order.
    """
    if float(kwh.sum()) <= available_kwh:
        return kwh
    order = np.argsort(rank)
    filled_by = np.cumsum(kwh[order])
    margin = rank[order[min(int(np.searchsorted(filled_by, available_kwh, side="left")), len(order) - 1)]]
    at_margin = rank == margin
    filled = np.where(rank < margin, kwh, 0.0)
    left = available_kwh - float(filled.sum())
    if served_share is None:
        at_stake = float(kwh[at_margin].sum())
        # Orders of nothing may be all there is at the margin.
        share = min(1.0, max(0.0, left / at_stake)) if at_stake > 0 else 0.0
        filled[at_margin] = kwh[at_margin] * share
    else:
        filled[at_margin] = fill(kwh[at_margin], served_share[at_margin], left)
    return filled


def one_side_each(book: OrderBook) -> IntArray:
    """Return the orders that stay when every trader takes one side of the market, none where nothing meets.

    A trader who would sell at high prices and buy at low ones, as a net-position curve through zero says, is one or the
    other: the one that its orders make it at the price that clears the book, or else the one that is nearer. Without
    this, mechanisms with several prices would let it buy and resell energy that it does not have.

    Returns:
        Indices of the orders, ascending.
    """
    price = clearing_price(book)
    if np.isnan(price):
        return np.empty(0, dtype=np.int64)
    real = book.kwh > NEGLIGIBLE_KWH
    gain = book.side * (price - book.price_per_kwh)
    inside = book.per_trader(np.where(gain >= 0, book.side * book.kwh, 0.0))
    best = {side: np.full(len(book.traders), -np.inf) for side in (ASK, BID)}
    for side, nearest in best.items():
        chosen = real & (book.side == side)
        np.maximum.at(nearest, book.trader[chosen], gain[chosen])
    nearer = np.where(best[ASK] >= best[BID], ASK, BID)
    taken = np.where(inside == 0, nearer, np.sign(inside))
    kept = real & (book.side == taken[book.trader])
    asked, wanted = book.price_per_kwh[kept & book.is_ask], book.price_per_kwh[kept & ~book.is_ask]
    # Those who would have traded with themselves may have been all there were.
    meets = bool(asked.size and wanted.size and wanted.max() >= asked.min())
    return np.flatnonzero(kept & meets).astype(np.int64)


def over_all_orders(clearing: Clearing, kept: IntArray, count: int) -> Clearing:
    """Return the clearing of some orders as one of all of them.

    Args:
        clearing: The clearing.
        kept: Which orders it is of.
        count: How many there are.
    """
    matched = np.zeros(count)
    matched[kept] = clearing.matched_kwh
    return replace(clearing, matched_kwh=matched)


def require_choice(key: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse an option that is none of its choices.

    Raises:
        InputError: It is none.
    """
    if value not in allowed:
        raise InputError("A mechanism's option is not valid", key=key, value=value, allowed=", ".join(allowed))


def require_number(key: str, value: Any, low: float, high: float = float("inf"), *, open_low: bool = False) -> None:
    """Refuse an option that is no number in its range.

    Raises:
        InputError: It is none.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and low <= value <= high and value < float("inf")) or (open_low and value == low):
        least = f"above {low:g}" if open_low else f"at least {low:g}"
        allowed = f"{least}, finite" if high == float("inf") else f"{least}, at most {high:g}"
        raise InputError("A mechanism's option is out of range", key=key, value=value, allowed=allowed)
