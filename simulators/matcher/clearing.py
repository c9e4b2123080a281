"""What comes of an order book: who trades how much at which price, and what it took."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.matcher.orders import FloatArray, IntArray, OrderBook


@dataclass(frozen=True)
class Retail:
    """What of that which peers leave the DSO refused to let go to the retailer; arrays are [traders].

    Args:
        attempts: Lots of each trader that the DSO was asked about.
        blocks: How many of these it refused.
        refused_kwh: What each may not sell to the retailer (positive) or buy from it (negative).
    """

    attempts: IntArray
    blocks: IntArray
    refused_kwh: FloatArray


@dataclass(frozen=True)
class Blocking:
    """What the DSO refused in one interval; arrays are [traders].

    Args:
        attempts: Trades that each trader was party to and the DSO was asked about.
        blocks: How many of these it refused.
        blocked_kwh: What each could not sell (positive) or buy (negative) in the end because of that.
        blocked_by: The limit that refused most of each one's trades, empty where none was refused.
        retail: What the DSO refused of what was left for the retailer, where it was asked.
    """

    attempts: IntArray
    blocks: IntArray
    blocked_kwh: FloatArray
    blocked_by: tuple[str, ...] = ()
    retail: Retail | None = None


@dataclass(frozen=True)
class Negotiation:
    """What it took to agree.

    Args:
        rounds: Rounds of messages.
        messages: Messages between partners in all rounds.
        residual_kwh: The most by which two partners' amounts still differed.
        residual_per_kwh: The most by which a price still moved in the last round.
        fell_back: Whether nothing was agreed within the limit, so that another mechanism cleared the book.
    """

    rounds: int = 0
    messages: int = 0
    residual_kwh: float = 0.0
    residual_per_kwh: float = 0.0
    fell_back: bool = False


@dataclass(frozen=True)
class Clearing:
    """What came of an order book.

    The prices are those that are paid: what buyers pay less what sellers get is `surplus_money + fee_money`.

    Args:
        traded_kwh: What each trader sold (positive) or bought (negative), [traders]; it sums to zero.
        price_per_kwh: The mean price of each trader's trades, NaN where there is none, [traders].
        matched_kwh: How much of each order was filled, [orders].
        price: The one price, or the volume-weighted mean where there are several; NaN without trade.
        surplus_money: What a mechanism took from buyers and did not give to sellers; the market returns it.
        fee_money: What traders pay the DSO for their trades.
        blocking: What the DSO refused, where it was asked.
        negotiation: What it took to agree, where traders negotiated.
    """

    traded_kwh: FloatArray
    price_per_kwh: FloatArray
    matched_kwh: FloatArray
    price: float
    surplus_money: float = 0.0
    fee_money: float = 0.0
    blocking: Blocking | None = None
    negotiation: Negotiation | None = None


def no_trade(book: OrderBook) -> Clearing:
    """Return the clearing of a book in which nothing meets."""
    traders = len(book.traders)
    return Clearing(np.zeros(traders), np.full(traders, np.nan), np.zeros(len(book)), float("nan"))


def clearing_at(book: OrderBook, matched_kwh: FloatArray, buy_price: float, sell_price: float) -> Clearing:
    """Return the clearing in which all buyers pay one price and all sellers get one.

    Args:
        book: The orders, of which each trader's are all filled on one side at most where the prices differ.
        matched_kwh: How much of each was filled, [orders].
        buy_price: What buyers pay for a kWh, NaN without trade.
        sell_price: What sellers get for it; what lies between is the clearing's surplus.
    """
    traded = book.per_trader(book.side * matched_kwh)
    if not matched_kwh.any():
        return no_trade(book)
    volume = float(matched_kwh[book.is_ask].sum())
    return Clearing(
        traded_kwh=traded,
        price_per_kwh=np.where(traded > 0, sell_price, np.where(traded < 0, buy_price, np.nan)),
        matched_kwh=matched_kwh,
        # Not the half of the sum, which may round to beyond both.
        price=sell_price + (buy_price - sell_price) / 2,
        surplus_money=volume * (buy_price - sell_price),
    )


@dataclass(frozen=True)
class Pairs:
    """Trades between two orders each; arrays are [pairs].

    Args:
        ask: The order that sells.
        bid: The order that buys.
        kwh: How much.
        price_per_kwh: At which price, fees aside.
        fee_per_kwh: What the trade pays the DSO, half of it by either side.
    """

    ask: IntArray
    bid: IntArray
    kwh: FloatArray
    price_per_kwh: FloatArray
    fee_per_kwh: FloatArray


def clearing_of(
    book: OrderBook, pairs: Pairs, *, blocking: Blocking | None = None, negotiation: Negotiation | None = None
) -> Clearing:
    """Add trades up to a clearing.

    Args:
        book: The orders; the pairs fill those of a trader on one side at most.
        pairs: The trades.
        blocking: See `Clearing`.
        negotiation: See `Clearing`.
    """
    matched = summed(np.concatenate([pairs.ask, pairs.bid]), np.tile(pairs.kwh, 2), len(book))
    seller, buyer, traders = book.trader[pairs.ask], book.trader[pairs.bid], len(book.traders)
    half_fee = pairs.fee_per_kwh / 2
    got = summed(seller, pairs.kwh * (pairs.price_per_kwh - half_fee), traders)
    paid = summed(buyer, pairs.kwh * (pairs.price_per_kwh + half_fee), traders)
    traded = summed(seller, pairs.kwh, traders) - summed(buyer, pairs.kwh, traders)
    trades = traded != 0
    volume = float(pairs.kwh.sum())
    return Clearing(
        traded_kwh=traded,
        price_per_kwh=np.where(trades, (got - paid) / np.where(trades, traded, 1.0), np.nan),
        # Sums of many pairs may round to a little more than the order.
        matched_kwh=np.minimum(matched, book.kwh),
        price=float(pairs.kwh @ pairs.price_per_kwh) / volume if volume > 0 else float("nan"),
        fee_money=float(pairs.kwh @ pairs.fee_per_kwh),
        blocking=blocking,
        negotiation=negotiation,
    )


def summed(where: IntArray, values: FloatArray, length: int) -> FloatArray:
    """Add values up by what they belong to, [length].

    Args:
        where: Index of what each belongs to.
        values: Of the same length.
        length: How many things there are.
    """
    # bincount answers in integers when it is given nothing at all.
    return np.bincount(where, values, length).astype(np.float64)
