import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.k_double_auction import KDoubleAuction
from feederloop.simulators.matcher.orders import ASK, OrderBook, book_from_orders

NAMES = ["ann", "bob", "cem", "dee", "eve"]

order = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(["ask", "bid"]),
    st.integers(5, 50).map(lambda cents: cents / 100),
    st.one_of(st.integers(0, 12).map(lambda n: n / 4), st.floats(0.001, 9.0)),
)
books = st.lists(order, max_size=25).map(lambda orders: book_from_orders(NAMES, orders))
ks = st.sampled_from([0.0, 0.3, 0.5, 1.0])


def clear(book, k=0.5):
    return KDoubleAuction(k).clear(book, served_share=np.ones(len(book.traders)), rng=np.random.default_rng(0))


def surplus(book, matched):
    return float(-(book.side * book.price_per_kwh) @ matched)


def lp_optimum(book, worth):
    """The most that matching these orders can bring, if a matched kWh of order i is worth worth[i]."""
    if not len(book):
        return 0.0
    bounds = np.column_stack([np.zeros(len(book)), book.kwh])
    found = linprog(-worth, A_eq=book.side[None, :].astype(float), b_eq=[0.0], bounds=bounds, method="highs")
    assert found.status == 0
    return float(-found.fun)


@settings(deadline=None)
@given(books, ks)
def test_bought_is_sold_and_paid_is_received(book, k):
    clearing = clear(book, k)
    sold = clearing.traded_kwh[clearing.traded_kwh > 0]
    bought = -clearing.traded_kwh[clearing.traded_kwh < 0]
    assert abs(sold.sum() - bought.sum()) <= 1e-12 * max(1.0, sold.sum())
    traded = clearing.traded_kwh != 0
    money = clearing.traded_kwh[traded] * clearing.price_per_kwh[traded]
    assert abs(money.sum()) <= 1e-9
    asks = book.is_ask
    assert abs(clearing.matched_kwh[asks].sum() - clearing.matched_kwh[~asks].sum()) <= 1e-12 * max(1.0, book.kwh.sum())


@settings(deadline=None)
@given(books, ks)
def test_nobody_trades_beyond_its_limit_or_more_than_it_ordered(book, k):
    clearing = clear(book, k)
    matched = clearing.matched_kwh > 0
    assert (clearing.matched_kwh >= 0).all()
    assert (clearing.matched_kwh <= book.kwh).all()
    assert (book.price_per_kwh[matched & book.is_ask] <= clearing.price).all()
    assert (book.price_per_kwh[matched & ~book.is_ask] >= clearing.price).all()
    if np.isnan(clearing.price):
        assert not matched.any()
        assert np.isnan(clearing.price_per_kwh).all()


@settings(max_examples=60, deadline=None)
@given(books, ks)
def test_no_other_matching_brings_more_welfare(book, k):
    best = lp_optimum(book, -book.side * book.price_per_kwh)
    assert surplus(book, clear(book, k).matched_kwh) == pytest.approx(best, abs=1e-7)


@settings(deadline=None)
@given(books, ks)
def test_no_single_price_moves_more_energy(book, k):
    def volume_at(price):
        supply = book.kwh[book.is_ask & (book.price_per_kwh <= price)].sum()
        return min(supply, book.kwh[~book.is_ask & (book.price_per_kwh >= price)].sum())

    most = max((volume_at(price) for price in book.price_per_kwh), default=0.0)
    assert clear(book, k).matched_kwh[book.is_ask].sum() == pytest.approx(most, abs=1e-7)


@settings(deadline=None)
@given(books, ks, order)
def test_more_demand_never_lowers_the_price_and_more_supply_never_raises_it(book, k, extra):
    name, side, price, kwh = extra
    rows = [
        (NAMES[t], "ask" if s == ASK else "bid", p, q)
        for t, s, p, q in zip(book.trader, book.side, book.price_per_kwh, book.kwh, strict=True)
    ]
    before = clear(book, k).price
    after = clear(book_from_orders(NAMES, [*rows, (name, side, price, kwh)]), k).price
    if np.isnan(before):
        return
    assert after <= before + 1e-12 if side == "ask" else after >= before - 1e-12


@settings(deadline=None)
@given(books, ks, st.randoms(use_true_random=False))
def test_the_order_of_the_orders_makes_no_odds(book, k, random):
    shuffled = list(range(len(book)))
    random.shuffle(shuffled)
    turned = OrderBook(
        book.traders, book.trader[shuffled], book.side[shuffled], book.price_per_kwh[shuffled], book.kwh[shuffled]
    )
    np.testing.assert_allclose(clear(turned, k).traded_kwh, clear(book, k).traded_kwh, atol=1e-9)


@pytest.mark.parametrize(("k", "price"), [(0.0, 0.12), (0.25, 0.14), (1.0, 0.2)])
def test_k_places_the_price_between_the_ends_that_clear(k, price):
    book = book_from_orders(
        NAMES, [("ann", "ask", 0.1, 1), ("bob", "bid", 0.3, 1), ("cem", "ask", 0.2, 1), ("dee", "bid", 0.12, 1)]
    )
    clearing = clear(book, k)
    assert clearing.price == pytest.approx(price, abs=1e-15)
    assert clearing.traded_kwh.tolist() == [1.0, -1.0, 0.0, 0.0, 0.0]


def test_the_long_side_shares_pro_rata_at_the_margin():
    asks = [("ann", "ask", 0.1, 1.0), ("bob", "ask", 0.15, 3.0), ("cem", "ask", 0.15, 1.0)]
    clearing = clear(book_from_orders(NAMES, [*asks, ("dee", "bid", 0.3, 3.0)]))
    assert clearing.price == 0.15
    np.testing.assert_allclose(clearing.traded_kwh, [1.0, 1.5, 0.5, -3.0, 0.0])


def test_offers_that_do_not_meet_do_not_trade():
    clearing = clear(book_from_orders(NAMES, [("ann", "ask", 0.2, 1.0), ("bob", "bid", 0.19, 1.0)]))
    assert np.isnan(clearing.price)
    assert not clearing.traded_kwh.any()


def test_a_bid_and_an_ask_at_one_price_trade():
    clearing = clear(book_from_orders(NAMES, [("ann", "ask", 0.2, 1.0), ("bob", "bid", 0.2, 0.4)]))
    assert clearing.price == 0.2
    assert clearing.traded_kwh.tolist() == [0.4, -0.4, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("k", [-0.1, 1.1, float("nan"), "half", True])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(InputError) as refusal:
        KDoubleAuction(k)
    assert refusal.value.key == "k"
