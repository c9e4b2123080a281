"""All groups of figures, by the names they have in `summary.json`."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from feederloop.coupling.metrics.devices import energy, envelope, ev, pv
from feederloop.coupling.metrics.exchange import blocking, forgone
from feederloop.coupling.metrics.network import congestion, phase_imbalance, voltage
from feederloop.coupling.metrics.people import cost, fairness
from feederloop.coupling.metrics.tables import Group, RunFacts, Tables
from feederloop.coupling.metrics.trade import energy_imbalance, market, price

if TYPE_CHECKING:
    from feederloop.coupling.watch import SimulatorTiming

GROUPS: Mapping[str, Callable[[Tables, RunFacts], Group]] = {
    "voltage": voltage,
    "congestion": congestion,
    "phase_imbalance": phase_imbalance,
    "energy_imbalance": energy_imbalance,
    "market": market,
    "price": price,
    "cost": cost,
    "fairness": fairness,
    "blocking": blocking,
    "forgone": forgone,
    "ev": ev,
    "pv": pv,
    "envelope": envelope,
    "energy": energy,
}


def summarise(tables: Tables, facts: RunFacts) -> dict[str, Group]:
    """All figures that follow from the tables; None where one does not apply or its table is missing."""
    return {name: group(tables, facts) for name, group in GROUPS.items()}


def compute(
    wall_s: float,
    timings: Mapping[str, "SimulatorTiming"],
    began_at: Mapping[int, float] | None = None,
    interval_s: int = 1800,
) -> dict[str, Any]:
    """What the run cost to compute; differs from run to run, unlike all other figures.

    - wall_s: seconds on the wall, starting and finalizing included.
    - simulator_s: all simulators' steps and outputs; the rest of wall_s is starting and coordination.
    - interval_p50_s, interval_p95_s: median and 95th percentile of the seconds on the wall that a market interval took;
      None for runs of less than two.
    - steps: of all simulators. max_rss_mb: the largest memory this process has had; None where it is not known.
    - power_flows: exact power flows that the simulators in this process have solved, each scenario of a batch one.
    - simulators: for each, its steps, their sum and slowest, the time for its outputs, and its power flows.
    """
    return {
        "wall_s": wall_s,
        **_interval_times(began_at or {}, interval_s),
        "simulator_s": sum(timing.step_s + timing.get_data_s for timing in timings.values()),
        "steps": sum(timing.steps for timing in timings.values()),
        "power_flows": sum(timing.power_flows or 0 for timing in timings.values()),
        "max_rss_mb": _max_rss_mb(),
        "simulators": {
            name: {
                "steps": timing.steps,
                "step_s": timing.step_s,
                "max_step_s": timing.max_step_s,
                "get_data_s": timing.get_data_s,
                "power_flows": timing.power_flows,
            }
            for name, timing in sorted(timings.items())
        },
    }


def _interval_times(began_at: Mapping[int, float], interval_s: int) -> dict[str, float | None]:
    starts = np.array([began_at[time_s] for time_s in sorted(began_at) if time_s % interval_s == 0])
    if len(starts) < 2:
        return {"interval_p50_s": None, "interval_p95_s": None}
    middle, high = np.percentile(np.diff(starts), [50, 95]).tolist()
    return {"interval_p50_s": middle, "interval_p95_s": high}


def _max_rss_mb() -> float | None:
    """The process's peak memory in MB (10^6 bytes)."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
