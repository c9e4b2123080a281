"""Where a map draws things: every bus, branch and connection point once, in places that say how they are connected."""

import json
import subprocess
import sys

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from feederloop.coupling.topology import FLATTEST, Topology
from feederloop.simulators.grid.networks import connection_points, load_network


@pytest.fixture(scope="module")
def european():
    return load_network("european_lv")


def test_a_network_with_coordinates_is_drawn_by_them(european):
    found = Topology.from_network(european)
    assert found.placed_by == "coordinates"
    geo = np.array([json.loads(place)["coordinates"] for place in european.bus.geo])
    for axis, side, sign in ((found.x, geo[:, 0], 1), (found.y, geo[:, 1], -1)):
        assert np.corrcoef(axis, sign * side)[0, 1] == pytest.approx(1.0)
    # one metre is as long across as it is down
    assert found.y.max() / found.x.max() == pytest.approx(np.ptp(geo[:, 1]) / np.ptp(geo[:, 0]))
    assert_whole(found, european)


def test_branches_and_points_are_named_as_in_the_tables(european):
    found = Topology.from_network(european)
    place = found.branches.index("line 5")
    assert found.buses[found.ends[place]].tolist() == european.line.loc[5, ["from_bus", "to_bus"]].tolist()
    assert found.buses[found.ends[found.branches.index("trafo 0")]].tolist() == [0, 1]
    points = connection_points(european)
    assert found.points == tuple(points["name"])
    assert found.buses[found.point_bus].tolist() == points["bus"].tolist()
    assert found.buses[found.source] == european.ext_grid.bus.iloc[0]


def test_a_straight_street_is_stretched_across():
    found = Topology.from_network(load_network("street_12"))
    assert (found.x.max(), found.y.max()) == (1.0, pytest.approx(FLATTEST))


@pytest.mark.parametrize("spoilt", [None, "nonsense", '{"type": "Point"}'])
def test_without_coordinates_it_is_a_tree(spoilt):
    net = load_network("street_12")
    net.bus.loc[3, "geo"] = spoilt
    found = Topology.from_network(net)
    assert found.placed_by == "tree"
    assert_whole(found, net)
    # along the mains every joint is farther from the source than the one before
    joints = [i for i, name in enumerate(net.bus.name) if name.startswith("joint")]
    assert (np.diff(found.x[joints]) > 0).all()
    assert len(np.unique(np.column_stack([found.x, found.y]), axis=0)) == len(net.bus)


def test_feeders_that_were_repeated_do_not_lie_on_each_other():
    net = load_network("european_lv", feeders=2)
    found = Topology.from_network(net)
    assert found.placed_by == "tree"
    assert_whole(found, net)
    at_points = np.column_stack([found.x, found.y])[found.point_bus]
    assert len(np.unique(at_points, axis=0)) == 110


def test_meshes_and_buses_that_are_cut_off_have_a_place():
    net = load_network("street_12")
    net.bus["geo"] = None
    loose = pp.create_bus(net, 0.4)
    pp.create_line_from_parameters(net, 3, 5, length_km=0.05, r_ohm_per_km=1, x_ohm_per_km=1, c_nf_per_km=0, max_i_ka=1)
    found = Topology.from_network(net)
    assert_whole(found, net)
    assert found.buses[-1] == loose


def test_a_small_network_in_degrees_keeps_its_shape():
    net = pp.create_empty_network()
    for x, y in ((10.0, 60.0), (10.002, 60.0), (10.0, 60.001)):
        pp.create_bus(net, 0.4, geodata=(x, y))
    pp.create_ext_grid(net, 0)
    found = Topology.from_network(net, pd.DataFrame({"name": ["home"], "bus": [2], "phase": ["abc"]}))
    # at 60 degrees north a degree of longitude is half as long as one of latitude
    assert found.y.max() / found.x.max() == pytest.approx(1.0, rel=1e-3)


def test_a_network_of_one_place_is_still_a_picture():
    net = pp.create_empty_network()
    pp.create_ext_grid(net, pp.create_bus(net, 0.4, geodata=(5.0, 5.0)))
    found = Topology.from_network(net)
    assert_whole(found, net)


def assert_whole(found, net):
    assert len(found.buses) == len(net.bus)
    assert len(found.branches) == len(net.line) + len(net.trafo)
    assert (found.ends >= 0).all()
    assert (found.point_bus >= 0).all()
    for axis in (found.x, found.y):
        assert np.isfinite(axis).all()
        assert axis.min() == 0.0
        assert axis.max() <= 1.0
    as_sent = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert len(as_sent["buses"]["x"]) == len(as_sent["buses"]["name"]) == len(found.buses)
    assert len(as_sent["branches"]["from"]) == len(as_sent["branches"]["name"]) == len(found.branches)
    assert len(as_sent["points"]["bus"]) == len(as_sent["points"]["name"]) == len(found.points)


def test_whoever_shows_a_run_does_without_the_programs_that_made_it() -> None:
    """They take longer to import than a report to make, or a month to open."""
    shown = "feederloop.coupling." + ", feederloop.coupling.".join(("report", "view.app", "view.answers", "plots"))
    code = f"import {shown}, sys; print({{'pandapower', 'mosaik', 'numba', 'scipy'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
