"""The continuous double auction: orders arrive one by one and trade at once with the best that is in the book."""

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

import numpy as np

from feederloop.simulators.matcher.clearing import Clearing, Pairs, clearing_of, no_trade
from feederloop.simulators.matcher.merit_order import one_side_each, over_all_orders, require_choice, require_number
from feederloop.simulators.matcher.orders import NEGLIGIBLE_KWH, FloatArray, IntArray, OrderBook

ARRIVAL = ("random", "price_ordered")
PRICE = ("resting", "mid")
PRIORITY = ("time", "served_share")


class Gate(Protocol):
    """Whoever has a say in each trade beside the two who make it."""

    def fee_per_kwh(self, seller: int, buyer: int) -> float:
        """Return what the trade costs beside its price."""
        ...

    def admits(self, seller: int, buyer: int, kwh: float) -> bool:
        """Decide whether a trade may be; if so it counts as made."""
        ...


@dataclass(frozen=True)
class ContinuousDoubleAuction:
    """Every order that arrives takes the best of the other side, as long as the limits cross; the rest waits.

    Args:
        arrival: In which order orders arrive: `random`, or `price_ordered`: the best of either side first, which trades
            what a periodic auction would.
        price: At which price two orders trade: the `resting` one's, or half-way (`mid`).
        rationing: Who comes first of those who wait at one limit: who came first (`time`), or who was served worst so
            far (`served_share`).
        lot_kwh: Orders arrive in pieces of at most this size, 0 for whole.

    Raises:
        InputError: An option is not valid.
    """

    arrival: str = "random"
    price: str = "mid"
    rationing: str = "time"
    lot_kwh: float = 0.0

    def __post_init__(self) -> None:
        require_choice("arrival", self.arrival, ARRIVAL)
        require_choice("price", self.price, PRICE)
        require_choice("rationing", self.rationing, PRIORITY)
        require_number("lot_kwh", self.lot_kwh, 0.0)

    def clear(self, book: OrderBook, *, served_share: FloatArray, rng: np.random.Generator) -> Clearing:
        """Match the orders of one interval; see `Mechanism`."""
        kept = one_side_each(book)
        if not kept.size:
            return no_trade(book)
        chosen = book.subset(kept)
        shares = served_share if self.rationing == "served_share" else np.zeros(len(book.traders))
        pieces = Pieces.of(chosen, self.lot_kwh, self.arrival, rng)
        pairs = TradingFloor(chosen, pieces, shares, mid=self.price == "mid").trade()
        return over_all_orders(clearing_of(chosen, pairs), kept, len(book))


@dataclass(frozen=True)
class Pieces:
    """Pieces of orders in the order of their arrival; arrays are [pieces].

    Args:
        order: Which order each is of.
        kwh: How large it is.
    """

    order: IntArray
    kwh: FloatArray

    @classmethod
    def of(cls, book: OrderBook, lot_kwh: float, arrival: str, rng: np.random.Generator) -> "Pieces":
        """Cut orders into pieces and let them arrive.

        Args:
            book: The orders.
            lot_kwh: Largest piece, 0 for whole orders.
            arrival: See `ContinuousDoubleAuction`.
            rng: Draws a random arrival.
        """
        count = np.maximum(1, np.ceil(book.kwh / lot_kwh - NEGLIGIBLE_KWH)).astype(np.int64) if lot_kwh else 1
        order = np.repeat(np.arange(len(book)), count)
        first = np.concatenate([[0], np.cumsum(np.broadcast_to(count, len(book)))[:-1]])
        number = np.arange(len(order)) - first[order]
        kwh = np.minimum(lot_kwh, book.kwh[order] - number * lot_kwh) if lot_kwh else book.kwh[order]
        turn = rng.permutation(len(order)) if arrival == "random" else _best_first(book, order)
        return cls(order[turn], kwh[turn])


def _best_first(book: OrderBook, order: IntArray) -> IntArray:
    """Return pieces by merit, the two sides taking turns."""
    rank = np.empty(len(order), dtype=np.int64)
    for side in (book.is_ask[order], ~book.is_ask[order]):
        mine = np.flatnonzero(side)
        merit = (book.side * book.price_per_kwh)[order[mine]]
        rank[mine[np.argsort(merit, kind="stable")]] = np.arange(len(mine))
    return np.lexsort((book.is_ask[order], rank))


class TradingFloor:
    """Where pieces of orders arrive, meet and wait.

    Args:
        book: The orders, a trader's on one side each.
        pieces: What arrives.
        first_come: Who comes first at one limit, lower before higher, then by time, [traders].
        mid: Whether trades are half-way between the limits, less fees, instead of at the resting order's.
        gate: Who has a say in each trade.
        tries: A piece that the gate has refused this often leaves the book.
    """

    def __init__(
        self,
        book: OrderBook,
        pieces: Pieces,
        first_come: FloatArray,
        *,
        mid: bool,
        gate: Gate | None = None,
        tries: int = 1,
    ) -> None:
        self._mid, self._gate, self._tries = mid, gate, tries
        self._order, self._left = pieces.order.tolist(), pieces.kwh.tolist()
        trader = book.trader[pieces.order]
        self._limit: list[float] = book.price_per_kwh[pieces.order].tolist()
        self._sells: list[bool] = book.is_ask[pieces.order].tolist()
        self._trader, self._claim = trader.tolist(), first_come[trader].tolist()
        self._refusals = [0] * len(self._order)
        self._waiting: dict[bool, list[tuple[float, float, int]]] = {True: [], False: []}
        self._made: list[tuple[int, int, float, float, float]] = []

    def trade(self) -> Pairs:
        """Let all pieces arrive and return what they traded."""
        for new, sells in enumerate(self._sells):
            self._meet(new, self._waiting[not sells])
            if self._left[new] > NEGLIGIBLE_KWH and self._refusals[new] < self._tries:
                limit = self._limit[new]
                heappush(self._waiting[sells], (limit if sells else -limit, self._claim[new], new))
        columns = list(zip(*self._made, strict=True)) or [()] * 5
        asks, bids = (np.array(column, dtype=np.int64) for column in columns[:2])
        return Pairs(asks, bids, *(np.array(column, dtype=np.float64) for column in columns[2:]))

    def refused_kwh(self, orders: int) -> FloatArray:
        """Return how much of each order is left in pieces that the gate has refused at least once, [orders]."""
        refused = np.array(self._left) * (np.array(self._refusals) > 0)
        return np.bincount(np.array(self._order, dtype=np.int64), refused, orders).astype(np.float64)

    def _meet(self, new: int, others: list[tuple[float, float, int]]) -> None:
        """Let a piece trade with those who wait, best first, as far as limits, fees and the gate allow."""
        passed_over = []
        while others and self._left[new] > NEGLIGIBLE_KWH and self._refusals[new] < self._tries:
            best = others[0]
            old = best[2]
            ask, bid = (new, old) if self._sells[new] else (old, new)
            spread = self._limit[bid] - self._limit[ask]
            if spread < 0:
                break
            fee = 0.0 if self._gate is None else self._gate.fee_per_kwh(self._trader[ask], self._trader[bid])
            if fee > spread:
                passed_over.append(heappop(others))
            elif not self._made_trade(ask, bid, self._limit[old], fee):
                heappop(others)
                if self._refusals[old] < self._tries:
                    passed_over.append(best)
            elif self._left[old] <= NEGLIGIBLE_KWH:
                heappop(others)
        for entry in passed_over:
            heappush(others, entry)

    def _made_trade(self, ask: int, bid: int, resting: float, fee: float) -> bool:
        """Trade what both have left, unless the gate refuses."""
        kwh = min(self._left[ask], self._left[bid])
        if self._gate is not None and not self._gate.admits(self._trader[ask], self._trader[bid], kwh):
            self._refusals[ask] += 1
            self._refusals[bid] += 1
            return False
        price = _agreed(self._limit[ask], self._limit[bid], resting, fee, mid=self._mid)
        self._made.append((self._order[ask], self._order[bid], kwh, price, fee))
        self._left[ask] -= kwh
        self._left[bid] -= kwh
        return True


def _agreed(ask: float, bid: float, resting: float, fee: float, *, mid: bool) -> float:
    """Return the price at which both sides, after half the fee each, keep to their limits."""
    wanted = ask + (bid - ask) / 2 if mid else resting
    return min(max(wanted, ask + fee / 2), bid - fee / 2)
