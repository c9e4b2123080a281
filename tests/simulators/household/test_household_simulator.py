"""Households on the clock."""

import json

import mosaik
import pytest

from feederloop.simulators.household.demand import household_power
from feederloop.simulators.household.simulator import HouseholdSimulator

SITES = [{"name": f"home-{i}", "annual_kwh": 3000.0, "profile": "H0-B", "power_factor": 0.95} for i in range(3)]
OPTIONS = {
    "start": "2016-06-15T11:00:00+00:00", "duration_s": 3600, "step_s": 300, "seed": 1, "time_zone": "Europe/London",
    "source": {"kind": "simbench"},
}  # fmt: skip


def test_the_clock_carries_what_the_model_says():
    simulator = HouseholdSimulator()
    simulator.init("household", 1.0, **OPTIONS)
    assert [entity["eid"] for entity in simulator.create(3, "Household", sites=SITES)] == ["home-0", "home-1", "home-2"]
    truth = household_power(SITES, **OPTIONS)
    for step in range(12):
        assert simulator.step(300 * step, {}, 300) == 300 * (step + 1)
        data = simulator.get_data({"home-1": ["p_kw", "q_kvar"], "home-2": ["p_kw"]})
        assert data["home-1"] == {"p_kw": truth.p_kw[1, step], "q_kvar": truth.q_kvar[1, step]}
        json.dumps(data)
        assert type(data["home-2"]["p_kw"]) is float


def test_all_homes_are_created_at_once():
    simulator = HouseholdSimulator()
    simulator.init("household", 1.0, **OPTIONS)
    with pytest.raises(ValueError, match="created at once"):
        simulator.create(2, "Household", sites=SITES)


def test_it_runs_in_a_world():
    with mosaik.World(
        {"household": {"python": "feederloop.simulators.household.simulator:HouseholdSimulator"}}
    ) as world:
        homes = world.start("household", **OPTIONS).Household.create(3, sites=SITES)
        assert [home.eid for home in homes] == ["home-0", "home-1", "home-2"]
        world.run(until=OPTIONS["duration_s"] + 1, print_progress=False)
