"""What peers leave goes to the retailer: the DSO may be asked about that as well, lot by lot."""

from typing import Protocol

import numpy as np

from feederloop.simulators.matcher.clearing import Retail
from feederloop.simulators.matcher.orders import NEGLIGIBLE_KWH, FloatArray, OrderBook


class Gate(Protocol):
    """Whoever has a say in what goes to the retailer."""

    def admits_retail(self, trader: int, kwh: float) -> bool:
        """Decide whether a trader may sell to the retailer (positive) or buy from it; if so it counts as made."""
        ...


def left_for_retailer(book: OrderBook, traded_kwh: FloatArray) -> FloatArray:
    """Return what goes to the retailer (positive) or comes from it, [traders].

    That is of what is offered even at the retailer's price, the floor, or wanted even at its price, the ceiling, what
    was not traded.

    Args:
        book: The orders.
        traded_kwh: What each trader traded with peers, sold positive, [traders].
    """
    at_floor = book.is_ask & (book.price_per_kwh <= book.floor_per_kwh)
    at_ceiling = ~book.is_ask & (book.price_per_kwh >= book.ceiling_per_kwh)
    offered, wanted = book.per_trader(book.kwh * at_floor), book.per_trader(book.kwh * at_ceiling)
    sold = np.where(offered > 0, np.maximum(offered - traded_kwh, 0.0), 0.0)
    bought = np.where(wanted > 0, np.maximum(wanted + traded_kwh, 0.0), 0.0)
    result: FloatArray = sold - bought
    return result


def trade_with_retailer(
    left_kwh: FloatArray, gate: Gate, *, lot_kwh: float, arrival: str, rng: np.random.Generator
) -> Retail:
    """Bring what is left to the retailer, lot by lot, as far as the gate admits it.

    Args:
        left_kwh: See `left_for_retailer`, [traders].
        gate: The DSO.
        lot_kwh: Largest lot, 0 for whole.
        arrival: `random`, or anything else: as in the list of traders, as all have the same price.
        rng: Draws a random arrival.
    """
    attempts, blocks = np.zeros(len(left_kwh), dtype=np.int64), np.zeros(len(left_kwh), dtype=np.int64)
    refused = np.zeros(len(left_kwh))
    amount = np.abs(left_kwh)
    count = np.ceil(amount / lot_kwh - NEGLIGIBLE_KWH) if lot_kwh else np.ones(len(amount))
    trader = np.repeat(np.arange(len(amount)), np.where(amount > NEGLIGIBLE_KWH, count, 0).astype(np.int64))
    if arrival == "random":
        trader = rng.permutation(trader)
    rest = amount.tolist()
    for one in trader.tolist():
        kwh = min(lot_kwh, rest[one]) if lot_kwh else rest[one]
        rest[one] -= kwh
        attempts[one] += 1
        if not gate.admits_retail(one, kwh if left_kwh[one] > 0 else -kwh):
            blocks[one] += 1
            refused[one] += kwh if left_kwh[one] > 0 else -kwh
    return Retail(attempts, blocks, refused)
