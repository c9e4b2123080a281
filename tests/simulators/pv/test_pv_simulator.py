"""Inverters: their limit, and their place on the clock."""

import json

import mosaik
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feederloop.simulators.pv.available import available_power
from feederloop.simulators.pv.inverters import Inverters
from feederloop.simulators.pv.simulator import PvSimulator

SITES = [
    {"name": f"home-{i}", "pv_kwp": 4.0, "pv_tilt_deg": 30.0, "pv_azimuth_deg": 180.0, "inverter_kva": 3.68}
    for i in range(3)
]
OPTIONS = {
    "start": "2016-06-15T11:00:00+00:00", "duration_s": 3600, "step_s": 300, "seed": 1,
    "place": {"latitude_deg": 52.5, "longitude_deg": -1.9, "altitude_m": 140.0},
    "weather": {"kind": "clear_sky_index", "mean": 0.8, "std": 0.2},
}  # fmt: skip


@given(available=st.floats(0, 10), limit=st.one_of(st.none(), st.floats(-5, 15)))
def test_a_limit_never_makes_power_negative(available, limit):
    limits = np.array([np.nan if limit is None else limit])
    power = Inverters(np.array([[available]])).power(0, limits)[0]
    assert 0 <= power <= available
    if limit is None:
        assert power == available
    elif limit >= 0:
        assert power == min(limit, available)


def started():
    simulator = PvSimulator()
    simulator.init("pv", 1.0, **OPTIONS)
    assert [entity["eid"] for entity in simulator.create(3, "Inverter", sites=SITES)] == ["home-0", "home-1", "home-2"]
    return simulator


def test_the_clock_carries_limits_and_power():
    simulator, truth = started(), available_power(SITES, **OPTIONS)
    names = ["p_kw", "q_kvar", "available_kw"]
    inputs = {
        "home-0": {"p_limit_kw": {"manager": 0.5, "dso": 0.75}},
        "home-1": {"p_limit_kw": {"manager": None}},
    }
    assert simulator.step(600, inputs, 300) == 900
    data = simulator.get_data({eid: names for eid in ("home-0", "home-1", "home-2")})
    assert data["home-0"] == {"p_kw": 0.5, "q_kvar": 0.0, "available_kw": truth[0, 2]}
    assert data["home-1"]["p_kw"] == truth[1, 2]
    assert data["home-2"]["p_kw"] == truth[2, 2]
    json.dumps(data)


def test_initial_states_show_the_first_step():
    truth = available_power(SITES, **OPTIONS)
    assert started().initial_states()["home-2"] == {"p_kw": truth[2, 0], "q_kvar": 0.0, "available_kw": truth[2, 0]}


def test_all_plants_are_created_at_once():
    with pytest.raises(ValueError, match="created at once"):
        started().create(3, "Inverter", sites=SITES)


def test_it_runs_in_a_world():
    with mosaik.World({"pv": {"python": "feederloop.simulators.pv.simulator:PvSimulator"}}) as world:
        simulator = world.start("pv", **OPTIONS)
        simulator.Inverter.create(3, sites=SITES)
        assert set(simulator.initial_states()) == {"home-0", "home-1", "home-2"}
        world.run(until=OPTIONS["duration_s"] + 1, print_progress=False)
