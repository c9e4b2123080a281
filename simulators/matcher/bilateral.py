"""Bilateral negotiation: every pair of partners agrees on its own amount and price, and nobody runs a market."""

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
from feederloop.simulators.matcher.orders import ASK, BID, NEGLIGIBLE_KWH, FloatArray, OrderBook
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
        return over_all_orders(_concluded(chosen, partners, agreement), kept, len(book))

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


def _concluded(book: OrderBook, partners: Partners, agreement: Agreement) -> Clearing:
    """Turn what was agreed up to the tolerances into trades that keep every limit.

    Args:
        book: The orders, a trader's on one side each.
        partners: Who negotiated.
        agreement: What they agreed on.
    """
    kwh = np.where(agreement.kwh > NEGLIGIBLE_KWH, agreement.kwh, 0.0)
    least, most = _marginal_limits(book, partners, kwh)
    # Within the tolerance a seller may have been led past what its partner can pay.
    kwh[least[partners.seller] > most[partners.buyer]] = 0.0
    least, most = _marginal_limits(book, partners, kwh)
    traders = len(book.traders)
    price = np.where(
        kwh > 0, np.clip(agreement.price_per_kwh, least[partners.seller], most[partners.buyer]), agreement.price_per_kwh
    )
    sold, bought = (summed(who, kwh, traders) for who in (partners.seller, partners.buyer))
    got, paid = (summed(who, kwh * price, traders) for who in (partners.seller, partners.buyer))
    traded = sold - bought
    volume = float(kwh.sum())
    return Clearing(
        traded_kwh=traded,
        price_per_kwh=np.where(traded != 0, (got - paid) / np.where(traded != 0, traded, 1.0), np.nan),
        matched_kwh=_filled(book, sold + bought),
        price=float(kwh @ price) / volume if volume > 0 else float("nan"),
        negotiation=agreement.effort,
    )


def _marginal_limits(book: OrderBook, partners: Partners, kwh: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the highest limit of each seller's orders in use, and the lowest of each buyer's, [traders]."""
    traders = len(book.traders)
    total = summed(partners.seller, kwh, traders) + summed(partners.buyer, kwh, traders)
    used = _filled(book, total) > 0
    least, most = np.full(traders, -np.inf), np.full(traders, np.inf)
    asks, bids = used & book.is_ask, used & ~book.is_ask
    np.maximum.at(least, book.trader[asks], book.price_per_kwh[asks])
    np.minimum.at(most, book.trader[bids], book.price_per_kwh[bids])
    return least, most


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
