"""Forecasts on the clock."""

import json

import mosaik
import pytest

from feederloop.simulators.forecast.simulator import LISTS, ForecastSimulator
from feederloop.simulators.forecast.site_forecasts import SiteForecasts

SITES = [
    {
        "name": f"home-{i}", "annual_kwh": 3000.0, "profile": "H0-B", "power_factor": 0.95, "pv_kwp": 4.0 * i,
        "pv_tilt_deg": 30.0, "pv_azimuth_deg": 180.0, "inverter_kva": 3.68,
    }
    for i in range(2)
]  # fmt: skip
OPTIONS = {
    "start": "2016-06-15T11:00:00+00:00", "duration_s": 7200, "step_s": 300, "interval_s": 1800, "horizon": 6,
    "seed": 1, "time_zone": "Europe/London",
    "place": {"latitude_deg": 52.5, "longitude_deg": -1.9, "altitude_m": 140.0}, "source": {"kind": "simbench"},
    "weather": {"kind": "clear_sky_index"}, "forecast": {},
}  # fmt: skip


def started():
    simulator = ForecastSimulator()
    simulator.init("forecast", 1.0, **OPTIONS)
    assert [entity["eid"] for entity in simulator.create(2, "SiteForecast", sites=SITES)] == ["home-0", "home-1"]
    return simulator


def test_the_clock_carries_lists_from_the_current_interval_on():
    simulator, model = started(), SiteForecasts(SITES, **OPTIONS)
    for interval in range(5):
        assert simulator.step(1800 * interval, {}, 1800) == 1800 * (interval + 1)
        data = simulator.get_data({"home-1": list(LISTS), "home-0": ["household_p_kw"]})
        json.dumps(data)
        issue = model.issue(interval)
        assert data["home-1"] == {name: getattr(issue, name)[1].tolist() for name in LISTS}
        assert all(type(value) is float for value in data["home-0"]["household_p_kw"])


def test_before_the_first_step_it_says_what_it_says_in_it():
    simulator = started()
    before = simulator.initial_states()
    simulator.step(0, {}, 1800)
    assert before == simulator.get_data({name: list(LISTS) for name in ("home-0", "home-1")})
    before["home-0"]["household_p_kw"].clear()
    assert len(simulator.initial_states()["home-0"]["household_p_kw"]) == 6


def test_lists_are_copies():
    simulator = started()
    simulator.step(0, {}, 1800)
    outputs = {"home-0": ["household_p_kw"]}
    simulator.get_data(outputs)["home-0"]["household_p_kw"].clear()
    assert len(simulator.get_data(outputs)["home-0"]["household_p_kw"]) == 6


def test_all_forecasts_are_created_at_once():
    with pytest.raises(ValueError, match="created at once"):
        started().create(2, "SiteForecast", sites=SITES)


def test_it_runs_in_a_world():
    with mosaik.World({"forecast": {"python": "feederloop.simulators.forecast.simulator:ForecastSimulator"}}) as world:
        world.start("forecast", **OPTIONS).SiteForecast.create(2, sites=SITES)
        world.run(until=OPTIONS["duration_s"] + 1, print_progress=False)
