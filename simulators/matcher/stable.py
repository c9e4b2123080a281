"""Stable matching: everybody has preferences about partners, and no two would rather trade with each other."""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.matcher.clearing import Clearing, Negotiation, Pairs, clearing_of, no_trade
from feederloop.simulators.matcher.merit_order import one_side_each, over_all_orders, require_choice, require_number
from feederloop.simulators.matcher.orders import NEGLIGIBLE_KWH, FloatArray, IntArray, OrderBook
from feederloop.simulators.matcher.surroundings import Surroundings

PROPOSING = ("buyers", "sellers")


@dataclass
class StableMatching:
    """Deferred acceptance on amounts of energy.

    A pair trades half-way between its limits. A seller prefers a higher price, a buyer a lower one; both prefer a near
    partner, and a buyer one with modules on the roof, each as far as its premium goes. One side proposes, lot by lot,
    to the partner it likes best of those who have not refused; the other keeps the best proposals that it has room for
    and refuses the rest (Gale and Shapley, American Mathematical Monthly 69, 1962; with amounts: Baïou and Balinski,
    "The stable allocation (or ordinal transportation) problem", Mathematics of Operations Research 27, 2002). Who is
    equally liked comes by the lower share served so far, then as listed.

    Args:
        proposing: Who proposes, and gets the best of all stable matchings: `buyers` or `sellers`.
        lot_kwh: Most energy in one proposal.
        distance_per_kwh_km: What each gives up for a partner a kilometre nearer; needs the network.
        green_premium_per_kwh: What a buyer gives up for a seller with PV.

    Raises:
        InputError: An option is not valid.
    """

    proposing: str = "buyers"
    lot_kwh: float = 0.25
    distance_per_kwh_km: float = 0.0
    green_premium_per_kwh: float = 0.0
    _distance_km: FloatArray | None = field(default=None, init=False, repr=False)
    _has_pv: NDArray[np.bool_] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        require_choice("proposing", self.proposing, PROPOSING)
        require_number("lot_kwh", self.lot_kwh, 0.0, open_low=True)
        require_number("distance_per_kwh_km", self.distance_per_kwh_km, 0.0)
        require_number("green_premium_per_kwh", self.green_premium_per_kwh, 0.0)

    @property
    def needs_network(self) -> bool:
        """Whether distances count."""
        return self.distance_per_kwh_km > 0

    def place(self, surroundings: Surroundings) -> None:
        """Take note of roofs, and of distances where they count; see `Placed`."""
        self._has_pv = surroundings.has_pv
        if self.needs_network:
            self._distance_km = surroundings.distance_km("distance_per_kwh_km")

    def clear(self, book: OrderBook, *, served_share: FloatArray, rng: np.random.Generator) -> Clearing:
        """Match the orders of one interval; see `Mechanism`. Draws no lots."""
        del rng
        kept = one_side_each(book)
        if not kept.size:
            return no_trade(book)
        chosen = book.subset(kept)
        asks, bids = np.flatnonzero(chosen.is_ask), np.flatnonzero(~chosen.is_ask)
        preferences = self.preferences(chosen, asks, bids, served_share)
        if self.proposing == "sellers":
            preferences = preferences.turned()
        offered, wanted = chosen.kwh[asks], chosen.kwh[bids]
        room = (wanted, offered) if self.proposing == "buyers" else (offered, wanted)
        accepted, proposals = deferred_acceptance(preferences, *room, self.lot_kwh)
        kwh = accepted.T if self.proposing == "buyers" else accepted
        ask, bid = np.nonzero(kwh)
        price = chosen.price_per_kwh[asks[ask]] / 2 + chosen.price_per_kwh[bids[bid]] / 2
        pairs = Pairs(asks[ask], bids[bid], kwh[ask, bid], price, np.zeros(len(ask)))
        clearing = clearing_of(chosen, pairs, negotiation=Negotiation(messages=proposals))
        return over_all_orders(clearing, kept, len(book))

    def preferences(self, book: OrderBook, asks: IntArray, bids: IntArray, served_share: FloatArray) -> "Preferences":
        """Return who prefers whom, with the bids proposing.

        Args:
            book: The orders.
            asks: Indices of the asks.
            bids: Indices of the bids.
            served_share: How well each trader was served so far, [traders].
        """
        ask, bid = book.price_per_kwh[asks], book.price_per_kwh[bids]
        price: FloatArray = bid[:, None] / 2 + ask[None, :] / 2
        way = np.zeros((len(bids), len(asks)))
        if self._distance_km is not None:
            way += self.distance_per_kwh_km * self._distance_km[np.ix_(book.trader[bids], book.trader[asks])]
        green = np.zeros(len(asks))
        if self._has_pv is not None:
            green += self.green_premium_per_kwh * self._has_pv[book.trader[asks]]
        to_bids, to_asks = green[None, :] - price - way, price - way
        # To trade must be worth the way for both, and within both limits.
        possible = (bid[:, None] >= ask[None, :]) & (to_bids >= -bid[:, None]) & (to_asks >= ask[None, :])
        return Preferences(
            ranks=_ranks(to_bids, served_share[book.trader[asks]]),
            receiver_ranks=_ranks(to_asks.T, served_share[book.trader[bids]]).T,
            possible=possible,
        )


@dataclass(frozen=True)
class Preferences:
    """Who prefers whom; arrays are [proposers, receivers].

    Attributes:
        ranks: The receivers' ranks with each proposer, 0 the best.
        receiver_ranks: The proposers' ranks with each receiver.
        possible: Whom both would trade with at all.
    """

    ranks: IntArray
    receiver_ranks: IntArray
    possible: NDArray[np.bool_]

    def turned(self) -> "Preferences":
        """Return the same with the receivers proposing."""
        return Preferences(self.receiver_ranks.T, self.ranks.T, self.possible.T)


def deferred_acceptance(
    preferences: Preferences, proposers_kwh: FloatArray, receivers_kwh: FloatArray, lot_kwh: float
) -> tuple[FloatArray, int]:
    """Return a stable allocation, [proposers, receivers] in kWh, and how many proposals it took.

    Args:
        preferences: Who prefers whom.
        proposers_kwh: What each proposer has.
        receivers_kwh: What each receiver has room for.
        lot_kwh: Most energy in one proposal.
    """
    by_liking = np.argsort(preferences.ranks, axis=1)
    wishes = [
        deque(receivers[preferences.possible[proposer, receivers]].tolist())
        for proposer, receivers in enumerate(by_liking)
    ]
    receivers = [
        _Receiver(room, ranks)
        for room, ranks in zip(receivers_kwh.tolist(), preferences.receiver_ranks.T.tolist(), strict=True)
    ]
    left = proposers_kwh.tolist()
    turn = deque(range(len(left)))
    proposals = 0
    while turn:
        proposer = turn.popleft()
        while left[proposer] > NEGLIGIBLE_KWH and wishes[proposer]:
            lot = min(left[proposer], lot_kwh)
            refused, displaced = receivers[wishes[proposer][0]].consider(proposer, lot)
            proposals += 1
            left[proposer] -= lot - refused
            for other, kwh in displaced:
                left[other] += kwh
                turn.append(other)
            # Who has refused once only becomes more choosy.
            if refused > NEGLIGIBLE_KWH:
                wishes[proposer].popleft()
    accepted = np.zeros(preferences.ranks.shape)
    for column, receiver in enumerate(receivers):
        for row, kwh in receiver.kept.items():
            accepted[row, column] = kwh
    accepted[accepted <= NEGLIGIBLE_KWH] = 0.0
    return accepted, proposals


class _Receiver:
    """Keeps the best proposals that it has room for.

    Args:
        room_kwh: How much that is.
        ranks: Of the proposers, 0 the best.
    """

    def __init__(self, room_kwh: float, ranks: list[int]) -> None:
        self._room_kwh, self._ranks = room_kwh, ranks
        self.kept: dict[int, float] = {}
        self._worst: list[tuple[int, int]] = []

    def consider(self, proposer: int, lot_kwh: float) -> tuple[float, list[tuple[int, float]]]:
        """Return how much of a lot is refused, and who is displaced by how much."""
        open_kwh = lot_kwh - self._keep(proposer, min(lot_kwh, self._room_kwh))
        self._room_kwh -= lot_kwh - open_kwh
        displaced = []
        while open_kwh > NEGLIGIBLE_KWH and self._worst and -self._worst[0][0] > self._ranks[proposer]:
            other = self._worst[0][1]
            kwh = min(open_kwh, self.kept[other])
            displaced.append((other, kwh))
            self.kept[other] -= kwh
            if self.kept[other] <= NEGLIGIBLE_KWH:
                del self.kept[other]
                heappop(self._worst)
            open_kwh -= self._keep(proposer, kwh)
        return open_kwh, displaced

    def _keep(self, proposer: int, kwh: float) -> float:
        if kwh > 0:
            if proposer not in self.kept:
                heappush(self._worst, (-self._ranks[proposer], proposer))
            self.kept[proposer] = self.kept.get(proposer, 0.0) + kwh
        return kwh


def _ranks(liking: FloatArray, served_share: FloatArray) -> IntArray:
    """Return the rank of each column within each row, 0 for what is liked most, [rows, columns].

    Args:
        liking: [rows, columns]
        served_share: Of the columns' owners; the lower comes first among those who are equally liked.
    """
    rows, columns = liking.shape
    order = np.lexsort((np.broadcast_to(np.arange(columns), liking.shape), np.tile(served_share, (rows, 1)), -liking))
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(columns), liking.shape), axis=1)
    return ranks
