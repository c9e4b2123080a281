"""The managers on the clock: what goes in, what comes out, and when."""

import json
from typing import Any

import pytest

from feederloop.simulators.energy_manager.simulator import META, EnergyManagerSimulator
from feederloop.simulators.errors import InputError

STEP_S, INTERVAL_S, HORIZON = 300, 1800, 6
CONTRACT = {
    "household_p_kw_now", "household_p_kw", "household_p_low_kw", "household_q_kvar", "pv_available_kw",
    "export_limit_kw", "import_limit_kw", "soc_kwh", "plugged", "departure_s", "required_kwh", "pv_available_kw_now",
    "traded_kwh", "traded_price_per_kwh", "assigned_kwh", "price_adder_per_kwh", "ev_set_kw", "pv_limit_kw",
    "curve_price_per_kwh", "curve_kwh",
    "position_kwh", "export_request_kw", "import_request_kw", "import_need_kw",
}  # fmt: skip
FORECAST = {"household_p_kw", "household_p_low_kw", "pv_available_kw"}
OUT = ["ev_set_kw", "pv_limit_kw", "curve_price_per_kwh", "curve_kwh", "position_kwh", "export_request_kw"]
OUT += ["import_request_kw", "import_need_kw"]
BARE = {"name": "bare", "import_cap_kw": 14.0, "export_cap_kw": 10.0}
FULL = BARE | {
    "name": "full", "pv_kwp": 5.0, "inverter_kva": 5.0, "ev_capacity_kwh": 40.0, "ev_charge_kw": 7.0,
    "ev_discharge_kw": 5.0, "ev_efficiency": 0.95, "ev_wear_per_kwh": 0.05, "charger_min_kw": 0.0,
}  # fmt: skip


def simulator(**options: Any) -> EnergyManagerSimulator:
    prices = {"retail_per_kwh": [0.3] * 12, "feed_in_per_kwh": [0.06] * 12, "network_charge_per_kwh": 0.05}
    sim = EnergyManagerSimulator()
    sim.init(
        "managers", 1.0, step_s=STEP_S, interval_s=INTERVAL_S, horizon=HORIZON, start="2016-06-15T11:00:00+00:00",
        time_zone="Europe/London", tariff=prices, options={"request_margin": 0.25, "firm_pv_share": 0.5} | options,
    )  # fmt: skip
    sim.create(2, "EnergyManager", sites=[BARE, FULL])
    return sim


def inputs(**changes: Any) -> dict[str, dict[str, dict[str, Any]]]:
    common = {
        "household_p_kw_now": -0.5,
        "household_p_kw": [-0.5] * HORIZON,
        "household_p_low_kw": [-1.0] * HORIZON,
        "household_q_kvar": [-0.1] * HORIZON,
        "import_limit_kw": [8.0] * HORIZON,
        "export_limit_kw": [3.0] * HORIZON,
        "traded_kwh": 0.0,
        "traded_price_per_kwh": 0.0,
    }
    full = common | {
        "pv_available_kw": [4.0] * HORIZON, "pv_available_kw_now": 4.0, "soc_kwh": 20.0, "plugged": True,
        "departure_s": 20000, "required_kwh": 22.0,
    }  # fmt: skip
    return {
        name: {attr: {f"source-0.{name}": value} for attr, value in (values | changes).items()}
        for name, values in (("bare", common), ("full", full))
    }


def test_the_attributes_are_those_of_the_contract() -> None:
    assert set(META["models"]["EnergyManager"]["attrs"]) == CONTRACT
    assert list(META["models"]) == ["EnergyManager"]


def test_entities_bear_the_prosumers_names_and_are_created_at_once() -> None:
    sim = EnergyManagerSimulator()
    prices = {"retail_per_kwh": [0.3] * 12, "feed_in_per_kwh": [0.06] * 12, "network_charge_per_kwh": 0.05}
    sim.init(
        "managers", step_s=STEP_S, interval_s=INTERVAL_S, horizon=HORIZON, start="2016-06-15T11:00:00+00:00",
        time_zone="UTC", tariff=prices,
    )  # fmt: skip
    assert [entity["eid"] for entity in sim.create(2, "EnergyManager", sites=[BARE, FULL])] == ["bare", "full"]
    with pytest.raises(ValueError, match="at once"):
        sim.create(1, "EnergyManager", sites=[BARE])


def test_it_acts_in_every_step_and_plans_in_every_interval() -> None:
    sim, time, seen = simulator(), 0, []
    while time < 2 * INTERVAL_S:
        given = (
            inputs() if time % INTERVAL_S == 0 else inputs(household_p_kw=None, household_p_kw_now=-0.5 - time / 1e4)
        )
        following = sim.step(time, given, 10**6)
        assert following == time + STEP_S
        seen.append(sim.get_data({name: OUT for name in ("bare", "full")}))
        time = following
    assert json.loads(json.dumps(seen)) == seen
    for step in seen:
        for values in step.values():
            assert len(values["curve_kwh"]) == len(values["curve_price_per_kwh"]) == 6
            assert len(values["export_request_kw"]) == len(values["import_request_kw"]) == HORIZON
            assert values["pv_limit_kw"] >= 0
        assert step["bare"]["ev_set_kw"] == 0.0
    assert seen[0]["full"]["curve_kwh"] == seen[5]["full"]["curve_kwh"]
    assert seen[0]["full"]["ev_set_kw"] != seen[5]["full"]["ev_set_kw"]
    assert seen[0]["bare"]["position_kwh"] == pytest.approx(-0.25)
    assert seen[0]["bare"]["import_request_kw"] == pytest.approx([1.25] * HORIZON)


def test_requests_begin_with_the_next_interval() -> None:
    sim = simulator()
    sim.step(0, inputs(household_p_low_kw=[-1.0 - 0.1 * k for k in range(HORIZON)], pv_available_kw=None), 10**6)
    asked = sim.get_data({"bare": ["import_request_kw"]})["bare"]["import_request_kw"]
    assert asked == pytest.approx([1.25 * (1.0 + 0.1 * k) for k in (1, 2, 3, 4, 5, 5)])


def test_before_the_run_the_requests_are_what_is_forecast() -> None:
    told = {name: {attr: list(*sources.values()) for attr, sources in given.items() if attr in FORECAST}
            for name, given in inputs().items()}  # fmt: skip
    car = {"full": {"soc_kwh": 20.0, "plugged": True, "departure_s": 9000, "required_kwh": 22.0, "p_kw": 0.0}}
    states = simulator().initial_states(told, car)
    assert states["bare"]["import_request_kw"] == pytest.approx([1.25] * HORIZON)
    last = 4  # what is discharged in the last interval cannot be charged again
    assert states["full"]["export_request_kw"] == pytest.approx([5.0 if k == last else 10.0 for k in range(HORIZON)])
    assert states["full"]["import_need_kw"] == pytest.approx([2.0 / 0.95 / 2.5] * 5 + [0.0])
    gone = simulator().initial_states(told, {"full": car["full"] | {"plugged": False}})
    assert gone["full"]["export_request_kw"][:3] == pytest.approx([5.0, 5.0, 10.0])
    assert gone["full"]["import_request_kw"][:2] == pytest.approx([0.0, 0.0])


def test_without_a_forecast_the_first_requests_are_what_ratings_and_fuse_allow() -> None:
    states = simulator().initial_states()
    assert states["bare"] == {
        "export_request_kw": [0.0] * HORIZON,
        "import_request_kw": [14.0] * HORIZON,
        "import_need_kw": [0.0] * HORIZON,
    }
    assert states["full"] == {
        "export_request_kw": [10.0] * HORIZON,
        "import_request_kw": [14.0] * HORIZON,
        "import_need_kw": [0.0] * HORIZON,
    }


def test_what_it_gives_out_is_a_copy() -> None:
    sim = simulator()
    sim.step(0, inputs(), 10**6)
    sim.get_data({"bare": ["curve_kwh"]})["bare"]["curve_kwh"].clear()
    assert len(sim.get_data({"bare": ["curve_kwh"]})["bare"]["curve_kwh"]) == 6


def test_unmanaged_devices_get_no_set_point() -> None:
    sim = simulator(mode="unmanaged")
    sim.step(0, inputs(), 10**6)
    values = sim.get_data({"full": OUT})["full"]
    assert values["ev_set_kw"] is None
    assert values["pv_limit_kw"] is None
    assert values["position_kwh"] == pytest.approx(0.5 * 3.5 - 2.0 / 0.95)


def test_a_list_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(InputError, match=r"bare\.household_p_kw = 3"):
        simulator().step(0, inputs(household_p_kw=[-1.0] * 3), 10**6)


def test_two_sources_for_one_attribute_are_refused() -> None:
    given = inputs()
    given["bare"]["traded_kwh"]["other-0.bare"] = 1.0
    with pytest.raises(InputError, match=r"bare\.traded_kwh"):
        simulator().step(0, given, 10**6)
