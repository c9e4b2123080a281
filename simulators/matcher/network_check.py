"""A continuous double auction in which the DSO is asked about every trade."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.admission import Admission, Quantities
from feederloop.simulators.matcher.clearing import Blocking, Clearing, clearing_of, no_trade, summed
from feederloop.simulators.matcher.continuous import ARRIVAL, PRICE, PRIORITY, Pieces, TradingFloor
from feederloop.simulators.matcher.merit_order import one_side_each, over_all_orders, require_choice, require_number
from feederloop.simulators.matcher.orders import FloatArray, OrderBook
from feederloop.simulators.matcher.participation import BlockRecord
from feederloop.simulators.matcher.retail_check import left_for_retailer, trade_with_retailer
from feederloop.simulators.matcher.surroundings import LocalNetwork, Surroundings

CHECK = ("linear", "exact")


@dataclass
class NetworkCheckedAuction:
    """Every candidate trade is checked on top of those already made, and blocked if the network would not bear it.

    The idea is that of Guerrero, Chapman and Verbič ("Decentralized P2P energy trading under network constraints in a
    low-voltage network", IEEE Trans. Smart Grid 10(5), 2019): sensitivities of voltages, currents and losses at the
    present operating point decide, and trades pay for the network and for the losses they cause.

    Args:
        arrival: In which order orders arrive: `random`, or `price_ordered`.
        price: At which price two orders trade: the `resting` one's, or half-way (`mid`); always within the limits after
            half the fee each.
        rationing: Who comes first of those who wait at one limit: who came first (`time`), or who was served worst so
            far (`served_share`).
        check: By sensitivities at the present operating point (`linear`) or by a power flow for each trade (`exact`).
        lot_kwh: Orders arrive in pieces of at most this size, 0 for whole; a piece is admitted whole or not at all.
        tries: A piece that has been refused this often leaves the book.
        network_fee_per_kwh: What every trade pays the DSO.
        losses: Whether a trade also pays for the losses that it causes, at half-way between floor and ceiling.
        decay: How much each further interval in a row with a block takes of a prosumer's willingness to offer; it
            offers with the probability (1 - decay)^run.
        check_retail: Whether the DSO is also asked, lot by lot, about what peers leave for the retailer.

    Raises:
        InputError: An option is not valid.
    """

    arrival: str = "random"
    price: str = "mid"
    rationing: str = "time"
    check: str = "linear"
    lot_kwh: float = 0.5
    tries: int = 3
    network_fee_per_kwh: float = 0.0
    losses: bool = True
    decay: float = 0.0
    check_retail: bool = True
    needs_network: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        choices = {"arrival": ARRIVAL, "price": PRICE, "rationing": PRIORITY, "check": CHECK}
        for key, allowed in choices.items():
            require_choice(key, getattr(self, key), allowed)
        require_number("lot_kwh", self.lot_kwh, 0.0)
        require_number("network_fee_per_kwh", self.network_fee_per_kwh, 0.0)
        require_number("decay", self.decay, 0.0, 1.0)
        require_number("tries", self.tries, 1)
        truth = "true or false"
        for key, kind, expected in (
            ("tries", int, "a whole number"), ("losses", bool, truth), ("check_retail", bool, truth)
        ):  # fmt: skip
            if not isinstance(getattr(self, key), kind):
                raise InputError(
                    "A mechanism's option is not valid", key=key, value=getattr(self, key), allowed=expected
                )
        self._network: LocalNetwork | None = None

    def place(self, surroundings: Surroundings) -> None:
        """Take note of the network; see `Placed`."""
        network = self._network = surroundings.require_network("mechanism")
        self._interval_h = surroundings.interval_h
        self._quantities = Quantities.of(network.power_flow.feeder, network.limits)
        traders = len(surroundings.traders)
        self.record = BlockRecord.empty(traders)
        self.foresee(np.zeros(traders), np.zeros(traders))

    def foresee(self, p_kw: FloatArray, q_kvar: FloatArray) -> None:
        """Take note of the powers that are forecast without trade; see `Foreseeing`."""
        self._background = (np.array(p_kw, dtype=np.float64), np.array(q_kvar, dtype=np.float64))

    def clear(self, book: OrderBook, *, served_share: FloatArray, rng: np.random.Generator) -> Clearing:
        """Match the orders of one interval; see `Mechanism`."""
        if self._network is None:
            raise InputError("This mechanism has to know the network first: call place()", key="mechanism")
        willing = self.record.willing(self.decay, rng)
        offered = np.flatnonzero(willing[book.trader])
        kept = offered[one_side_each(book.subset(offered))]
        chosen, desk, traders = book.subset(kept), self._desk(book), len(book.traders)
        clearing, blocked_kwh = no_trade(chosen), np.zeros(traders)
        if kept.size:
            clearing, blocked_kwh = self._trade(chosen, desk, served_share, rng)
        retail = None
        if self.check_retail:
            left_kwh = left_for_retailer(book, clearing.traded_kwh)
            retail = trade_with_retailer(left_kwh, desk, lot_kwh=self.lot_kwh, arrival=self.arrival, rng=rng)
        blocking = Blocking(desk.attempts, desk.blocks, blocked_kwh, desk.blocked_by, retail)
        self.record.note(blocking, took_part=summed(book.trader[offered], book.kwh[offered], traders) > 0)
        return over_all_orders(replace(clearing, blocking=blocking), kept, len(book))

    def _desk(self, book: OrderBook) -> "Desk":
        assert self._network is not None
        admission = Admission(
            self._network.power_flow,
            self._quantities,
            self._background,
            interval_h=self._interval_h,
            check="linear" if self.check == "linear" else "exact",
            ordered_kwh=book.per_trader(book.kwh),
        )
        middle = book.floor_per_kwh + (book.ceiling_per_kwh - book.floor_per_kwh) / 2 if len(book) else 0.0
        loss_price = max(0.0, middle) if self.losses else 0.0
        return Desk(admission, self.network_fee_per_kwh, loss_price, len(book.traders))

    def _trade(
        self, book: OrderBook, desk: "Desk", served_share: FloatArray, rng: np.random.Generator
    ) -> tuple[Clearing, FloatArray]:
        """Return what peers trade, and what each could not sell (positive) or buy because it was refused, [traders]."""
        shares = served_share if self.rationing == "served_share" else np.zeros(len(book.traders))
        pieces = Pieces.of(book, self.lot_kwh, self.arrival, rng)
        floor = TradingFloor(book, pieces, shares, mid=self.price == "mid", gate=desk, tries=self.tries)
        pairs = floor.trade()
        left_over = book.kwh - summed(np.concatenate([pairs.ask, pairs.bid]), np.tile(pairs.kwh, 2), len(book))
        blocked: FloatArray = np.minimum(floor.refused_kwh(len(book)), np.maximum(left_over, 0.0))
        return clearing_of(book, pairs), book.per_trader(book.side * blocked)


class Desk:
    """Where the DSO is asked about trades, and what it charges for them.

    Args:
        admission: Decides about the network.
        network_fee_per_kwh: What every trade pays.
        loss_price_per_kwh: What a lost kWh costs.
        traders: How many there are.
    """

    def __init__(
        self, admission: Admission, network_fee_per_kwh: float, loss_price_per_kwh: float, traders: int
    ) -> None:
        self._admission, self._network_fee, self._loss_price = admission, network_fee_per_kwh, loss_price_per_kwh
        self._marginal_loss = admission.marginal_loss.tolist() if admission.solved else [0.0] * traders
        self.attempts, self.blocks = np.zeros(traders, dtype=np.int64), np.zeros(traders, dtype=np.int64)
        self._refused_by: list[Counter[str]] = [Counter() for _ in range(traders)]

    @property
    def blocked_by(self) -> tuple[str, ...]:
        """The limit that refused most of each trader's trades, empty where none was refused."""
        return tuple(limits.most_common(1)[0][0] if limits else "" for limits in self._refused_by)

    def fee_per_kwh(self, seller: int, buyer: int) -> float:
        """Return the network fee and the price of the losses that a kWh from one to the other causes, if it does."""
        losses = self._marginal_loss[seller] - self._marginal_loss[buyer]
        return self._network_fee + self._loss_price * max(0.0, losses)

    def admits(self, seller: int, buyer: int, kwh: float) -> bool:
        """Ask about a trade, and count the question and a refusal for both."""
        admitted = self._admission.admits(seller, buyer, kwh)
        for trader in (seller, buyer):
            self.attempts[trader] += 1
            if not admitted:
                self.blocks[trader] += 1
                self._refused_by[trader][self._admission.refused_by] += 1
        return admitted

    def admits_retail(self, trader: int, kwh: float) -> bool:
        """Ask about a sale to the retailer (positive) or a purchase from it, and remember why it was refused."""
        admitted = self._admission.admits_retail(trader, kwh)
        if not admitted:
            self._refused_by[trader][self._admission.refused_by] += 1
        return admitted
