import math

import pytest
from bench_kit import CHARGER, INVERTER, bench_of
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.hil.inspection import Inspection
from feederloop.hil.measuring import voltage_v
from feederloop.hil.reading import Quality, Reading
from feederloop.hil.setpoints import SetpointScale
from feederloop.hil.sunspec import nominal_places, resolve
from feederloop.hil.supervisor import Command, FlashBudget, Supervisor

POWERS = st.floats(-50, 50, allow_nan=False)
BIDIRECTIONAL = {"slot": "charger", "profile": "wallbox_quasar_1", "ratings": {"power_kw": 7.4}}


def supervisor_of(device, *, found=None, flash=None, **more):
    bench = bench_of(device, **more)
    entry = bench.devices[0]
    profile = entry.device_profile
    if profile.sunspec is not None:
        profile = resolve(profile, nominal_places(profile))
    scale = SetpointScale(profile, entry.rated_kw, entry.rated_a, entry.ratings.phases)
    plate = {"import_kw": entry.import_kw, "export_kw": entry.export_kw, "timeout_s": 60.0, **(found or {})}
    return Supervisor(entry, bench, scale, Inspection(True, **plate), flash)


def sent_value(supervisor, command, now, **more):
    decision = supervisor.decide(command, now, **more)
    order = supervisor.due(decision, now) if decision else None
    if order is not None:
        supervisor.sent(order, now)
    return None if order is None else order.decision.value


@settings(max_examples=40)
@given(asked=POWERS, low=POWERS, high=POWERS, plate=st.floats(0, 20), volts=st.floats(200, 260))
def test_no_charger_is_ever_asked_for_more_than_the_narrowest_limit_nor_for_less_than_six_amperes(
    asked, low, high, plate, volts
):
    supervisor = supervisor_of({**CHARGER, "limits": {"import_kw": 5.0}}, found={"import_kw": plate})
    decision = supervisor.decide(Command(asked, low, high), 0.0, voltage_v=volts)
    assert decision.value == 0 or 6 <= decision.value <= 32
    assert decision.value * volts / 1000 <= min(5.0, plate, max(-low, 0.0), max(-asked, 0.0)) + 1e-6


@settings(max_examples=40)
@given(asked=POWERS, low=POWERS, high=POWERS)
def test_a_bidirectional_charger_stays_between_its_limits_both_ways(asked, low, high):
    supervisor = supervisor_of({**BIDIRECTIONAL, "limits": {"import_kw": 6.0, "export_kw": 3.0}})
    watts = supervisor.decide(Command(asked, low, high), 0.0).value
    assert max(-6000, 1000 * min(low, 0.0)) - 1e-6 <= watts <= min(3000, 1000 * max(high, 0.0)) + 1e-6
    if asked:
        assert watts * asked >= 0


@settings(max_examples=40)
@given(asked=POWERS, high=POWERS)
def test_an_inverter_is_given_a_share_of_its_rating_that_never_exceeds_what_was_asked(asked, high):
    supervisor = supervisor_of(INVERTER)
    percent = supervisor.decide(Command(asked, -math.inf, high), 0.0).value
    assert 0 <= percent <= 100
    assert percent / 100 * 5.0 <= max(min(asked, high), 0.0) + 1e-6


@pytest.mark.parametrize("device", [CHARGER, INVERTER, BIDIRECTIONAL])
@pytest.mark.parametrize("broken", ["asked_kw", "low_kw", "high_kw"])
def test_what_is_no_number_is_no_permission(device, broken):
    supervisor = supervisor_of(device)
    command = {"asked_kw": 3.0 if device is INVERTER else -3.0, "low_kw": -5.0, "high_kw": 5.0, broken: math.nan}
    decision = supervisor.decide(Command(**command), 0.0)
    assert decision.value == 0
    assert "not a number" in decision.why


def test_nobody_asked_for_anything_so_nothing_is_written():
    assert sent_value(supervisor_of(CHARGER), None, 0.0) is None


def test_without_a_limit_an_inverter_gets_all_that_is_allowed():
    assert sent_value(supervisor_of(INVERTER), Command(None, high_kw=2.0), 0.0) == 40.0


def test_a_set_point_past_its_time_is_held_against_the_default_envelope():
    supervisor = supervisor_of(INVERTER, default_export_kw=1.5)
    command = Command(4.0, high_kw=10.0, expires=100.0)
    assert supervisor.decide(command, 100.0).p_kw == 4.0
    late = supervisor.decide(command, 100.1)
    assert late.p_kw == 1.5
    assert "default envelope" in late.why
    charger = supervisor_of(CHARGER)
    assert charger.decide(Command(-5.0, expires=100.0), 101.0).value == 0


def test_the_emergency_stop_comes_before_everything_and_waits_for_nothing():
    supervisor = supervisor_of({**CHARGER, "limits": {"write_interval_s": 60}})
    assert sent_value(supervisor, Command(-5.0), 0.0) > 0
    decision = supervisor.decide(Command(-5.0), 1.0, stop="emergency stop: smoke")
    assert (decision.value, decision.urgent, decision.why) == (0.0, True, "emergency stop: smoke")
    assert supervisor.due(decision, 1.0) is not None


def test_growth_waits_for_the_interval_and_shrinking_does_not():
    supervisor = supervisor_of({**CHARGER, "limits": {"write_interval_s": 30}})
    assert sent_value(supervisor, Command(-3.0), 0.0) is not None
    assert sent_value(supervisor, Command(-5.0), 10.0) is None
    assert sent_value(supervisor, Command(-2.0), 11.0) is not None
    assert sent_value(supervisor, Command(-5.0), 41.0) is not None


def test_growth_is_ramped_and_shrinking_is_not():
    supervisor = supervisor_of({**BIDIRECTIONAL, "limits": {"ramp_kw_per_s": 0.1}})
    sent_value(supervisor, Command(-1.0), 0.0)
    assert sent_value(supervisor, Command(-4.0), 10.0) == pytest.approx(-2000)
    assert sent_value(supervisor, Command(-4.0), 20.0) == pytest.approx(-3000)
    assert sent_value(supervisor, Command(-0.5), 21.0) == pytest.approx(-500)
    # Through zero: from the other side growth begins at nothing.
    assert sent_value(supervisor, Command(4.0), 31.0) == pytest.approx(1000)


def test_a_device_that_comes_back_grows_from_what_flows():
    flows = Reading(-2.0, Quality.GOOD)
    supervisor = supervisor_of({**BIDIRECTIONAL, "limits": {"ramp_kw_per_s": 0.1}}, found={"power": flows})
    assert sent_value(supervisor, Command(-7.0), 100.0) == pytest.approx(-2000)
    assert sent_value(supervisor, Command(-7.0), 110.0) == pytest.approx(-3000)


def test_flash_has_a_daily_budget_that_only_a_smaller_power_may_exceed(monkeypatch):
    supervisor = supervisor_of({**CHARGER, "limits": {"flash_writes_per_day": 3, "write_interval_s": 0}})
    point = supervisor._scale.point.model_copy(update={"non_volatile": True})
    monkeypatch.setattr(SetpointScale, "point", point)
    taken = [sent_value(supervisor, Command(-2.0 - 0.1 * step), 10.0 * step) is not None for step in range(6)]
    assert taken == [True, True, True, False, False, False]
    assert sent_value(supervisor, Command(0.0), 70.0) == 0.0
    assert sent_value(supervisor, Command(-3.0), 86400.0 + 20.1) is not None


def test_a_keep_alive_comes_at_a_third_of_the_time_out_and_repeats_only_what_was_commanded():
    supervisor = supervisor_of(CHARGER)
    assert supervisor.keep_alive_s == pytest.approx(20.0, rel=0.01)
    first = supervisor.decide(Command(-5.0), 0.0)
    supervisor.sent(supervisor.due(first, 0.0), 0.0)
    assert supervisor.due(supervisor.decide(Command(-5.0), 19.0), 19.0) is None
    order = supervisor.due(supervisor.decide(Command(-5.0), 20.5), 20.5)
    assert order.is_keep_alive
    assert order.decision == first


def test_disobedience_of_register_and_of_power_is_told_after_the_settling_time():
    supervisor = supervisor_of(CHARGER)
    sent_value(supervisor, Command(-2.3), 0.0, voltage_v=230.0)
    assert supervisor.verify(14.0, shown=32.0, power_kw=-7.0, voltage_v=230.0) == ""
    assert "register shows 32" in supervisor.verify(16.0, shown=32.0, power_kw=-7.0, voltage_v=230.0)
    assert "-7.00 kW flow" in supervisor.verify(16.0, shown=10.0, power_kw=-7.0, voltage_v=230.0)
    assert supervisor.verify(16.0, shown=10.0, power_kw=-2.35, voltage_v=230.0) == ""
    assert supervisor.verify(16.0, shown=10.0, power_kw=0.0, voltage_v=230.0) == ""
    assert supervisor.verify(16.0, shown=None, power_kw=None, voltage_v=None) == ""


def test_a_device_that_is_told_something_else_every_few_seconds_is_found_out_too():
    supervisor = supervisor_of({**CHARGER, "limits": {"write_interval_s": 0}})
    found = {}
    for now in range(0, 60, 5):
        sent_value(supervisor, Command(-5.0 + now / 20), float(now), voltage_v=230.0)
        found[now] = supervisor.verify(now + 1.0, shown=None, power_kw=-5.0, voltage_v=230.0)
    # 15 s ago it was told less and less: from 4.5 kW on, 5 kW are more than its accuracy explains.
    assert [now for now, disobeys in found.items() if disobeys] == list(range(25, 60, 5))
    assert supervisor.verify(57.0, shown=None, power_kw=-3.0, voltage_v=230.0) == "", "told so within the settling time"


def test_after_an_order_that_nobody_knows_the_fate_of_less_is_written_at_once_and_more_is_not():
    supervisor = supervisor_of({**CHARGER, "limits": {"write_interval_s": 30}})
    assert sent_value(supervisor, Command(-3.0), 0.0) is not None
    supervisor.forget(supervisor.due(supervisor.decide(Command(-5.0), 31.0), 31.0))
    supervisor._last_time = 31.0
    assert supervisor.due(supervisor.decide(Command(-6.0), 32.0), 32.0) is None
    assert supervisor.due(supervisor.decide(Command(-4.0), 32.0), 32.0) is not None


def test_the_budget_of_flash_is_not_refilled_by_losing_the_device(monkeypatch):
    budget = FlashBudget(2)
    bound = {"flash_writes_per_day": 2, "write_interval_s": 0}
    for number in range(4):
        shown = {} if number == 0 else {"setpoint": 10.0}
        supervisor = supervisor_of({**CHARGER, "limits": bound}, found=shown, flash=budget)
        if number == 0:
            point = supervisor._scale.point.model_copy(update={"non_volatile": True})
            monkeypatch.setattr(SetpointScale, "point", point)
        taken = sent_value(supervisor, Command(-3.0), 10.0 * number)
        assert (taken is not None) == (number < 2)
    assert sent_value(supervisor, Command(-2.0), 60.0) is not None, "less than the register shows is always written"


@pytest.mark.parametrize(
    ("told", "mean_v"),
    [
        ({"voltage_l1": 210.0, "voltage_l2": 240.0, "voltage_l3": 243.0}, 231.0),
        ({"voltage_l1": 210.0}, (210.0 + 2 * 253.0) / 3),
        ({"voltage_l1": 210.0, "voltage_l2": 0.0, "voltage_l3": 900.0}, (210.0 + 2 * 253.0) / 3),
        ({"voltage": 220.0}, (220.0 + 2 * 253.0) / 3),
        ({}, 253.0),
    ],
)
def test_power_becomes_current_by_all_phases_and_one_that_nobody_measures_may_be_high(told, mean_v):
    readings = {role: Reading(value, Quality.GOOD) for role, value in told.items()}
    assert voltage_v(readings, 3) == pytest.approx(mean_v)
    three = {**CHARGER, "ratings": {**CHARGER.get("ratings", {}), "phases": 3}}
    supervisor = supervisor_of(three, found={"import_kw": 22.0})
    amperes = supervisor.decide(Command(-11.0, -9.0, 0.0), 0.0, voltage_v=voltage_v(readings, 3)).value
    assert 8.9 < amperes * 3 * mean_v / 1000 <= 9.0
