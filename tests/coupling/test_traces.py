"""One prosumer and one interval, followed by hand from the order to the bill, in two schemes.

Tariff of the street: 0.25 per kWh until 16:00, feed-in 0.06, network charge 0.05, supply charge 1.10 a day; deviations
cost 0.02 beyond the worse of local and retail price.
"""

from typing import Any

import pandas as pd
import pytest

from feederloop.coupling.run import run

RETAIL, FEED_IN, CHARGE, SUPPLY, KAPPA = 0.25, 0.06, 0.05, 1.10 / 48, 0.02


class Interval:
    """The tables of a run, in one interval."""

    def __init__(self, result: Any, start: str) -> None:
        assert result.status == "complete", result.message
        self._tables, self._start = result.open(), pd.Timestamp(start, tz="UTC")

    def rows(self, table: str) -> pd.DataFrame:
        whole = self._tables.table(table)
        if "interval_start" in whole:
            return whole[whole["interval_start"] == self._start].set_index("prosumer", drop=False)
        inside = (whole["time"] >= self._start) & (whole["time"] < self._start + pd.Timedelta("30min"))
        return whole[inside]

    def of(self, table: str, prosumer: str) -> Any:
        return self.rows(table).loc[prosumer]

    def metered_kwh(self, prosumer: str) -> float:
        points = self.rows("connection_point")
        assert len(points) == 6 * 12
        return float(points.loc[points["prosumer"] == prosumer, "p_kw"].sum()) * 300 / 3600


@pytest.fixture(scope="module")
def inside_envelopes(tmp_path_factory: pytest.TempPathFactory) -> Interval:
    overrides = {"scheme": "doe_lem", "time.start": "2016-06-15 15:00"}
    out = tmp_path_factory.mktemp("trace") / "doe_lem"
    # Summer time: 15:30 on the wall is 14:30 UTC.
    return Interval(run("minimal", out=out, days=1 / 24, overrides=overrides, progress=False), "2016-06-15 14:30")


def test_a_purchase_inside_an_envelope(inside_envelopes: Interval) -> None:
    """home_10 has no sun: it buys its forecast demand from peers, and uses a little less than that."""
    interval = inside_envelopes
    order = interval.of("orders", "home_10")
    # It bids what leaves it as well off as with the retailer: the retail price less the network charge.
    assert (order["side"], order["price_per_kwh"]) == ("bid", pytest.approx(RETAIL - CHARGE))
    orders = interval.rows("orders")
    bids, asks = (orders[orders["side"] == side] for side in ("bid", "ask"))
    # Far more is offered than wanted, all of it at the feed-in price, which is therefore the price of all.
    assert asks["price_per_kwh"].to_numpy() == pytest.approx(FEED_IN)
    assert asks["kwh"].sum() > 10 * bids["kwh"].sum()
    trade = interval.of("trades", "home_10")
    assert trade["price_per_kwh"] == pytest.approx(FEED_IN)
    bought = -trade["traded_kwh"]
    assert bought == pytest.approx(order["kwh"])
    # Sellers share in proportion.
    sold = interval.of("trades", "home_05")["traded_kwh"]
    assert sold == pytest.approx(interval.of("orders", "home_05")["kwh"] * bids["kwh"].sum() / asks["kwh"].sum())

    # Its position is what it bought, which is inside its envelope.
    settled = interval.of("settlement", "home_10")
    assert settled["position_kwh"] == pytest.approx(-bought)
    limit_kw = interval.of("envelope", "home_10")["import_limit_kw"]
    assert bought / 0.5 < limit_kw
    # No device of its own: the household draws what it draws, and inside the envelope in every five minutes.
    used = -interval.metered_kwh("home_10")
    points = interval.rows("connection_point")
    own = points[points["prosumer"] == "home_10"]
    assert own["p_kw"].to_numpy() == pytest.approx(own["household_p_kw"].to_numpy())
    assert (own["p_kw"] >= -limit_kw).all()

    # The bill, line by line.
    left_over = bought - used
    assert left_over > 0
    assert settled["meter_kwh"] == pytest.approx(-used)
    assert settled["local_money"] == pytest.approx(bought * FEED_IN)
    assert settled["network_money"] == pytest.approx(bought * CHARGE)
    assert settled["retail_money"] == pytest.approx(SUPPLY - left_over * FEED_IN)
    assert settled["imbalance_kwh"] == pytest.approx(left_over)
    everybody = interval.rows("settlement")
    surcharges = KAPPA * everybody["imbalance_kwh"].sum()
    returned = surcharges * used / everybody["meter_kwh"].abs().sum()
    assert settled["imbalance_money"] == pytest.approx(KAPPA * left_over - returned)
    assert settled["breach_money"] == 0.0
    bill = bought * (FEED_IN + CHARGE) + SUPPLY - left_over * FEED_IN + KAPPA * left_over - returned
    assert settled["total_money"] == pytest.approx(bill)
    # Better than at the retailer, in spite of the deviation.
    assert bill < used * RETAIL + SUPPLY


@pytest.fixture(scope="module")
def checked_trades(tmp_path_factory: pytest.TempPathFactory) -> Interval:
    overrides = {
        "scheme": "network_aware_p2p",
        "time.start": "2016-06-15 12:00",
        "limits": {"standard": "custom", "v_min_v": 216.2, "v_max_v": 233.9},
        "network_aware_p2p.check_retail": False,
    }
    out = tmp_path_factory.mktemp("trace") / "network_aware_p2p"
    return Interval(run("minimal", out=out, days=1 / 24, overrides=overrides, progress=False), "2016-06-15 11:30")


def test_a_sale_that_the_network_bears_and_a_surplus_that_it_does_not(checked_trades: Interval) -> None:
    """home_08 finds a buyer for some of its sun, home_11 for none; what is left goes to the retailer, and is cut."""
    interval = checked_trades
    orders, trades = interval.rows("orders"), interval.rows("trades")
    assert (orders.loc[["home_08", "home_11"], "price_per_kwh"] == FEED_IN).all()
    sold = trades.at["home_08", "traded_kwh"]
    assert sold == pytest.approx(0.5)  # one lot
    assert trades.at["home_11", "traded_kwh"] == 0.0
    # Half-way between feed-in and what leaves the buyer as well off, and half of the trade's losses to pay.
    mid = (FEED_IN + RETAIL - CHARGE) / 2
    assert mid - 0.001 < trades.at["home_08", "price_per_kwh"] < mid

    # The surplus beyond is curtailed as far as the network asks, and nothing of what was sold.
    curtailed = interval.rows("curtailment")["curtailed_kwh"]
    offered = orders["kwh"]
    assert (curtailed > 1e-6).sum() == 2
    for name in ("home_08", "home_11"):
        traded = trades.at[name, "traded_kwh"]
        assert 0.0 < curtailed[name] <= offered[name] - traded + 1e-9
        settled = interval.of("settlement", name)
        assert settled["position_kwh"] == pytest.approx(offered[name] - curtailed[name])
        # The inverter holds the limit in every five minutes; a cloud may take some more.
        assert interval.metered_kwh(name) <= offered[name] - curtailed[name] + 1e-9
        assert settled["meter_kwh"] == pytest.approx(offered[name] - curtailed[name], rel=0.01)
    # In the mean of the interval the limit holds; a bright spell goes a little beyond, and without a cut 236 V.
    volts = interval.rows("connection_point").pivot(index="time", columns="prosumer", values="v_v")
    assert volts.mean().max() < 233.9 + 0.1
    assert volts.max().max() < 233.9 + 0.5

    # The bills: home_08 is paid for its trade by a peer and for the rest by the retailer, home_11 for little.
    settled = interval.of("settlement", "home_08")
    rest = settled["meter_kwh"] - sold
    assert settled["local_money"] == pytest.approx(-sold * trades.at["home_08", "price_per_kwh"])
    assert settled["retail_money"] == pytest.approx(SUPPLY - rest * FEED_IN)
    assert (settled["network_money"], settled["imbalance_kwh"]) == (0.0, 0.0)
    settled = interval.of("settlement", "home_11")
    assert settled["local_money"] == 0.0
    assert settled["retail_money"] == pytest.approx(SUPPLY - settled["meter_kwh"] * FEED_IN)
