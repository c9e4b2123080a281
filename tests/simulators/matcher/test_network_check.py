from functools import cache

import numpy as np
import pytest

from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import unbalance_percent
from feederloop.simulators.matcher.admission import Admission, Quantities
from feederloop.simulators.matcher.clearing import Blocking
from feederloop.simulators.matcher.continuous import ContinuousDoubleAuction
from feederloop.simulators.matcher.network_check import NetworkCheckedAuction
from feederloop.simulators.matcher.orders import book_from_curves, book_from_orders
from feederloop.simulators.matcher.participation import BlockRecord
from feederloop.simulators.matcher.retail_check import left_for_retailer
from feederloop.simulators.matcher.surroundings import LocalNetwork, Surroundings, surroundings

PRICES = np.linspace(0.06, 0.25, 7).tolist()
HOURS = 0.5
COUNT = 12


@cache
def street():
    points = connection_points(load_network("street_12"))
    sites = [
        {"name": name, "bus": int(bus), "phase": phase}
        for name, bus, phase in zip(points["name"], points["bus"], points["phase"], strict=True)
    ]
    return surroundings(sites, interval_s=1800, network="street_12", source_v_pu=1.04)


def limited(**limits):
    network = street().network
    return Surroundings(
        street().traders,
        street().has_pv,
        HOURS,
        LocalNetwork(network.power_flow, Limits(**limits), network.distance_km),
    )


def made(limits, background_kw=-0.3, **options):
    auction = NetworkCheckedAuction(**options)
    auction.place(limited(**limits))
    auction.foresee(np.full(COUNT, background_kw), np.full(COUNT, -0.1))
    return auction


def sunny_book(seed=0):
    rng = np.random.default_rng(seed)
    flat = np.where(np.arange(COUNT) % 3 == 0, rng.uniform(2, 5, COUNT), -rng.uniform(0.5, 2.5, COUNT))
    spread = np.sort(rng.uniform(0, 0.6, (COUNT, 7)), axis=1)
    return book_from_curves(street().traders, [PRICES] * COUNT, (flat[:, None] + spread).tolist())


def clear(auction, book, seed=0):
    return auction.clear(book, served_share=np.ones(COUNT), rng=np.random.default_rng(seed))


def traded_state(clearing, background_kw=-0.3):
    """Solve the network as the DSO foresees it with all trades, by an exact power flow."""
    traded_kw = clearing.traded_kwh / HOURS
    p_kw = np.where(traded_kw > 0, traded_kw, np.minimum(traded_kw, background_kw))
    return street().network.power_flow.solve(p_kw[:, None], np.full((COUNT, 1), -0.1))


TIGHT = {"v_max_v": 246.0, "v_min_v": 230.0}


@pytest.mark.parametrize(("check", "slack_v"), [("exact", 1e-6), ("linear", 0.2)])
@pytest.mark.parametrize("arrival", ["random", "price_ordered"])
def test_what_is_admitted_keeps_the_voltage_limits(check, slack_v, arrival):
    free = clear(made({"v_max_v": 400.0, "v_min_v": 10.0}, arrival=arrival), sunny_book())
    checked = clear(made(TIGHT, arrival=arrival, check=check), sunny_book())
    for clearing, beyond in ((free, True), (checked, False)):
        v = np.abs(traded_state(clearing).v)
        assert (v.max() > 246.0 + slack_v or v.min() < 230.0 - slack_v) == beyond
    assert free.blocking.blocks.sum() == 0
    assert checked.blocking.blocks.sum() > 0
    assert 0 < checked.matched_kwh.sum() < free.matched_kwh.sum()


@pytest.mark.parametrize("check", ["exact", "linear"])
def test_what_is_admitted_keeps_the_current_limits(check):
    def highest(clearing):
        return street().network.power_flow.branch_loading_percent(traded_state(clearing).current).max()

    loose = clear(made({"v_max_v": 400.0, "v_min_v": 10.0}, check=check), sunny_book())
    limit = 0.6 * highest(loose)
    limits = {"v_max_v": 400.0, "v_min_v": 10.0, "line_loading_percent": limit, "transformer_loading_percent": limit}
    checked = clear(made(limits, check=check), sunny_book())
    assert checked.blocking.blocks.sum() > 0
    assert highest(checked) <= limit * (1.01 if check == "linear" else 1.0) + 1e-6


def test_what_is_admitted_keeps_the_unbalance_limit():
    def highest(clearing):
        flow = street().network.power_flow
        return unbalance_percent(flow.bus_voltages(traded_state(clearing).current)).max()

    wide = {"v_max_v": 400.0, "v_min_v": 10.0}
    limit = 0.6 * highest(clear(made(wide), sunny_book()))
    checked = clear(made({**wide, "vuf_percent": limit}, check="exact"), sunny_book())
    assert checked.blocking.blocks.sum() > 0
    # The limit is held against the positive sequence without load.
    assert highest(checked) <= limit * 1.05


def test_refusals_are_counted_for_both_and_their_energy_does_not_vanish():
    book = sunny_book()
    auction = made(TIGHT, tries=2, check_retail=False)
    clearing = clear(auction, book)
    blocking = clearing.blocking
    assert blocking.attempts.sum() % 2 == 0
    assert (blocking.blocks <= blocking.attempts).all()
    assert not blocking.blocked_kwh[blocking.blocks == 0].any()
    left = book.kwh - clearing.matched_kwh
    assert (np.abs(blocking.blocked_kwh) <= book.per_trader(left) + 1e-9).all()
    assert blocking.blocked_kwh.max() > 0 > blocking.blocked_kwh.min()
    np.testing.assert_array_equal(auction.record.blocks, blocking.blocks)
    np.testing.assert_array_equal(auction.record.longest_run, blocking.blocks > 0)


def test_a_refusal_names_the_limit_that_it_was_for():
    blocking = clear(made(TIGHT), sunny_book()).blocking
    for blocks, limit in zip(blocking.blocks, blocking.blocked_by, strict=True):
        assert bool(blocks) == (limit != "")
    assert any(limit.startswith("v_max at bus") and limit[-1] in "abc" for limit in blocking.blocked_by)
    tight = {"v_max_v": 400.0, "v_min_v": 10.0, "line_loading_percent": 5.0}
    assert any(limit.startswith("loading of line") for limit in clear(made(tight), sunny_book()).blocking.blocked_by)


@pytest.mark.parametrize("arrival", ["random", "price_ordered"])
def test_what_peers_leave_is_checked_on_its_way_to_the_retailer(arrival):
    roofs = np.arange(COUNT) % 2 == 0
    curves = np.where(roofs, 3.0, -0.2)[:, None] * np.ones(7)
    book = book_from_curves(street().traders, [PRICES] * COUNT, curves.tolist())

    def highest_v(refused_kwh):
        p_kw = np.where(roofs, (3.0 - refused_kwh) / HOURS, -0.3)
        return np.abs(street().network.power_flow.solve(p_kw[:, None], np.full((COUNT, 1), -0.1)).v).max()

    limit_v = highest_v(np.zeros(COUNT)) - 1.0
    limits = {"v_max_v": limit_v, "v_min_v": 10.0}
    clearing = clear(made(limits, check="exact", check_retail=True, arrival=arrival), book)
    retail = clearing.blocking.retail
    assert not clearing.blocking.blocks.any()  # peers take little
    assert 0 < retail.blocks.sum() < retail.attempts.sum()
    np.testing.assert_array_equal(retail.refused_kwh > 0, retail.blocks > 0)
    assert highest_v(retail.refused_kwh) <= limit_v + 1e-6
    if arrival == "price_ordered":  # all have one price: who stands last in the list comes too late, every time
        assert retail.blocks[0] == 0
        again = clear(made(limits, check="exact", check_retail=True, arrival=arrival), book, seed=5)
        np.testing.assert_array_equal(again.blocking.retail.refused_kwh, retail.refused_kwh)


def test_only_what_is_certain_to_go_to_the_retailer_does():
    orders = [
        ("ann", "ask", 0.06, 2.0), ("ann", "ask", 0.10, 1.0), ("bob", "bid", 0.25, 1.5), ("cem", "bid", 0.06, 4.0),
    ]  # fmt: skip
    book = book_from_orders(["ann", "bob", "cem"], orders)
    # Of 2 kWh offered at the floor one is sold; bob lacks half a kWh; cem waits for a better price.
    assert left_for_retailer(book, np.array([1.0, -1.0, 0.0])).tolist() == [1.0, -0.5, 0.0]
    assert left_for_retailer(book, np.array([2.5, -1.5, -1.0])).tolist() == [0.0, 0.0, 0.0]


def test_with_nothing_to_refuse_and_no_fee_it_is_a_continuous_double_auction():
    book = sunny_book()
    auction = made({"v_max_v": 400.0, "v_min_v": 10.0}, losses=False)
    rng = np.random.default_rng(7)
    found = auction.clear(book, served_share=np.ones(COUNT), rng=rng)
    again = np.random.default_rng(7)
    again.random(COUNT)  # the draw of who is willing
    plain = ContinuousDoubleAuction(lot_kwh=0.5).clear(book, served_share=np.ones(COUNT), rng=again)
    np.testing.assert_array_equal(found.traded_kwh, plain.traded_kwh)
    assert found.fee_money == 0


def test_fees_are_paid_half_by_each_and_keep_low_margins_from_trading():
    book = sunny_book()
    free = clear(made({}, losses=False, arrival="price_ordered"), book)
    dear = clear(made({}, losses=False, arrival="price_ordered", network_fee_per_kwh=0.05), book)
    volume = dear.matched_kwh[book.is_ask].sum()
    assert dear.fee_money == pytest.approx(0.05 * volume)
    assert volume < free.matched_kwh[book.is_ask].sum()
    sellers = dear.traded_kwh > 0
    mean = [abs(dear.traded_kwh[who] @ dear.price_per_kwh[who]) / volume for who in (sellers, dear.traded_kwh < 0)]
    assert mean[1] - mean[0] == pytest.approx(0.05)


def test_the_losses_that_a_trade_pays_for_are_those_of_the_power_flow():
    flow = street().network.power_flow
    p, q = np.linspace(-4, 3, COUNT), np.full(COUNT, -0.3)
    admission = Admission(
        flow,
        Quantities.of(flow.feeder, Limits()),
        (p, q),
        interval_h=HOURS,
        check="linear",
        ordered_kwh=np.ones(COUNT),
    )

    def losses(p_kw):
        return flow.source_power_kw(flow.solve(p_kw[:, None], q[:, None]).current)[0] + p_kw.sum()

    for point in range(COUNT):
        step = 1e-2 * (np.arange(COUNT) == point)
        expected = (losses(p + step) - losses(p - step)) / 2e-2
        assert admission.marginal_loss[point] == pytest.approx(expected, abs=1e-5)


def test_a_trade_that_relieves_a_network_beyond_its_limits_is_admitted():
    flow = street().network.power_flow
    background = np.where(np.arange(COUNT) == COUNT - 1, 12.0, -0.2)
    highest = np.abs(flow.solve(background[:, None], np.zeros((COUNT, 1))).v).max()
    admission = Admission(
        flow,
        Quantities.of(flow.feeder, Limits(v_max_v=highest - 0.5)),
        (background, np.zeros(COUNT)),
        interval_h=HOURS,
        check="exact",
        ordered_kwh=np.full(COUNT, 3.0),
    )
    assert not admission.admits(seller=COUNT - 1, buyer=0, kwh=7.0)
    # What the last house exports anyway may as well be sold; whoever buys more than it draws relieves the street.
    assert admission.admits(seller=COUNT - 1, buyer=COUNT - 4, kwh=1.0)


def test_nothing_is_admitted_on_top_of_a_collapse():
    clearing = clear(made({}, background_kw=-900.0), sunny_book())
    assert not clearing.traded_kwh.any()
    assert clearing.blocking.blocks.sum() == clearing.blocking.attempts.sum() > 0


def test_who_is_blocked_again_and_again_offers_less_and_less():
    record = BlockRecord.empty(3)
    blocks = np.array([2, 0, 0])
    for _ in range(3):
        record.note(Blocking(blocks, blocks, np.array([0.5, 0, 0])), np.array([True, True, False]))
    assert record.run.tolist() == [3, 0, 0]
    assert record.refused_kwh.tolist() == [1.5, 0, 0]
    rng = np.random.default_rng(0)
    offers = np.mean([record.willing(0.5, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(offers, [0.125, 1, 1], atol=0.02)
    record.note(Blocking(0 * blocks, 0 * blocks, np.zeros(3)), np.array([False, True, True]))
    assert record.run[0] == 3
    record.note(Blocking(0 * blocks, 0 * blocks, np.zeros(3)), np.array([True, True, True]))
    assert record.run[0] == 0
    assert record.longest_run.tolist() == [3, 0, 0]


def test_with_full_decay_a_blocked_prosumer_stays_away():
    auction = made({"v_max_v": 200.0, "v_min_v": 10.0}, decay=1.0)
    first, second = clear(auction, sunny_book()), clear(auction, sunny_book(), seed=1)
    assert first.blocking.blocks.sum() > 0
    gone = first.blocking.blocks > 0
    assert not second.blocking.attempts[gone].any()


def test_distances_are_those_of_the_lines():
    distance = street().network.distance_km
    np.testing.assert_allclose(distance, distance.T)
    assert not np.diag(distance).any()
    # Services of 12 m at both ends, and 30 m of street from house to house.
    assert distance[0, 1] == pytest.approx(0.012 + 0.03 + 0.012)
    assert distance[0, 11] == pytest.approx(0.012 + 11 * 0.03 + 0.012)


def test_a_site_without_a_bus_is_named():
    with pytest.raises(ValueError, match="no bus or phase") as refusal:
        surroundings([{"name": "ann", "phase": "a"}], interval_s=1800, network="street_12")
    assert refusal.value.value == "ann"
