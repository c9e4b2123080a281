"""Who the traders are and where: for mechanisms that look at distance, at the sun on a roof, or at the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.orders import FloatArray

if TYPE_CHECKING:
    from feederloop.simulators.envelope.box import Limits
    from feederloop.simulators.grid.powerflow import PowerFlow


@dataclass(frozen=True)
class LocalNetwork:
    """The network between the traders, as its operator knows it.

    Args:
        power_flow: Of the feeder whose connection points are the traders, in their order.
        limits: What it must stay within.
        distance_km: Length of the lines between each two traders, [traders, traders].
    """

    power_flow: "PowerFlow"
    limits: "Limits"
    distance_km: FloatArray


@dataclass(frozen=True)
class Surroundings:
    """What a mechanism may ask for beside orders.

    Args:
        traders: Their names.
        has_pv: Who has modules on the roof, [traders].
        interval_h: Length of a market interval, h.
        network: The network, for mechanisms that need it.
    """

    traders: tuple[str, ...]
    has_pv: NDArray[np.bool_]
    interval_h: float
    network: LocalNetwork | None = None

    def distance_km(self, option: str) -> FloatArray:
        """Return the length of the lines between each two traders, [traders, traders].

        Args:
            option: The option that asks for it, for the message.

        Raises:
            InputError: There is no network.
        """
        return self.require_network(option).distance_km

    def require_network(self, option: str) -> LocalNetwork:
        """Return the network.

        Args:
            option: The option or mechanism that asks for it, for the message.

        Raises:
            InputError: There is none.
        """
        if self.network is None:
            raise InputError("This needs a network, which the matcher was not given", key=option)
        return self.network


def surroundings(
    sites: Sequence[Mapping[str, Any]],
    *,
    interval_s: int,
    network: str | None = None,
    feeders: int = 1,
    source_v_pu: float | None = None,
    limits: Mapping[str, Any] | None = None,
) -> Surroundings:
    """Gather what there is to know of the traders.

    Args:
        sites: The site of each: `name`, `pv_kwp` and, for the network, `bus` and `phase`.
        interval_s: Length of a market interval, s.
        network: Name or file of the network; none leaves it out.
        feeders: Copies of its low-voltage part behind the transformer.
        source_v_pu: Voltage of the external grid.
        limits: Fields of the envelope controller's `Limits`.
    """
    return Surroundings(
        traders=tuple(site["name"] for site in sites),
        has_pv=np.array([site.get("pv_kwp", 0.0) > 0 for site in sites], dtype=bool),
        interval_h=interval_s / 3600,
        network=None if network is None else _local_network(sites, network, feeders, source_v_pu, limits or {}),
    )


def _local_network(
    sites: Sequence[Mapping[str, Any]],
    name: str,
    feeders: int,
    source_v_pu: float | None,
    limits: Mapping[str, Any],
) -> LocalNetwork:
    # A matcher without a network starts at once; only here it takes what networks are made with.
    import pandas as pd

    from feederloop.simulators.envelope.box import Limits
    from feederloop.simulators.grid.feeder import Feeder
    from feederloop.simulators.grid.networks import load_network
    from feederloop.simulators.grid.powerflow import PowerFlow

    lacking = [site["name"] for site in sites if not {"bus", "phase"} <= set(site)]
    if lacking:
        raise InputError("This trader's site has no bus or phase", key="sites", value=lacking[0])
    net = load_network(name, feeders=feeders, source_v_pu=source_v_pu)
    points = pd.DataFrame([{key: site[key] for key in ("name", "bus", "phase")} for site in sites])
    feeder = Feeder.from_network(net, points)
    return LocalNetwork(PowerFlow(feeder), Limits(**limits), line_km(net, feeder.point_bus.tolist()))


def line_km(net: Any, buses: Sequence[int]) -> FloatArray:
    """Return the length of the lines on the shortest way between buses, [buses, buses] in km; transformers have none.

    Args:
        net: A pandapower network.
        buses: Indices in its bus table, all connected with each other.
    """
    from networkx import single_source_dijkstra_path_length
    from pandapower.topology import create_nxgraph

    graph = create_nxgraph(net, multi=False)
    wanted, which = np.unique(np.array(buses, dtype=np.int64), return_inverse=True)
    ways = [single_source_dijkstra_path_length(graph, bus) for bus in wanted.tolist()]
    between = np.array([[way[bus] for bus in wanted.tolist()] for way in ways], dtype=np.float64)
    return between[np.ix_(which, which)]
