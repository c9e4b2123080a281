"""Managers of each kind: what they make of limits, prices and assigned positions."""

from typing import Any

import numpy as np
import pytest

from feederloop.simulators.energy_manager.simulator import EnergyManagerSimulator

HORIZON = 6
INTERVAL_S, STEP_S = 1800, 300
SITE = {
    "name": "home",
    "pv_kwp": 5.0,
    "inverter_kva": 5.0,
    "ev_capacity_kwh": 40.0,
    "ev_charge_kw": 7.0,
    "ev_discharge_kw": 0.0,
    "ev_efficiency": 1.0,
    "ev_wear_per_kwh": 0.05,
    "charger_min_kw": 1.4,
    "import_cap_kw": 14.0,
    "export_cap_kw": 10.0,
}


def step(mode: str, time: int = 0, **received: Any) -> dict[str, Any]:
    simulator = EnergyManagerSimulator()
    retail = [0.5, 0.5, 0.1, 0.5, 0.5, 0.5] * 4
    simulator.init(
        "energy_manager",
        step_s=STEP_S,
        interval_s=INTERVAL_S,
        horizon=HORIZON,
        start="2016-06-15T11:00:00+00:00",
        time_zone="Europe/London",
        tariff={"retail_per_kwh": retail, "feed_in_per_kwh": [0.06] * len(retail), "network_charge_per_kwh": 0.05},
        options={"mode": mode},
    )
    simulator.create(1, "EnergyManager", sites=[SITE])
    inputs = {
        "household_p_kw_now": -1.0,
        "household_p_kw": [-1.0] * HORIZON,
        "pv_available_kw": [4.0] * HORIZON,
        "pv_available_kw_now": 4.0,
        "soc_kwh": 10.0,
        "plugged": True,
        "departure_s": 10 * INTERVAL_S,
        "required_kwh": 12.0,
        **received,
    }
    simulator.step(time, {"home": {attr: {"source": value} for attr, value in inputs.items()}}, time)
    return simulator.get_data({"home": ["ev_set_kw", "pv_limit_kw", "position_kwh", "curve_kwh"]})["home"]


def limits(export_kw: float, import_kw: float) -> dict[str, list[float]]:
    return {"export_limit_kw": [export_kw] * HORIZON, "import_limit_kw": [import_kw] * HORIZON}


def test_limited_sites_charge_on_arrival_with_what_the_household_leaves_of_the_import_limit() -> None:
    answer = step("limited", **limits(1.5, 5.0), pv_available_kw_now=0.0)
    assert answer["ev_set_kw"] == pytest.approx(-4.0)
    # The inverter may feed home and vehicle, and 1.5 kW beyond.
    assert answer["pv_limit_kw"] == pytest.approx(1.0 + 4.0 + 1.5)


def test_limited_sites_do_not_charge_below_the_least_of_the_charger() -> None:
    assert step("limited", **limits(1.5, 2.3))["ev_set_kw"] == 0.0


def test_limited_sites_stop_at_what_the_driver_requires() -> None:
    answer = step("limited", **limits(1.5, 5.0), soc_kwh=12.0)
    assert answer["ev_set_kw"] == 0.0
    assert answer["pv_limit_kw"] == pytest.approx(1.0 + 1.5)


def test_managers_without_a_market_wait_for_the_cheap_interval_and_offer_nothing() -> None:
    dark = {"pv_available_kw": [0.0] * HORIZON, "pv_available_kw_now": 0.0}
    answer = step("tariff", **dark, departure_s=5 * INTERVAL_S)
    assert answer["position_kwh"] == pytest.approx(-0.5)
    assert answer["curve_kwh"] == []
    later = step("tariff", 2 * INTERVAL_S, **dark, departure_s=5 * INTERVAL_S)
    assert later["position_kwh"] == pytest.approx(-0.5 - 2.0)


def test_directed_managers_take_the_assigned_position_and_hold_it_with_the_vehicle() -> None:
    answer = step("directed", assigned_kwh=0.5)
    assert answer["position_kwh"] == 0.5
    # 1 kW out of 4 kW of sun less 1 kW of household: the vehicle takes the other 2 kW.
    assert answer["ev_set_kw"] == pytest.approx(-2.0)
    assert np.isfinite(answer["pv_limit_kw"])
