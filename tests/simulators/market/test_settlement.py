from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from feederloop.simulators.errors import InputError
from feederloop.simulators.market.settlement import (
    AuctionMoney,
    IntervalPrices,
    SettlementError,
    SettlementRules,
    breach_energy_kwh,
    check,
    settle,
)

PRICES = IntervalPrices(retail_per_kwh=0.3, feed_in_per_kwh=0.06, network_charge_per_kwh=0.02)
RULES = SettlementRules(kappa_per_kwh=0.05, breach_price_per_kwh=2.0)
NONE = np.zeros(2)


def settle_pair(meter, traded, local=0.15, breach=NONE, prices=PRICES, rules=RULES):
    prices_paid = np.where(np.array(traded) != 0, local, np.nan)
    return settle(np.array(meter), np.array(traded), prices_paid, np.array(breach), prices, rules)


def money(settlement, name):
    return getattr(settlement, f"{name}_money").tolist()


def test_without_a_local_market_everything_is_at_retail_and_feed_in():
    books = settle_pair([2.0, -3.0], [0.0, 0.0])
    assert money(books, "retail") == pytest.approx([-0.12, 0.9])
    assert money(books, "total") == money(books, "retail")
    assert not books.imbalance_kwh.any()


def test_a_trade_kept_to_costs_its_price_and_the_network_charge():
    books = settle_pair([2.0, -2.0], [2.0, -2.0])
    assert money(books, "local") == pytest.approx([-0.3, 0.3])
    assert money(books, "network") == pytest.approx([0.0, 0.04])
    assert money(books, "total") == pytest.approx([-0.3, 0.34])


def test_the_rest_beside_a_trade_is_at_retail_and_feed_in():
    books = settle_pair([3.0, -5.0], [2.0, -2.0])
    assert money(books, "retail") == pytest.approx([-0.06, 0.9])
    assert not books.imbalance_kwh.any()


@pytest.mark.parametrize(("local", "short_price"), [(0.15, 0.3 + 0.05), (0.4, 0.4 + 0.05)])
def test_what_is_sold_but_not_delivered_is_bought_back_at_the_short_price(local, short_price):
    books = settle_pair([-1.0, -2.0], [2.0, -2.0], local=local)
    assert books.imbalance_kwh.tolist() == [2.0, 0.0]
    surcharge = 2.0 * (short_price - 0.3)
    returned = [surcharge / 3, surcharge * 2 / 3]
    assert money(books, "imbalance") == pytest.approx([surcharge - returned[0], -returned[1]])
    before_return = books.total_money[0] + returned[0]
    assert before_return == pytest.approx(-2.0 * local + 2.0 * short_price + 1.0 * 0.3)


@pytest.mark.parametrize(("local", "long_price"), [(0.15, 0.06 - 0.05), (0.04, 0.04 - 0.05)])
def test_what_is_bought_but_not_used_is_sold_back_at_the_long_price(local, long_price):
    books = settle_pair([2.0, 1.0], [2.0, -2.0], local=local)
    assert books.imbalance_kwh.tolist() == [0.0, 2.0]
    returned = 2.0 * (0.06 - long_price) / 3
    before_return = books.total_money[1] + returned
    assert before_return == pytest.approx(2.0 * (local + 0.02) - 2.0 * long_price - 1.0 * 0.06)


def test_surcharges_that_nobody_has_a_claim_to_stay_in_the_grid_account():
    books = settle_pair([0.0, 0.0], [2.0, -2.0])
    assert books.imbalance_kwh.tolist() == [2.0, 2.0]
    assert books.imbalance_money.tolist() == pytest.approx([0.1, 0.1])
    check(books, interval="then")


def test_breaches_and_the_supply_charge_are_paid_to_the_grid_account():
    prices = replace(PRICES, supply_charge=0.5)
    books = settle_pair([1.0, 1.0], [0.0, 0.0], breach=[0.25, 0.0], prices=prices)
    assert money(books, "breach") == [0.5, 0.0]
    assert money(books, "total") == pytest.approx([0.94, 0.44])
    assert books.grid_account == pytest.approx(1.38)


energy = st.floats(-20, 20).map(lambda x: round(x, 6))
price = st.integers(0, 60).map(lambda cents: cents / 100)


@st.composite
def intervals(draw):
    count = draw(st.integers(2, 12))
    meter = draw(arrays(float, count, elements=energy))
    traded = draw(arrays(float, count, elements=energy))
    traded = traded - traded.mean()
    feed_in, spread, network = draw(price), draw(price), draw(price)
    prices = IntervalPrices(feed_in + network + spread, feed_in, network, draw(price))
    local = np.full(count, feed_in + spread * draw(st.floats(0, 1)))
    rules = SettlementRules(draw(price), draw(price))
    return meter, traded, local, np.abs(draw(arrays(float, count, elements=energy))), prices, rules


@settings(deadline=None)
@given(intervals())
def test_the_books_close_whatever_happens(interval):
    check(settle(*interval), interval="any")


@settings(deadline=None)
@given(intervals())
def test_those_who_keep_to_their_trades_never_pay_more_than_at_retail(interval):
    _, traded, local, _, prices, rules = interval
    no_breach = np.zeros_like(traded)
    alone = settle(traded, np.zeros_like(traded), local, no_breach, prices, rules)
    together = settle(traded, traded, local, no_breach, prices, rules)
    assert (together.total_money <= alone.total_money + 1e-9).all()


@settings(deadline=None)
@given(intervals())
def test_surcharges_go_from_those_who_deviate_to_all(interval):
    books = settle(*interval)
    assert (books.imbalance_kwh >= 0).all()
    assert (books.imbalance_kwh <= np.abs(books.traded_kwh)).all()
    assert (books.imbalance_money[books.imbalance_kwh == 0] <= 0).all()
    if books.meter_kwh.any():
        assert abs(books.imbalance_money.sum()) <= 1e-9


def test_trades_that_do_not_add_up_are_caught_with_interval_and_gap():
    books = settle_pair([2.0, -2.0], [2.0, -2.0 + 1e-8])
    with pytest.raises(SettlementError, match=r"2016-06-15T11:00.*kWh: 1e-08"):
        check(books, interval="2016-06-15T11:00")


def test_payments_that_do_not_add_up_are_caught():
    books = settle_pair([2.0, -2.0], [2.0, -2.0])
    with pytest.raises(SettlementError, match="grid account"):
        check(replace(books, grid_account=books.grid_account + 1e-8), interval="then")
    prices_apart = settle(np.array([2.0, -2.0]), np.array([2.0, -2.0]), np.array([0.15, 0.16]), NONE, PRICES, RULES)
    with pytest.raises(SettlementError, match="local trades"):
        check(prices_apart, interval="then")


@pytest.mark.parametrize(("meter", "local"), [([np.nan, 1.0], 0.15), ([1.0, 1.0], np.nan)])
def test_what_is_not_a_number_never_passes(meter, local):
    with pytest.raises(SettlementError):
        check(settle_pair(meter, [1.0, -1.0], local=local), interval="then")


@pytest.mark.parametrize(
    ("p_kw", "breach_kw"),
    [(5.0, 0.0), (5.09, 0.0), (5.11, 0.11), (7.0, 2.0), (-3.0, 0.0), (-3.09, 0.0), (-3.2, 0.2)],
)
def test_a_breach_is_what_exceeds_the_limit_by_more_than_the_tolerance(p_kw, breach_kw):
    found = breach_energy_kwh(np.array([p_kw / 12]), 1 / 12, np.array([5.0]), np.array([3.0]))
    assert found[0] * 12 == pytest.approx(breach_kw, abs=1e-12)


def test_the_tolerance_grows_with_the_limit_and_no_limit_is_never_breached():
    energy_kwh = np.array([10.15, 10.25, 50.0])
    limits = np.array([10.0, 10.0, np.nan])
    assert breach_energy_kwh(energy_kwh, 1.0, limits, limits).tolist() == pytest.approx([0.0, 0.25, 0.0])


@pytest.mark.parametrize("name", ["kappa_per_kwh", "breach_price_per_kwh"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", True])
def test_prices_of_deviations_are_checked(name, value):
    with pytest.raises(InputError) as refusal:
        SettlementRules(**{name: value})
    assert refusal.value.key == name


@given(
    kwh=st.lists(st.floats(0.01, 5.0), min_size=1, max_size=6),
    sell=st.floats(0.06, 0.2),
    spread=st.floats(0.0, 0.1),
    fee=st.floats(0.0, 0.05),
)
def test_an_auctions_surplus_goes_back_to_the_traders_and_its_fees_to_the_grid(kwh, sell, spread, fee):
    sold, bought = np.append(kwh, [0.0, 0.0]), np.append(np.zeros(len(kwh)), [sum(kwh), 0.0])
    traded = sold - bought
    paid = np.where(traded > 0, sell - fee, np.where(traded < 0, sell + spread, np.nan))
    volume = sold.sum()
    auction = AuctionMoney(surplus=volume * spread, fees=volume * fee)
    books = settle(traded, traded, paid, np.zeros(len(traded)), PRICES, RULES, auction)
    check(books, interval="then")
    assert books.local_money.sum() == pytest.approx(auction.fees, abs=1e-9)
    assert books.local_money[-1] == 0.0
    share = auction.surplus / (2 * volume)
    assert books.local_money[-2] == pytest.approx(volume * (sell + spread - share))
    unpaid = settle(traded, traded, paid, np.zeros(len(traded)), PRICES, RULES)
    assert books.grid_account == pytest.approx(unpaid.grid_account + auction.fees)


@pytest.mark.parametrize("auction", [AuctionMoney(surplus=0.01), AuctionMoney(fees=0.01)])
def test_money_that_the_auction_states_but_no_price_explains_is_found_out(auction):
    traded = np.array([2.0, -2.0])
    books = settle(traded, traded, np.full(2, 0.15), NONE, PRICES, RULES, auction)
    with pytest.raises(SettlementError, match="local trades"):
        check(books, interval="then")
