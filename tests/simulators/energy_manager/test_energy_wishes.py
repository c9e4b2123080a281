"""What sites ask for: all that they could come to want, and no room that they will not use."""

from dataclasses import replace

import numpy as np
import pytest

from feederloop.simulators.energy_manager.outlook import Beliefs, Vehicles
from feederloop.simulators.energy_manager.settings import Sites, Tariff
from feederloop.simulators.energy_manager.wishes import PriceRange, charging_need, site_requests, vehicle_wishes

H = 8
SITE = {"ev_efficiency": 0.95, "ev_wear_per_kwh": 0.05, "charger_min_kw": 1.4, "import_cap_kw": 14.0}
SITES = Sites.from_dicts(
    [
        SITE | {"name": "home", "export_cap_kw": 10.0},
        SITE | {"name": "sun", "export_cap_kw": 10.0, "pv_kwp": 5.0, "inverter_kva": 4.0},
        SITE | {"name": "car", "export_cap_kw": 10.0, "ev_capacity_kwh": 40.0, "ev_charge_kw": 7.0},
        SITE | {
            "name": "all", "export_cap_kw": 6.0, "pv_kwp": 5.0, "inverter_kva": 4.0, "ev_capacity_kwh": 40.0,
            "ev_charge_kw": 7.0, "ev_discharge_kw": 5.0,
        },
    ]
)  # fmt: skip
CAR, ALL = 2, 3
FIRST_CHEAP = 6
TARIFF = Tariff(np.where(np.arange(H) < FIRST_CHEAP, 0.5, 0.15), np.full(H, 0.06), 0.05)
LOCAL = PriceRange.of(TARIFF, slice(0, H), local=True)
RETAIL = PriceRange.of(TARIFF, slice(0, H), local=False)


def vehicles(energy: float = 15.0, required: float = 30.0) -> Vehicles:
    has_ev = SITES.ev_capacity_kwh > 0
    return Vehicles(energy * has_ev, has_ev, np.full(len(SITES), H * 1800.0), required * has_ev)


def there(state: Vehicles) -> np.ndarray:
    return state.share_plugged(1800.0 * np.arange(H), 1800.0)


def wishes(state: Vehicles, prices: PriceRange | None) -> tuple[np.ndarray, np.ndarray]:
    return vehicle_wishes(SITES, state, there(state), prices, 0.5)


def beliefs(sun_kw: float, demand_kw: float = 0.5) -> Beliefs:
    shape = np.ones((len(SITES), H))
    has_sun = (SITES.inverter_kw > 0)[:, None]
    return Beliefs(-demand_kw * shape, np.where(has_sun, sun_kw * shape, 0.0), 14.0 * shape, 10.0 * shape)


def requests(sun_kw: float, demand_kw: float = 1.0, firm: float = 0.5, margin: float = 0.2) -> tuple[np.ndarray, ...]:
    nothing = np.zeros((len(SITES), H))
    demand = np.full((len(SITES), H), demand_kw)
    return site_requests(SITES, beliefs(sun_kw), demand, (nothing, nothing), margin, firm)


def test_the_best_prices_are_those_of_the_local_market_or_of_the_retailer() -> None:
    assert pytest.approx([0.11] * 8) == LOCAL.lowest_buy
    assert LOCAL.highest_sell == pytest.approx([0.45] * 6 + [0.1] * 2)
    assert (RETAIL.lowest_buy == TARIFF.retail_per_kwh).all()
    assert (RETAIL.highest_sell == TARIFF.feed_in_per_kwh).all()


def test_nobody_asks_to_discharge_where_no_price_pays_for_it() -> None:
    _, discharge = wishes(vehicles(), LOCAL)
    assert (discharge[ALL, :FIRST_CHEAP] == 5.0).all()
    assert (discharge[ALL, FIRST_CHEAP:] == 0.0).all()
    assert (discharge[CAR] == 0.0).all()
    _, discharge = wishes(vehicles(), RETAIL)
    assert (discharge == 0.0).all(), "the feed-in price does not pay for wear and charging again"


def test_what_a_vehicle_has_to_spare_it_may_sell_where_that_pays_for_wear() -> None:
    _, discharge = wishes(vehicles(energy=31.0, required=30.0), LOCAL)
    assert discharge[ALL, FIRST_CHEAP:] == pytest.approx(0.95 / 0.5)


def test_a_vehicle_without_a_way_back_asks_for_no_more_than_it_lacks() -> None:
    charge, _ = wishes(vehicles(energy=29.05, required=30.0), LOCAL)
    assert charge[CAR] == pytest.approx(0.95 / 0.95 / 0.5)
    assert (charge[ALL] == 7.0).all(), "one that may discharge before may want all of it again"
    charge, _ = wishes(vehicles(energy=29.99, required=30.0), LOCAL)
    assert (charge[CAR] == 1.4).all(), "the charger cannot do with less"
    charge, _ = wishes(vehicles(energy=30.0, required=30.0), LOCAL)
    assert (charge[CAR] == 0.0).all()


def test_charging_waits_for_hours_that_are_cheaper_for_certain_but_for_what_is_needed() -> None:
    state = vehicles()
    charge, _ = wishes(state, RETAIL)
    assert (charge[CAR, :FIRST_CHEAP] == 0.0).all()
    assert (charge[CAR, FIRST_CHEAP:] == 7.0).all()
    assert (wishes(state, LOCAL)[0][CAR] == 7.0).all(), "a neighbour may sell for less"
    need = charging_need(SITES, state, there(state), 0.0)
    assert need[CAR].sum() * 0.5 * 0.95 == pytest.approx(15.0)


def test_who_answers_to_no_price_asks_for_all() -> None:
    charge, discharge = wishes(vehicles(energy=40.0), None)
    assert (charge[CAR] == 7.0).all()
    assert (discharge[ALL] == 5.0).all()


def test_who_is_away_may_come_but_not_at_once() -> None:
    away = replace(vehicles(), plugged=np.zeros(len(SITES), dtype=bool))
    charge, discharge = wishes(away, LOCAL)
    assert (charge[:, :2] == 0.0).all()
    assert (discharge[:, :2] == 0.0).all()
    assert (charge[CAR, 2:] == 7.0).all()
    assert (discharge[ALL, 2:FIRST_CHEAP] == 5.0).all()


def test_the_more_sun_the_more_export_and_the_less_import_is_asked_for() -> None:
    export, imports = (np.array(side) for side in zip(*[requests(sun) for sun in np.linspace(0, 4, 9)], strict=True))
    assert (np.diff(export, axis=0) >= 0.0).all()
    assert (np.diff(imports, axis=0) <= 0.0).all()
    assert export[:, 0].max() == 0.0, "nothing to export, no right asked for"
    assert export[-1, 1] == pytest.approx([4.0] * H), "the inverter gives no more"
    assert imports[-1, 1] == pytest.approx([0.0] * H)
    assert imports[-1, 0] == pytest.approx([1.2] * H), "without a roof the sun changes nothing"


def test_all_that_may_happen_within_the_stated_margins_is_asked_for() -> None:
    rng = np.random.default_rng(3)
    sun, demand = 3.0, 1.0
    export, imports = requests(sun, demand)
    for _ in range(50):
        real_sun = np.where(SITES.inverter_kw > 0, np.minimum(sun * rng.uniform(0.5, 1.2), SITES.inverter_kw), 0.0)
        net = real_sun - demand * rng.uniform(0.0, 1.2)
        assert (net <= export[:, 0] + 1e-12).all()
        assert (net >= -imports[:, 0] - 1e-12).all()


def test_sun_that_is_not_relied_on_leaves_the_whole_demand_asked_for() -> None:
    _, imports = requests(4.0, firm=0.0)
    assert imports == pytest.approx(np.full((len(SITES), H), 1.2))
