import numpy as np
import pytest
from peers import networks
from peers.power_grid_model_3ph import PowerGridModelPeer

from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow

MILLIVOLT = 1e-3


def worst_difference_v(net, p_kw_range, scenarios=6, seed=0):
    """Largest difference of any phase-to-neutral voltage between the two engines, over random loadings."""
    networks.stiffened(net)
    points = connection_points(net)
    rng = np.random.default_rng(seed)
    p_kw = rng.uniform(*p_kw_range, (len(points), scenarios))
    q_kvar = rng.uniform(-1.0, 1.0, p_kw.shape)
    peer = PowerGridModelPeer(net, points)
    power_flow = PowerFlow(Feeder.from_network(net, points))
    theirs = peer.voltages(p_kw, q_kvar)
    ours = power_flow.bus_voltages(power_flow.solve(p_kw, q_kvar).current)
    live = np.isin(peer.buses, power_flow.feeder.buses)
    return np.abs(np.abs(ours) - np.abs(theirs[live])).max(), np.abs(ours - theirs[live]).max()


@pytest.fixture(scope="module")
def european_lv():
    return load_network("european_lv")


@pytest.mark.parametrize("p_kw_range", [(-4.0, -0.2), (0.5, 5.0), (-5.0, 5.0)], ids=["demand", "reverse", "mixed"])
def test_european_lv_is_within_a_millivolt(european_lv, p_kw_range):
    magnitude, phasor = worst_difference_v(european_lv, p_kw_range)
    assert magnitude < MILLIVOLT
    assert phasor < MILLIVOLT


@pytest.mark.parametrize("source_v_pu", [0.95, 1.1])
def test_source_voltage_is_taken_over(source_v_pu):
    assert worst_difference_v(load_network("street_12", source_v_pu=source_v_pu), (-4.0, 6.0))[0] < MILLIVOLT


@pytest.mark.parametrize("tap_pos", [-2, 0, 2])
def test_meshed_network_with_taps_and_three_phase_customers(tap_pos):
    net = networks.meshed(tap_pos=tap_pos)
    assert set(connection_points(net)["phase"]) == {"a", "b", "c", "abc"}
    assert worst_difference_v(net, (-6.0, 6.0))[0] < MILLIVOLT


def test_open_line_end_and_charging_cable():
    assert worst_difference_v(networks.behind_medium_voltage_cable(), (-8.0, 8.0))[0] < MILLIVOLT


def test_repeated_feeders():
    assert worst_difference_v(load_network("street_12", feeders=3), (-2.0, 2.0))[0] < MILLIVOLT
