"""The order book as arrays, and how net-position curves are sliced into limit orders."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ASK, BID = 1, -1
"""The sides of an order, with the sign of the energy it moves (export positive)."""

SIDE_NAMES = {ASK: "ask", BID: "bid"}

NEGLIGIBLE_KWH = 1e-9
"""Amounts up to this are the rounding of an optimiser, not an offer."""

CURVE_TOLERANCE_KWH = 1e-6
"""How far a curve may fall back by the tolerance of the optimiser that drew it."""


@dataclass(frozen=True)
class OrderBook:
    """Limit orders of one interval; order i is `kwh[i]` of trader `trader[i]` at `price_per_kwh[i]` or better.

    Args:
        traders: The traders' names; `trader` counts in this list.
        trader: Index of the trader of each order, [orders].
        side: `ASK` (+1, sells) or `BID` (-1, buys), [orders].
        price_per_kwh: The limit, [orders].
        kwh: The amount, at least zero, [orders].
        floor_per_kwh: Below this price nobody gains by selling locally: what the retailer pays. By default the lowest
            limit in the book.
        ceiling_per_kwh: Above this price nobody gains by buying locally: what the retailer takes, less what local trade
            is charged for the network. By default the highest limit in the book.

    Raises:
        InputError: A price or amount is not finite, an amount is negative, a trader or side is unknown, or the floor is
            above the ceiling.
    """

    traders: tuple[str, ...]
    trader: IntArray
    side: IntArray
    price_per_kwh: FloatArray
    kwh: FloatArray
    floor_per_kwh: float = float("nan")
    ceiling_per_kwh: float = float("nan")
    is_ask: NDArray[np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lengths = {len(self.trader), len(self.side), len(self.price_per_kwh), len(self.kwh)}
        if len(lengths) != 1:
            raise InputError("The columns of an order book differ in length", value=sorted(lengths), key="orders")
        if self.trader.size and (self.trader.min() < 0 or self.trader.max() >= len(self.traders)):
            at = int(np.flatnonzero((self.trader < 0) | (self.trader >= len(self.traders)))[0])
            raise InputError(
                f"Order {at} is of an unknown trader",
                key="trader",
                value=int(self.trader[at]),
                allowed=f"0 to {len(self.traders) - 1}",
            )
        self._require(np.abs(self.side) == 1, "side", self.side, "1 (ask) or -1 (bid)")
        self._require(np.isfinite(self.price_per_kwh), "price_per_kwh", self.price_per_kwh, "a finite price")
        self._require(np.isfinite(self.kwh) & (self.kwh >= 0), "kwh", self.kwh, "a finite amount of at least 0 kWh")
        object.__setattr__(self, "is_ask", self.side == ASK)
        if len(self) and np.isnan(self.floor_per_kwh):
            object.__setattr__(self, "floor_per_kwh", float(self.price_per_kwh.min()))
        if len(self) and np.isnan(self.ceiling_per_kwh):
            object.__setattr__(self, "ceiling_per_kwh", float(self.price_per_kwh.max()))
        if self.floor_per_kwh > self.ceiling_per_kwh:
            raise InputError(
                "The retailer pays more than it takes: nobody would trade locally",
                key="floor_per_kwh",
                value=self.floor_per_kwh,
                allowed=f"at most the ceiling, {self.ceiling_per_kwh:g}",
            )

    def _require(self, good: NDArray[np.bool_], key: str, values: NDArray[np.generic], allowed: str) -> None:
        if not good.all():
            at = int(np.flatnonzero(~good)[0])
            raise InputError(
                f"Order {at} of trader {self.traders[int(self.trader[at])]!r} is not valid",
                key=key,
                value=values[at].item(),
                allowed=allowed,
            )

    def __len__(self) -> int:
        return len(self.kwh)

    @property
    def offered_kwh(self) -> float:
        """All that is for sale, kWh."""
        return float(self.kwh[self.is_ask].sum())

    @property
    def wanted_kwh(self) -> float:
        """All that is asked for, kWh."""
        return float(self.kwh[~self.is_ask].sum())

    def per_trader(self, kwh: FloatArray) -> FloatArray:
        """Sum an amount per order [orders] over each trader's orders, [traders]."""
        # bincount answers in integers when it is given no orders at all.
        return np.bincount(self.trader, weights=kwh, minlength=len(self.traders)).astype(np.float64)

    def subset(self, kept: IntArray | NDArray[np.bool_]) -> "OrderBook":
        """Return a book of some of the orders."""
        columns = {name: getattr(self, name)[kept] for name in ("trader", "side", "price_per_kwh", "kwh")}
        return replace(self, **columns)


def book_from_orders(
    traders: Sequence[str], orders: Sequence[tuple[str, str, float, float]], **corridor: float
) -> OrderBook:
    """Make a book of orders that are written out by name.

    Args:
        traders: All traders' names.
        orders: (trader, ``"ask"`` or ``"bid"``, price per kWh, kWh) each.
        **corridor: `floor_per_kwh` and `ceiling_per_kwh` of the book.

    Raises:
        InputError: A trader or side is unknown, or an amount or price is not valid.
    """
    index = {name: i for i, name in enumerate(traders)}
    sides = {name: side for side, name in SIDE_NAMES.items()}
    for name, side, _, _ in orders:
        if name not in index:
            raise InputError("An order is of an unknown trader", key="trader", value=name, allowed=", ".join(traders))
        if side not in sides:
            raise InputError(f"An order of {name!r} has no side", key="side", value=side, allowed="ask or bid")
    return OrderBook(
        traders=tuple(traders),
        trader=np.array([index[name] for name, *_ in orders], dtype=np.int64),
        side=np.array([sides[side] for _, side, *_ in orders], dtype=np.int64),
        price_per_kwh=np.array([price for *_, price, _ in orders], dtype=np.float64),
        kwh=np.array([kwh for *_, kwh in orders], dtype=np.float64),
        **corridor,
    )


def book_from_curves(
    traders: Sequence[str], curve_price_per_kwh: Sequence[Sequence[float]], curve_kwh: Sequence[Sequence[float]]
) -> OrderBook:
    """Slice net-position curves into limit orders.

    A curve says which net position x_i (kWh, export positive) its owner takes at the local price p_i. What is bought
    at p_i but no longer at p_{i+1} is bid for at p_i; what is sold at p_{i+1} but not yet at p_i is asked for at
    p_{i+1}; what is bought even at the highest price is bid for there, what is sold even at the lowest is offered
    there. No order is thus filled at a price at which its owner did not want it.

    Args:
        traders: The traders' names.
        curve_price_per_kwh: Strictly increasing prices of each trader, [traders][points]; no points, no orders.
        curve_kwh: Net positions at these prices, non-decreasing, [traders][points].

    Raises:
        InputError: A curve is not finite, not increasing, or its two lists differ in length.
    """
    price, position = _padded(traders, curve_price_per_kwh, curve_kwh)
    bought, sold = -np.minimum(position, 0.0), np.maximum(position, 0.0)
    nothing = np.zeros((len(traders), 1))
    bid = -np.diff(np.hstack([bought, nothing]), axis=1)
    ask = np.diff(np.hstack([nothing, sold]), axis=1)
    kwh = np.hstack([bid, ask])
    kept = kwh > NEGLIGIBLE_KWH
    offering = np.array([len(row) > 0 for row in curve_price_per_kwh], dtype=bool)
    side = np.broadcast_to(np.repeat([BID, ASK], price.shape[1]), kwh.shape)
    return OrderBook(
        traders=tuple(traders),
        trader=np.nonzero(kept)[0].astype(np.int64),
        side=side[kept].astype(np.int64),
        price_per_kwh=np.hstack([price, price])[kept],
        kwh=kwh[kept],
        # The curves' owners span the prices at which local trade can pay.
        floor_per_kwh=float(price[offering].min()) if offering.any() else float("nan"),
        ceiling_per_kwh=float(price[offering].max()) if offering.any() else float("nan"),
    )


def _padded(
    traders: Sequence[str], prices: Sequence[Sequence[float]], positions: Sequence[Sequence[float]]
) -> tuple[FloatArray, FloatArray]:
    """Return checked curves, [traders, points] each; shorter ones repeat their last point, which orders nothing."""
    points = np.array([len(row) for row in prices], dtype=np.int64)
    for name, count, row in zip(traders, points, positions, strict=True):
        if count != len(row):
            raise InputError(
                f"The curve of {name!r} has {count} prices but {len(row)} positions", key="curve_kwh", value=len(row)
            )
    width = max(1, int(points.max(initial=0)))
    price = np.array([_stretched(row, width) for row in prices], dtype=np.float64).reshape(-1, width)
    position = np.array([_stretched(row, width) for row in positions], dtype=np.float64).reshape(-1, width)
    real_steps = np.arange(1, width) < points[:, None]
    _require_curve(traders, np.isfinite(price), "curve_price_per_kwh", price, "finite prices")
    _require_curve(traders, np.isfinite(position), "curve_kwh", position, "finite positions")
    rising = (np.diff(price) > 0) | ~real_steps
    _require_curve(traders, rising, "curve_price_per_kwh", price, "strictly increasing prices")
    steady = np.diff(position) >= -CURVE_TOLERANCE_KWH
    _require_curve(traders, steady, "curve_kwh", position, "positions that never fall as the price rises")
    return price, np.maximum.accumulate(position, axis=1)


def _stretched(row: Sequence[float], width: int) -> list[float]:
    last = [row[-1]] if len(row) else [0.0]
    return [*row, *last * (width - len(row))]


def _require_curve(traders: Sequence[str], good: NDArray[np.bool_], key: str, values: FloatArray, allowed: str) -> None:
    if not good.all():
        at = int(np.argwhere(~good)[0][0])
        raise InputError(
            f"The curve of trader {traders[at]!r} is not valid", key=key, value=values[at].tolist(), allowed=allowed
        )
