import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.matcher.continuous import ContinuousDoubleAuction, Pieces, TradingFloor
from feederloop.simulators.matcher.merit_order import clearing_price, matched_at, one_side_each
from feederloop.simulators.matcher.orders import book_from_curves, book_from_orders

NAMES = [f"t{i}" for i in range(6)]


def clear(orders, names=NAMES, served=None, seed=0, **options):
    book = book_from_orders(names, orders)
    served = np.ones(len(names)) if served is None else np.array(served)
    auction = ContinuousDoubleAuction(**options)
    return auction.clear(book, served_share=served, rng=np.random.default_rng(seed))


unit = st.tuples(st.booleans(), st.integers(6, 30), st.sampled_from([0.2, 0.5, 1.0, 1.7]))


@settings(max_examples=60, deadline=None)
@given(st.lists(unit, max_size=25), st.sampled_from([0.0, 0.4]))
def test_in_order_of_price_it_trades_what_a_periodic_auction_would(drawn, lot):
    names = [f"t{i}" for i in range(max(1, len(drawn)))]
    orders = [
        (name, "ask" if sells else "bid", cents / 100, kwh)
        for name, (sells, cents, kwh) in zip(names, drawn, strict=False)
    ]
    book = book_from_orders(names, orders)
    price = clearing_price(book)
    best = np.zeros(len(book)) if np.isnan(price) else matched_at(book, price)
    found = clear(orders, names, arrival="price_ordered", lot_kwh=lot).matched_kwh
    worth = -book.side * book.price_per_kwh
    assert found[book.is_ask].sum() == pytest.approx(best[book.is_ask].sum(), abs=1e-9)
    assert worth @ found == pytest.approx(worth @ best, abs=1e-9)


def test_the_last_trades_of_a_deep_book_are_at_the_competitive_price():
    rng = np.random.default_rng(5)
    names = [f"t{i}" for i in range(1000)]
    orders = [
        (name, "ask" if i % 2 else "bid", limit, 1.0)
        for i, (name, limit) in enumerate(zip(names, rng.uniform(0.06, 0.3, 1000), strict=True))
    ]
    book = book_from_orders(names, orders)
    pieces = Pieces.of(book, 0.0, "price_ordered", rng)
    pairs = TradingFloor(book, pieces, np.zeros(1000), mid=True).trade()
    np.testing.assert_allclose(pairs.price_per_kwh[-5:], clearing_price(book), rtol=0.02)


def test_random_arrival_finds_the_competitive_price_on_average_and_pays_with_welfare():
    rng = np.random.default_rng(2)
    prices = np.linspace(0.06, 0.25, 7).tolist()
    found, competitive, welfare = [], [], []
    for _ in range(30):
        positions = [np.sort(rng.uniform(-2, 2, 7)).tolist() for _ in range(40)]
        book = book_from_curves([f"t{i}" for i in range(40)], [prices] * 40, positions)
        chosen = book.subset(one_side_each(book))
        competitive.append(clearing_price(chosen))
        worth = -chosen.side * chosen.price_per_kwh
        clearing = ContinuousDoubleAuction().clear(chosen, served_share=np.ones(40), rng=rng)
        found.append(clearing.price)
        welfare.append(worth @ clearing.matched_kwh / (worth @ matched_at(chosen, competitive[-1])))
    assert np.mean(found) == pytest.approx(np.mean(competitive), rel=0.03)
    assert np.std(found) < 0.03
    assert 0.3 < max(welfare) < 1.0


@pytest.mark.parametrize(("rule", "price"), [("mid", 0.15), ("resting", 0.2)])
def test_two_orders_trade_half_way_or_at_the_one_that_waited(rule, price):
    orders = [("t0", "ask", 0.1, 1.0), ("t1", "bid", 0.2, 0.4)]
    clearing = clear(orders, arrival="price_ordered", price=rule)
    assert clearing.price_per_kwh[:2].tolist() == [pytest.approx(price)] * 2
    assert clearing.traded_kwh[:2].tolist() == [0.4, -0.4]


def test_at_one_limit_the_worst_served_come_first():
    orders = [(f"t{i}", "bid", 0.2, 1.0) for i in range(4)] + [("t5", "ask", 0.1, 1.0)]
    for seed in range(8):
        clearing = clear(orders, served=[0.5, 0.1, 0.9, 1, 1, 1], seed=seed, rationing="served_share")
        # Whoever arrives after the ask takes it at once; among those who waited the worst served is first.
        buyer = int(np.argmin(clearing.traded_kwh))
        arrival = np.random.default_rng(seed).permutation(5).tolist()
        waiting = [i for i in arrival[: arrival.index(4)]]
        assert buyer == (min(waiting, key=[0.5, 0.1, 0.9, 1].__getitem__) if waiting else arrival[1])


def test_pieces_add_up_to_their_orders():
    book = book_from_orders(NAMES, [("t0", "ask", 0.1, 1.3), ("t1", "bid", 0.2, 0.5), ("t2", "bid", 0.3, 0.2)])
    pieces = Pieces.of(book, 0.5, "random", np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(pieces.order, pieces.kwh), book.kwh)
    assert pieces.kwh.max() <= 0.5
    assert sorted(pieces.order.tolist()) == [0, 0, 0, 1, 2]
