"""Every fault of a device, seen from the bench: flagged, within limits, logged, and soon over."""

import os
import time

import pytest
from bench_kit import CHARGER, INVERTER, OneDevice

from feederloop.hil.reading import Quality
from feederloop.hil.snapshot import State
from feederloop.hil.supervisor import Command

ASKED_KW, LIMIT_KW = -9.0, 5.0
LIMITED = {**CHARGER, "limits": {"import_kw": LIMIT_KW, "write_interval_s": 0}}
KEBA = {**LIMITED, "profile": "keba_p30_p40", "failsafe": {"timeout_s": 60, "value": 0}}
UNANSWERED = {"silent": {}, "reset": {}, "garbage": {}, "late": {"delay_s": 0.3}, "exception": {"code": 4}}
LONGEST_CYCLE_S = 2.0
"""Some requests a cycle, each given 0.15 s in these tests, with room for a machine that is busy."""


def check_books(one: OneDevice) -> None:
    """Set-points are inside the limits, and every write that the device took is in the audit log."""
    assert all(value == 0 or 6 <= value <= 1000 * LIMIT_KW / 230 + 1e-3 for value in one.set_points())
    logged = [(line["role"], line["new"]) for line in one.logged() if line["ok"]]
    taken = [(role, value) for _, role, value in one.device.writes]
    # A device that answers too late has taken what nobody knows it took: it is logged, as refused.
    unsure = [(line["role"], line["new"]) for line in one.logged() if not line["ok"]]
    assert [item for item in logged if item[0] not in {role for role, _ in taken}] == []
    assert len(logged) <= len(taken) <= len(logged) + len(unsure)
    for line in one.logged():
        assert {"time", "device", "role", "old", "new", "who", "why", "ok", "reason", "raw"} <= set(line)


@pytest.mark.parametrize("fault", UNANSWERED)
def test_a_device_that_gives_no_answer_to_use_is_lost_and_taken_up_again(tmp_path, fault):
    with OneDevice(tmp_path, LIMITED) as one:
        one.held.command = Command(ASKED_KW)
        one.cycle(3)
        assert one.held.snapshot.state is State.ARMED
        assert one.held.snapshot.power_kw == pytest.approx(-LIMIT_KW, rel=0.03)
        before = one.held.snapshot
        one.device.fault(fault, **UNANSWERED[fault])
        began = time.monotonic()
        one.cycle(2)
        assert time.monotonic() - began < 2 * LONGEST_CYCLE_S
        assert one.held.snapshot.state is State.LOST
        assert one.held.snapshot.quality is Quality.BAD
        assert one.held.snapshot.reason
        assert one.held.snapshot.energy_kwh == before.energy_kwh
        one.device.clear()
        one.held.command = Command(-2.5)
        for _ in range(20):
            one.cycle(1, every_s=1.0)
            time.sleep(0.02)
        assert one.held.snapshot.state is State.ARMED
        assert one.held.snapshot.quality is Quality.GOOD
        assert one.set_points()[-1] == pytest.approx(2500 / 230, abs=0.02)
        assert [line["kind"] for line in one.logged("lost")] == ["lost"]
        check_books(one)


def test_a_slow_device_is_used_while_it_answers_in_time(tmp_path):
    with OneDevice(tmp_path, LIMITED) as one:
        one.device.fault("slow", delay_s=0.05)
        one.held.command = Command(ASKED_KW)
        one.cycle(4)
        assert one.held.snapshot.quality is Quality.GOOD
        assert one.held.statistics.mean_latency_ms >= 50
        check_books(one)


@pytest.mark.parametrize("fault", ["nan", "out_of_range"])
def test_a_power_that_cannot_be_true_is_no_number_and_the_last_one_stays(tmp_path, fault):
    with OneDevice(tmp_path, LIMITED) as one:
        one.held.command = Command(ASKED_KW)
        one.cycle(4)
        before = one.held.snapshot
        assert before.quality is Quality.GOOD
        one.device.fault(fault)
        one.cycle(2)
        now = one.held.snapshot
        assert now.quality is Quality.BAD
        assert now.reason
        assert (now.power_kw, now.energy_kwh, now.time) == (before.power_kw, before.energy_kwh, before.time)
        check_books(one)


def test_a_device_that_ignores_its_set_points_is_flagged_until_it_obeys(tmp_path):
    with OneDevice(tmp_path, LIMITED) as one:
        one.held.command = Command(ASKED_KW)
        one.cycle(4)
        assert one.held.snapshot.quality is Quality.GOOD
        one.device.fault("ignore_setpoints")
        one.held.command = Command(-2.0)
        one.cycle(6)
        now = one.held.snapshot
        assert "instead of 8.69" in now.disobeys
        assert (now.quality, now.reason) == (Quality.BAD, now.disobeys)
        assert now.power_kw == pytest.approx(-LIMIT_KW, rel=0.03), "what it does is measured all the same"
        assert len(one.logged("disobeys")) == 1
        one.device.clear()
        one.cycle(8)
        assert (one.held.snapshot.disobeys, one.held.snapshot.quality) == ("", Quality.GOOD)
        check_books(one)


def test_a_device_that_is_lost_while_it_disobeys_is_lost_and_nothing_else(tmp_path):
    with OneDevice(tmp_path, LIMITED) as one:
        one.held.command = Command(ASKED_KW)
        one.cycle(4)
        one.device.fault("ignore_setpoints")
        one.held.command = Command(-2.0)
        one.cycle(6)
        assert one.held.snapshot.disobeys
        one.device.fault("silent")
        one.cycle(1)
        assert one.held.snapshot.disobeys == ""
        assert "no answer" in one.held.snapshot.reason


def test_a_device_that_restarts_is_looked_at_anew_and_told_again(tmp_path):
    with OneDevice(tmp_path, KEBA) as one:
        one.held.command = Command(-3.0)
        one.cycle(6)
        assert one.held.snapshot.power_kw == pytest.approx(-3.0, rel=0.03)
        one.device.fault("reboot", seconds=20)
        one.cycle(3)
        assert one.held.snapshot.state is State.LOST
        time.sleep(0.05)
        for _ in range(12):
            one.cycle()
            time.sleep(0.03)
        assert one.held.snapshot.power_kw == pytest.approx(-3.0, rel=0.03)
        assert len(one.logged("armed")) == 2
        preparations = [line["role"] for line in one.logged() if line["why"] in ("take control", "fail-safe")]
        assert preparations == 2 * ["enable", "failsafe_timeout_set", "failsafe_current_set"]
        check_books(one)


@pytest.mark.parametrize("asked_kw", [0.0, -4.2, -6.3, ASKED_KW])
def test_swapped_words_make_no_power_that_is_believed(tmp_path, asked_kw):
    three_phases = {**LIMITED, "limits": {"import_kw": 11.0}, "ratings": {"current_a": 16, "phases": 3}}
    with OneDevice(tmp_path, three_phases) as one:
        one.held.command = Command(asked_kw)
        one.cycle(3)
        one.device.fault("swapped_words")
        one.cycle(3)
        known = one.held.snapshot
        assert known.quality is Quality.BAD
        assert known.reason
        assert all(value <= 16 for value in one.set_points())


def test_a_device_that_refuses_function_six_gets_no_set_point_and_says_so(tmp_path):
    with OneDevice(tmp_path, KEBA) as one:
        one.device.fault("refuse_fc06")
        one.held.command = Command(-3.0)
        one.cycle(4)
        assert one.set_points() == []
        refused = one.logged()
        assert refused
        assert not any(line["ok"] for line in refused)
        assert "illegal function" in refused[0]["reason"]
        assert one.held.snapshot.power_kw is not None, "it is read well"
        assert one.held.snapshot.quality is Quality.BAD, "it does as it likes"
        assert "illegal function" in one.held.snapshot.reason
        assert one.held.snapshot.sent_kw is None
        one.device.clear()
        one.cycle(12)
        assert one.held.snapshot.quality is Quality.GOOD
        assert one.set_points()[-1] > 6


def test_a_unit_that_is_not_there_is_never_armed(tmp_path):
    with OneDevice(tmp_path, LIMITED) as one:
        one.device.any_unit = False
        one.held.transport.unit = 17
        one.held.command = Command(ASKED_KW)
        one.cycle(2)
        assert one.held.snapshot.state is State.NEVER
        assert one.held.snapshot.quality is Quality.NEVER
        assert one.held.snapshot.power_kw is None
        assert one.logged() == []


def test_a_network_that_is_cut_and_healed_changes_nothing_in_between(tmp_path):
    with OneDevice(tmp_path, INVERTER) as one:
        one.device.set("available_kw", 4.0)
        one.held.command = Command(2.0)
        one.cycle(4)
        assert one.held.snapshot.power_kw == pytest.approx(2.0, abs=0.02)
        one.server.cut("device")
        one.cycle(2)
        assert one.held.snapshot.state is State.LOST
        one.clock.push(120)
        # The device's own reversion: without its controller the limit is gone.
        assert one.device.power_kw == pytest.approx(4.0, abs=0.05)
        one.server.heal("device")
        time.sleep(0.05)
        for _ in range(6):
            one.cycle()
            time.sleep(0.02)
        assert one.held.snapshot.power_kw == pytest.approx(2.0, abs=0.02)


def test_a_fail_safe_that_is_off_keeps_a_device_from_being_armed(tmp_path):
    with OneDevice(tmp_path, {**KEBA, "failsafe": None}) as one:
        one.device.image.put("failsafe_timeout", 0)
        one.held.command = Command(-3.0)
        one.cycle(3)
        assert one.held.snapshot.state is State.READING
        assert one.held.snapshot.quality is Quality.GOOD
        assert [line["why"] for line in one.logged("refused")] == ["its fail-safe is off: set failsafe in the bench"]
        assert list(one.device.writes) == []


def test_read_only_means_that_nothing_is_written_whatever_happens(tmp_path):
    with OneDevice(tmp_path, {**LIMITED, "mode": "read_only"}) as one:
        one.held.command = Command(-3.0)
        one.cycle(3)
        one.stop.trip("test")
        one.cycle(2)
        assert one.make_safe()
        assert list(one.device.writes) == []
        assert one.held.snapshot.quality is Quality.GOOD


@pytest.mark.parametrize("means", ["file", "command"])
def test_the_emergency_stop_latches(tmp_path, means):
    with OneDevice(tmp_path, LIMITED) as one:
        one.held.command = Command(ASKED_KW)
        one.cycle(3)
        if means == "file":
            one.bench.stop_path.touch()
        else:
            one.stop.trip("smoke", "operator")
        one.cycle(1)
        assert one.set_points()[-1] == 0
        assert one.held.snapshot.state is State.STOPPED
        one.stop.release()
        one.held.command = Command(-3.0)
        one.cycle(8)
        assert one.set_points()[-1] == 0, "a released stop starts nothing that it stopped"
        assert one.held.snapshot.power_kw == 0
        assert [line["kind"] for line in one.logged("stopped")] == ["stopped"]


def test_a_log_that_cannot_be_written_any_more_brings_the_device_to_rest(tmp_path):
    with OneDevice(tmp_path, LIMITED) as one:
        one.held.command = Command(ASKED_KW)
        one.cycle(3)
        assert one.set_points()[-1] > 6
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, one.audit._file)
        os.close(full)
        one.cycle(6)
        assert one.set_points()[-1] == 0
        assert one.held.snapshot.state is State.STOPPED
        assert one.held.snapshot.power_kw == 0
        assert one.make_safe()


def test_the_safe_state_is_reached_although_the_device_wants_its_pause(tmp_path):
    with OneDevice(tmp_path, KEBA) as one:
        one.held.command = Command(-3.0)
        one.cycle(5)
        one.held.command = Command(-2.0)
        one.cycle(1, every_s=0.1)
        assert one.make_safe("the end")
        assert one.set_points()[-1] == 0
        assert one.logged()[-1]["why"] == "the end"


def test_a_lost_controller_leaves_the_device_to_its_own_fail_safe(tmp_path):
    with OneDevice(tmp_path, KEBA) as one:
        one.held.command = Command(-3.0)
        one.cycle(6)
        assert one.device.power_kw == pytest.approx(-3.0, rel=0.03)
        one.clock.push(70)
        assert one.device.power_kw == 0


def test_signs_of_life_repeat_only_what_was_commanded(tmp_path):
    with OneDevice(tmp_path, LIMITED) as one:
        one.cycle(10)
        assert one.set_points() == [], "nobody has commanded anything"
        one.held.command = Command(-3.0)
        one.cycle(20)
        assert len(set(one.set_points())) == 1
        assert one.held.statistics.keep_alives == len(one.set_points()) - 1 >= 3
        assert one.held.snapshot.power_kw == pytest.approx(-3.0, rel=0.03), "the device never fell back"


@pytest.mark.parametrize("who", ["emergency stop", "end of the run"])
def test_a_device_that_comes_back_without_a_fail_safe_takes_no_set_point_and_is_stopped_all_the_same(tmp_path, who):
    with OneDevice(tmp_path, {**KEBA, "failsafe": None}) as one:
        one.held.command = Command(-3.0)
        one.cycle(3)
        taken = len(one.set_points())
        assert one.set_points()[-1] > 6
        one.device.fault("silent")
        one.cycle(2)
        one.device.clear()
        one.device.image.put("failsafe_timeout", 0)
        time.sleep(0.05)
        for _ in range(4):
            one.cycle(1)
            time.sleep(0.03)
        assert one.held.snapshot.state is State.READING
        assert len(one.set_points()) == taken
        if who == "emergency stop":
            one.stop.trip("smoke")
            one.cycle(1)
        else:
            assert one.make_safe("the end")
        assert one.set_points()[-1] == 0
        assert one.held.snapshot.state is State.STOPPED


def test_another_device_than_the_bench_expects_is_not_even_stopped(tmp_path):
    keba = {**KEBA, "profile": "sunspec_inverter_three_phase", "slot": "inverter", "limits": {}, "failsafe": None}
    with OneDevice(tmp_path, {**keba, "ratings": {"power_kw": 5.0}, "verify_identity": "4711"}) as one:
        one.held.command = Command(3.0)
        one.cycle(2)
        one.stop.trip("smoke")
        one.cycle(2)
        assert one.make_safe()
        assert list(one.device.writes) == []
        assert "4711" in one.logged("refused")[0]["why"]


def test_a_device_that_was_lost_is_looked_for_again_to_be_stopped(tmp_path):
    with OneDevice(tmp_path, LIMITED) as one:
        one.held.command = Command(-3.0)
        one.cycle(3)
        one.device.fault("silent")
        one.cycle(1)
        assert not one.make_safe("the end")
        one.device.clear()
        time.sleep(0.05)
        assert one.make_safe("the end")
        assert one.set_points()[-1] == 0


def test_a_fail_safe_that_is_set_already_is_not_written_again(tmp_path):
    heidelberg = {**LIMITED, "profile": "heidelberg_energy_control", "ratings": {"current_a": 16}}
    with OneDevice(tmp_path, {**heidelberg, "failsafe": {"timeout_s": 30, "value": 0}}) as one:
        one.held.command = Command(-3.0)
        for _ in range(3):
            one.cycle(2)
            one.device.fault("silent")
            one.cycle(1)
            one.device.clear()
            time.sleep(0.05)
        assert len(one.logged("armed")) == 3
        flash = {point.role for point in one.device.profile.points if point.non_volatile}
        written = [line["role"] for line in one.logged() if line["ok"] and line["role"] in flash]
        assert sorted(written) == ["failsafe_timeout", "standby_control"], "each once, and the current was right"
