"""Plans of 55 prosumers with vehicles over 24 h: stacked in persistent solvers, against Pyomo one by one.

Run with ``python benchmarks/energy_manager.py [prosumers]``. Everything is timed in this run on one core; hot figures
are medians over consecutive intervals of a day with new forecasts in each.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from feederloop.simulators.energy_manager.model import Weights, state_problem
from feederloop.simulators.energy_manager.outlook import Beliefs, Outlook, Vehicles, look_ahead
from feederloop.simulators.energy_manager.planner import Planner
from feederloop.simulators.energy_manager.reference import fill, solve
from feederloop.simulators.energy_manager.settings import Sites, Tariff
from feederloop.simulators.randomness import stream

INTERVALS, INTERVAL_S, CURVE_POINTS, HOT_PLANS = 48, 1800, 7, 24
DAY_S = 86400


def draw_sites(rng: np.random.Generator, prosumers: int) -> Sites:
    return Sites.from_dicts(
        [
            {
                "name": f"p{number}",
                "ev_capacity_kwh": float(rng.choice([40.0, 50.0, 60.0])),
                "ev_charge_kw": float(rng.choice([3.68, 7.36])),
                "ev_discharge_kw": 5.0 * bool(rng.random() < 0.4),
                "ev_efficiency": 0.95,
                "ev_wear_per_kwh": float(rng.uniform(0.04, 0.08)),
                "charger_min_kw": 1.4,
                "pv_kwp": 5.0 * bool(rng.random() < 0.6),
                "inverter_kva": 5.0,
                "import_cap_kw": 14.0,
                "export_cap_kw": 10.0,
            }
            for number in range(prosumers)
        ]
    )


class Day:
    """Outlooks of consecutive intervals from noon on."""

    def __init__(self, rng: np.random.Generator, sites: Sites) -> None:
        count, ahead = len(sites), 3 * INTERVALS
        self.sites, self.rng = sites, rng
        self.starts_s = INTERVAL_S * np.arange(ahead)
        hour = (12 + self.starts_s / 3600) % 24
        retail = np.select([(hour >= 16) & (hour < 21), (hour < 7) | (hour >= 22)], [0.5, 0.15], 0.25)
        self.tariff = Tariff(retail, np.full(ahead, 0.06), 0.05)
        sun = np.maximum(0.0, np.sin((hour - 6) / 12 * np.pi))
        self.household = -(0.3 + rng.gamma(1.0, 0.4, (count, ahead)) + 0.8 * ((hour > 17) & (hour < 22)))
        self.pv = sun * sites.inverter_kw[:, None] * rng.uniform(0.3, 1.0, (count, ahead))
        self.imports = rng.uniform(3.0, 8.0, (count, ahead))
        self.exports = rng.uniform(2.0, 5.0, (count, ahead))
        self.arrival_s = rng.normal(6.0, 1.5, count) * 3600
        self.departure_s = rng.normal(19.5, 1.0, count) * 3600
        self.energy = 0.6 * sites.ev_capacity_kwh
        self.required = np.minimum(self.energy + rng.lognormal(1.7, 0.7, count), sites.ev_capacity_kwh)

    def outlook(self, interval: int, energy: np.ndarray) -> Outlook:
        """Return what is believed at the start of an interval, with a new forecast error."""
        window, now_s = slice(interval, interval + INTERVALS), self.starts_s[interval]
        error = self.rng.normal(1.0, 0.05, (2, len(self.sites), INTERVALS))
        beliefs = Beliefs(
            self.household[:, window] * error[0],
            self.pv[:, window] * error[1],
            self.imports[:, window],
            self.exports[:, window],
        )
        plugged = (now_s >= self.arrival_s) & (now_s < self.departure_s)
        vehicles = Vehicles(np.where(plugged, energy, self.energy), plugged, self.departure_s, self.required)
        prices = self.tariff.with_local(np.array([np.nan]), window)
        starts_s, feed_in = self.starts_s[window], self.tariff.feed_in_per_kwh[window]
        return look_ahead(self.sites, beliefs, vehicles, prices, feed_in, starts_s, INTERVAL_S, 1e-3, 0.0)


def seconds(task: Callable[[], object]) -> float:
    begin = time.perf_counter()
    task()
    return time.perf_counter() - begin


def measure_stacked(day: Day) -> tuple[dict[str, float], list[Outlook], np.ndarray]:
    """Roll through half a day; return times in seconds, the last two outlooks and the costs planned for the last."""
    begin = time.perf_counter()
    planner = Planner(day.sites, INTERVALS, INTERVAL_S, Weights())
    compiled_s = time.perf_counter() - begin
    energy, plans, curves, outlooks = day.energy, [], [], []
    for interval in range(HOT_PLANS):
        outlook = day.outlook(interval, energy)
        outlooks = [*outlooks[-1:], outlook]
        begin = time.perf_counter()
        plan = planner.plan(outlook)
        plans.append(time.perf_counter() - begin)
        prices = np.linspace(*day.tariff.local_range(interval), CURVE_POINTS)
        buy, sell = day.tariff.with_local(prices[:, None], slice(interval, interval + 1))
        begin = time.perf_counter()
        planner.net_position_curve(outlook, buy[:, 0], sell[:, 0])
        curves.append(time.perf_counter() - begin)
        energy = plan.energy_kwh[:, 0]
    times = {
        "compile": compiled_s,
        "cold plan": plans[0],
        "hot plan": float(np.median(plans[1:])),
        "hot plan, slowest": max(plans[1:]),
        "curve": float(np.median(curves)),
        "curve, slowest": max(curves),
    }
    return times, outlooks, plan.cost


def measure_pyomo(sites: Sites, outlooks: list[Outlook]) -> tuple[float, float, np.ndarray]:
    """Return seconds from scratch, seconds hot from the plan before, and the costs."""
    before, outlook = outlooks

    def state(prosumer: int, outlook: Outlook) -> pyo.ConcreteModel:
        model = state_problem(INTERVALS, INTERVAL_S / 3600, float(sites.ev_efficiency[prosumer]), Weights())
        fill(model, outlook, prosumer)
        return model

    everyone = range(len(sites))
    scratch_s = seconds(lambda: [solve(state(prosumer, outlook)) for prosumer in everyone])
    kept = [(state(prosumer, before), pyo.SolverFactory("appsi_highs")) for prosumer in everyone]
    for model, solver in kept:
        solve(model, solver)

    def again() -> None:
        for prosumer, (model, solver) in enumerate(kept):
            fill(model, outlook, prosumer)
            solve(model, solver)

    return scratch_s, seconds(again), np.array([pyo.value(model.cost) for model, _ in kept])


def main() -> None:
    prosumers = int(sys.argv[1]) if len(sys.argv) > 1 else 55
    rng = stream(2016, "benchmark")
    day = Day(rng, draw_sites(rng, prosumers))
    times, outlooks, costs = measure_stacked(day)
    scratch_s, kept_s, reference = measure_pyomo(day.sites, outlooks)
    print(f"{prosumers} prosumers with vehicles, {INTERVALS} intervals, {CURVE_POINTS} prices on the curve")
    for name, value in times.items():
        print(f"  stacked, {name:<18} {1e3 * value:9.1f} ms")
    print(f"  Pyomo from scratch          {1e3 * scratch_s:9.1f} ms = {scratch_s / times['hot plan']:6.1f} x hot plan")
    print(f"  Pyomo, models kept          {1e3 * kept_s:9.1f} ms = {kept_s / times['hot plan']:6.1f} x hot plan")
    print(f"  largest difference in cost  {np.abs(costs - reference).max():9.1e}")


if __name__ == "__main__":
    main()
