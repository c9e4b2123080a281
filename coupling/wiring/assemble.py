"""Draw the prosumers, start the simulators, connect them and the recorder."""

from dataclasses import replace
from pathlib import Path

from feederloop.coupling.population import draw_population
from feederloop.coupling.scenario import Scenario
from feederloop.coupling.tables import prosumer_table, record
from feederloop.coupling.topology_file import write_topology
from feederloop.coupling.watched import WatchedWorld
from feederloop.coupling.wiring.arrangement import arrangement_of
from feederloop.coupling.wiring.connect import connect
from feederloop.coupling.wiring.held import HeldBench, connect_bench
from feederloop.coupling.wiring.start import Starter
from feederloop.simulators.grid.networks import connection_points, load_network


async def build(world: WatchedWorld, scenario: Scenario, folder: Path, *, bench: HeldBench | None = None) -> None:
    """Start and connect all simulators of the scenario.

    Args:
        world: An empty world.
        scenario: A valid scenario.
        folder: Where the recorder writes.
        bench: Devices that take simulated ones' places.
    """
    net = load_network(scenario.grid.network, feeders=scenario.grid.feeders)
    points = connection_points(net)
    sites = draw_population(scenario, points)
    if bench is not None:
        # What reactive power a device supplies by its voltage is measured.
        sites = [replace(site, volt_var_kva=0.0) if bench.holds(site.name, "inverter") else site for site in sites]
    prosumer_table(folder, sites)
    write_topology(folder, net)
    arrangement = arrangement_of(scenario)
    actors = await Starter(world, scenario, arrangement, sites, folder, bench).start()
    connect(world, arrangement, actors)
    if bench is not None:
        connect_bench(world, actors, bench)
    await record(world, scenario, actors)
