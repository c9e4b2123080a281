import threading

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from peers import networks

from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.counted import solved_here
from feederloop.simulators.grid.feeder import PHASE_FROM_SEQUENCE, SEQUENCE_FROM_PHASE, Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import (
    MAX_ITERATIONS,
    TOLERANCE_V,
    PowerFlow,
    PowerFlowError,
    unbalance_percent,
)

STREET = PowerFlow(Feeder.from_network(load_network("street_12"), connection_points(load_network("street_12"))))
MESHED = PowerFlow(Feeder.from_network(networks.everything(), connection_points(networks.everything())))
BOTH = pytest.mark.parametrize("power_flow", [STREET, MESHED], ids=["street", "meshed"])


def loadings(points, scenarios, kw=6.0):
    return arrays(float, (points, scenarios), elements=st.floats(-kw, kw, allow_subnormal=False))


def import_of_the_last_home(kw):
    """[points, 1] import of the home at the end of the street, everybody else off."""
    p_kw = np.zeros((len(STREET.feeder.points), 1))
    p_kw[-1] = -kw
    return p_kw


class TestEquations:
    @BOTH
    def test_without_load_the_voltage_is_the_no_load_voltage(self, power_flow):
        none = np.zeros((len(power_flow.feeder.points), 2))
        solution = power_flow.solve(none, none)
        np.testing.assert_array_equal(solution.v, np.tile(power_flow.feeder.w[:, None], 2))
        assert not solution.current.any()
        assert solution.iterations == 1
        np.testing.assert_array_equal(
            power_flow.bus_voltages(solution.current)[:, :, 0].reshape(-1), power_flow.feeder.bus_w
        )
        # Lost without load is what transformers magnetise and cables charge with; on the street, 0.2 kW of iron.
        assert power_flow.source_power_kw(solution.current)[0] > 0
        if power_flow is STREET:
            assert power_flow.source_power_kw(solution.current)[0] == pytest.approx(0.2, abs=0.002)

    @settings(max_examples=25, deadline=None)
    @given(p_kw=loadings(12, 4), q_kvar=loadings(12, 4, kw=2.0))
    def test_the_solution_draws_the_powers_it_was_given(self, p_kw, q_kvar):
        solution = STREET.solve(p_kw, q_kvar)
        # Independent of the iteration: Kirchhoff's voltage law, and the power at the converged voltage.
        np.testing.assert_allclose(solution.v, STREET.feeder.w[:, None] + STREET.feeder.z @ solution.current, atol=1e-5)
        s_va = solution.v * solution.current.conj()
        np.testing.assert_allclose(s_va, 1e3 * (p_kw + 1j * q_kvar), atol=1e-6)

    @settings(max_examples=25, deadline=None)
    @given(p_kw=loadings(7, 3), q_kvar=loadings(7, 3, kw=2.0))
    def test_energy_is_conserved_and_losses_are_positive(self, p_kw, q_kvar):
        solution = MESHED.solve(p_kw, q_kvar)
        losses_kw = MESHED.source_power_kw(solution.current) + p_kw.sum(axis=0)
        none = np.zeros((7, 1))
        idle_kw = MESHED.source_power_kw(MESHED.solve(none, none).current)
        assert (losses_kw > 0.5 * idle_kw).all()  # iron losses follow the square of the voltage and stay
        # What the series impedances dissipate, from the currents' own quadratic form, is part of it and never negative.
        copper_kw = np.einsum("is,ij,js->s", solution.current.conj(), MESHED.feeder.z, solution.current).real / 1e3
        assert (copper_kw >= -1e-12).all()
        np.testing.assert_allclose(losses_kw, copper_kw + idle_kw, atol=0.02 * losses_kw.max() + 0.05)

    @pytest.mark.parametrize("phase", ["a", "b", "c", "abc"])
    def test_a_three_phase_point_splits_its_power_evenly(self, phase):
        net = networks.meshed()
        power_flow = PowerFlow(Feeder.from_network(net, pd.DataFrame({"name": ["x"], "bus": [4], "phase": [phase]})))
        s_va = power_flow.injected_va(np.array([[-3.0]]), np.array([[-1.5]]))
        assert s_va.ravel().tolist() == [(-3000 - 1500j) / len(phase)] * len(phase)
        solution = power_flow.solve(np.array([[-3.0]]), np.array([[0.0]]))
        unbalance = unbalance_percent(power_flow.bus_voltages(solution.current)).max()
        assert (unbalance < 1e-9) == (phase == "abc")

    def test_sequence_transforms_are_each_others_inverse(self):
        np.testing.assert_allclose(PHASE_FROM_SEQUENCE @ SEQUENCE_FROM_PHASE, np.eye(3), atol=1e-15)
        v = PHASE_FROM_SEQUENCE @ np.array([3.0, 230.0, 4.6])
        assert unbalance_percent(v.reshape(1, 3, 1))[0, 0] == pytest.approx(2.0)


class TestBatch:
    @BOTH
    def test_a_batch_is_its_scenarios_one_by_one(self, power_flow):
        rng = np.random.default_rng(3)
        p_kw = rng.uniform(-5, 5, (len(power_flow.feeder.points), 40))
        q_kvar = rng.uniform(-1, 1, p_kw.shape)
        batch = power_flow.solve(p_kw, q_kvar)
        loading = power_flow.branch_loading_percent(batch.current)
        for column in range(0, 40, 7):
            one = power_flow.solve(p_kw[:, [column]], q_kvar[:, [column]])
            np.testing.assert_allclose(batch.v[:, [column]], one.v, atol=2 * TOLERANCE_V, rtol=0)
            np.testing.assert_allclose(
                loading[:, :, [column]], power_flow.branch_loading_percent(one.current), atol=1e-5, rtol=0
            )

    def test_same_input_gives_the_same_bits(self):
        p_kw = np.random.default_rng(4).uniform(-5, 5, (12, 30))
        first, second = (STREET.solve(p_kw, 0.1 * p_kw) for _ in range(2))
        assert first.v.tobytes() == second.v.tobytes()
        assert first.current.tobytes() == second.current.tobytes()

    def test_input_is_left_alone(self):
        s_va = STREET.injected_va(np.full((12, 3), -2.0), np.zeros((12, 3)))
        before, w = s_va.copy(), STREET.feeder.w.copy()
        STREET.try_solve(s_va, start=w[:, None])
        np.testing.assert_array_equal(s_va, before)
        np.testing.assert_array_equal(STREET.feeder.w, w)

    def test_a_good_start_saves_passes_and_changes_nothing(self):
        s_va = STREET.injected_va(np.full((12, 3), -4.0), np.zeros((12, 3)))
        cold = STREET.try_solve(s_va)
        warm = STREET.try_solve(s_va, start=cold.v)
        assert warm.iterations == 1 < cold.iterations
        np.testing.assert_allclose(warm.v, cold.v, atol=2 * TOLERANCE_V, rtol=0)

    def test_a_tighter_tolerance_comes_closer(self):
        p_kw = np.linspace(-8, 8, 12)[:, None]
        loose, usual, exact = (
            PowerFlow(STREET.feeder, tolerance_v=tolerance).solve(p_kw, 0.3 * p_kw) for tolerance in (1e-1, 1e-6, 1e-10)
        )
        assert loose.iterations < usual.iterations < exact.iterations
        assert np.abs(usual.v - exact.v).max() < 2e-6
        assert 1e-5 < np.abs(loose.v - exact.v).max() < 0.2


class TestNoSolution:
    LIMIT_KW = 100.0  # beyond what the street's last home can be supplied with: see test_the_nose_is_found

    def test_only_infeasible_scenarios_are_marked(self):
        p_kw = np.tile(np.linspace(-3, 3, 12)[:, None], 5)
        p_kw[-1, 1] = -2 * self.LIMIT_KW
        p_kw[-1, 3] = -50 * self.LIMIT_KW
        q_kvar = np.zeros_like(p_kw)
        solution = STREET.try_solve(STREET.injected_va(p_kw, q_kvar))
        assert solution.converged.tolist() == [True, False, True, False, True]
        feasible = STREET.solve(p_kw[:, [0, 2, 4]], q_kvar[:, :3])
        np.testing.assert_allclose(solution.v[:, [0, 2, 4]], feasible.v, atol=2 * TOLERANCE_V, rtol=0)

    def test_the_error_says_how_many_which_first_and_where(self):
        p_kw = np.zeros((12, 4))
        p_kw[5, 2:] = -3 * self.LIMIT_KW
        with pytest.raises(PowerFlowError, match=r"2 of 4 scenarios, first 2: -300\.0 kW in all, .* home_06"):
            STREET.solve(p_kw, np.zeros_like(p_kw))

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("which", ["p_kw", "q_kvar"])
    def test_what_is_not_a_finite_number_raises_and_is_named(self, bad, which):
        powers = {"p_kw": np.zeros((12, 3)), "q_kvar": np.zeros((12, 3))}
        powers[which][4, 1] = bad
        with pytest.raises(PowerFlowError, match=rf"{which} of home_05 is {bad}"):
            STREET.solve(**powers)
        solution = STREET.try_solve(STREET.injected_va(**powers))
        assert solution.converged.tolist() == [True, False, True]
        assert np.isfinite(solution.v[:, [0, 2]]).all()
        assert solution.iterations < 10  # and does not hold up the others

    def test_the_nose_is_found(self):
        """One load behind one impedance has a solution up to a power known in closed form."""
        home = len(STREET.feeder.points) - 1
        w, z = abs(STREET.feeder.w[home]), STREET.feeder.z[home, home]
        limit_kw = w**2 / (2 * (abs(z) + z.real)) / 1e3  # largest real power, drawn at unity power factor
        near, beyond = import_of_the_last_home(0.99 * limit_kw), import_of_the_last_home(1.01 * limit_kw)
        assert limit_kw < self.LIMIT_KW
        none = np.zeros_like(near)
        v = abs(STREET.solve(near, none).v[home, 0])
        # The upper of the two solutions: |V|^2 is the larger root of x^2 + (2 Re(z S*) - w^2) x + |z S|^2.
        half = (w**2 - 2 * z.real * 0.99e3 * limit_kw) / 2
        upper = np.sqrt(half + np.sqrt(half**2 - (abs(z) * 0.99e3 * limit_kw) ** 2))
        assert v == pytest.approx(upper, abs=1e-4)
        with pytest.raises(PowerFlowError, match="1 of 1"):
            STREET.solve(beyond, none)

    @settings(max_examples=30, deadline=None)
    @given(loadings(12, 3, kw=400.0))
    def test_whatever_is_asked_it_is_solved_or_said(self, p_kw):
        solution = STREET.try_solve(STREET.injected_va(p_kw, np.zeros_like(p_kw)))
        good = solution.converged
        residual = STREET.feeder.w[:, None] + STREET.feeder.z @ solution.current - solution.v
        assert np.isfinite(solution.v[:, good]).all()
        assert (np.abs(residual[:, good]) < 1e-5).all()
        assert solution.iterations <= MAX_ITERATIONS
        if good.all():
            STREET.solve(p_kw, np.zeros_like(p_kw))
        else:
            with pytest.raises(PowerFlowError):
                STREET.solve(p_kw, np.zeros_like(p_kw))


class TestFeederInput:
    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([("x", 999, "a")], r"no such bus.*x\.bus = 999"),
            ([("x", 3, "d")], r"no such phase.*x\.phase = 'd'"),
            ([("x", 3, "ab")], "no such phase"),
            ([("x", 3, "a"), ("x", 5, "b")], "two connection points have the same name"),
            ([("x", 9, "a")], r"cut off from the source.*x\.bus = 9"),
        ],
    )
    def test_wrong_points_are_named(self, rows, message):
        with pytest.raises(InputError, match=message):
            Feeder.from_network(networks.everything(), pd.DataFrame(rows, columns=["name", "bus", "phase"]))

    def test_two_homes_may_share_a_node(self):
        points = pd.DataFrame({"name": ["x", "y"], "bus": [4, 4], "phase": ["a", "a"]})
        both = PowerFlow(Feeder.from_network(networks.meshed(), points)).solve(
            np.array([[-1.0], [-2.0]]), np.zeros((2, 1))
        )
        one = PowerFlow(Feeder.from_network(networks.meshed(), points[:1])).solve(np.array([[-3.0]]), np.zeros((1, 1)))
        np.testing.assert_allclose(both.v, np.tile(one.v, (2, 1)), atol=1e-6)

    def test_a_second_external_grid_is_refused(self):
        net = networks.meshed()
        pp.create_ext_grid(net, 3, **networks.SOURCE)
        with pytest.raises(InputError, match="exactly one external grid"):
            Feeder.from_network(net, connection_points(net))

    def test_no_external_grid_is_refused(self):
        net = networks.meshed()
        net.ext_grid["in_service"] = False
        with pytest.raises(InputError, match=r"network"):
            Feeder.from_network(net, connection_points(net))

    def test_a_line_without_rating_is_never_loaded(self):
        net = networks.meshed()
        net.line.loc[0, "max_i_ka"] = np.nan
        points = connection_points(net)
        power_flow = PowerFlow(Feeder.from_network(net, points))
        p_kw = np.full((len(points), 1), -3.0)
        loading = power_flow.branch_loading_percent(power_flow.solve(p_kw, 0 * p_kw).current)
        assert not loading[0].any()
        assert loading[1].any()


def test_every_scenario_that_is_solved_is_counted_in_its_thread():
    before = solved_here()
    STREET.solve(np.zeros((len(STREET.feeder.points), 7)), np.zeros((len(STREET.feeder.points), 7)))
    assert solved_here() - before == 7
    elsewhere = []
    other = threading.Thread(target=lambda: elsewhere.append(solved_here()))
    other.start()
    other.join()
    assert elsewhere == [0]
