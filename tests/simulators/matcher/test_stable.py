import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.matcher.orders import book_from_orders
from feederloop.simulators.matcher.stable import Preferences, StableMatching, deferred_acceptance
from feederloop.simulators.matcher.surroundings import LocalNetwork, Surroundings

amounts = st.lists(st.sampled_from([0.1, 0.25, 0.4, 1.0, 1.3]), min_size=1, max_size=6)


@st.composite
def markets(draw):
    proposers, receivers = draw(amounts), draw(amounts)
    shape = (len(proposers), len(receivers))
    ranks = np.array([draw(st.permutations(range(shape[1]))) for _ in range(shape[0])])
    receiver_ranks = np.array([draw(st.permutations(range(shape[0]))) for _ in range(shape[1])]).T
    count = len(proposers) * len(receivers)
    possible = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    preferences = Preferences(ranks, receiver_ranks, possible.reshape(shape))
    return preferences, np.array(proposers), np.array(receivers)


def blocking_pairs(preferences, allocation, proposers, receivers):
    """List pairs who would both rather trade more with each other than keep what they have."""
    found = []
    for p, r in np.argwhere(preferences.possible):
        worse_for_p = allocation[p, preferences.ranks[p] > preferences.ranks[p, r]].sum()
        worse_for_r = allocation[preferences.receiver_ranks[:, r] > preferences.receiver_ranks[p, r], r].sum()
        wants = proposers[p] - allocation[p].sum() + worse_for_p
        would = receivers[r] - allocation[:, r].sum() + worse_for_r
        if min(wants, would) > 1e-6:
            found.append((int(p), int(r)))
    return found


@settings(max_examples=200, deadline=None)
@given(markets(), st.sampled_from([0.05, 0.25, 10.0]))
def test_there_is_no_blocking_pair(market, lot):
    preferences, proposers, receivers = market
    allocation, proposals = deferred_acceptance(preferences, proposers, receivers, lot)
    assert (allocation >= 0).all()
    assert not allocation[~preferences.possible].any()
    assert (allocation.sum(axis=1) <= proposers + 1e-9).all()
    assert (allocation.sum(axis=0) <= receivers + 1e-9).all()
    assert blocking_pairs(preferences, allocation, proposers, receivers) == []
    assert proposals >= np.count_nonzero(allocation)


@settings(max_examples=60, deadline=None)
@given(markets())
def test_who_proposes_fares_at_least_as_well_as_when_proposed_to(market):
    """Of two stable allocations, the proposers' own gives each at least as much from any of its first choices."""
    preferences, proposers, receivers = market
    own, _ = deferred_acceptance(preferences, proposers, receivers, 0.25)
    other, _ = deferred_acceptance(preferences.turned(), receivers, proposers, 0.25)
    for p, ranks in enumerate(preferences.ranks):
        order = np.argsort(ranks)
        assert (np.cumsum(own[p, order]) >= np.cumsum(other[:, p][order]) - 1e-6).all()


NAMES = ["near", "green", "buyer", "rival"]


def placed(km, **options):
    at_km = np.array(km)
    network = LocalNetwork(None, None, np.abs(at_km[:, None] - at_km))
    mechanism = StableMatching(**options)
    mechanism.place(Surroundings(tuple(NAMES), np.array([False, True, False, False]), 0.5, network))
    return mechanism


def clear(mechanism, orders, served=(1, 1, 1, 1)):
    book = book_from_orders(NAMES, orders)
    return mechanism.clear(book, served_share=np.array(served, dtype=float), rng=np.random.default_rng(0))


ORDERS = [("near", "ask", 0.12, 1.0), ("green", "ask", 0.1, 1.0), ("buyer", "bid", 0.2, 1.0)]


@pytest.mark.parametrize(
    ("options", "seller"),
    [({}, "green"), ({"distance_per_kwh_km": 0.05}, "near"), ({"green_premium_per_kwh": 0.01}, "green")],
)
def test_a_buyer_takes_the_partner_it_likes_best(options, seller):
    clearing = clear(placed([0.0, 1.0, 0.1, 0.0], **options), ORDERS)
    assert clearing.traded_kwh[NAMES.index(seller)] == 1.0
    assert clearing.traded_kwh[2] == -1.0


def test_a_premium_for_the_sun_outweighs_a_higher_price():
    orders = [("near", "ask", 0.1, 1.0), ("green", "ask", 0.12, 1.0), ("buyer", "bid", 0.2, 1.0)]
    assert clear(placed([0, 0, 0, 0]), orders).traded_kwh.tolist() == [1, 0, -1, 0]
    premium = placed([0, 0, 0, 0], green_premium_per_kwh=0.02)
    clearing = clear(premium, orders)
    assert clearing.traded_kwh.tolist() == [0, 1, -1, 0]
    assert clearing.price == pytest.approx(0.16)


def test_a_trade_must_be_worth_the_way():
    mechanism = placed([0.0, 1.0, 3.0, 0.0], distance_per_kwh_km=0.05)
    assert not clear(mechanism, ORDERS).traded_kwh.any()


def test_of_those_who_are_equally_liked_the_worst_served_comes_first():
    orders = [("near", "ask", 0.1, 1.0), ("buyer", "bid", 0.2, 1.0), ("rival", "bid", 0.2, 1.0)]
    assert clear(placed([0, 0, 0, 0]), orders, (1, 1, 0.9, 0.2)).traded_kwh.tolist() == [1, 0, 0, -1]


def test_proposals_are_counted_in_lots():
    clearing = clear(placed([0, 0, 0, 0]), [("near", "ask", 0.1, 1.0), ("buyer", "bid", 0.2, 0.9)])
    assert clearing.negotiation.messages == 4
