import functools
import json
import operator
from copy import deepcopy

import mosaik
import mosaik_api_v3
import numpy as np
import pandas as pd
import pytest

from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import load_network
from feederloop.simulators.grid.powerflow import PowerFlow, PowerFlowError, unbalance_percent
from feederloop.simulators.grid.simulator import GRID_OUTPUTS, META, POINT_OUTPUTS, GridSimulator

SITES = [
    {"name": "anna", "bus": 3, "phase": "a", "pv_kwp": 4.0},
    {"name": "bert", "bus": 7, "phase": "c"},
    {"name": "mill", "bus": 25, "phase": "abc"},
]


@functools.cache
def usual_simulator():
    return started_simulator()


def simulator(sites=SITES, **parameters):
    """A fresh simulator; loading the network takes longer than the tests, so the usual one is a copy."""
    return started_simulator(sites, **parameters) if parameters or sites is not SITES else deepcopy(usual_simulator())


def started_simulator(sites=SITES, **parameters):
    sim = GridSimulator()
    sim.init("grid-0", **{"step_s": 300, "network": "street_12", "source_v_pu": 1.02} | parameters)
    sim.create(len(sites), "ConnectionPoint", sites=sites)
    return sim


def inputs(**powers):
    """Inputs from one source: name=(p_kw, q_kvar)."""
    return {
        name: {attr: {"home-0.x": value} for attr, value in zip(("p_kw", "q_kvar"), power, strict=True)}
        for name, power in powers.items()
    }


USUAL = inputs(anna=(2.5, 0.1), bert=(-3.0, -0.5), mill=(-9.0, -2.0))


def everything(sim):
    wanted = {site["name"]: POINT_OUTPUTS for site in SITES} | {"grid": GRID_OUTPUTS}
    return sim.get_data(wanted)


def test_meta_is_what_the_architecture_says():
    assert META["type"] == "time-based"
    assert META["models"]["ConnectionPoint"]["attrs"] == ["p_kw", "q_kvar", "v_v", "meter_kwh"]
    assert META["models"]["Grid"]["attrs"] == [
        "v_a_v", "v_b_v", "v_c_v", "vuf_percent", "loading_a_percent", "loading_b_percent", "loading_c_percent",
        "losses_kw", "p_source_kw", "iterations",
    ]  # fmt: skip


def test_entities_carry_the_sites_names_and_the_grid_names_its_lists():
    sim = GridSimulator()
    sim.init("grid-0", step_s=300, network="street_12", source_v_pu=1.0)
    points = sim.create(3, "ConnectionPoint", sites=SITES)
    assert [point["eid"] for point in points] == ["anna", "bert", "mill"]
    (grid,) = sim.create(1, "Grid")
    assert grid["eid"] == "grid"
    info = grid["extra_info"]
    assert info["buses"] == list(range(26))
    assert info["branches"] == [f"line {index}" for index in range(24)] + ["trafo 0"]
    sim.step(0, USUAL, 300)
    results = everything(sim)["grid"]
    assert {len(results[f"v_{phase}_v"]) for phase in "abc"} == {len(results["vuf_percent"])} == {26}
    assert {len(results[f"loading_{phase}_percent"]) for phase in "abc"} == {25}
    json.dumps([points, grid])


def test_the_grid_comes_after_its_connection_points():
    sim = GridSimulator()
    sim.init("grid-0", step_s=300, network="street_12", source_v_pu=1.0)
    with pytest.raises(InputError, match="connection points have to be created before"):
        sim.create(1, "Grid")


def test_a_step_is_the_power_flow_of_its_inputs():
    sim = simulator()
    assert sim.step(600, USUAL, 300) == 900
    results = everything(sim)
    power_flow = PowerFlow(Feeder.from_network(load_network("street_12", source_v_pu=1.02), pd.DataFrame(SITES)))
    p_kw, q_kvar = np.array([[2.5], [-3.0], [-9.0]]), np.array([[0.1], [-0.5], [-2.0]])
    solution = power_flow.solve(p_kw, q_kvar)
    buses = power_flow.bus_voltages(solution.current)
    loading = power_flow.branch_loading_percent(solution.current)[:, :, 0]
    for column, phase in enumerate("abc"):
        assert results["grid"][f"v_{phase}_v"] == np.abs(buses[:, column, 0]).tolist()
        assert results["grid"][f"loading_{phase}_percent"] == loading[:, column].tolist()
    assert results["grid"]["vuf_percent"] == unbalance_percent(buses)[:, 0].tolist()
    assert results["grid"]["p_source_kw"] == power_flow.source_power_kw(solution.current)[0]
    assert results["grid"]["losses_kw"] == pytest.approx(results["grid"]["p_source_kw"] - 9.5)
    assert results["grid"]["losses_kw"] > 0.2
    assert results["grid"]["iterations"] == solution.iterations
    assert (results["anna"]["p_kw"], results["anna"]["q_kvar"]) == (2.5, 0.1)
    assert results["anna"]["v_v"] == pytest.approx(results["grid"]["v_a_v"][3], abs=1e-5)
    assert results["bert"]["v_v"] == pytest.approx(results["grid"]["v_c_v"][7], abs=1e-5)


@pytest.mark.parametrize(("p_kw", "worst"), [(-3.0, min), (12.0, max)])
def test_a_three_phase_point_reports_its_worst_phase(p_kw, worst):
    # The single-phase homes at the same end make its phases differ; the source at nominal makes "worst" one-sided.
    sites = [*SITES[:1], {"name": "bert", "bus": 25, "phase": "c"}, SITES[2]]
    sim = simulator(sites, source_v_pu=1.0)
    sim.step(0, inputs(anna=(p_kw, 0.0), bert=(p_kw, 0.0), mill=(p_kw, 0.0)), 300)
    results = everything(sim)
    volts = [results["grid"][f"v_{phase}_v"][25] for phase in "abc"]
    assert results["mill"]["v_v"] == pytest.approx(worst(volts), abs=1e-5)
    assert max(volts) - min(volts) > 1.0


def test_the_meter_is_a_register_of_what_flowed():
    sim = simulator()
    readings = []
    for step, p_kw in enumerate((6.0, 6.0, -12.0, 0.0)):
        sim.step(step * 300, USUAL | inputs(anna=(p_kw, 0.0)), 300)
        readings.append(sim.get_data({"anna": ["meter_kwh"]})["anna"]["meter_kwh"])
    assert readings == pytest.approx([0.5, 1.0, 0.0, 0.0])


@pytest.mark.parametrize("step_s", [60, 900])
def test_the_meter_follows_the_step(step_s):
    sim = simulator(step_s=step_s)
    assert sim.step(0, USUAL, step_s) == step_s
    assert sim.get_data({"mill": ["meter_kwh"]})["mill"]["meter_kwh"] == pytest.approx(-9.0 * step_s / 3600)


def test_sources_are_summed_to_the_same_bits_in_any_order():
    parts = {"household-0.anna": -0.1, "pv-0.anna": 0.7, "ev-0.anna": -0.3, "hil-0.anna": 1e-17}
    # The order does matter; sum() itself hides that from Python 3.12 on, where it compensates rounding.
    assert functools.reduce(operator.add, parts.values()) != functools.reduce(operator.add, reversed(parts.values()))
    results = []
    for order in (list(parts), list(reversed(parts)), sorted(parts, key=len)):
        given = USUAL | {"anna": {"p_kw": {name: parts[name] for name in order}, "q_kvar": {"household-0.anna": 0.2}}}
        sim = simulator()
        sim.step(0, dict(sorted(given.items(), reverse=len(results) == 1)), 300)
        results.append(everything(sim))
    assert results[0] == results[1] == results[2]
    assert results[0]["anna"]["p_kw"] == pytest.approx(0.3)


def test_outputs_are_plain_python_and_nobodys_state():
    sim = simulator()
    sim.step(0, USUAL, 300)
    results = everything(sim)
    for outputs in results.values():
        for value in outputs.values():
            assert {type(item) for item in (value if isinstance(value, list) else [value])} <= {float, int}
    assert json.loads(json.dumps(results)) == results
    results["grid"]["v_a_v"].clear()
    sim.step(300, USUAL, 300)
    assert len(everything(sim)["grid"]["v_a_v"]) == 26


@pytest.mark.parametrize("attr", ["p_kw", "q_kvar"])
def test_a_point_to_which_nothing_is_connected_is_named(attr):
    given = {
        name: {key: value for key, value in of.items() if (name, key) != ("bert", attr)} for name, of in USUAL.items()
    }
    with pytest.raises(InputError, match=rf"nothing is connected .*bert\.{attr}"):
        simulator().step(0, given, 300)


@pytest.mark.parametrize("bad", [float("nan"), -1e6])
def test_what_has_no_solution_stops_the_step(bad):
    sim = simulator()
    with pytest.raises(PowerFlowError, match="bert"):
        sim.step(0, USUAL | inputs(bert=(bad, 0.0)), 300)
    assert sim.get_data({}) == {}
    sim.step(300, USUAL, 300)  # and left nothing behind
    assert sim.get_data({"bert": ["meter_kwh"]})["bert"]["meter_kwh"] == pytest.approx(-3.0 / 12)


def test_wrong_network_and_wrong_bus_are_named():
    with pytest.raises(InputError, match="street_12"):
        simulator(network="street12")
    with pytest.raises(InputError, match=r"anna\.bus"):
        simulator([{"name": "anna", "bus": 777, "phase": "a"}])


class Source(mosaik_api_v3.Simulator):
    def __init__(self):
        model = {"public": True, "params": ["p_kw"], "attrs": ["p_kw", "q_kvar"]}
        super().__init__({"type": "time-based", "models": {"Source": model}})
        self.p_kw = {}

    def create(self, num, model, p_kw):
        eid = f"source_{len(self.p_kw)}"
        self.p_kw[eid] = p_kw
        return [{"eid": eid, "type": model}]

    def step(self, time, inputs, max_advance):
        self.hour = time / 3600
        return time + 300

    def get_data(self, outputs):
        return {eid: {"p_kw": self.p_kw[eid] * self.hour, "q_kvar": 0.0} for eid in outputs}


class Sink(mosaik_api_v3.Simulator):
    seen: list = []  # noqa: RUF012 - mosaik makes the instance, the test reads the class

    def __init__(self):
        model = {"public": True, "any_inputs": True, "params": [], "attrs": []}
        super().__init__({"type": "time-based", "models": {"Sink": model}})

    def create(self, num, model):
        return [{"eid": "sink", "type": model}]

    def step(self, time, inputs, max_advance):
        self.seen.append((time, inputs["sink"]))
        return time + 300


def test_on_mosaiks_clock():
    here = __name__
    python = {"Source": {"python": f"{here}:Source"}, "Sink": {"python": f"{here}:Sink"}}
    Sink.seen.clear()
    with mosaik.World({**python, "Grid": {"python": "feederloop.simulators.grid.simulator:GridSimulator"}}) as world:
        grid = world.start("Grid", step_s=300, network="street_12", source_v_pu=1.02)
        points = grid.ConnectionPoint.create(3, sites=SITES)
        network = grid.Grid()
        source, sink = world.start("Source"), world.start("Sink").Sink()
        for point, p_kw in zip(points, (4.0, -6.0, -12.0), strict=True):
            for share in (0.25, 0.75):
                world.connect(source.Source(p_kw=share * p_kw), point, "p_kw", "q_kvar")
            world.connect(point, sink, "meter_kwh", "v_v")
        world.connect(network, sink, "losses_kw", "v_a_v")
        assert network.extra_info["branches"][-1] == "trafo 0"
        world.run(until=3600, print_progress=False)
    assert [time for time, _ in Sink.seen] == list(range(0, 3600, 300))
    last = Sink.seen[-1][1]
    meter = {name.split(".")[1]: value for name, value in last["meter_kwh"].items()}
    hours = sum(step / 12 for step in range(12)) / 12
    assert meter == pytest.approx({"anna": 4.0 * hours, "bert": -6.0 * hours, "mill": -12.0 * hours})
    losses = [next(iter(values["losses_kw"].values())) for _, values in Sink.seen]
    assert losses[0] == pytest.approx(0.2, abs=0.02)  # iron alone
    assert losses == sorted(losses)
