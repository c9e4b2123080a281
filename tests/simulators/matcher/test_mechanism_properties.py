"""What every mechanism owes to everybody, on random books."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.matcher.mechanism import BUILT_IN, Foreseeing, Placed, make_mechanism
from feederloop.simulators.matcher.orders import book_from_curves, book_from_orders
from feederloop.simulators.matcher.surroundings import surroundings

PRICES = [0.06, 0.1, 0.14, 0.2, 0.25]
NAMES = [f"home_{i}" for i in range(8)]
CASES = [
    ("k_double_auction", {}),
    ("k_double_auction", {"rationing": "served_share", "k": 0.3}),
    ("mcafee", {}),
    ("mcafee", {"rationing": "served_share"}),
    ("mid_market_rate", {}),
    ("mid_market_rate", {"rationing": "served_share"}),
    ("supply_demand_ratio", {}),
    ("continuous_double_auction", {}),
    ("continuous_double_auction", {"price": "resting", "lot_kwh": 0.3, "rationing": "served_share"}),
    ("continuous_double_auction", {"arrival": "price_ordered"}),
    ("stable_matching", {}),
    ("stable_matching", {"proposing": "sellers", "distance_per_kwh_km": 0.1, "green_premium_per_kwh": 0.02}),
    ("bilateral", {}),
    ("bilateral", {"method": "primal_dual", "partners": 2, "distance_per_kwh_km": 0.1}),
    ("bilateral", {"max_rounds": 3}),
    ("network_checked", {"network_fee_per_kwh": 0.01}),
    ("network_checked", {"arrival": "price_ordered", "price": "resting", "tries": 1, "decay": 0.3}),
    ("network_checked", {"check": "exact", "lot_kwh": 0.0}),
]
ONE_PRICE = {"k_double_auction", "mid_market_rate", "supply_demand_ratio"}


@cache
def street():
    points = connection_points(load_network("street_12")).head(len(NAMES))
    sites = [
        {"name": name, "bus": int(point.bus), "phase": point.phase, "pv_kwp": 5.0 * (i % 2)}
        for i, (name, point) in enumerate(zip(NAMES, points.itertuples(), strict=True))
    ]
    limits = {"v_max_v": 242.0, "v_min_v": 222.0}
    return surroundings(sites, interval_s=1800, network="street_12", source_v_pu=1.03, limits=limits)


def made(name, options):
    mechanism = make_mechanism(name, options)
    if isinstance(mechanism, Placed):
        mechanism.place(street())
    if isinstance(mechanism, Foreseeing):
        mechanism.foresee(np.full(len(NAMES), -0.4), np.full(len(NAMES), -0.1))
    return mechanism


@st.composite
def curve_books(draw):
    positions = []
    for _ in NAMES:
        rises = draw(st.lists(st.sampled_from([0, 0, 3, 10, 25]), min_size=5, max_size=5))
        positions.append(((draw(st.integers(-40, 25)) + np.cumsum(rises)) / 10).tolist())
    return book_from_curves(NAMES, [PRICES] * len(NAMES), positions)


order = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(["ask", "bid"]),
    st.integers(6, 30).map(lambda cents: cents / 100),
    st.sampled_from([0.0, 0.1, 0.25, 0.7, 1.0, 2.5]),
)
books = st.one_of(curve_books(), st.lists(order, max_size=20).map(lambda orders: book_from_orders(NAMES, orders)))
shares = st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]), min_size=8, max_size=8).map(np.array)


def test_all_mechanisms_are_examined():
    assert {name for name, _ in CASES} == set(BUILT_IN)


@pytest.mark.parametrize(("name", "options"), CASES)
@settings(max_examples=20, deadline=None)
@given(book=books, served=shares, seed=st.integers(0, 3))
def test_a_clearing_keeps_energy_money_and_limits(name, options, book, served, seed):
    clearing = made(name, options).clear(book, served_share=served, rng=np.random.default_rng(seed))
    traded, matched = clearing.traded_kwh, clearing.matched_kwh
    # What is sold is bought, and orders and traders tell the same.
    assert abs(traded.sum()) <= 1e-9
    np.testing.assert_allclose(book.per_trader(book.side * matched), traded, atol=1e-9)
    assert (matched >= 0).all()
    assert (matched <= book.kwh).all()
    # What buyers pay beyond what sellers get is stated, and nobody is paid for trading.
    price = np.where(traded != 0, clearing.price_per_kwh, 0.0)
    assert np.isfinite(price).all()
    assert np.isnan(clearing.price_per_kwh[traded == 0]).all()
    assert -(traded @ price) == pytest.approx(clearing.surplus_money + clearing.fee_money, abs=1e-9)
    assert clearing.surplus_money >= -1e-12
    assert clearing.fee_money >= 0
    # Nobody is worse off than its limits say, and all prices are within the corridor.
    gain = traded * price - book.per_trader(book.side * book.price_per_kwh * matched)
    assert (gain >= -1e-9).all()
    if matched.any():
        assert book.floor_per_kwh - 1e-9 <= clearing.price <= book.ceiling_per_kwh + 1e-9
    if name not in ONE_PRICE and not (clearing.negotiation and clearing.negotiation.fell_back):
        for trader in range(len(NAMES)):
            assert len(set(book.side[(book.trader == trader) & (matched > 0)])) <= 1


@pytest.mark.parametrize(("name", "options"), CASES)
@settings(max_examples=5, deadline=None)
@given(book=curve_books(), seed=st.integers(0, 3))
def test_the_same_seed_gives_the_same_bits(name, options, book, seed):
    served = np.ones(len(NAMES))
    once, twice = (
        made(name, options).clear(book, served_share=served, rng=np.random.default_rng(seed)) for _ in range(2)
    )
    np.testing.assert_array_equal(once.traded_kwh, twice.traded_kwh)
    np.testing.assert_array_equal(once.price_per_kwh, twice.price_per_kwh)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_trader_does_not_deal_with_itself(name, options):
    book = book_from_orders(NAMES, [("home_0", "ask", 0.1, 1.0), ("home_0", "bid", 0.2, 1.0)])
    clearing = made(name, options).clear(book, served_share=np.ones(len(NAMES)), rng=np.random.default_rng(0))
    assert not clearing.traded_kwh.any()
    assert clearing.surplus_money == 0


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("k_double_auction", {"rationing": "time"}, "rationing"),
        ("mcafee", {"rationing": "fair"}, "rationing"),
        ("mid_market_rate", {"rationing": 1}, "rationing"),
        ("supply_demand_ratio", {"rationing": None}, "rationing"),
        ("continuous_double_auction", {"arrival": "sorted"}, "arrival"),
        ("continuous_double_auction", {"price": "bid"}, "price"),
        ("continuous_double_auction", {"lot_kwh": -1.0}, "lot_kwh"),
        ("stable_matching", {"proposing": "both"}, "proposing"),
        ("stable_matching", {"lot_kwh": 0.0}, "lot_kwh"),
        ("stable_matching", {"green_premium_per_kwh": float("inf")}, "green_premium_per_kwh"),
        ("bilateral", {"method": "gossip"}, "method"),
        ("bilateral", {"partners": 0}, "partners"),
        ("bilateral", {"max_rounds": 2.5}, "max_rounds"),
        ("bilateral", {"slope_per_kwh": 0.0}, "slope_per_kwh"),
        ("network_checked", {"check": "guess"}, "check"),
        ("network_checked", {"decay": 1.5}, "decay"),
        ("network_checked", {"tries": 0.5}, "tries"),
        ("network_checked", {"losses": 1}, "losses"),
    ],
)
def test_an_option_that_is_not_valid_is_refused(name, options, key):
    with pytest.raises(ValueError, match=key) as refusal:
        make_mechanism(name, options)
    assert refusal.value.allowed


@pytest.mark.parametrize(("name", "options"), [("bilateral", {"distance_per_kwh_km": 0.1}), ("network_checked", {})])
def test_what_needs_a_network_says_so(name, options):
    mechanism = make_mechanism(name, options)
    with pytest.raises(ValueError, match="needs a network"):
        mechanism.place(surroundings([{"name": "ann"}], interval_s=1800))
