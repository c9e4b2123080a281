import json
import math

import pytest

from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.matcher.clearing import Clearing
from feederloop.simulators.matcher.simulator import META, MatcherSimulator

SITES = [{"name": "ann", "bus": 3}, {"name": "bob.2", "bus": 4}, {"name": "cem", "bus": 5}]
PRICES = [0.06, 0.1, 0.2]


@pytest.fixture
def matcher():
    simulator = MatcherSimulator()
    simulator.init("matcher-0", interval_s=1800, options={"k": 0.5})
    simulator.create(len(SITES), "Trader", sites=SITES)
    simulator.create(1, "Auction")
    return simulator


def send(**curves):
    return {
        name: {"curve_price_per_kwh": {f"hems.{name}": PRICES}, "curve_kwh": {f"hems.{name}": kwh}}
        for name, kwh in curves.items()
    }


def everything(simulator):
    traders = {site["name"]: ["traded_kwh", "traded_price_per_kwh"] for site in SITES}
    return simulator.get_data(traders | {"Auction": META["models"]["Auction"]["attrs"]})


def test_entities_carry_the_sites_names():
    simulator = MatcherSimulator()
    simulator.init("matcher-0", interval_s=1800)
    assert [entity["eid"] for entity in simulator.create(3, "Trader", sites=SITES)] == ["ann", "bob.2", "cem"]
    assert simulator.create(1, "Auction") == [{"eid": "Auction", "type": "Auction"}]


def test_a_step_clears_the_curves_and_says_who_traded_what(matcher):
    inputs = send(ann=[0.0, 1.0, 2.0]) | {"bob.2": send(x=[-1.0, -1.0, -1.0])["x"]}
    assert matcher.step(3600, inputs, 10**6) == 5400
    data = everything(matcher)
    assert data["ann"] == {"traded_kwh": 1.0, "traded_price_per_kwh": pytest.approx(0.15)}
    assert data["bob.2"]["traded_kwh"] == -1.0
    assert data["cem"]["traded_kwh"] == 0.0
    assert math.isnan(data["cem"]["traded_price_per_kwh"])
    assert data["Auction"]["volume_kwh"] == 1.0
    assert data["Auction"]["offered_kwh"] == 2.0
    assert data["Auction"]["wanted_kwh"] == 1.0
    assert data["Auction"]["orders"] == [
        ["ann", "ask", 0.1, 1.0, 1.0],
        ["ann", "ask", 0.2, 1.0, 0.0],
        ["bob.2", "bid", 0.2, 1.0, 1.0],
    ]


def test_a_step_without_curves_trades_nothing_and_travels_as_json(matcher):
    matcher.step(0, {"ann": {"curve_kwh": {"hems.ann": None}, "curve_price_per_kwh": {"hems.ann": None}}}, 10**6)
    data = json.loads(json.dumps(everything(matcher)))
    assert math.isnan(data["Auction"]["price_per_kwh"])
    assert data["Auction"]["orders"] == []
    assert [data[site["name"]]["traded_kwh"] for site in SITES] == [0.0, 0.0, 0.0]


def test_two_curves_for_one_trader_are_refused(matcher):
    inputs = send(ann=[0.0, 1.0, 2.0])
    inputs["ann"]["curve_kwh"]["other.ann"] = [0.0, 0.0, 0.0]
    with pytest.raises(InputError, match="two curves"):
        matcher.step(0, inputs, 10**6)


def test_the_mechanism_is_told_how_well_each_trader_was_served(matcher):
    class Listening:
        heard = None

        def clear(self, book, *, served_share, rng):
            self.heard = served_share.tolist()
            half = book.kwh * [0.25, 0.5][: len(book)]
            return Clearing(book.per_trader(book.side * half), book.per_trader(half) * 0 + 0.1, half, 0.1)

    matcher._mechanism = listening = Listening()
    inputs = send(ann=[0.0, 0.0, 2.0], cem=[-2.0, 0.0, 0.0])
    matcher.step(0, inputs, 10**6)
    assert listening.heard == [1.0, 1.0, 1.0]
    matcher.step(1800, inputs, 10**6)
    assert listening.heard == [0.25, 1.0, 0.5]


def test_the_network_is_looked_at_only_for_a_mechanism_that_asks():
    simulator = MatcherSimulator()
    simulator.init("matcher-0", interval_s=1800, network="no_such_network")
    simulator.create(len(SITES), "Trader", sites=SITES)
    simulator.init("matcher-0", interval_s=1800, mechanism="network_checked", network="no_such_network")
    with pytest.raises(InputError, match="no_such_network"):
        simulator.create(1, "Trader", sites=[{"name": "ann", "bus": 1, "phase": "a"}])


def test_refusals_of_the_dso_reach_the_traders_and_negotiations_the_auction():
    simulator = MatcherSimulator()
    options = {"check": "exact", "losses": False}
    simulator.init(
        "matcher-0",
        interval_s=1800,
        mechanism="network_checked",
        options=options,
        network="street_12",
        source_v_pu=1.0,
        limits={"v_max_v": 241.0, "v_min_v": 216.2},
    )
    points = connection_points(load_network("street_12"))
    sites = [
        {"name": name, "bus": int(bus), "phase": phase}
        for name, bus, phase in zip(["ann", "bob.2", "cem"], points["bus"][-3:], points["phase"][-3:], strict=True)
    ]
    simulator.create(3, "Trader", sites=sites)
    simulator.create(1, "Auction")
    inputs = send(ann=[6.0, 6.0, 6.0], cem=[-6.0, -6.0, -6.0])
    for name in ("ann", "cem"):
        inputs[name] |= {"household_p_kw": {"f": [9.0, -0.3, 9.0]}, "household_q_kvar": {"f": [9.0, -0.1, 9.0]}}
    simulator.step(0, inputs, 10**6)
    attrs = META["models"]["Trader"]["attrs"][4:]
    data = json.loads(json.dumps(simulator.get_data({"ann": attrs, "cem": attrs, "Auction": ["volume_kwh", "rounds"]})))
    assert 0 < data["ann"]["traded_kwh"] < 6
    assert data["ann"]["blocks"] == data["cem"]["blocks"] > 0
    assert data["ann"]["blocked_kwh"] == pytest.approx(6 - data["ann"]["traded_kwh"])
    assert data["cem"]["blocked_kwh"] == pytest.approx(-data["ann"]["blocked_kwh"])
    assert data["Auction"] == {"volume_kwh": data["ann"]["traded_kwh"], "rounds": 0}


def test_a_forecast_must_reach_the_next_interval():
    simulator = MatcherSimulator()
    simulator.init("matcher-0", interval_s=1800, mechanism="network_checked", network="street_12", source_v_pu=1.0)
    points = connection_points(load_network("street_12"))
    simulator.create(1, "Trader", sites=[{"name": "ann", "bus": int(points["bus"].iloc[0]), "phase": "a"}])
    with pytest.raises(InputError, match="next interval") as refusal:
        simulator.step(0, {"ann": {"household_p_kw": {"f": [-0.3]}}}, 10**6)
    assert refusal.value.key == "ann.household_p_kw"
