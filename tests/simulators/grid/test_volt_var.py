"""Reactors in the reduced network, and the balance of voltages with what inverters supply by them."""

import numpy as np
import pytest
from peers import adversary

from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow, PowerFlowError
from feederloop.simulators.grid.volt_var import VoltVarPowerFlow
from feederloop.simulators.pv.volt_var import volt_var_share

NET = load_network("street_12", source_v_pu=1.05)
POINTS = connection_points(NET)
FEEDER = Feeder.from_network(NET, POINTS)
POWER_FLOW = PowerFlow(FEEDER)
COUNT = len(POINTS)
RNG = np.random.default_rng(4)
P_KW, Q_KVAR = RNG.uniform(-4.0, 9.0, COUNT), RNG.uniform(-1.0, 0.2, COUNT)


def supplied_by_voltage(rated_kva: np.ndarray, power_flow: PowerFlow = POWER_FLOW) -> np.ndarray:
    _, total_kvar = VoltVarPowerFlow(power_flow, rated_kva).solve(P_KW[:, None], Q_KVAR[:, None])
    return total_kvar[:, 0] - Q_KVAR


def test_a_reactor_in_the_network_is_a_load_that_grows_with_the_square_of_the_voltage() -> None:
    susceptance_s = RNG.uniform(0.0, 0.08, COUNT)
    inside = PowerFlow(FEEDER.with_reactors(susceptance_s))
    solution = inside.solve(P_KW[:, None], Q_KVAR[:, None])
    absorbed_kvar = susceptance_s * np.abs(solution.v[:, 0]) ** 2 / 1e3
    as_load = POWER_FLOW.solve(P_KW[:, None], (Q_KVAR - absorbed_kvar)[:, None])
    assert solution.v == pytest.approx(as_load.v, abs=1e-5)
    assert inside.bus_voltages(solution.current) == pytest.approx(POWER_FLOW.bus_voltages(as_load.current), abs=1e-5)
    loading = inside.branch_loading_percent(solution.current)
    assert loading == pytest.approx(POWER_FLOW.branch_loading_percent(as_load.current), abs=1e-5)
    source_kw = POWER_FLOW.source_power_kw(as_load.current)
    assert inside.source_power_kw(solution.current) == pytest.approx(source_kw, abs=1e-6)
    assert absorbed_kvar.max() > 3.0


def test_reactive_power_is_what_the_response_says_at_the_voltage_that_it_makes() -> None:
    rated = np.where(np.arange(COUNT) % 4 > 0, 6.0, 0.0)
    supplied = supplied_by_voltage(rated)
    volts = np.abs(POWER_FLOW.solve(P_KW[:, None], (Q_KVAR + supplied)[:, None]).v[:, 0])
    assert supplied == pytest.approx(rated * volt_var_share(volts), abs=1e-6)
    assert supplied.min() < -0.5
    peer = adversary.VoltVarEngine(FEEDER, rated).evaluate(P_KW[:, None], Q_KVAR[:, None])
    assert peer == pytest.approx(
        adversary.OwnEngine(FEEDER).evaluate(P_KW[:, None], (Q_KVAR + supplied)[:, None]), abs=1e-5
    )


def test_a_network_that_answers_steeply_finds_its_balance_too() -> None:
    rated = np.full(COUNT, 40.0)
    supplied = supplied_by_voltage(rated)
    volts = np.abs(POWER_FLOW.solve(P_KW[:, None], (Q_KVAR + supplied)[:, None]).v[:, 0])
    assert supplied == pytest.approx(rated * volt_var_share(volts), abs=1e-5)


def test_scenarios_of_a_batch_find_their_balances_each_by_itself() -> None:
    rated, scale = np.full(COUNT, 8.0), np.array([0.2, 1.0, 1.4])
    with_volt_var = VoltVarPowerFlow(POWER_FLOW, rated)
    _, together = with_volt_var.solve(P_KW[:, None] * scale, Q_KVAR[:, None] * scale)
    for column, part in enumerate(scale):
        _, alone = with_volt_var.solve(P_KW[:, None] * part, Q_KVAR[:, None] * part)
        np.testing.assert_array_equal(together[:, [column]], alone)


def test_a_scenario_without_a_solution_is_marked_and_raises_with_what_is_wrong() -> None:
    with_volt_var, p_kw = VoltVarPowerFlow(POWER_FLOW, np.full(COUNT, 8.0)), np.stack([P_KW, P_KW - 900.0], axis=1)
    q_kvar = np.repeat(Q_KVAR[:, None], 2, axis=1)
    solution, total_kvar = with_volt_var.try_solve(p_kw, q_kvar)
    assert solution.converged.tolist() == [True, False]
    assert np.isfinite(total_kvar[:, 0]).all()
    with pytest.raises(PowerFlowError, match="no power-flow solution in 1 of 2 scenarios, first 1"):
        with_volt_var.solve(p_kw, q_kvar)
    with pytest.raises(PowerFlowError, match="p_kw of home_01 is nan"):
        with_volt_var.solve(p_kw * np.nan, q_kvar)


def test_an_inverter_on_three_phases_answers_to_their_mean() -> None:
    feeder = Feeder.from_network(NET, POINTS.assign(phase=["abc", *POINTS["phase"][1:]]))
    power_flow, rated = PowerFlow(feeder), np.where(np.arange(COUNT) == 0, 12.0, 0.0)
    supplied = supplied_by_voltage(rated, power_flow)
    volts = np.abs(power_flow.solve(P_KW[:, None], (Q_KVAR + supplied)[:, None]).v[:3, 0])
    assert supplied[0] == pytest.approx(12.0 * volt_var_share(np.array([volts.mean()]))[0], abs=1e-6)
    assert np.ptp(volts) > 0.5


def test_without_such_inverters_nothing_is_supplied() -> None:
    assert not supplied_by_voltage(np.zeros(COUNT)).any()
