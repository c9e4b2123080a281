import json
import math

import mosaik
import mosaik_api_v3
import pytest
from mosaik.starters import PythonStarter

from feederloop.simulators.errors import InputError
from feederloop.simulators.market.settlement import SettlementError
from feederloop.simulators.market.simulator import SETTLEMENT_COLUMNS, MarketSimulator

START = "2016-06-15T11:00:00+00:00"
TARIFF = {
    "kind": "time_of_use",
    "bands": [{"from": "00:00", "to": "24:00", "per_kwh": 0.3}],
    "feed_in_per_kwh": 0.06,
    "network_charge_per_kwh": 0.02,
    "supply_charge_per_day": 4.8,
}
PARAMS = {
    "start": START,
    "step_s": 300,
    "interval_s": 900,
    "duration_s": 2700,
    "time_zone": "Europe/London",
    "tariff": TARIFF,
    "kappa_per_kwh": 0.05,
    "breach_price_per_kwh": 2.0,
}
SITES = [{"name": "ann"}, {"name": "bob"}]


def market(**changes):
    simulator = MarketSimulator()
    simulator.init("market-0", **PARAMS | changes)
    simulator.create(len(SITES), "Account", sites=SITES)
    simulator.create(1, "Ledger")
    return simulator


def inputs(**columns):
    """Make one step's inputs from a pair of values (ann's, bob's) per attribute."""
    return {
        site["name"]: {attr: {f"other.{site['name']}": pair[i]} for attr, pair in columns.items()}
        for i, site in enumerate(SITES)
    }


def books(simulator):
    data = simulator.get_data({"ann": list(SETTLEMENT_COLUMNS), "bob": list(SETTLEMENT_COLUMNS)})
    return data["ann"], data["bob"]


def run(simulator, meters, **fixed):
    """Step through 300 s steps with these registers; return the books after each."""
    found = []
    for i, pair in enumerate(meters):
        at_this_time = {attr: values(300 * i) if callable(values) else values for attr, values in fixed.items()}
        assert simulator.step(300 * i, inputs(meter_kwh=pair, **at_this_time), 10**6) == 300 * (i + 1)
        found.append(books(simulator))
    return found


def registers(ann_kw, bob_kw, steps):
    return [(ann_kw * i / 12, bob_kw * i / 12) for i in range(steps)]


def test_an_interval_is_settled_when_its_last_meter_reading_is_in():
    found = run(market(), registers(2.0, -4.0, 10))
    assert [math.isnan(ann["meter_kwh"]) for ann, _ in found] == [True] * 3 + [False] * 7
    assert found[3][0]["meter_kwh"] == pytest.approx(0.5)
    assert found[9][1]["meter_kwh"] == pytest.approx(-1.0)
    assert found[9][0]["retail_money"] == pytest.approx(-0.5 * 0.06 + 0.05)
    assert found[9][1]["total_money"] == pytest.approx(1.0 * 0.3 + 0.05)


def test_the_ledger_holds_the_totals():
    simulator = market()
    run(simulator, registers(2.0, -4.0, 4))
    ledger = simulator.get_data({"Ledger": ["interval_kwh", "grid_account"]})["Ledger"]
    ann, bob = books(simulator)
    assert ledger["interval_kwh"] == pytest.approx(-0.5)
    assert ledger["grid_account"] == pytest.approx(ann["total_money"] + bob["total_money"], abs=1e-12)


def test_trades_hold_for_the_interval_after_the_one_in_which_they_were_made():
    trades = {0: (0.3, -0.3), 900: (0.1, -0.1), 1800: (0.0, 0.0), 2700: (9.0, -9.0)}
    found = run(
        market(),
        registers(2.0, -4.0, 10),
        traded_kwh=lambda time: trades[time // 900 * 900],
        traded_price_per_kwh=lambda time: (float("nan"),) * 2 if time >= 1800 else (0.2, 0.2),
        position_kwh=lambda time: (time // 900 + 0.5, None),
    )
    settled = [found[i][0] for i in (3, 6, 9)]
    assert [ann["traded_kwh"] for ann in settled] == [0.0, 0.3, 0.1]
    assert [ann["local_money"] for ann in settled] == pytest.approx([0.0, -0.06, -0.02])
    assert [ann["position_kwh"] for ann in settled] == [0.5, 1.5, 2.5]
    assert math.isnan(found[9][1]["position_kwh"])


def test_what_the_auction_leaves_over_is_settled_with_its_trades():
    simulator = market(kappa_per_kwh=0.0)
    for i, (ann, bob) in enumerate(registers(2.0, -2.0, 7)):
        sent = inputs(meter_kwh=(ann, bob), traded_kwh=(0.3, -0.3), traded_price_per_kwh=(0.15, 0.2))
        if i >= 3:  # what is stated for later intervals
            sent = inputs(meter_kwh=(ann, bob), traded_kwh=(0.0, 0.0))
        told = {"surplus_money": {"matcher.Auction": 0.009}, "fee_money": {"matcher.Auction": 0.006}}
        simulator.step(300 * i, sent | ({"Ledger": told} if i < 3 else {}), 10**6)
    ann, bob = books(simulator)
    assert ann["local_money"] == pytest.approx(-0.3 * 0.15 - 0.0045)
    assert bob["local_money"] == pytest.approx(0.3 * 0.2 - 0.0045)
    assert ann["local_money"] + bob["local_money"] == pytest.approx(0.006)


def test_envelopes_are_judged_step_by_step_by_the_limits_that_held():
    # Ann's export exceeds 1 kW by 1 kW in the first interval; the limit published at 900 s holds only from then on.
    limits = {0: [1.0, 9.0], 900: [9.0, 9.0], 1800: [1.95, 1.0], 2700: [0.0]}
    found = run(
        market(),
        registers(2.0, -4.0, 10),
        export_limit_kw=lambda time: (limits[time // 900 * 900], None),
        import_limit_kw=lambda time: ([5.0], [3.0, 9.0]),
    )
    assert [found[i][0]["breach_kwh"] for i in (3, 6, 9)] == pytest.approx([0.25, 0.0, 0.0])
    assert [found[i][1]["breach_kwh"] for i in (3, 6, 9)] == pytest.approx([0.25] * 3)
    assert found[3][0]["breach_money"] == pytest.approx(0.5)


def test_shorter_steps_are_judged_by_their_five_minute_mean():
    simulator = market(step_s=60)
    for i in range(16):
        # Alternating 0 and 2.4 kW: within 1.5 kW on the mean of five minutes, though not in every minute.
        kwh = sum(0.04 for minute in range(i) if minute % 2)
        simulator.step(60 * i, inputs(meter_kwh=(kwh, kwh), export_limit_kw=([1.5], [0.5])), 10**6)
    ann, bob = books(simulator)
    assert ann["breach_kwh"] == 0.0
    assert bob["breach_kwh"] == pytest.approx(7 * 0.04 - 0.5 / 4)


def test_outputs_are_plain_numbers():
    simulator = market()
    run(simulator, registers(2.0, -4.0, 4))
    assert {type(value) for account in books(simulator) for value in account.values()} == {float}
    json.dumps(books(simulator))


def test_a_missing_meter_is_named():
    simulator = market()
    with pytest.raises(InputError, match="'bob' got no meter"):
        simulator.step(0, inputs(meter_kwh=(0.0, None)), 10**6)


def test_trades_that_do_not_add_up_stop_the_run_and_name_the_interval():
    with pytest.raises(SettlementError, match=r"2016-06-15T11:15:00\+00:00"):
        run(market(), registers(0.0, 0.0, 10), traded_kwh=(1.0, -0.9), traded_price_per_kwh=(0.2, 0.2))


def test_an_interval_must_be_a_multiple_of_the_step():
    with pytest.raises(InputError) as refusal:
        market(step_s=400)
    assert refusal.value.key == "interval_s"


class Feeder(mosaik_api_v3.Simulator):
    """Counts up registers: in the step at t it knows the energy until t + 300 s."""

    def __init__(self):
        model = {"public": True, "params": [], "attrs": ["meter_kwh", "export_limit_kw"]}
        super().__init__({"type": "time-based", "models": {"Point": model}})

    def create(self, num, model):
        return [{"eid": site["name"], "type": model} for site in SITES]

    def step(self, time, inputs, max_advance):
        self.time = time
        return time + 300

    def get_data(self, outputs):
        data = {"meter_kwh": (self.time + 300) / 3600, "export_limit_kw": [0.8 if self.time < 900 else 2.0]}
        return {eid: {attr: data[attr] for attr in attrs} for eid, attrs in outputs.items()}


class Sink(mosaik_api_v3.Simulator):
    """Keeps what it is sent every interval in the dictionary it is given."""

    def __init__(self, received):
        super().__init__({"type": "time-based", "models": {"Sink": {"public": True, "params": [], "attrs": ["value"]}}})
        self.received = received

    def create(self, num, model):
        return [{"eid": "sink", "type": model}]

    def step(self, time, inputs, max_advance):
        (self.received[time],) = inputs["sink"]["value"].values()
        return time + 900

    def get_data(self, outputs):
        return {}


@pytest.mark.parametrize(("column", "expected"), [("meter_kwh", [0.25] * 3), ("breach_kwh", [0.05, 0.0, 0.0])])
def test_on_the_clock_with_delayed_meters_every_interval_is_settled(column, expected):
    received = {}
    starters = {
        "Feeder": PythonStarter(Feeder),
        "Sink": PythonStarter(Sink, args=(received,)),
        "Market": PythonStarter(MarketSimulator),
    }
    with mosaik.World(starters, skip_greetings=True) as world:
        points = world.start("Feeder").Point.create(2)
        accounts = world.start("Market", **PARAMS).Account.create(2, sites=SITES)
        sink = world.start("Sink").Sink()
        for point, account in zip(points, accounts, strict=True):
            world.connect(point, account, "meter_kwh", time_shifted=True, initial_data={"meter_kwh": 0.0})
            world.connect(point, account, "export_limit_kw")
        world.connect(accounts[0], sink, (column, "value"))
        world.run(until=PARAMS["duration_s"] + 1, print_progress=False)
    assert math.isnan(received[0])
    assert [received[time] for time in (900, 1800, 2700)] == pytest.approx(expected)
