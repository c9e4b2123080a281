"""In every physical step: first the envelope, then the driver, then the position."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.energy_manager.controller import Commitment, Controller, SetPoints
from feederloop.simulators.energy_manager.outlook import Vehicles
from feederloop.simulators.energy_manager.settings import Sites

STEP_S, INTERVAL_S = 300, 1800
COUNT = 64


def make_sites(count: int, **keys: float) -> Sites:
    site = {
        "ev_capacity_kwh": 40.0,
        "ev_charge_kw": 7.0,
        "ev_discharge_kw": 5.0,
        "ev_efficiency": 0.9,
        "ev_wear_per_kwh": 0.05,
        "charger_min_kw": 0.0,
        "pv_kwp": 5.0,
        "inverter_kva": 5.0,
        "import_cap_kw": 14.0,
        "export_cap_kw": 10.0,
    } | keys
    return Sites.from_dicts([{"name": f"p{number}", **site} for number in range(count)])


def commitment(count: int, **keys: object) -> Commitment:
    usual = Commitment(
        position_kwh=np.zeros(count),
        import_limit_kw=np.full(count, 10.0),
        export_limit_kw=np.full(count, 10.0),
        later_charge_kwh=np.full(count, 1e3),
        curtail_to_position=False,
        end_s=INTERVAL_S,
    )
    return replace(usual, **keys)


def vehicles(count: int, energy: float = 20.0, required: float = 0.0, departure_s: float = 1e6) -> Vehicles:
    return Vehicles(
        np.full(count, energy), np.ones(count, dtype=bool), np.full(count, departure_s), np.full(count, required)
    )


def actual(sites: Sites, state: Vehicles, points: SetPoints) -> np.ndarray:
    """What the charger makes of its set-point: nothing below its smallest power, and no more than the battery can."""
    step_h = STEP_S / 3600
    power = np.where(np.abs(points.ev_kw) < sites.charger_min_kw - 1e-9, 0.0, points.ev_kw)
    power = np.clip(power, -sites.ev_charge_kw, sites.ev_discharge_kw)
    into = (sites.ev_capacity_kwh - state.energy_kwh) / (sites.ev_efficiency * step_h)
    power = np.clip(power, -into, state.energy_kwh * sites.ev_efficiency / step_h)
    return np.where(state.plugged, power, 0.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    least=st.sampled_from([0.0, 1.4]),
    v2g=st.sampled_from([0.0, 5.0]),
    negative=st.booleans(),
)
def test_the_envelope_holds_whatever_the_sun_does(seed: int, least: float, v2g: float, negative: bool) -> None:
    rng = np.random.default_rng(seed)
    sites = make_sites(COUNT, charger_min_kw=least, ev_discharge_kw=v2g)
    promise = commitment(
        COUNT,
        position_kwh=rng.uniform(-6, 6, COUNT),
        import_limit_kw=rng.uniform(0, 8, COUNT),
        export_limit_kw=rng.uniform(0, 8, COUNT),
        later_charge_kwh=rng.uniform(0, 20, COUNT),
        curtail_to_position=negative,
    )
    state = Vehicles(
        40.0 * rng.choice([0.0, 0.01, 0.5, 0.995, 1.0], COUNT),
        rng.random(COUNT) < 0.8,
        rng.choice([0.0, STEP_S, 1e6], COUNT),
        40.0 * rng.random(COUNT),
    )
    controller = Controller(sites, STEP_S, 0.0)
    controller.commit(promise)
    for now in range(0, 4 * STEP_S, STEP_S):
        household, before, sun = -rng.uniform(0, 9, COUNT), rng.uniform(0, 9, COUNT), rng.uniform(0, 9, COUNT)
        points = controller.step(now, household, before, state)
        vehicle = np.where(state.departure_s > now, actual(sites, state, points), 0.0)
        net = household + vehicle + np.minimum(sun, points.pv_limit_kw)
        assert (net <= promise.export_limit_kw + 1e-9).all()
        without_sun = household + vehicle
        overdrawn = household < -promise.import_limit_kw
        assert (without_sun >= np.where(overdrawn, household, -promise.import_limit_kw) - 1e-9).all()
        assert ((points.ev_kw == 0) | (np.abs(points.ev_kw) >= min(least, v2g or least) - 1e-12)).all()


def test_a_vehicle_that_may_discharge_holds_the_import_limit_for_the_household() -> None:
    for discharge_kw, expected in ((5.0, -3.0), (0.0, -6.0)):
        sites = make_sites(1, ev_discharge_kw=discharge_kw)
        controller = Controller(sites, STEP_S, 0.0)
        controller.commit(commitment(1, import_limit_kw=np.array([3.0]), position_kwh=np.array([-3.0])))
        points = controller.step(0, np.array([-6.0]), np.zeros(1), vehicles(1))
        assert points.ev_kw - 6.0 == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), least=st.sampled_from([0.0, 1.4]))
def test_errors_early_in_an_interval_are_evened_out(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    sites = make_sites(COUNT, charger_min_kw=least)
    controller = Controller(sites, STEP_S, 0.0)
    position = rng.uniform(-1.5, 1.0, COUNT)
    controller.commit(commitment(COUNT, position_kwh=position))
    state, sun, exported = vehicles(COUNT), rng.uniform(0, 1.5, COUNT), np.zeros(COUNT)
    for now in range(0, INTERVAL_S, STEP_S):
        household, before = -rng.uniform(0, 1, COUNT), sun
        points = controller.step(now, household, before, state)
        sun = np.clip(before + rng.uniform(-0.3, 0.3, COUNT), 0, None)
        exported += (household + actual(sites, state, points) + np.minimum(sun, points.pv_limit_kw)) * STEP_S / 3600
    last_step_unknown = (0.3 + 0.5 * least) * STEP_S / 3600
    assert np.abs(exported - position).max() <= last_step_unknown + 1e-9


@pytest.mark.parametrize("least", [0.0, 1.4])
@pytest.mark.parametrize("wanted_kwh", [0.0, 2.5])
def test_the_driver_gets_what_can_be_reached_even_against_the_position(least: float, wanted_kwh: float) -> None:
    sites = make_sites(1, charger_min_kw=least)
    controller = Controller(sites, STEP_S, 0.0)
    # 6 kW of room for 1.5 h hold 8.1 kWh; the position would leave the vehicle idle, or even discharge it.
    energy, departure_s = 20.0, 3 * INTERVAL_S
    for now in range(0, departure_s, STEP_S):
        state = vehicles(1, energy, 27.0, departure_s)
        if now % INTERVAL_S == 0:
            intervals_left = (departure_s - now) // INTERVAL_S - 1
            later = np.array([0.9 * 0.9 * 6.0 * 0.5 * intervals_left])
            promise = commitment(
                1,
                position_kwh=np.array([wanted_kwh]),
                import_limit_kw=np.array([6.5]),
                later_charge_kwh=later,
                end_s=now + INTERVAL_S,
            )
            controller.commit(promise)
        points = controller.step(now, np.array([-0.5]), np.zeros(1), state)
        power = float(actual(sites, state, points)[0])
        energy -= (power * 0.9 if power < 0 else power / 0.9) * STEP_S / 3600
    assert energy >= 27.0 - 1e-9
    assert energy <= 27.0 + 0.9 * 6.0 * STEP_S / 3600


def test_nobody_charges_a_vehicle_that_has_left() -> None:
    controller = Controller(make_sites(2), STEP_S, 0.0)
    controller.commit(commitment(2, position_kwh=np.full(2, -3.0)))
    state = Vehicles(np.full(2, 20.0), np.array([True, False]), np.array([0.0, 1e6]), np.full(2, 40.0))
    points = controller.step(0, np.zeros(2), np.zeros(2), state)
    assert points.ev_kw.tolist() == [0.0, 0.0]


def test_the_sun_is_curtailed_to_the_position_only_where_feeding_in_costs_money() -> None:
    for costs, expected in ((False, 10.4), (True, 1.4)):
        controller = Controller(make_sites(1, ev_capacity_kwh=0.0), STEP_S, 0.0)
        controller.commit(commitment(1, position_kwh=np.array([0.5]), curtail_to_position=costs))
        points = controller.step(0, np.array([-0.4]), np.array([5.0]), vehicles(1, 0.0))
        assert points.pv_limit_kw == pytest.approx([expected])


def test_a_charger_switches_at_its_smallest_power() -> None:
    sites = make_sites(4, charger_min_kw=1.4)
    controller = Controller(sites, STEP_S, 0.0)
    controller.commit(commitment(4, position_kwh=np.array([-0.6, -0.8, 0.6, 0.8]) * 0.5))
    points = controller.step(0, np.zeros(4), np.zeros(4), vehicles(4))
    assert points.ev_kw.tolist() == [0.0, -1.4, 0.0, 1.4]


def test_the_sun_gets_no_room_from_a_vehicle_that_leaves_within_the_step() -> None:
    controller = Controller(make_sites(2), STEP_S, 0.0)
    controller.commit(commitment(2, position_kwh=np.full(2, 1.0), export_limit_kw=np.full(2, 3.0)))
    state = replace(vehicles(2), departure_s=np.array([0.5 * STEP_S, STEP_S]))
    points = controller.step(0, np.full(2, -0.5), np.full(2, 6.0), state)
    assert points.ev_kw == pytest.approx([-3.5, -3.5])
    assert points.pv_limit_kw == pytest.approx([3.5, 7.0])


def test_a_charger_that_cannot_discharge_little_enough_does_not_break_the_export_limit() -> None:
    sites = make_sites(2, charger_min_kw=1.4)
    controller = Controller(sites, STEP_S, 0.0)
    controller.commit(commitment(2, import_limit_kw=np.zeros(2), export_limit_kw=np.array([0.2, 2.0])))
    points = controller.step(0, np.full(2, -0.3), np.zeros(2), vehicles(2))
    assert points.ev_kw.tolist() == [0.0, 1.4]
