"""Random sites and outlooks that every test of the energy managers draws from."""

from collections.abc import Callable

import numpy as np
import pytest

from feederloop.simulators.energy_manager.outlook import Beliefs, Outlook, Vehicles, look_ahead
from feederloop.simulators.energy_manager.settings import Sites, Tariff

INTERVAL_S = 1800


def _sites(rng: np.random.Generator, prosumers: int, efficiencies: tuple[float, ...]) -> Sites:
    has_ev = rng.random(prosumers) < 0.8
    has_pv = rng.random(prosumers) < 0.6
    v2g = rng.random(prosumers) < 0.5
    return Sites.from_dicts(
        [
            {
                "name": f"p{number}",
                "ev_capacity_kwh": float(rng.choice([20.0, 40.0, 60.0])) * bool(has_ev[number]),
                "ev_charge_kw": float(rng.choice([3.68, 7.36])),
                "ev_discharge_kw": 5.0 * bool(v2g[number]),
                "ev_efficiency": float(rng.choice(efficiencies)),
                "ev_wear_per_kwh": float(rng.choice([0.0, 0.06])),
                "charger_min_kw": float(rng.choice([0.0, 1.4])),
                "pv_kwp": 5.0 * bool(has_pv[number]),
                "inverter_kva": 5.0,
                "import_cap_kw": 14.0,
                "export_cap_kw": 10.0,
            }
            for number in range(prosumers)
        ]
    )


def _beliefs(rng: np.random.Generator, sites: Sites, intervals: int) -> Beliefs:
    shape = (len(sites), intervals)
    return Beliefs(
        household_kw=-rng.gamma(1.0, 1.0, shape) + (rng.random(shape) < 0.02) * 4.0,
        pv_available_kw=np.where(sites.inverter_kw[:, None] > 0, 5.0 * rng.random(shape), 0.0),
        import_limit_kw=rng.uniform(0.0, 10.0, shape) * (rng.random(shape) < 0.9),
        export_limit_kw=rng.uniform(0.0, 6.0, shape) * (rng.random(shape) < 0.9),
    )


def _vehicles(rng: np.random.Generator, sites: Sites, intervals: int) -> Vehicles:
    count = len(sites)
    return Vehicles(
        energy_kwh=sites.ev_capacity_kwh * rng.random(count),
        plugged=(sites.ev_capacity_kwh > 0) & (rng.random(count) < 0.8),
        departure_s=np.round(rng.uniform(-1.0, 2.0 * intervals, count) * INTERVAL_S / 300.0) * 300.0,
        required_kwh=sites.ev_capacity_kwh * rng.random(count),
    )


def _tariff(rng: np.random.Generator, intervals: int, negative: bool) -> Tariff:
    retail = rng.choice([0.15, 0.25, 0.5], intervals)
    feed_in = np.full(intervals, 0.06)
    if negative:
        feed_in = rng.choice([-0.3, -0.05, 0.0, 0.06], intervals)
        retail = np.where(rng.random(intervals) < 0.2, np.maximum(feed_in, -0.1), retail)
    return Tariff(retail, feed_in, float(rng.choice([0.0, 0.05, 0.12])))


@pytest.fixture(scope="session")
def draw_case() -> Callable[..., tuple[Sites, Tariff, Outlook]]:
    """Return a function that draws sites, a tariff and an outlook of some intervals."""

    def draw(
        seed: int,
        prosumers: int = 6,
        intervals: int = 12,
        *,
        sites: Sites | None = None,
        negative: bool = False,
        efficiencies: tuple[float, ...] = (0.9, 0.95, 1.0),
    ) -> tuple[Sites, Tariff, Outlook]:
        rng = np.random.default_rng(seed)
        sites = sites or _sites(rng, prosumers, efficiencies)
        tariff = _tariff(rng, intervals, negative)
        expected = np.where(rng.random((len(sites), intervals)) < 0.5, np.nan, 0.2)
        outlook = look_ahead(
            sites,
            _beliefs(rng, sites, intervals),
            _vehicles(rng, sites, intervals),
            tariff.with_local(expected, slice(0, intervals)),
            tariff.feed_in_per_kwh,
            INTERVAL_S * np.arange(intervals),
            INTERVAL_S,
            1e-3,
            0.5,
        )
        return sites, tariff, outlook

    return draw
