"""The fleet: energy, limits, arrivals and departures."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.ev_fleet.fleet import Fleet

START = "2016-06-15T11:00:00+00:00"
NAN = float("nan")


def car(name="a", **more):
    return {
        "name": name, "ev_capacity_kwh": 40.0, "ev_charge_kw": 7.0, "ev_discharge_kw": 5.0, "ev_efficiency": 0.9,
        "charger_min_kw": 0.0, **more,
    }  # fmt: skip


def sessions(*rows):
    begin = pd.Timestamp(START)
    table = pd.DataFrame(
        rows, columns=["prosumer", "arrival", "departure", "capacity_kwh", "arrival_kwh", "required_kwh"]
    )
    for name in ("arrival", "departure"):
        table[name] = pd.to_datetime([begin + pd.Timedelta(seconds=s) for s in table[name]], utc=True)
    return table


def fleet(*rows, step_s=300, site=None, **more):
    names = dict.fromkeys(["a", *(row[0] for row in rows)])
    return Fleet([car(name, **(site or {})) for name in names], sessions(*rows), start=START, step_s=step_s, **more)


@settings(max_examples=60)
@given(
    set_kw=st.lists(st.one_of(st.just(NAN), st.floats(-12, 12)), min_size=40, max_size=40),
    arrival_kwh=st.floats(0, 40),
    required_kwh=st.floats(0, 40),
    efficiency=st.floats(0.5, 1),
    min_kw=st.floats(0, 4),
    step_s=st.sampled_from([60, 300, 3600]),
)
def test_energy_is_neither_made_nor_lost(set_kw, arrival_kwh, required_kwh, efficiency, min_kw, step_s):
    site = {"ev_efficiency": efficiency, "charger_min_kw": min_kw}
    cars = fleet(("a", 0, 10**7, 40.0, arrival_kwh, required_kwh), site=site, step_s=step_s)
    for set_point in set_kw:
        before = cars.soc_kwh[0]
        p_kw = cars.step(np.array([set_point]))[0]
        into_battery = -p_kw * efficiency if p_kw < 0 else -p_kw / efficiency
        assert cars.soc_kwh[0] - before == pytest.approx(into_battery * step_s / 3600, abs=1e-9)
        assert 0 <= cars.soc_kwh[0] <= 40.0
        assert -7.0 <= p_kw <= 5.0
        if not np.isnan(set_point):
            assert abs(p_kw) <= abs(set_point)
            assert p_kw * set_point >= 0
            assert abs(set_point) >= min_kw - 1e-9 or p_kw == 0


def test_power_is_reduced_in_the_step_that_fills_or_empties_the_battery():
    cars = fleet(("a", 0, 10**6, 40.0, 39.9, 40.0))
    assert cars.step(np.array([-7.0]))[0] == pytest.approx(-0.1 / 0.9 * 12)
    assert cars.soc_kwh[0] == 40.0
    assert cars.step(np.array([-7.0]))[0] == 0
    cars = fleet(("a", 0, 10**6, 40.0, 0.1, 40.0))
    assert cars.step(np.array([5.0]))[0] == pytest.approx(0.1 * 0.9 * 12)
    assert cars.soc_kwh[0] == pytest.approx(0.0, abs=1e-12)


def test_below_its_minimum_a_charger_is_off():
    cars = fleet(("a", 0, 10**6, 40.0, 20.0, 40.0), site={"charger_min_kw": 1.4})
    assert cars.step(np.array([-1.39]))[0] == 0
    assert cars.step(np.array([1.39]))[0] == 0
    assert cars.step(np.array([-1.4]))[0] == -1.4


def test_without_v2g_nothing_is_discharged():
    cars = fleet(("a", 0, 10**6, 40.0, 20.0, 40.0), site={"ev_discharge_kw": 0.0})
    assert cars.step(np.array([3.0]))[0] == 0


@pytest.mark.parametrize(("target", "reached"), [("required", 32.0), ("full", 40.0)])
def test_unmanaged_cars_charge_on_arrival_up_to_their_target(target, reached):
    cars = fleet(("a", 600, 10**6, 40.0, 20.0, 32.0), unmanaged_target=target)
    powers = [cars.step(np.array([NAN]))[0] for _ in range(60)]
    assert powers[:4] == [0.0, 0.0, -7.0, -7.0]
    assert cars.soc_kwh[0] == pytest.approx(reached)
    assert powers[-1] == pytest.approx(0.0, abs=1e-9)


def test_cars_come_and_go_at_steps():
    cars = fleet(("a", 299, 901, 40.0, 20.0, 32.0), ("b", 0, 600, 30.0, 10.0, 11.0))
    assert cars.plugged.tolist() == [False, True]
    assert cars.departure_s.tolist() == [-1, 600]
    assert cars.step(np.array([-7.0, -7.0])).tolist() == [0.0, -7.0]
    assert cars.plugged.tolist() == [True, True]
    assert cars.departure_s.tolist() == [900, 600]
    assert cars.required_kwh.tolist() == [32.0, 11.0]
    assert cars.ended == []
    cars.step(np.array([-7.0, -7.0]))
    assert cars.plugged.tolist() == [True, False]
    assert (cars.soc_kwh[1], cars.required_kwh[1], cars.departure_s[1]) == (0.0, 0.0, -1)
    left_with = 10.0 + 2 * 7.0 * 0.9 / 12
    assert cars.ended[0][:3] == ["b", "2016-06-15T11:00:00+00:00", "2016-06-15T11:10:00+00:00"]
    assert cars.ended[0][3:] == pytest.approx([30.0, 10.0, 11.0, left_with, max(0.0, 11.0 - left_with)])
    assert cars.step(np.array([-7.0, -7.0])).tolist() == [-7.0, 0.0]
    assert cars.ended[0][:3] == ["a", "2016-06-15T11:04:59+00:00", "2016-06-15T11:15:01+00:00"]
    assert cars.ended[0][7] == pytest.approx(32.0 - 20.0 - 2 * 7.0 * 0.9 / 12)


def test_one_car_may_follow_another_at_once_and_a_short_stop_is_a_session_too():
    cars = fleet(("a", 0, 300, 40.0, 20.0, 32.0), ("a", 300, 900, 40.0, 5.0, 6.0), ("a", 960, 1020, 40.0, 7.0, 8.0))
    cars.step(np.array([0.0]))
    assert cars.ended[0][6:] == [20.0, 12.0]
    assert cars.plugged[0]
    assert cars.soc_kwh[0] == 5.0
    cars.step(np.array([0.0]))
    cars.step(np.array([0.0]))
    assert not cars.plugged[0]
    cars.step(np.array([-7.0]))
    assert [row[4:] for row in cars.ended] == [[7.0, 8.0, 7.0, 1.0]]
    assert not cars.plugged[0]
    cars.step(np.array([-7.0]))
    assert cars.ended == []


def test_nobody_may_come():
    cars = fleet()
    assert cars.step(np.array([-7.0])).tolist() == [0.0]
    assert not cars.plugged[0]
