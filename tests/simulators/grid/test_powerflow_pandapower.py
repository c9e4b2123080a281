import numpy as np
import pytest
from peers import networks, pandapower_3ph

from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow, unbalance_percent

NETWORKS = {
    "european_lv": lambda: load_network("european_lv"),
    "street_12": lambda: load_network("street_12"),
    "street_12 at 0.95": lambda: load_network("street_12", source_v_pu=0.95),
    "meshed": networks.meshed,
    "meshed, tap +2": lambda: networks.meshed(tap_pos=2),
    "everything": networks.everything,
    "awkward": networks.awkward,
    "compensated": networks.compensated,
    "two_transformers": networks.two_transformers,
    "behind_medium_voltage_cable": networks.behind_medium_voltage_cable,
}
# kW per connection point, drawn uniformly: demand, reverse flow, and both at once.
LOADINGS = {"demand": (-3.0, -0.5), "reverse flow": (0.5, 5.0), "mixed": (-4.0, 4.0)}


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    net = NETWORKS[request.param]()
    points = connection_points(net)
    return net, points, PowerFlow(Feeder.from_network(net, points))


@pytest.mark.parametrize("loading", LOADINGS)
def test_every_result_agrees_with_pandapower(case, loading):
    net, points, power_flow = case
    rng = np.random.default_rng(list(LOADINGS).index(loading))
    p_kw, q_kvar = rng.uniform(*LOADINGS[loading], len(points)), rng.uniform(-1.0, 1.0, len(points))
    reference = pandapower_3ph.solve(net, points, p_kw, q_kvar)
    solution = power_flow.solve(p_kw[:, None], q_kvar[:, None])

    feeder = power_flow.feeder
    rows = net.bus.index.get_indexer(feeder.buses)
    buses = power_flow.bus_voltages(solution.current)
    assert np.isnan(np.delete(reference.v, rows, axis=0)).all()  # only dead buses are left out
    v = buses[:, :, 0] / feeder.bus_vn_v[:, None]
    np.testing.assert_allclose(np.abs(v), np.abs(reference.v[rows]), atol=8e-8, rtol=0)  # 0.02 mV
    np.testing.assert_allclose(v, reference.v[rows], atol=1e-7, rtol=0)
    np.testing.assert_allclose(unbalance_percent(buses)[:, 0], reference.vuf_percent[rows], atol=1e-6)

    names = [f"line {index}" for index in net.line.index] + [f"trafo {index}" for index in net.trafo.index]
    assert list(feeder.branches.names) == names
    percent = power_flow.branch_loading_percent(solution.current)[:, :, 0]
    np.testing.assert_allclose(percent, np.nan_to_num(reference.loading_percent), atol=1e-5)

    source_kw = power_flow.source_power_kw(solution.current)[0]
    assert source_kw == pytest.approx(reference.source_kw, abs=1e-5)
    assert source_kw + p_kw.sum() == pytest.approx(reference.losses_kw, abs=1e-5)


def test_injectors_are_the_points_own_nodes(case):
    _, points, power_flow = case
    feeder = power_flow.feeder
    p_kw = np.linspace(-2.0, 2.0, len(points))[:, None]
    solution = power_flow.solve(p_kw, 0.2 * p_kw)
    nodes = power_flow.bus_voltages(solution.current).reshape(-1, 1)
    np.testing.assert_allclose(nodes[feeder.injector_row], solution.v, atol=1e-5)
    at_point = np.bincount(feeder.injector_point, feeder.injector_share)
    np.testing.assert_allclose(at_point, 1.0)
    drawn = [{"a": 0, "b": 1, "c": 2}.get(phase) for phase in points["phase"]]
    single = [feeder.injector_phase[feeder.injector_point == row].tolist() for row in range(len(points))]
    assert single == [[0, 1, 2] if phase is None else [phase] for phase in drawn]
