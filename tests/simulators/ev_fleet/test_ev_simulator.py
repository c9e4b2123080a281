"""EVs on the clock."""

import json

import mosaik
import pytest

from feederloop.simulators.ev_fleet.simulator import STATE, EvFleetSimulator

SITES = [
    {
        "name": f"home-{i}", "ev_capacity_kwh": 50.0, "ev_charge_kw": 7.36, "ev_discharge_kw": 0.0,
        "ev_efficiency": 0.95, "charger_min_kw": 0.0,
    }
    for i in range(3)
]  # fmt: skip
OPTIONS = {
    "start": "2016-06-15T23:00:00+00:00", "duration_s": 86_400, "step_s": 300, "seed": 1, "time_zone": "Europe/London",
    "sessions": {"kind": "drawn", "daily_energy_mean_kwh": 20.0},
}  # fmt: skip


def started():
    simulator = EvFleetSimulator()
    simulator.init("ev_fleet", 1.0, **OPTIONS)
    assert [entity["eid"] for entity in simulator.create(3, "Charger", sites=SITES)] == ["home-0", "home-1", "home-2"]
    assert simulator.create(1, "Fleet") == [{"eid": "Fleet", "type": "Fleet"}]
    return simulator


def test_initial_states_are_those_of_time_zero():
    states = started().initial_states()
    assert set(states) == {"home-0", "home-1", "home-2"}
    assert all(set(state) == set(STATE) for state in states.values())
    assert states["home-0"]["plugged"] is True
    assert 0 < states["home-0"]["departure_s"] < 12 * 3600
    assert states["home-0"]["p_kw"] == 0.0
    assert 0 < states["home-0"]["soc_kwh"] <= 50


def test_set_points_are_obeyed_and_a_charger_without_one_is_unmanaged():
    simulator = started()
    need = simulator.initial_states()["home-1"]
    inputs = {"home-0": {"p_set_kw": {"manager": -2.0}}, "home-1": {"p_set_kw": {"manager": None}}}
    assert simulator.step(0, inputs, 300) == 300
    data = simulator.get_data(
        {eid: list(STATE) for eid in ("home-0", "home-1", "home-2")} | {"Fleet": ["sessions_ended"]}
    )
    unmanaged = -min(7.36, max(0.0, need["required_kwh"] - need["soc_kwh"]) / 0.95 * 12)
    assert data["home-0"]["p_kw"] == -2.0
    assert data["home-1"]["p_kw"] == pytest.approx(unmanaged)
    assert data["Fleet"] == {"sessions_ended": []}
    json.dumps(data)
    with pytest.raises(ValueError, match="obeys one"):
        simulator.step(300, {"home-0": {"p_set_kw": {"a": 1.0, "b": 2.0}}}, 300)


def test_a_day_ends_the_sessions_of_the_morning():
    simulator = started()
    ended = []
    for step in range(288):
        simulator.step(300 * step, {}, 300)
        rows = simulator.get_data({"Fleet": ["sessions_ended"]})["Fleet"]["sessions_ended"]
        json.dumps(rows)
        ended += rows
    assert sorted(row[0] for row in ended) == ["home-0", "home-1", "home-2"]
    before = simulator.initial_states()
    assert simulator.step(86_400, {}, 300) == 86_700
    assert simulator.get_data({"Fleet": ["sessions_ended"]})["Fleet"]["sessions_ended"] == []
    assert simulator.initial_states() == before
    assert all(len(row) == 8 and row[7] == pytest.approx(0.0, abs=1e-9) for row in ended)


def test_all_chargers_are_created_at_once():
    with pytest.raises(ValueError, match="created at once"):
        started().create(3, "Charger", sites=SITES)
    with pytest.raises(ValueError, match="one fleet"):
        started().create(2, "Fleet")


def test_it_runs_in_a_world():
    with mosaik.World({"ev": {"python": "feederloop.simulators.ev_fleet.simulator:EvFleetSimulator"}}) as world:
        simulator = world.start("ev", **OPTIONS)
        simulator.Charger.create(3, sites=SITES)
        simulator.Fleet()
        assert set(simulator.initial_states()) == {"home-0", "home-1", "home-2"}
        world.run(until=3600, print_progress=False)
