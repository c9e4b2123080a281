"""Bilateral negotiation: every pair of partners agrees on its own amount and price, and nobody runs a market."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace

import numpy as np

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.clearing import Clearing, no_trade, summed
from feederloop.simulators.matcher.k_double_auction import KDoubleAuction
from feederloop.simulators.matcher.merit_order import (
    fill,
    one_side_each,
    over_all_orders,
    require_choice,
    require_number,
)
from feederloop.simulators.matcher.negotiation import Agreement, Rules, Side, negotiate
from feederloop.simulators.matcher.orders import ASK, BID, NEGLIGIBLE_KWH, FloatArray, IntArray, OrderBook
from feederloop.simulators.matcher.partners import Partners, choose_partners
from feederloop.simulators.matcher.surroundings import Surroundings

METHODS = ("admm", "primal_dual")


@dataclass
class BilateralNegotiation:
    """Sellers and buyers with a few partners each negotiate amounts and prices; see `negotiate`.

    Where they do not agree within the rounds, the k-double auction clears the book in their place, and the clearing
    says so, with what still stood between them.

    Args:
        method: `admm` (consensus) or `primal_dual`.
        partners: How many partners each chooses who is on the longer side of the market.
        max_rounds: Give up after so many rounds.
        energy_tolerance_kwh: Agreed when partners' amounts are no farther apart, and no longer move by more.
        price_tolerance_per_kwh: Agreed when no price still moves by more.
        slope_per_kwh: An order is filled gradually as the price passes its limit by this much.
        step_kwh: How far an amount moves in a round where its price is off by all the way from floor to ceiling: larger
            for larger orders.
        distance_per_kwh_km: How much nearer partners are preferred, as a price; needs the network.

    Raises:
        InputError: An option is not valid.
    """

    method: str = "admm"
    partners: int = 8
    max_rounds: int = 500
    energy_tolerance_kwh: float = 0.01
    price_tolerance_per_kwh: float = 0.001
    slope_per_kwh: float = 0.005
    step_kwh: float = 2.0
    distance_per_kwh_km: float = 0.0
    _distance_km: FloatArray | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        require_choice("method", self.method, METHODS)
        for key in ("partners", "max_rounds"):
            if not isinstance(getattr(self, key), int):
                raise InputError(
                    "A mechanism's option is not valid", key=key, value=getattr(self, key), allowed="a whole number"
                )
            require_number(key, getattr(self, key), 1)
        for key in ("energy_tolerance_kwh", "price_tolerance_per_kwh", "slope_per_kwh", "step_kwh"):
            require_number(key, getattr(self, key), 0.0, open_low=True)
        require_number("distance_per_kwh_km", self.distance_per_kwh_km, 0.0)

    @property
    def needs_network(self) -> bool:
        """Whether distances count."""
        return self.distance_per_kwh_km > 0

    def place(self, surroundings: Surroundings) -> None:
        """Take note of distances where they count; see `Placed`."""
        if self.needs_network:
            self._distance_km = surroundings.distance_km("distance_per_kwh_km")

    def clear(self, book: OrderBook, *, served_share: FloatArray, rng: np.random.Generator) -> Clearing:
        """Match the orders of one interval; see `Mechanism`."""
        kept = one_side_each(book)
        if not kept.size:
            return no_trade(book)
        chosen = book.subset(kept)
        sellers, buyers = np.unique(chosen.trader[chosen.is_ask]), np.unique(chosen.trader[~chosen.is_ask])
        partners = choose_partners(sellers, buyers, self.partners, rng, self._distance_km)
        agreement = self._negotiate(chosen, partners)
        if agreement.effort.fell_back:
            fallback = KDoubleAuction().clear(book, served_share=served_share, rng=rng)
            return replace(fallback, negotiation=agreement.effort)
        concluded = _concluded(chosen, partners, agreement, self.price_tolerance_per_kwh)
        return over_all_orders(concluded, kept, len(book))

    def _negotiate(self, book: OrderBook, partners: Partners) -> Agreement:
        cost = np.zeros(len(partners))
        if self._distance_km is not None:
            cost = self.distance_per_kwh_km * self._distance_km[partners.seller, partners.buyer]
        sides = (
            Side(book, ASK, partners.seller, self.slope_per_kwh),
            Side(book, BID, partners.buyer, self.slope_per_kwh),
        )
        rules = Rules(
            consensus=self.method == "admm",
            max_rounds=self.max_rounds,
            energy_tolerance_kwh=self.energy_tolerance_kwh,
            price_tolerance_per_kwh=self.price_tolerance_per_kwh,
            step_kwh=self.step_kwh,
        )
        return negotiate(sides, partners, cost, (book.floor_per_kwh, book.ceiling_per_kwh), rules)


def _concluded(book: OrderBook, partners: Partners, agreement: Agreement, tolerance_per_kwh: float) -> Clearing:
    """Turn what was agreed up to the tolerances into trades that keep every limit.

    Args:
        book: The orders, a trader's on one side each.
        partners: Who negotiated.
        agreement: What they agreed on.
        tolerance_per_kwh: How far prices may be from limits; they are moved to the limits, and what is farther off,
            because it was still on its way out when all others agreed, is not traded.
    """
    kwh = np.where(agreement.kwh > NEGLIGIBLE_KWH, agreement.kwh, 0.0)
    price, owners = agreement.price_per_kwh, ((ASK, partners.seller), (BID, partners.buyer))
    kwh = np.minimum(*(_covered(book, side, own, kwh, price, tolerance_per_kwh)[0] for side, own in owners))
    least, most = (side * _covered(book, side, own, kwh, price, np.inf)[1] for side, own in owners)
    kwh = np.where(least <= most, kwh, 0.0)
    price = np.where(least <= most, np.clip(price, least, np.maximum(least, most)), price)
    traders, volume = len(book.traders), float(kwh.sum())
    sold, bought = (summed(own, kwh, traders) for _, own in owners)
    got, paid = (summed(own, kwh * price, traders) for _, own in owners)
    traded = sold - bought
    return Clearing(
        traded_kwh=traded,
        price_per_kwh=np.where(traded != 0, (got - paid) / np.where(traded != 0, traded, 1.0), np.nan),
        matched_kwh=_filled(book, sold + bought),
        price=float(kwh @ price) / volume if volume > 0 else float("nan"),
        negotiation=agreement.effort,
    )


def _covered(
    book: OrderBook, side: int, owner: IntArray, kwh: FloatArray, price_per_kwh: FloatArray, tolerance_per_kwh: float
) -> tuple[FloatArray, FloatArray]:
    """Cover what each trader of a side trades by its orders: best limits for the worst prices.

    Args:
        book: The orders.
        side: `ASK` or `BID`.
        owner: The trader of each pair on this side, [pairs].
        kwh: What pairs trade, [pairs].
        price_per_kwh: At which price, [pairs].
        tolerance_per_kwh: How much worse than a limit a price may be.

    Returns:
        How much of each trade orders cover, and `side` times the worst limit among these, [pairs] each.
    """
    covered, limits = np.zeros(len(kwh)), side * price_per_kwh
    for trader in np.unique(owner):
        orders = np.flatnonzero((book.trader == trader) & (book.side == side))
        orders = orders[np.argsort(side * book.price_per_kwh[orders], kind="stable")]
        limit, supply = (side * book.price_per_kwh[orders]).tolist(), np.cumsum(book.kwh[orders]).tolist()
        pairs = np.flatnonzero((owner == trader) & (kwh > 0))
        used = 0.0
        for pair in pairs[np.argsort(side * price_per_kwh[pairs], kind="stable")].tolist():
            suiting = bisect_right(limit, side * price_per_kwh[pair] + tolerance_per_kwh)
            room = supply[suiting - 1] - used if suiting else 0.0
            covered[pair] = max(0.0, min(kwh[pair], room))
            used += covered[pair]
            limits[pair] = limit[min(bisect_left(supply, used - NEGLIGIBLE_KWH), len(limit) - 1)]
    return covered, limits


def _filled(book: OrderBook, total_kwh: FloatArray) -> FloatArray:
    """Fill each trader's own orders, best limit first, with what it trades, [orders].

    Args:
        book: The orders, a trader's on one side each.
        total_kwh: [traders]
    """
    filled = np.zeros(len(book))
    for trader in np.unique(book.trader):
        mine = np.flatnonzero(book.trader == trader)
        filled[mine] = fill(book.kwh[mine], (book.side * book.price_per_kwh)[mine], float(total_kwh[trader]))
    return filled
