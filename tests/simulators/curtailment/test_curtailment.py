"""What is curtailed after a market: as little as the network asks for, and nothing that was traded."""

from typing import Any

import numpy as np
import pytest

from feederloop.simulators.aggregator.network import NetworkRows
from feederloop.simulators.curtailment.curtailment import Curtailment
from feederloop.simulators.curtailment.simulator import CurtailmentSimulator
from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow

NOTHING = np.zeros(12)


@pytest.fixture(scope="module")
def street() -> PowerFlow:
    net = load_network("street_12", source_v_pu=1.0)
    return PowerFlow(Feeder.from_network(net, connection_points(net)))


def test_what_the_network_bears_is_left_alone(street: PowerFlow) -> None:
    intended = np.linspace(-3.0, 3.0, 12)
    plan = Curtailment(NetworkRows(street, Limits()), 12, 0.5).bearable(intended, NOTHING, NOTHING, NOTHING)
    assert plan.p_kw[:, 0] == pytest.approx(intended)
    assert plan.rounds == 1


def test_exports_give_way_but_for_what_was_traded(street: PowerFlow) -> None:
    network = NetworkRows(street, Limits(v_max_v=236.0))
    intended, traded = np.full(12, 5.0), np.zeros(12)
    traded[-1] = 5.0
    curtailment = Curtailment(network, 12, 0.5)
    plan = curtailment.bearable(intended, traded, NOTHING, NOTHING)
    p_kw = plan.p_kw[:, 0]
    assert plan.excess_kw <= 0.01
    assert 0.5 < (intended - p_kw).sum() < intended.sum()
    assert p_kw[-1] == pytest.approx(5.0)
    # Rows of one interval are gone in the next.
    again = curtailment.bearable(intended / 100, NOTHING, NOTHING, NOTHING)
    assert again.p_kw[:, 0] == pytest.approx(intended / 100)


def test_imports_give_way_down_to_what_homes_need(street: PowerFlow) -> None:
    network = NetworkRows(street, Limits(v_min_v=228.0))
    demand = np.full(12, -0.5)
    plan = Curtailment(network, 12, 0.5).bearable(np.full(12, -8.0), NOTHING, demand, NOTHING)
    assert plan.excess_kw <= 0.01
    assert (plan.p_kw[:, 0] <= -0.5 + 1e-9).all()
    assert plan.p_kw.sum() > -90.0


def told(
    sites: list[dict[str, Any]], traded_kwh: float, refused_kwh: float = 0.0, position_kwh: float = 2.5
) -> dict[str, Any]:
    values = {
        "household_p_kw": [-0.5, -0.5], "household_q_kvar": [-0.1, -0.1], "curve_kwh": [position_kwh] * 2,
        "traded_kwh": traded_kwh, "refused_kwh": refused_kwh,
    }  # fmt: skip
    return {site["name"]: {attr: {"source": value} for attr, value in values.items()} for site in sites}


def test_limits_are_of_the_next_interval_alone() -> None:
    sites = connection_points(load_network("street_12")).to_dict("records")
    sites = [{**site, "export_cap_kw": 10.0, "import_cap_kw": 14.0} for site in sites]
    simulator = CurtailmentSimulator()
    place = {"network": "street_12", "source_v_pu": 1.0, "limits": {"v_max_v": 236.0}}
    simulator.init("curtailment", interval_s=1800, horizon=2, **place)
    names = [entity["eid"] for entity in simulator.create(12, "ConnectionPoint", sites=sites)]
    assert simulator.step(0, told(sites, 0.0), 0) == 1800
    attrs = ["export_limit_kw", "import_limit_kw", "curtailed_kwh", "curtailed_by"]
    outputs = simulator.get_data(dict.fromkeys(names, attrs))
    curtailed = [name for name in names if outputs[name]["curtailed_kwh"] > 1e-6]
    assert curtailed
    for name in names:
        export_kw = 5.0 - 2.0 * outputs[name]["curtailed_kwh"] if name in curtailed else 10.0
        assert outputs[name]["export_limit_kw"] == pytest.approx([export_kw, 10.0])
        assert outputs[name]["import_limit_kw"] == [14.0, 14.0]
        assert outputs[name]["curtailed_by"].startswith("v_max at bus") == (name in curtailed)
    with pytest.raises(InputError, match="needs one source"):
        simulator.step(1800, {}, 0)


def test_what_was_refused_is_not_done_and_homes_get_what_they_need() -> None:
    sites = connection_points(load_network("street_12")).to_dict("records")
    sites = [{**site, "export_cap_kw": 10.0, "import_cap_kw": 14.0} for site in sites]
    simulator = CurtailmentSimulator()
    simulator.init("curtailment", interval_s=1800, horizon=1, network="street_12", source_v_pu=1.0, limits={})
    names = [entity["eid"] for entity in simulator.create(12, "ConnectionPoint", sites=sites)]
    wanted = {name: ["export_limit_kw", "import_limit_kw", "curtailed_kwh"] for name in names}

    simulator.step(0, told(sites, traded_kwh=0.5, refused_kwh=1.5), 0)
    one = simulator.get_data(wanted)[names[0]]
    assert (one["export_limit_kw"], one["curtailed_kwh"]) == ([pytest.approx(2.0)], pytest.approx(1.5))

    # A purchase refused altogether: half a kW goes to the household nevertheless.
    simulator.step(1800, told(sites, traded_kwh=0.0, refused_kwh=-2.0, position_kwh=-2.0), 0)
    one = simulator.get_data(wanted)[names[0]]
    assert (one["import_limit_kw"], one["curtailed_kwh"]) == ([pytest.approx(0.5)], pytest.approx(-1.75))
