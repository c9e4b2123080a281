"""The search that refutes boxes: it finds what there is, says it exactly, and accuses no box that is safe."""

import itertools

import numpy as np
import pandas as pd
import pytest

from feederloop.simulators.envelope.box import Box, Limits
from feederloop.simulators.envelope.counterexample import Search
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow, unbalance_percent
from feederloop.simulators.grid.volt_var import VoltVarPowerFlow

LOOSE = Limits(100.0, 400.0, 1e4, 1e4, 1e3)
POINTS = 7


@pytest.fixture(scope="module")
def power_flow() -> PowerFlow:
    net = load_network("street_12")
    points = connection_points(net).iloc[::-1].iloc[:POINTS].copy()
    points.iloc[0, points.columns.get_loc("phase")] = "abc"
    return PowerFlow(Feeder.from_network(net, points.reset_index(drop=True)))


@pytest.fixture(scope="module")
def box() -> Box:
    rng = np.random.default_rng(3)
    return Box(-rng.uniform(4, 9, POINTS), rng.uniform(4, 9, POINTS), np.full(POINTS, -0.5), np.full(POINTS, -0.5))


@pytest.fixture(scope="module")
def extremes(power_flow: PowerFlow, box: Box) -> pd.Series:
    """The worst of every kind over all corners."""
    corners = np.array(list(itertools.product(*zip(box.p_low_kw, box.p_high_kw, strict=True)))).T
    solution = power_flow.solve(corners, np.repeat(box.q_low_kvar[:, None], corners.shape[1], axis=1))
    voltage = power_flow.bus_voltages(solution.current)[power_flow.feeder.bus_vn_v < 1000.0]
    loading = power_flow.branch_loading_percent(solution.current)
    lines = [name.startswith("line") for name in power_flow.feeder.branches.names]
    return pd.Series(
        {
            "v_max": np.abs(voltage).max(),
            "v_min": np.abs(voltage).min(),
            "line_loading": loading[lines].max(),
            "transformer_loading": loading[np.invert(lines)].max(),
            "vuf": unbalance_percent(voltage).max(),
        }
    )


def limits_at(kind: str, limit: float) -> Limits:
    field = {"v_max": "v_max_v", "v_min": "v_min_v", "vuf": "vuf_percent"}.get(kind, f"{kind}_percent")
    return Limits(**{**{name: getattr(LOOSE, name) for name in LOOSE.__dataclass_fields__}, field: limit})


@pytest.mark.parametrize("kind", ["v_max", "v_min", "line_loading", "transformer_loading", "vuf"])
def test_the_worst_corner_is_found(power_flow: PowerFlow, box: Box, extremes: pd.Series, kind: str) -> None:
    inside = -1e-3 if kind == "v_min" else 1e-3
    (found,) = Search(power_flow, limits_at(kind, extremes[kind] - inside)).within(box)
    assert found.kind == kind
    assert found.value == pytest.approx(extremes[kind], abs=1e-6)
    assert (np.isclose(found.p_kw, box.p_low_kw) | np.isclose(found.p_kw, box.p_high_kw)).all()
    assert Search(power_flow, limits_at(kind, extremes[kind] + inside)).within(box) == []


def test_the_worst_corner_is_found_where_inverters_answer_to_their_voltage(power_flow: PowerFlow, box: Box) -> None:
    rated_kva = np.where(np.arange(POINTS) % 2 == 0, 8.0, 0.0)
    corners = np.array(list(itertools.product(*zip(box.p_low_kw, box.p_high_kw, strict=True)))).T
    with_volt_var = VoltVarPowerFlow(power_flow, rated_kva)
    solution, total_kvar = with_volt_var.solve(corners, np.repeat(box.q_low_kvar[:, None], corners.shape[1], axis=1))
    voltage = np.abs(power_flow.bus_voltages(solution.current)[power_flow.feeder.bus_vn_v < 1000.0])
    limits = limits_at("v_max", voltage.max() - 1e-3)
    (found,) = Search(power_flow, limits, rated_kva).within(box)
    assert found.value == pytest.approx(voltage.max(), abs=1e-5)
    worst = int(voltage.max(axis=(0, 1)).argmax())
    np.testing.assert_allclose(found.p_kw, corners[:, worst])
    # The reactive power it names makes the same voltages in any power flow.
    np.testing.assert_allclose(found.q_kvar, total_kvar[:, worst], atol=1e-5)
    assert Search(power_flow, limits).within(box) != []
    assert Search(power_flow, limits_at("v_max", voltage.max() + 1e-3), rated_kva).within(box) == []


def test_the_use_it_names_has_the_voltages_it_says(power_flow: PowerFlow, box: Box, extremes: pd.Series) -> None:
    limit = extremes["v_max"] - 1.0
    (found,) = Search(power_flow, limits_at("v_max", limit)).within(box)
    solution = power_flow.solve(found.p_kw[:, None], found.q_kvar[:, None])
    place = power_flow.feeder.buses.tolist().index(found.bus)
    voltages = np.abs(power_flow.bus_voltages(solution.current)[place, :, 0])
    np.testing.assert_allclose(found.v_v, voltages, atol=1e-6)
    assert found.element == f"bus {found.bus}"
    assert found.value == pytest.approx(voltages["abc".index(found.phase)], abs=1e-6)
    assert found.value > limit


def test_contribution_is_what_a_customer_alone_would_mend(power_flow: PowerFlow, box: Box) -> None:
    (found,) = Search(power_flow, limits_at("v_max", 240.0)).within(box)
    most = int(found.contribution.argmax())
    without = np.where(np.arange(POINTS) == most, 0.0, found.p_kw)
    node = (power_flow.feeder.buses.tolist().index(found.bus), "abc".index(found.phase))
    solution = power_flow.solve(without[:, None], found.q_kvar[:, None])
    left = abs(power_flow.bus_voltages(solution.current)[(*node, 0)])
    assert found.contribution[most] == pytest.approx(found.value - left, abs=1e-6)
    assert left < found.value


def test_more_than_the_network_can_carry_is_said_to_have_no_solution(power_flow: PowerFlow) -> None:
    wide = Box(np.full(POINTS, -400.0), np.full(POINTS, 10.0), np.zeros(POINTS), np.zeros(POINTS))
    assert [violation.kind for violation in Search(power_flow, Limits()).within(wide)] == ["no_solution"]


def test_a_use_that_breaks_nothing(power_flow: PowerFlow) -> None:
    assert Search(power_flow, Limits()).at(np.full(POINTS, -1.0), np.zeros(POINTS)) == []
