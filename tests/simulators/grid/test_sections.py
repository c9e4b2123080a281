import numpy as np
import pandapower as pp
import pytest
from peers import networks

from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sections import Sections


def feeder_of(net: pp.pandapowerNet) -> Feeder:
    return Feeder.from_network(net, connection_points(net))


def three_streets() -> pp.pandapowerNet:
    return load_network("street_12", feeders=3)


def test_every_feeder_behind_the_busbar_is_a_section():
    feeder = feeder_of(three_streets())
    sections = Sections.of(feeder)
    assert len(sections) == 3
    assert sections.start.tolist() == [0, 12, 24, 36]
    assert sorted(sections.order.tolist()) == list(range(36))


def test_between_sections_impedances_are_the_busbars():
    feeder = feeder_of(three_streets())
    sections = Sections.of(feeder)
    own = sections.bus_section[feeder.injector_row // 3]
    other = own[:, None] != own[None, :]
    assert np.abs((sections.left @ sections.right - feeder.z)[other]).max() < 1e-9 * np.abs(feeder.z).max()


def test_what_the_busbar_does_not_explain_is_one_section():
    net = three_streets()
    far = [int(bus) for bus in connection_points(net)["bus"].iloc[[11, 23]]]
    length = {"length_km": 0.05, "r_ohm_per_km": 0.4, "x_ohm_per_km": 0.08, "c_nf_per_km": 0.0, "max_i_ka": 0.2}
    zero = {"r0_ohm_per_km": 1.2, "x0_ohm_per_km": 0.3, "c0_nf_per_km": 0.0}
    pp.create_line_from_parameters(net, *far, **length, **zero)
    sections = Sections.of(feeder_of(net))
    # The two that are joined are one, the third is still alone.
    assert len(sections) == 2
    pp.create_switch(net, far[0], int(connection_points(net)["bus"].iloc[35]), et="b", closed=True)
    # Buses that a switch makes one are not seen as joined by lines: the impedances tell.
    assert len(Sections.of(feeder_of(net))) == 1


@pytest.mark.parametrize("network", [three_streets, networks.meshed, networks.awkward, networks.two_transformers])
def test_a_power_flow_by_sections_is_that_of_the_whole(network):
    feeder = feeder_of(network())
    power_flow = PowerFlow(feeder)
    p_kw = np.random.default_rng(0).uniform(-3.0, 3.0, (len(feeder.points), 20))
    solution = power_flow.solve(p_kw, 0.2 * p_kw)
    s = power_flow.injected_va(p_kw, 0.2 * p_kw)
    whole = feeder.w[:, None] + feeder.z @ (s / solution.v).conj()
    assert np.abs(whole - solution.v).max() < 1e-5


def test_a_scenario_does_not_depend_on_its_neighbours_in_a_batch():
    feeder = feeder_of(three_streets())
    power_flow = PowerFlow(feeder)
    p_kw = np.random.default_rng(1).uniform(-3.0, 3.0, (len(feeder.points), 30))
    together = power_flow.solve(p_kw, 0.0 * p_kw)
    alone = power_flow.solve(p_kw[:, 7:8], 0.0 * p_kw[:, 7:8])
    assert np.array_equal(together.v[:, 7], alone.v[:, 0])
