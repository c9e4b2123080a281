"""Exact unbalanced power flow, against pandapower, power-grid-model and OpenDSS, and against one matrix product.

All on the European LV feeder with its 55 customers and the same random loadings (demand and reverse flow mixed), in one
run and on one core. Ours stops at a microvolt, the peers at the loosest tolerance (their default, or tighter) at which
they are within a millivolt of it. Run it with `python benchmarks/power_flow.py`.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

# One thread for everybody: process CPU then compares, and linear algebra this small only gets slower with two.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from rich.console import Console
from rich.table import Table

from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow

# The conversions to the peers' own formats are those of the tests.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from peers import networks, pandapower_3ph
from peers.opendss_3ph import OpenDSSPeer
from peers.power_grid_model_3ph import PowerGridModelPeer

BATCH = 1000
PEER_SCENARIOS = 200
GOAL_S = 10e-6
AGREEMENT_V = 1e-3


@dataclass(frozen=True)
class Timing:
    """Seconds per power flow, medians over the repeats."""

    what: str
    cpu_s: float
    wall_s: float


def measure(what: str, work: Callable[[], object], *, scenarios: int, repeats: int) -> Timing:
    work()
    cpu, wall = [], []
    for _ in range(repeats):
        cpu_start, wall_start = process_time(), perf_counter()
        work()
        cpu.append(process_time() - cpu_start)
        wall.append(perf_counter() - wall_start)
    return Timing(what, float(np.median(cpu)) / scenarios, float(np.median(wall)) / scenarios)


def check_agreement(ours: np.ndarray, theirs: np.ndarray, name: str) -> None:
    worst_v = float(np.abs(np.abs(ours) - np.abs(theirs)).max())
    if worst_v > AGREEMENT_V:
        raise SystemExit(f"{name} differs by {worst_v * 1e3:.3f} mV: not the same problem")


def own_timings(power_flow: PowerFlow, p_kw: np.ndarray, q_kvar: np.ndarray) -> list[Timing]:
    z, bus_z = power_flow.feeder.z, power_flow.feeder.bus_z
    current = power_flow.solve(p_kw, q_kvar).current

    def with_all_buses() -> np.ndarray:
        return power_flow.bus_voltages(power_flow.solve(p_kw, q_kvar).current)

    batch = p_kw.shape[1]
    return [
        measure("floor: one complex product Z·I", lambda: z @ current, scenarios=batch, repeats=50),
        measure("feederloop, customers' nodes", lambda: power_flow.solve(p_kw, q_kvar), scenarios=batch, repeats=30),
        measure("floor: one complex product, all buses", lambda: bus_z @ current, scenarios=batch, repeats=9),
        measure("feederloop, all 907 buses of three phases", with_all_buses, scenarios=batch, repeats=9),
    ]


def peer_timings(net, points, p_kw: np.ndarray, q_kvar: np.ndarray, ours_v: np.ndarray) -> list[Timing]:
    pgm = PowerGridModelPeer(net, points, tolerance=1e-8)
    check_agreement(ours_v, pgm.voltages(p_kw, q_kvar), "power-grid-model")
    update = pgm.update(p_kw, q_kvar)
    opendss = OpenDSSPeer(net, points, tolerance=1e-6)
    order = np.argsort(opendss.buses)
    check_agreement(ours_v, opendss.voltages(p_kw, q_kvar)[order], "OpenDSS")
    loaded = pandapower_3ph.with_powers(net, points, p_kw[:, 0], q_kvar[:, 0])
    reference = pandapower_3ph.solve(net, points, p_kw[:, 0], q_kvar[:, 0])
    volts = np.abs(reference.v) * (net.bus["vn_kv"].to_numpy()[:, None] * 1e3 / np.sqrt(3))
    check_agreement(ours_v[:, :, 0], volts, "pandapower")
    count = p_kw.shape[1]

    def opendss_with_voltages() -> None:
        opendss.rewind()
        for _ in range(count):
            opendss.next_voltages()

    return [
        measure(
            "OpenDSS (dss-python), its own loop, no results",
            lambda: opendss.solve_all(count),
            scenarios=count,
            repeats=3,
        ),
        measure("OpenDSS (dss-python), all buses read", opendss_with_voltages, scenarios=count, repeats=3),
        *[
            measure(
                f"power-grid-model, {method}, all buses",
                lambda m=method: pgm.run(update, m),
                scenarios=count,
                repeats=3,
            )
            for method in ("newton_raphson", "iterative_current")
        ],
        measure(
            "pandapower.runpp_3ph, all buses",
            lambda: pandapower_3ph.run(loaded, tolerance_mva=1e-8),
            scenarios=1,
            repeats=9,
        ),
    ]


def show(timings: list[Timing], nodes: Timing, buses: Timing, iterations: int) -> None:
    table = Table(title=f"Exact unbalanced power flow, European LV feeder, 55 customers, batches of {BATCH}")
    for column in ("", "process CPU µs", "wall µs", "CPU ÷ ours, nodes", "CPU ÷ ours, buses"):
        table.add_column(column, justify="left" if column == "" else "right")
    for timing in timings:
        table.add_row(
            timing.what,
            f"{timing.cpu_s * 1e6:,.1f}",
            f"{timing.wall_s * 1e6:,.1f}",
            f"{timing.cpu_s / nodes.cpu_s:,.2f}",
            f"{timing.cpu_s / buses.cpu_s:,.2f}",
        )
    console = Console(width=120)
    console.print(table)
    console.print(f"{iterations} passes to 1 µV; peers in batches of {PEER_SCENARIOS}, voltages within 1 mV of ours")
    verdict = "met" if nodes.cpu_s <= GOAL_S else "MISSED"
    console.print(f"goal: at most {GOAL_S * 1e6:.0f} µs of CPU per power flow at the customers' nodes: {verdict}")


def main() -> int:
    net = networks.stiffened(load_network("european_lv"))
    points = connection_points(net)
    rng = np.random.default_rng(1)
    p_kw = rng.uniform(-4.0, 4.0, (len(points), BATCH))
    q_kvar = rng.uniform(-1.0, 1.0, p_kw.shape)
    power_flow = PowerFlow(Feeder.from_network(net, points))
    solution = power_flow.solve(p_kw, q_kvar)
    few = slice(0, PEER_SCENARIOS)
    ours_v = power_flow.bus_voltages(solution.current[:, few])
    own = own_timings(power_flow, p_kw, q_kvar)
    peers = peer_timings(net, points, p_kw[:, few], q_kvar[:, few], ours_v)
    _, nodes, _, buses = own
    show(own + peers, nodes, buses, solution.iterations)
    return 0 if nodes.cpu_s <= GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
