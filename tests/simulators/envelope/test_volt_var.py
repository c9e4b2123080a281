"""A volt-var response as a reactor and what is left of it, and envelopes of homes that have one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import adversary
from peers.networks import stiffened

from feederloop.simulators.envelope.box import Box, Interval, Limits
from feederloop.simulators.envelope.controller import EnvelopeController, Options
from feederloop.simulators.envelope.volt_var import VoltVar
from feederloop.simulators.envelope.volt_var_controller import VoltVarController
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.pv.volt_var import volt_var_share

VOLTS = st.floats(190.0, 275.0)
RATED_KVA = np.array([5.0, 0.0, 8.0])


def street(source_v_pu: float) -> tuple[Feeder, "np.ndarray"]:
    points = connection_points(load_network("street_12"))
    net = stiffened(load_network("street_12", source_v_pu=source_v_pu))
    return Feeder.from_network(net, points), points["phase"]


STREET, PHASES = street(1.0)
HIGH, _ = street(1.04)
COUNT = len(PHASES)


@given(low=VOLTS, width=st.floats(0.0, 60.0), fitted=st.tuples(VOLTS, st.floats(0.1, 40.0)))
def test_the_band_is_what_is_left_over_within_a_range_of_voltages(
    low: float, width: float, fitted: tuple[float, float]
) -> None:
    slope = (
        1e3
        * RATED_KVA
        * (volt_var_share(fitted[0]) - volt_var_share(sum(fitted)))
        / (sum(fitted) ** 2 - fitted[0] ** 2)
    )
    volt_var = VoltVar(RATED_KVA, slope)
    at = np.linspace(low, low + width, 5000)[:, None]
    left_over = RATED_KVA * volt_var_share(at) + slope * at**2 / 1e3
    least, greatest = volt_var.band(low, low + width)
    assert (least <= left_over.min(axis=0) + 1e-9).all()
    assert (greatest >= left_over.max(axis=0) - 1e-9).all()
    assert least == pytest.approx(left_over.min(axis=0), abs=1e-3)
    assert greatest == pytest.approx(left_over.max(axis=0), abs=1e-3)


def test_over_the_falling_part_nearly_all_of_the_response_is_a_reactor() -> None:
    rated, low, high = np.full(COUNT, 5.0), np.full(COUNT, 241.0), np.full(COUNT, 253.0)
    least, greatest = VoltVar.over(STREET, rated, low, high).band(low, high)
    bare_least, bare_greatest = VoltVar.without_reactors(rated).band(low, high)
    assert (greatest - least).max() < 0.02 * (bare_greatest - bare_least).max()


def test_points_on_three_phases_have_no_reactor() -> None:
    points = connection_points(load_network("street_12")).assign(phase="abc")
    feeder = Feeder.from_network(load_network("street_12"), points)
    assert not VoltVar.over(feeder, np.full(COUNT, 5.0), np.full(COUNT, 240.0), np.full(COUNT, 253.0)).reactor_s.any()


@pytest.mark.parametrize("rule", ["equal", "proportional_fair"])
@pytest.mark.parametrize("feeder", [STREET, HIGH], ids=["usual", "high busbar"])
def test_envelopes_hold_whatever_is_done_where_inverters_answer_to_voltage(feeder: Feeder, rule: str) -> None:
    rated, ones = np.where(np.arange(COUNT) % 3 < 2, 5.0, 0.0), np.ones(COUNT)
    controller = VoltVarController(feeder, Limits(), Options(rule=rule), rated)
    interval = Interval(-0.5 * ones, -0.2 * ones, 0 * ones, ones > 0, 20 * ones, 20 * ones, 0.5 * ones, 0 * ones)
    for _ in range(2):
        published = controller.publish(interval)
        assert published.certificate is not None
        assert published.certificate.certified
        uses = Box.of(interval, published.export_limit_kw, published.import_limit_kw)
        found = adversary.attack(adversary.VoltVarEngine(feeder, rated), uses, PHASES, rounds=4)
        assert found.v_max_v <= min(published.certificate.v_max_v, 253.0) + 1e-5
        assert found.v_min_v >= max(published.certificate.v_min_v, 216.2) - 1e-5
        assert found.loading_percent <= published.certificate.loading_max_percent + 1e-4
        below, above = 253.0 - found.v_max_v, found.v_min_v - 216.2
        assert min(below, above) < 1.5


def test_behind_a_high_busbar_volt_var_gives_room() -> None:
    rated, ones = np.full(COUNT, 5.0), np.ones(COUNT)
    interval = Interval(-0.5 * ones, 0 * ones, 0 * ones, ones > 0, 20 * ones, 20 * ones, 0.5 * ones, 0 * ones)
    without = EnvelopeController(PowerFlow(HIGH), Limits(), Options(rule="equal")).publish(interval)
    answering = VoltVarController(HIGH, Limits(), Options(rule="equal"), rated).publish(interval)
    assert answering.export_limit_kw.sum() > 1.04 * without.export_limit_kw.sum()


@pytest.mark.parametrize("safety", ["robust", "corner"])
def test_what_is_not_proven_leaves_room_for_volt_var_at_every_voltage_that_is_permitted(safety: str) -> None:
    rated, ones = np.full(COUNT, 5.0), np.ones(COUNT)
    interval = Interval(-0.5 * ones, 0 * ones, 0 * ones, ones > 0, 20 * ones, 20 * ones, 0.5 * ones, 0 * ones)
    published = VoltVarController(STREET, Limits(), Options(rule="equal", safety=safety), rated).publish(interval)
    assert published.certificate is None
    assert published.export_limit_kw.min() > 0.5


def test_an_outlook_is_shared_out_for_the_voltages_proven_last() -> None:
    rated, ones = np.full(COUNT, 5.0), np.ones(COUNT)
    interval = Interval(-0.5 * ones, 0 * ones, 0 * ones, ones > 0, 20 * ones, 20 * ones, 0.5 * ones, 0 * ones)
    controller = VoltVarController(HIGH, Limits(), Options(rule="equal"), rated)
    first = controller.publish(interval, binding=False)
    proven = controller.publish(interval)
    then = controller.publish(interval, binding=False)
    assert then.certificate is None
    assert first.export_limit_kw.sum() < then.export_limit_kw.sum()
    assert then.export_limit_kw.sum() == pytest.approx(proven.export_limit_kw.sum(), rel=0.2)
