import numpy as np
import pytest
from peers import networks
from peers.opendss_3ph import OpenDSSPeer

from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow


@pytest.mark.parametrize("name", ["european_lv", "meshed"])
def test_voltages_are_within_a_millivolt_of_opendss(name):
    net = networks.stiffened(networks.meshed() if name == "meshed" else load_network(name))
    net.trafo[["i0_percent", "pfe_kw"]] = 0.0  # OpenDSS puts the magnetising branch on the other winding
    points = connection_points(net)
    rng = np.random.default_rng(5)
    p_kw, q_kvar = rng.uniform(-5.0, 5.0, (len(points), 6)), rng.uniform(-1.0, 1.0, (len(points), 6))
    power_flow = PowerFlow(Feeder.from_network(net, points))
    ours = power_flow.bus_voltages(power_flow.solve(p_kw, q_kvar).current)
    peer = OpenDSSPeer(net, points)
    order = np.argsort(peer.buses)
    assert (peer.buses[order] == power_flow.feeder.buses).all()
    theirs = peer.voltages(p_kw, q_kvar)[order]
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-3, rtol=0)
