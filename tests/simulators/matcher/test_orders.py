import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.orders import ASK, BID, OrderBook, book_from_curves, book_from_orders

PRICES = [0.06, 0.1, 0.14, 0.2]


@st.composite
def curves(draw):
    count = draw(st.integers(1, 5))
    prices, positions = [], []
    for _ in range(count):
        points = draw(st.integers(1, 6))
        steps = draw(st.lists(st.integers(1, 50), min_size=points, max_size=points))
        rises = draw(st.lists(st.integers(0, 40), min_size=points, max_size=points))
        start = draw(st.integers(-100, 60))
        prices.append((np.cumsum(steps) / 100).tolist())
        positions.append(((start + np.cumsum(rises)) / 10).tolist())
    return prices, positions


def orders_of(book):
    rows = zip(book.trader.tolist(), book.side.tolist(), book.price_per_kwh.tolist(), book.kwh.tolist(), strict=True)
    return {(trader, side, price): round(kwh, 12) for trader, side, price, kwh in rows}


def test_a_curve_through_zero_is_sliced_into_bids_below_and_asks_above():
    book = book_from_curves(["ann"], [PRICES], [[-2.0, -0.5, 1.0, 1.5]])
    assert orders_of(book) == {
        (0, BID, 0.06): 1.5,
        (0, BID, 0.1): 0.5,
        (0, ASK, 0.14): 1.0,
        (0, ASK, 0.2): 0.5,
    }


def test_what_is_bought_or_sold_at_any_price_is_ordered_at_the_far_end():
    book = book_from_curves(["load", "sun"], [PRICES, PRICES], [[-1.0] * 4, [2.0] * 4])
    assert orders_of(book) == {(0, BID, 0.2): 1.0, (1, ASK, 0.06): 2.0}


def test_curves_of_different_length_and_missing_ones_go_together():
    book = book_from_curves(["a", "b", "c"], [[0.1], [], PRICES], [[-3.0], [], [0.0, 0.0, 0.0, 1.0]])
    assert orders_of(book) == {(0, BID, 0.1): 3.0, (2, ASK, 0.2): 1.0}


def test_no_traders_make_an_empty_book():
    book = book_from_curves([], [], [])
    assert len(book) == 0
    assert book.offered_kwh == book.wanted_kwh == 0.0


@settings(deadline=None)
@given(curves())
def test_the_orders_in_the_money_at_a_curves_own_price_never_exceed_its_position(drawn):
    prices, positions = drawn
    book = book_from_curves([str(i) for i in range(len(prices))], prices, positions)
    assert (book.kwh > 0).all()
    for trader, (own_prices, own_positions) in enumerate(zip(prices, positions, strict=True)):
        mine = book.trader == trader
        for price, position in zip(own_prices, own_positions, strict=True):
            sold = book.kwh[mine & (book.side == ASK) & (book.price_per_kwh <= price)].sum()
            bought = book.kwh[mine & (book.side == BID) & (book.price_per_kwh >= price)].sum()
            assert sold == pytest.approx(max(0.0, position), abs=1e-9)
            assert bought == pytest.approx(max(0.0, -position), abs=1e-9)


@pytest.mark.parametrize(
    ("prices", "positions", "key"),
    [
        ([0.1, float("nan")], [0.0, 1.0], "curve_price_per_kwh"),
        ([0.1, 0.2], [0.0, float("nan")], "curve_kwh"),
        ([0.1, float("inf")], [0.0, 1.0], "curve_price_per_kwh"),
        ([0.2, 0.1], [0.0, 1.0], "curve_price_per_kwh"),
        ([0.1, 0.1], [0.0, 1.0], "curve_price_per_kwh"),
        ([0.1, 0.2], [1.0, 0.0], "curve_kwh"),
        ([0.1, 0.2], [1.0], "curve_kwh"),
    ],
)
def test_a_curve_that_is_none_is_refused_by_its_owners_name(prices, positions, key):
    with pytest.raises(InputError, match="bob") as refusal:
        book_from_curves(["ann", "bob"], [[0.1, 0.2], prices], [[0.0, 0.0], positions])
    assert refusal.value.key == key


def test_an_optimisers_rounding_is_no_offer_and_no_error():
    book = book_from_curves(["ann"], [PRICES], [[1e-12, -1e-10, 0.0, 1e-11]])
    assert len(book) == 0


@pytest.mark.parametrize(
    ("order", "key"),
    [
        (("ann", "ask", float("nan"), 1.0), "price_per_kwh"),
        (("ann", "ask", 0.1, -1.0), "kwh"),
        (("ann", "ask", 0.1, float("nan")), "kwh"),
        (("eve", "ask", 0.1, 1.0), "trader"),
        (("ann", "sell", 0.1, 1.0), "side"),
    ],
)
def test_an_order_that_is_not_valid_is_refused(order, key):
    with pytest.raises(InputError) as refusal:
        book_from_orders(["ann", "bob"], [("bob", "bid", 0.1, 1.0), order])
    assert refusal.value.key == key
    assert refusal.value.allowed


@pytest.mark.parametrize("trader", [-1, 2])
def test_a_book_knows_only_its_traders(trader):
    with pytest.raises(InputError, match="unknown trader"):
        OrderBook(("a", "b"), np.array([trader]), np.array([ASK]), np.array([0.1]), np.array([1.0]))


def test_a_book_has_two_sides():
    with pytest.raises(InputError) as refusal:
        OrderBook(("a",), np.array([0]), np.array([0]), np.array([0.1]), np.array([1.0]))
    assert refusal.value.key == "side"


def test_the_columns_of_a_book_are_of_one_length():
    with pytest.raises(InputError, match="length"):
        OrderBook(("a",), np.array([0]), np.array([ASK]), np.array([0.1, 0.2]), np.array([1.0]))
