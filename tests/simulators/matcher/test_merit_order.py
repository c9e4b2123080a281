import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feederloop.simulators.matcher.administered import MidMarketRate, SupplyDemandRatio
from feederloop.simulators.matcher.k_double_auction import KDoubleAuction
from feederloop.simulators.matcher.merit_order import fill, one_side_each
from feederloop.simulators.matcher.orders import book_from_curves, book_from_orders

NAMES = ["ann", "bob", "cem", "dee"]
RNG = np.random.default_rng(0)


def test_the_worst_served_come_first_where_limits_tie():
    kwh, rank = np.array([1.0, 2.0, 2.0, 1.0]), np.array([0.1, 0.2, 0.2, 0.3])
    np.testing.assert_allclose(fill(kwh, rank, 2.5, np.array([1.0, 0.8, 0.1, 0.0])), [1.0, 0.0, 1.5, 0.0])
    np.testing.assert_allclose(fill(kwh, rank, 4.0, np.array([1.0, 0.8, 0.1, 0.0])), [1.0, 1.0, 2.0, 0.0])
    np.testing.assert_allclose(fill(kwh, rank, 3.0, np.array([1.0, 0.5, 0.5, 0.0])), [1.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(fill(kwh, rank, 3.0), [1.0, 1.0, 1.0, 0.0])


def test_an_order_of_nothing_at_the_margin_gets_nothing():
    kwh, rank = np.array([0.0, 1.0]), np.zeros(2)
    np.testing.assert_array_equal(fill(kwh, rank, 0.0, np.array([0.0, 0.5])), [0.0, 0.0])


amounts = st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0])), min_size=1)


@given(amounts, st.floats(0, 30))
def test_filling_leaves_nothing_that_could_be_filled(orders, available):
    kwh, rank, share = (np.array(column, dtype=float) for column in zip(*orders, strict=True))
    filled = fill(kwh, rank, available, share)
    assert filled.sum() == pytest.approx(min(available, kwh.sum()), abs=1e-9)
    assert (filled >= 0).all()
    assert (filled <= kwh + 1e-12).all()
    key = [*zip(rank, share, strict=True)]
    worst_filled = max((k for k, amount in zip(key, filled, strict=True) if amount > 1e-9), default=None)
    for better, amount, whole in zip(key, filled, kwh, strict=True):
        if worst_filled is not None and better < worst_filled:
            assert amount == pytest.approx(whole)


def test_rationing_by_served_share_evens_out_over_intervals():
    """With room for one of two equal sellers, they take turns; pro rata, both get half every time."""
    orders = [("ann", "ask", 0.1, 1.0), ("bob", "ask", 0.1, 1.0), ("cem", "bid", 0.2, 1.0)]
    book = book_from_orders(NAMES, orders)
    auction, ordered, matched, sold = KDoubleAuction(rationing="served_share"), np.zeros(4), np.zeros(4), []
    for _ in range(4):
        served = np.where(ordered > 0, matched / np.where(ordered > 0, ordered, 1), 1.0)
        clearing = auction.clear(book, served_share=served, rng=RNG)
        ordered += book.per_trader(book.kwh)
        matched += book.per_trader(clearing.matched_kwh)
        sold.append(clearing.traded_kwh[:2].tolist())
    assert sold[0] == [0.5, 0.5]
    assert matched[:2].tolist() == [2.0, 2.0]


def test_a_curve_through_zero_takes_the_side_that_the_price_makes_it():
    prices = [0.06, 0.1, 0.14, 0.2]
    swing = [-1.0, -1.0, 1.0, 1.0]
    for load, taken in (([-3.0] * 4, 1), ([3.0] * 4, -1)):
        book = book_from_curves(["ann", "bob"], [prices] * 2, [swing, load])
        kept = one_side_each(book)
        assert set(book.side[kept][book.trader[kept] == 0]) == {taken}


def test_who_would_trade_on_neither_side_stays_on_the_nearer():
    orders = [("ann", "ask", 0.1, 1), ("bob", "bid", 0.2, 1), ("cem", "ask", 0.19, 1), ("cem", "bid", 0.13, 1)]
    book = book_from_orders(NAMES, [*orders, ("dee", "ask", 0.16, 1)])
    assert one_side_each(book).tolist() == [0, 1, 3, 4]


def test_the_mid_market_rate_is_half_way_between_the_retailers_prices():
    orders = [("ann", "ask", 0.1, 3.0), ("bob", "ask", 0.2, 1.0), ("cem", "bid", 0.3, 1.0), ("dee", "bid", 0.17, 1.0)]
    book = book_from_orders(NAMES, orders, floor_per_kwh=0.06, ceiling_per_kwh=0.3)
    clearing = MidMarketRate().clear(book, served_share=np.ones(4), rng=RNG)
    assert clearing.price == pytest.approx(0.18)
    assert clearing.traded_kwh.tolist() == [1.0, 0.0, -1.0, 0.0]


@pytest.mark.parametrize(
    ("supply", "price"), [(1e-12, 0.3), (2.0, 0.06 * 0.3 / (0.24 * 0.5 + 0.06)), (4.0, 0.06), (9.0, 0.06)]
)
def test_the_price_falls_with_the_ratio_of_supply_to_demand(supply, price):
    orders = [("ann", "ask", 0.06, supply), ("cem", "bid", 0.3, 4.0)]
    book = book_from_orders(NAMES, orders, floor_per_kwh=0.06, ceiling_per_kwh=0.3)
    clearing = SupplyDemandRatio().clear(book, served_share=np.ones(4), rng=RNG)
    assert clearing.price == pytest.approx(price)
    assert clearing.traded_kwh[0] == pytest.approx(min(supply, 4.0))


def test_the_ratios_price_stays_between_a_negative_feed_in_price_and_retail():
    orders = [("ann", "ask", -0.02, 2.0), ("cem", "bid", 0.3, 4.0)]
    book = book_from_orders(NAMES, orders, floor_per_kwh=-0.02, ceiling_per_kwh=0.3)
    assert SupplyDemandRatio().clear(book, served_share=np.ones(4), rng=RNG).price == pytest.approx(0.14)


def test_a_floor_above_the_ceiling_is_refused():
    with pytest.raises(ValueError, match="pays more than it takes"):
        book_from_orders(NAMES, [("ann", "ask", 0.1, 1.0)], floor_per_kwh=0.3, ceiling_per_kwh=0.2)
