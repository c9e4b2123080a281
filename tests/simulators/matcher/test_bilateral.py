import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.matcher.bilateral import BilateralNegotiation
from feederloop.simulators.matcher.k_double_auction import KDoubleAuction
from feederloop.simulators.matcher.merit_order import clearing_price, matched_at
from feederloop.simulators.matcher.negotiation import Side
from feederloop.simulators.matcher.orders import ASK, book_from_curves, book_from_orders
from feederloop.simulators.matcher.partners import choose_partners
from feederloop.simulators.matcher.surroundings import LocalNetwork, Surroundings

PRICES = np.linspace(0.06, 0.25, 7).tolist()


def street(count, seed):
    """Homes that draw a little whatever the price, roofs, and vehicles that answer to it."""
    rng = np.random.default_rng(seed)
    base = np.where(rng.random(count) < 0.5, -rng.uniform(0.1, 0.5, count), rng.uniform(0.5, 2.5, count))
    swing = np.sort(rng.choice([0.0, 0.0, 1.0, 1.8, 2.5], (count, 7)), axis=1) * (rng.random((count, 1)) < 0.5)
    return book_from_curves([f"h{i}" for i in range(count)], [PRICES] * count, (base[:, None] - 1.0 + swing).tolist())


def clear(book, seed=0, **options):
    mechanism = BilateralNegotiation(**options)
    served = np.ones(len(book.traders))
    return mechanism.clear(book, served_share=served, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("method", ["admm", "primal_dual"])
@pytest.mark.parametrize("seed", range(4))
def test_it_converges_to_the_competitive_equilibrium(method, seed):
    book = street(20, seed)
    worth = -book.side * book.price_per_kwh
    best = worth @ matched_at(book, clearing_price(book))
    low, high = clearing_price(book, 0.0), clearing_price(book, 1.0)
    usual = {}
    close = {"energy_tolerance_kwh": 1e-4, "price_tolerance_per_kwh": 1e-5, "slope_per_kwh": 1e-3, "max_rounds": 3000}
    for options, share, distance in ((usual, 0.96, 0.007), (close, 0.999, 0.0012)):
        clearing = clear(book, method=method, partners=20, **options)
        assert not clearing.negotiation.fell_back
        assert worth @ clearing.matched_kwh >= share * best
        # An order is filled gradually beyond its limit, and prices may still move a little.
        paid = clearing.price_per_kwh[clearing.traded_kwh != 0]
        assert (paid >= low - distance).all()
        assert (paid <= high + distance).all()


@pytest.mark.parametrize("method", ["admm", "primal_dual"])
def test_fifty_five_prosumers_agree_with_a_few_partners_each(method):
    clearing = clear(street(55, 1), method=method)
    effort = clearing.negotiation
    assert not effort.fell_back
    assert effort.rounds < 300
    assert effort.residual_kwh <= 0.01
    assert effort.residual_per_kwh <= 0.001
    assert effort.messages % (2 * effort.rounds) == 0


def test_what_is_not_agreed_in_time_is_reported_and_auctioned():
    book = street(20, 0)
    clearing = clear(book, max_rounds=3)
    auction = KDoubleAuction().clear(book, served_share=np.ones(20), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(clearing.traded_kwh, auction.traded_kwh)
    assert clearing.negotiation.fell_back
    assert clearing.negotiation.rounds == 3
    assert clearing.negotiation.residual_kwh > 0.01


def test_partners_nearby_are_preferred_when_distance_counts():
    names = ["seller_a", "seller_b", "buyer_a", "buyer_b"]
    orders = [(n, "ask" if n.startswith("s") else "bid", 0.1 if n.startswith("s") else 0.2, 1.0) for n in names]
    book = book_from_orders(names, orders, floor_per_kwh=0.06, ceiling_per_kwh=0.25)
    at_km = np.array([0.0, 1.0, 0.1, 0.9])
    network = LocalNetwork(None, None, np.abs(at_km[:, None] - at_km))
    mechanism = BilateralNegotiation(distance_per_kwh_km=0.15)
    mechanism.place(Surroundings(tuple(names), np.zeros(4, dtype=bool), 0.5, network))
    clearing = mechanism.clear(book, served_share=np.ones(4), rng=np.random.default_rng(0))
    np.testing.assert_allclose(clearing.traded_kwh, [1, 1, -1, -1], atol=0.03)
    # The long way costs more than the trade is worth: all is traded between neighbours, however cheap the others are.
    far = book_from_orders(names, [orders[0], orders[3]], floor_per_kwh=0.06, ceiling_per_kwh=0.25)
    assert not mechanism.clear(far, served_share=np.ones(4), rng=np.random.default_rng(0)).traded_kwh.any()


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 10), st.integers(0, 9))
def test_partners_are_few_distinct_and_evenly_chosen(sellers, buyers, count, seed):
    rng = np.random.default_rng(seed)
    partners = choose_partners(np.arange(sellers), np.arange(100, 100 + buyers), count, rng)
    assert len(set(zip(partners.seller.tolist(), partners.buyer.tolist(), strict=True))) == len(partners)
    chosen, long = min(count, sellers, buyers), max(sellers, buyers)
    degrees = [np.bincount(partners.seller, minlength=sellers), np.bincount(partners.buyer - 100, minlength=buyers)]
    longer, shorter = degrees if sellers >= buyers else degrees[::-1]
    assert (longer == chosen).all()
    assert shorter.min() >= np.floor(long / min(sellers, buyers)) * 1
    assert shorter.max() - shorter.min() <= chosen


amounts = st.floats(0.0, 3.0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.08, 0.1, 0.15, 0.2]), amounts), min_size=3, max_size=9),
    st.lists(st.tuples(st.integers(0, 2), amounts, st.floats(0.0, 0.3)), min_size=1, max_size=8),
)
def test_a_response_is_the_best_there_is(orders, pairs):
    """Checked by its optimality conditions: no small shift of any amount raises anybody's gain."""
    orders = [*orders, *[(owner, 0.1, 1.0) for owner in range(3)]]
    book = book_from_orders(["a", "b", "c"], [("abc"[owner], "ask", limit, kwh) for owner, limit, kwh in orders])
    owner = np.array([pair[0] for pair in pairs])
    centre, worth = (np.array([pair[i] for pair in pairs]) for i in (1, 2))
    slope, step = 0.01, 5.0
    answer = Side(book, ASK, owner, slope).respond(centre, worth, step)
    assert (answer >= 0).all()

    def gain(amount):
        total = 0.0
        for trader in np.unique(owner):
            mine = owner == trader
            limit, kwh = (column[book.trader == trader] for column in (book.price_per_kwh, book.kwh))
            prices = np.linspace(0.0, 0.6, 12001)
            supply = (np.clip((prices[:, None] - limit) / slope, 0, 1) * kwh).sum(axis=1)
            marginal = np.interp(np.linspace(0, amount[mine].sum(), 2001), supply, prices)
            total -= np.trapezoid(marginal, np.linspace(0, amount[mine].sum(), 2001))
        return total + worth @ amount - ((amount - centre) ** 2).sum() / (2 * step)

    supply = book.per_trader(book.kwh)
    for trader in np.unique(owner):
        assert answer[owner == trader].sum() <= supply[trader] + 1e-9
    best = gain(answer)
    for row in range(len(pairs)):
        for shift in (-0.05, 0.05):
            other = answer.copy()
            other[row] = max(0.0, other[row] + shift)
            if other[owner == owner[row]].sum() <= supply[owner[row]]:
                assert gain(other) <= best + 1e-4
