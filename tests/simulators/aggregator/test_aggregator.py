"""One who schedules the devices of all: valleys, limits of the network, foresight, and chargers that switch."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from feederloop.simulators.aggregator.coordinators import NetworkAware, PerfectForesight, Situation, ValleyFiller
from feederloop.simulators.aggregator.dispatch import ChargerDispatch
from feederloop.simulators.aggregator.foresight import Sessions, Truth
from feederloop.simulators.aggregator.network import NetworkRows, bearable_plan
from feederloop.simulators.energy_manager.outlook import Vehicles
from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff
from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow

HORIZON, INTERVAL_S = 6, 1800.0
RETAIL = [0.5, 0.5, 0.1, 0.5, 0.5, 0.5]


def sites(count: int, **changes: Any) -> Sites:
    site = {
        "pv_kwp": 5.0, "inverter_kva": 5.0, "ev_capacity_kwh": 40.0, "ev_charge_kw": 7.0, "ev_discharge_kw": 0.0,
        "ev_efficiency": 1.0, "ev_wear_per_kwh": 0.05, "charger_min_kw": 1.4, "import_cap_kw": 14.0,
        "export_cap_kw": 10.0, **changes,
    }  # fmt: skip
    return Sites.from_dicts([{**site, "name": f"home_{i}"} for i in range(count)])


def tariff(intervals: int) -> Tariff:
    retail = np.resize(RETAIL, intervals)
    return Tariff(retail, np.full(intervals, 0.06), 0.05)


def vehicles(count: int, missing_kwh: float, stays: int = HORIZON) -> Vehicles:
    here = np.ones(count, dtype=bool)
    departure = np.full(count, stays * INTERVAL_S)
    return Vehicles(np.full(count, 10.0), here, departure, np.full(count, 10.0 + missing_kwh))


def situation(count: int, household: Any, sun: Any, missing_kwh: float) -> Situation:
    shape = (count, HORIZON)
    home = np.broadcast_to(np.asarray(household, dtype=float), shape)
    pv = np.broadcast_to(np.asarray(sun, dtype=float), shape)
    return Situation(0, home, 0.3 * home, pv, vehicles(count, missing_kwh))


@pytest.fixture(scope="module")
def street() -> PowerFlow:
    net = load_network("street_12", source_v_pu=1.0)
    return PowerFlow(Feeder.from_network(net, connection_points(net)))


def test_valleys_are_filled_to_one_level() -> None:
    filler = ValleyFiller(sites(2), tariff(20), Options(), HORIZON, INTERVAL_S)
    load = np.array([6.0, 1.0, 1.0, 6.0, 6.0, 6.0])
    # 2 x 2 kWh into two intervals of half an hour: 4 kW in each, for both together.
    schedule = filler.schedule(situation(2, -load / 2, 0.0, 2.0))
    assert schedule.ev_kw.sum() == pytest.approx(0.0, abs=0.15)
    later = situation(2, -np.roll(load, -1) / 2, 0.0, 2.0)
    assert filler.schedule(later).ev_kw.sum() == pytest.approx(-4.0, abs=0.15)


def test_valley_filling_serves_what_can_be_served() -> None:
    filler = ValleyFiller(sites(2), tariff(20), Options(), HORIZON, INTERVAL_S)
    assert filler.schedule(situation(2, -1.0, 0.0, 50.0)).ev_kw == pytest.approx([-7.0, -7.0])


def test_a_street_without_vehicles_has_nothing_to_fill() -> None:
    filler = ValleyFiller(sites(2, ev_capacity_kwh=0.0), tariff(20), Options(), HORIZON, INTERVAL_S)
    assert filler.schedule(situation(2, -1.0, 0.0, 0.0)).ev_kw.tolist() == [0.0, 0.0]


def test_the_network_aware_plan_is_within_limits_that_the_cheapest_breaks(street: PowerFlow) -> None:
    network = NetworkRows(street, Limits(v_min_v=222.0))
    schedule_of = NetworkAware(sites(12), tariff(20), Options(), HORIZON, INTERVAL_S, network, True)
    cheap = Situation(2, *[getattr(situation(12, -2.0, 0.0, 5.0), name) for name in
                           ("household_kw", "household_kvar", "pv_available_kw", "vehicles")])  # fmt: skip
    q_kvar = cheap.household_kvar
    blind = cheap.household_kw.copy()
    blind[:, 0] -= 7.0
    assert network.cuts(blind, q_kvar)
    schedule = schedule_of.schedule(cheap)
    assert schedule.rows > 0
    assert schedule.excess_kw <= 0.01
    assert network.cuts((schedule.position_kwh / 0.5)[:, None], q_kvar[:, :1], tolerance_kw=0.011) == []
    assert -84.0 < schedule.ev_kw.sum() < -10.0


def test_inverters_are_limited_only_where_nothing_else_helps(street: PowerFlow) -> None:
    network = NetworkRows(street, Limits(v_max_v=235.0))
    sunny, roofs = situation(12, -0.5, 5.0, 0.0), sites(12, ev_capacity_kwh=0.0)
    plan = {
        allowed: NetworkAware(roofs, tariff(20), Options(), HORIZON, INTERVAL_S, network, allowed).schedule(sunny)
        for allowed in (True, False)
    }
    assert np.isfinite(plan[True].pv_limit_kw).any()
    assert plan[True].excess_kw <= 0.01
    assert np.isnan(plan[False].pv_limit_kw).all()
    assert plan[False].excess_kw > 0.1
    calm = NetworkAware(roofs, tariff(20), Options(), HORIZON, INTERVAL_S, NetworkRows(street, Limits()), True)
    assert np.isnan(calm.schedule(sunny).pv_limit_kw).all()


def test_a_plan_without_power_flow_solution_has_rows_all_the_same(street: PowerFlow) -> None:
    network = NetworkRows(street, Limits())
    impossible, q_kvar = np.full((12, 1), -400.0), np.zeros((12, 1))
    assert not street.try_solve(street.injected_va(impossible, q_kvar)).converged.any()
    cuts = network.cuts(impossible, q_kvar)
    assert cuts
    assert max(cut.gradient @ impossible[:, 0] - cut.limit_kw for cut in cuts) > 10.0


def test_rounds_go_on_until_the_exact_power_flow_is_content(street: PowerFlow) -> None:
    network = NetworkRows(street, Limits(v_min_v=225.0))
    q_kvar, seen = np.zeros((12, 1)), []

    def solve(cuts: list[Any]) -> np.ndarray:
        seen.extend(cuts)
        even = np.full(12, -8.0)
        return (even * min([1.0, *(cut.limit_kw / (cut.gradient @ even) for cut in seen)]))[:, None]

    plan = bearable_plan(network, q_kvar, solve, [])
    assert plan.rounds > 1
    assert plan.excess_kw <= 0.01
    assert network.cuts(plan.p_kw, q_kvar, near=0.001)


def test_rows_are_tangents_of_the_exact_power_flow(street: PowerFlow) -> None:
    network = NetworkRows(street, Limits(v_max_v=235.0))
    p_kw, q_kvar = np.full((12, 1), 4.0), np.zeros((12, 1))
    cut = max(network.cuts(p_kw, q_kvar), key=lambda cut: cut.excess_kw)
    assert cut.gradient @ p_kw[:, 0] - cut.limit_kw == pytest.approx(cut.excess_kw)
    assert np.abs(cut.gradient).max() == pytest.approx(1.0)
    moved = p_kw.copy()
    moved[np.argmax(cut.gradient)] -= 0.1
    after = max((other for other in network.cuts(moved, q_kvar) if other.row == cut.row), key=lambda c: c.excess_kw)
    # The scale is the steepest slope, which hardly changes: 0.1 kW less are 0.1 kW less of excess.
    assert after.excess_kw == pytest.approx(cut.excess_kw - 0.1, abs=0.005)


def one_session(arrival: str, departure: str, required_kwh: float) -> Sessions:
    table = pd.DataFrame(
        {
            "prosumer": ["home_0"], "arrival": pd.to_datetime([arrival], utc=True),
            "departure": pd.to_datetime([departure], utc=True), "capacity_kwh": [40.0], "arrival_kwh": [10.0],
            "required_kwh": [required_kwh],
        }
    )  # fmt: skip
    run = {"start": "2016-06-15T12:00:00+00:00", "duration_s": 10800, "step_s": 300, "interval_s": 1800}
    return Sessions.of(table, ["home_0"], **run)


def test_sessions_are_laid_out_in_whole_steps() -> None:
    sessions = one_session("2016-06-15T12:41:00+00:00", "2016-06-15T14:14:00+00:00", 12.0)
    assert (sessions.first[0], sessions.last[0]) == (1, 4)
    assert sessions.share[0] == pytest.approx([0.0, 0.5, 1.0, 1.0, 1 / 3, 0.0])
    assert sessions.target_kwh == [12.0]


def test_a_session_that_outlasts_the_run_is_asked_for_its_part() -> None:
    sessions = one_session("2016-06-15T12:00:00+00:00", "2016-06-15T18:00:00+00:00", 14.0)
    assert sessions.target_kwh == pytest.approx([12.0])


def test_perfect_foresight_waits_for_what_it_knows_to_come(street: PowerFlow) -> None:
    home = np.full((12, HORIZON), -0.5)
    sun = np.zeros((12, HORIZON))
    sun[1, 4] = 5.0
    session = one_session("2016-06-15T12:00:00+00:00", "2016-06-15T15:00:00+00:00", 12.0)
    truth = Truth(home, 0.3 * home, sun)
    plan = PerfectForesight(
        sites(12), tariff(HORIZON), Options(), INTERVAL_S, NetworkRows(street, Limits()), truth, session
    )
    nobody = vehicles(12, 0.0)
    schedules = [plan.schedule(Situation(k, home, home, sun, nobody)) for k in range(HORIZON)]
    charged = [schedule.ev_kw[0] for schedule in schedules]
    # The cheapest half hour is the third: 0.1 per kWh; a peer's sun costs 0.06 and the network's 0.05.
    assert charged == pytest.approx([0.0, 0.0, -4.0, 0.0, 0.0, 0.0], abs=1e-6)
    told = schedules[3]
    assert told.traded_kwh.sum() == pytest.approx(0.0, abs=1e-12)
    assert told.traded_kwh[1] == pytest.approx(2.25)
    assert told.traded_price_per_kwh[0] == pytest.approx((0.06 + 0.45) / 2)
    assert not schedules[-1].traded_kwh.any()


def dispatched(planned_kw: float, **changes: Any) -> list[float]:
    dispatch = ChargerDispatch(sites(1, **changes), 300.0)
    dispatch.begin_interval(np.array([planned_kw]), np.array([True]), INTERVAL_S, 0.5)
    here = vehicles(1, 20.0)
    return [float(dispatch.step(300.0 * step, here)[0]) for step in range(6)]


def test_charging_above_the_least_is_throttled() -> None:
    assert dispatched(-3.0) == pytest.approx([-3.0] * 6)


def test_charging_below_the_least_is_switched_and_rounded_up() -> None:
    powers = dispatched(-0.5)
    assert set(np.round(powers, 9)) == {-1.4, 0.0}
    assert 0.25 <= -sum(powers) / 12 <= 0.25 + 1.4 / 12


def test_nobody_without_the_ability_discharges() -> None:
    assert dispatched(2.0) == pytest.approx([0.0] * 6)
