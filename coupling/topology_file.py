"""The topology that a run leaves in its folder.

Whoever reads it from there does without the programs for networks, which take longer to import than a report to make,
and without numpy.

Public: `write_topology(folder, net)`, `topology_of(run)`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feederloop.coupling.results import Run
from feederloop.coupling.status import write_whole
from feederloop.simulators.errors import InputError

if TYPE_CHECKING:
    import pandapower as pp

FILE_NAME = "topology.json"


def write_topology(folder: Path, net: "pp.pandapowerNet") -> None:
    """Leave a network's topology in the folder of a run, so that its map needs the network no more."""
    from feederloop.coupling.topology import Topology

    content = json.dumps(Topology.from_network(net).as_dict(), allow_nan=False, separators=(",", ":"))
    write_whole(folder / FILE_NAME, content)


def topology_of(run: Run) -> dict[str, Any] | None:
    """Return a run's topology as of `Topology.as_dict`, None where it cannot be told any more.

    Runs of older versions left none; theirs is made from the network that the scenario names.
    """
    try:
        return dict(json.loads((run.folder / FILE_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        pass
    from feederloop.coupling.topology import Topology
    from feederloop.simulators.grid.networks import load_network

    try:
        grid = run.scenario["grid"]
        return Topology.from_network(load_network(grid["network"], feeders=grid.get("feeders", 1))).as_dict()
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return None
