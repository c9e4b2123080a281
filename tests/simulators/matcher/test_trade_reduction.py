import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.matcher.merit_order import clearing_price, matched_at
from feederloop.simulators.matcher.orders import book_from_orders
from feederloop.simulators.matcher.trade_reduction import TradeReduction

TRADERS = [f"t{i}" for i in range(12)]


def clear(orders, served=None):
    book = book_from_orders(TRADERS, orders)
    served = np.ones(len(TRADERS)) if served is None else served
    return TradeReduction("served_share").clear(book, served_share=served, rng=np.random.default_rng(0))


def unit_orders(sides, limits):
    return [
        (name, "ask" if sells else "bid", limit / 100, 1.0)
        for name, sells, limit in zip(TRADERS, sides, limits, strict=False)
    ]


unit_books = st.integers(2, 12).flatmap(
    lambda count: st.tuples(
        st.lists(st.booleans(), min_size=count, max_size=count),
        st.lists(st.integers(5, 30), min_size=count, max_size=count),
    )
)


def gain(clearing, trader, sells, true_limit):
    traded = clearing.traded_kwh[trader]
    if traded == 0:
        return 0.0
    assert (traded > 0) == sells
    return traded * (clearing.price_per_kwh[trader] - true_limit)


@settings(max_examples=100, deadline=None)
@given(unit_books, st.integers(0, 11), st.integers(1, 35))
def test_nobody_gains_by_a_false_limit(drawn, liar, lie):
    sides, limits = drawn
    liar %= len(sides)
    truth = unit_orders(sides, limits)
    false = [*truth]
    false[liar] = (*truth[liar][:2], lie / 100, 1.0)
    true_limit = limits[liar] / 100
    honest = gain(clear(truth), liar, sides[liar], true_limit)
    assert gain(clear(false), liar, sides[liar], true_limit) <= honest + 1e-12


@settings(max_examples=100, deadline=None)
@given(unit_books)
def test_at_most_the_least_valuable_trade_is_given_up(drawn):
    orders = unit_orders(*drawn)
    book = book_from_orders(TRADERS, orders)
    efficient = matched_at(book, clearing_price(book))[book.is_ask].sum() if len(book) else 0.0
    traded = clear(orders).matched_kwh[book.is_ask].sum()
    assert traded <= efficient + 1e-12
    worth = book.side * book.price_per_kwh
    strictly_better = sum(
        bid > ask for ask, bid in zip(sorted(worth[book.is_ask]), sorted(-worth[~book.is_ask])[::-1], strict=False)
    )
    assert traded >= strictly_better - 1 - 1e-12


def test_the_first_who_do_not_trade_make_the_price():
    orders = unit_orders([True, True, True, False, False, False], [10, 12, 19, 30, 25, 15])
    clearing = clear(orders)
    assert clearing.price == pytest.approx(0.17)
    assert clearing.surplus_money == 0
    assert clearing.traded_kwh[:6].tolist() == [1, 1, 0, -1, -1, 0]


def test_without_such_a_price_the_last_trade_is_given_up_and_leaves_a_surplus():
    clearing = clear(unit_orders([True, True, False, False], [10, 14, 30, 20]))
    assert clearing.traded_kwh[:4].tolist() == [1, 0, -1, 0]
    assert clearing.price_per_kwh[[0, 2]].tolist() == [0.14, 0.2]
    assert clearing.surplus_money == pytest.approx(0.06)


def test_a_single_pair_gives_up_its_trade():
    assert not clear(unit_orders([True, False], [10, 30])).traded_kwh.any()


def test_unequal_orders_ration_the_longer_side_by_served_share():
    orders = [("t0", "ask", 0.08, 1.0), ("t1", "ask", 0.1, 2.0), ("t2", "ask", 0.12, 4.0)]
    orders += [("t3", "bid", 0.3, 2.0), ("t4", "bid", 0.2, 4.0)]
    served = np.ones(len(TRADERS))
    served[1] = 0.2
    clearing = clear(orders, served)
    assert clearing.traded_kwh[:5].tolist() == [0.0, 2.0, 0.0, -2.0, 0.0]
    assert clearing.price_per_kwh[[1, 3]].tolist() == [0.12, 0.2]
