"""Distributed negotiation between sellers and buyers: each knows its own orders and what its partners tell it.

Everybody maximises its own gain, given the prices of its pairs; partners exchange the amounts they would trade, and the
price of a pair moves until the two agree: p_ij + p_ji = 0.
"""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.matcher.clearing import Negotiation
from feederloop.simulators.matcher.orders import FloatArray, IntArray, OrderBook
from feederloop.simulators.matcher.partners import Partners

PRIMAL_DUAL_DAMPING = 0.9
"""The primal-dual method converges for step sizes strictly below those at which it becomes the alternating one."""


@dataclass(frozen=True)
class Rules:
    """How to negotiate.

    Attributes:
        consensus: By consensus ADMM, else by the primal-dual method.
        max_rounds: Give up after so many.
        energy_tolerance_kwh: How far partners' amounts may be apart in the end, and still move.
        price_tolerance_per_kwh: How far a price may still move in the last round.
        step_kwh: How far an amount moves in a round where its price is off by the whole corridor.
    """

    consensus: bool
    max_rounds: int
    energy_tolerance_kwh: float
    price_tolerance_per_kwh: float
    step_kwh: float


@dataclass(frozen=True)
class Agreement:
    """What came of a negotiation; arrays are [pairs].

    Attributes:
        kwh: What both partners of each pair are ready to trade.
        price_per_kwh: At which price.
        effort: What it took.
    """

    kwh: FloatArray
    price_per_kwh: FloatArray
    effort: Negotiation


class Side:
    """The sellers, or the buyers, of a negotiation: everyone's own optimisation, all of them at once.

    To both sides a price is worth `sign * price`: to a seller more, to a buyer less is better.

    Args:
        book: The orders.
        side: `ASK` or `BID`.
        owner: The trader of each pair that is on this side, [pairs].
        slope_per_kwh: An order is filled gradually as the price passes its limit by this much, so that responses do not
            jump: a small quadratic term in its owner's cost.
    """

    def __init__(self, book: OrderBook, side: int, owner: IntArray, slope_per_kwh: float) -> None:
        self._slope = slope_per_kwh
        mine = np.flatnonzero(book.side == side)
        traders, row = np.unique(owner, return_inverse=True)
        mine = mine[np.isin(book.trader[mine], traders)]
        order_row = np.searchsorted(traders, book.trader[mine])
        self._pair_slot, width = _slots(row, len(traders))
        self._pairs_shape = (len(traders), width)
        slot, width = _slots(order_row, len(traders))
        self._limit = _padded(side * book.price_per_kwh[mine], slot, (len(traders), width), 0.0)
        self._kwh = _padded(book.kwh[mine], slot, (len(traders), width), 0.0)

    def respond(self, centre_kwh: FloatArray, worth_per_kwh: FloatArray, step: float) -> FloatArray:
        """Return the amounts that are best for each trader, not too far from the centre, [pairs] in kWh.

        Each maximises `worth @ x - cost(sum x) - |x - centre|^2 / (2 step)` over x >= 0. With m the marginal cost, that
        is `x = max(0, centre + step (worth - m))`, where the x add up to what the orders give at m. Both are piecewise
        linear in m, so that m lies between two of their corners.

        Args:
            centre_kwh: [pairs]
            worth_per_kwh: [pairs] What a kWh brings, signed as limits are.
            step: kWh per money/kWh.
        """
        shape = self._pairs_shape
        centre = _padded(centre_kwh, self._pair_slot, shape, 0.0)
        # A slot without a pair has a price at which nobody would trade.
        worth = _padded(worth_per_kwh, self._pair_slot, shape, -np.inf)
        ends = np.where(np.isfinite(worth), worth + centre / step, self._limit.min(axis=1, keepdims=True))
        corners = np.sort(np.concatenate([self._limit, self._limit + self._slope, ends], axis=1), axis=1)
        filled = np.clip((corners[:, :, None] - self._limit[:, None, :]) / self._slope, 0.0, 1.0)
        excess = np.einsum("rco,ro->rc", filled, self._kwh)
        excess -= np.maximum(0.0, step * (ends[:, None, :] - corners[:, :, None])).sum(
            axis=2, where=np.isfinite(worth)[:, None, :]
        )
        marginal = _root(corners, excess)
        answer = np.maximum(0.0, step * (ends - marginal[:, None]))
        result: FloatArray = answer.reshape(-1)[self._pair_slot]
        return result


def negotiate(
    sides: tuple[Side, Side], partners: Partners, cost_per_kwh: FloatArray, corridor: tuple[float, float], rules: Rules
) -> Agreement:
    """Negotiate until partners agree or the rounds are over.

    Consensus ADMM: both respond close to the mean of their last amounts (Baroche, Moret and Pinson, "Prosumer markets:
    A unified formulation", IEEE PowerTech 2019). Primal-dual: each responds close to its own last amount, and the price
    follows the amounts extrapolated (Chambolle and Pock, "A first-order primal-dual algorithm for convex problems with
    applications to imaging", Journal of Mathematical Imaging and Vision 40, 2011).

    Args:
        sides: The sellers and the buyers.
        partners: Who negotiates with whom.
        cost_per_kwh: What a pair's trade costs the two beside the price, half each; a preference, not money, [pairs].
        corridor: Floor and ceiling that prices are kept between.
        rules: How to negotiate.
    """
    low, high = corridor
    sellers, buyers = sides
    step = rules.step_kwh / max(high - low, 1e-6)
    gain = 0.5 if rules.consensus else 0.5 * PRIMAL_DUAL_DAMPING
    price = np.full(len(partners), low + (high - low) / 2)
    sold = bought = agreed = np.zeros(len(partners))
    effort = Negotiation(fell_back=True)
    while effort.fell_back and effort.rounds < rules.max_rounds:
        centres = (agreed, agreed) if rules.consensus else (sold, bought)
        gap_before = bought - sold
        sold = sellers.respond(centres[0], price - cost_per_kwh / 2, step)
        bought = buyers.respond(centres[1], -price - cost_per_kwh / 2, step)
        gap = bought - sold
        lead = gap if rules.consensus else 2 * gap - gap_before
        before = price, agreed
        price = np.clip(price + gain / step * lead, low, high)
        agreed = (sold + bought) / 2
        apart, moved_kwh, moved_per_kwh = (
            float(np.abs(change).max(initial=0.0)) for change in (gap, agreed - before[1], price - before[0])
        )
        settled = max(apart, moved_kwh) <= rules.energy_tolerance_kwh and moved_per_kwh <= rules.price_tolerance_per_kwh
        # In every round each tells each partner the amount it would trade; the price follows from both.
        messages = effort.messages + 2 * len(partners)
        effort = Negotiation(effort.rounds + 1, messages, apart, moved_per_kwh, fell_back=not settled)
    return Agreement(np.minimum(sold, bought), price, effort)


def _slots(row: IntArray, rows: int) -> tuple[IntArray, int]:
    """Give entries their places in a table with a row for each owner; return these and the table's width."""
    count = np.bincount(row, minlength=rows)
    width = int(count.max(initial=1))
    turn = np.argsort(row, kind="stable")
    number = np.empty(len(row), dtype=np.int64)
    number[turn] = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return row * width + number, width


def _padded(values: FloatArray, slot: IntArray, shape: tuple[int, int], empty: float) -> FloatArray:
    table = np.full(shape[0] * shape[1], empty)
    table[slot] = values
    return table.reshape(shape)


def _root(corners: FloatArray, values: FloatArray) -> FloatArray:
    """Return where rising piecewise linear functions are zero, [rows].

    Args:
        corners: Ascending, [rows, corners].
        values: There, from zero or less to zero or more, [rows, corners].
    """
    rows = np.arange(len(corners))
    after = np.clip((values < 0).sum(axis=1), 1, corners.shape[1] - 1)
    low, high = values[rows, after - 1], values[rows, after]
    rise = np.where(high > low, high - low, 1.0)
    share = np.clip(-low / rise, 0.0, 1.0)
    start = corners[rows, after - 1]
    result: FloatArray = start + share * (corners[rows, after] - start)
    return result
