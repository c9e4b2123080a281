"""Where everything on a feeder is: buses with places on a plane, branches between them, connection points.

Reports and live pages draw their map from this (`report/map.js`). Places come from the network's coordinates; where it
has none, or several buses share theirs, the network is laid out as a tree along its cables.

Public: `Topology`; a run's own is read with `topology_file.topology_of(run)`.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandapower as pp
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FLATTEST = 0.3
"""Smallest ratio of the two sides of a map; a straight street is stretched across until it has this."""
DISTINCT_SHARE = 0.95
"""Share of buses that must have a place of their own for coordinates to be drawn by."""
TRANSFORMER_SHARE = 0.04
"""Length of a transformer in a tree, of the longest way along cables."""


@dataclass(frozen=True)
class Topology:
    """A feeder on a plane, x to the right and y downward, both from 0 and the larger side 1.

    Attributes:
        placed_by: `coordinates` or `tree`.
        buses: [buses] pandapower index of each bus.
        x: [buses] Place from the left.
        y: [buses] Place from the top.
        branches: [branches] Name as in the table `grid_branch`: `line 12` or `trafo 0`.
        ends: [branches, 2] Positions in `buses` of both ends.
        points: [points] Names of the connection points.
        point_bus: [points] Position in `buses` of each point's bus.
        point_phase: [points] `a`, `b`, `c` or `abc`.
        source: Position in `buses` of the external grid.
    """

    placed_by: str
    buses: Ints
    x: Floats
    y: Floats
    branches: tuple[str, ...]
    ends: Ints
    points: tuple[str, ...]
    point_bus: Ints
    point_phase: tuple[str, ...]
    source: int

    @classmethod
    def from_network(cls, net: "pp.pandapowerNet", points: "pd.DataFrame | None" = None) -> "Topology":
        """Place a network on a plane.

        Args:
            net: A pandapower network with an external grid.
            points: Its connection points, columns `name`, `bus`, `phase`; by default those of its loads.
        """
        import pandas as pd

        if points is None:
            from feederloop.simulators.grid.networks import connection_points

            points = connection_points(net)
        position = pd.Index(net.bus.index)
        ends = np.concatenate([net.line[["from_bus", "to_bus"]], net.trafo[["hv_bus", "lv_bus"]]])
        names = [f"line {index}" for index in net.line.index] + [f"trafo {index}" for index in net.trafo.index]
        source = int(net.ext_grid.bus.iloc[0])
        places, placed_by = _coordinates(net), "coordinates"
        if places is None:
            places, placed_by = _tree(net, source), "tree"
        plane = _on_plane(places)
        return cls(
            placed_by=placed_by,
            buses=net.bus.index.to_numpy(dtype=np.int64),
            x=plane[:, 0],
            y=plane[:, 1],
            branches=tuple(names),
            ends=position.get_indexer(ends.ravel()).reshape(-1, 2).astype(np.int64),
            points=tuple(points["name"].astype(str)),
            point_bus=position.get_indexer(points["bus"]).astype(np.int64),
            point_phase=tuple(points["phase"].astype(str)),
            source=int(position.get_loc(source)),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what `draw` of `report/map.js` takes, as JSON types."""
        return {
            "placed_by": self.placed_by,
            "buses": {"name": self.buses.tolist(), "x": self.x.round(4).tolist(), "y": self.y.round(4).tolist()},
            "branches": {"name": list(self.branches), "from": self.ends[:, 0].tolist(), "to": self.ends[:, 1].tolist()},
            "points": {
                "name": list(self.points),
                "bus": self.point_bus.tolist(),
                "phase": list(self.point_phase),
            },
            "source": self.source,
        }


def _coordinates(net: "pp.pandapowerNet") -> Floats | None:
    """[buses, 2] The network's own coordinates, y upward; None where they are missing or shared by many buses."""
    if "geo" not in net.bus:
        return None
    try:
        places = np.array([json.loads(geo)["coordinates"][:2] for geo in net.bus.geo], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        return None
    if not np.isfinite(places).all() or len(np.unique(places, axis=0)) < DISTINCT_SHARE * len(places):
        return None
    longitude, latitude = places.T
    if np.abs(longitude).max() <= 180 and np.abs(latitude).max() <= 90 and np.ptp(places, axis=0).max() < 1:
        places[:, 0] *= np.cos(np.deg2rad(latitude.mean()))  # degrees: those of longitude are shorter
    return places


def _tree(net: "pp.pandapowerNet", source: int) -> Floats:
    """[buses, 2] Cable length from the source to the right, ends of the feeder one below the other, y upward."""
    import networkx as nx
    from pandapower.topology import create_nxgraph

    graph = create_nxgraph(net, multi=False)
    parts = sorted(nx.connected_components(graph), key=lambda part: (source not in part, min(part)))
    trafo_km = TRANSFORMER_SHARE * max(float(net.line.length_km.sum()) / 4, 1e-3)
    place: dict[int, tuple[float, float]] = {}
    rows = 0
    for part in parts:
        root = source if source in part else min(part)
        tree = nx.bfs_tree(graph, root)
        away = {root: 0.0}
        for parent, child in tree.edges:  # from the root on
            away[child] = away[parent] + (float(graph.edges[parent, child]["weight"]) or trafo_km)
        row: dict[int, float] = {}
        for bus in nx.dfs_preorder_nodes(tree, root):
            if tree.out_degree(bus) == 0:
                row[bus] = float(rows)
                rows += 1
        for bus in reversed(list(tree)):
            if bus not in row:
                row[bus] = float(np.mean([row[child] for child in tree.successors(bus)]))
        place |= {bus: (away[bus], -row[bus]) for bus in tree}
    places = np.array([place.get(bus, (0.0, -float(rows))) for bus in net.bus.index], dtype=np.float64)
    scaled: Floats = places / np.maximum(np.ptp(places, axis=0), 1e-9) * (1.0, 0.6)
    return scaled


def _on_plane(places: Floats) -> Floats:
    """[buses, 2] From the upper left corner, y downward, the larger side 1 and the other at least `FLATTEST`."""
    moved = np.column_stack([places[:, 0] - places[:, 0].min(), places[:, 1].max() - places[:, 1]])
    sides = moved.max(axis=0)
    unit = max(float(sides.max()), 1e-9)
    stretch = np.where(sides > 0, np.maximum(sides, FLATTEST * unit) / np.maximum(sides, 1e-12), 1.0)
    return np.asarray(moved * stretch / unit)
