"""Simulated devices whose controller falls silent."""

import struct
from typing import Any

import pytest

from feederloop.hil.codec import Codec
from feederloop.hil.profile import load_profile
from feederloop.hil.reading import Value
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.physics import Ratings

QUICK = Ratings(rated_current_a=16, ramp_percent_per_s=1000)


def _device(profile: str, clock: Any, **values: Value) -> SimulatedDevice:
    return SimulatedDevice(load_profile(profile), ratings=QUICK, clock=clock, values=values)


def _write(device: SimulatedDevice, role: str, value: Value) -> int | None:
    point = device.profile.point(role)
    words = Codec(device.profile).encode(point, value)
    function = point.write_function or device.profile.transport.write_function or (6 if len(words) == 1 else 16)
    return device.write(function, point.table, point.address, words)


def _poll(device: SimulatedDevice, role: str = "power_total") -> None:
    point = device.profile.point(role)
    assert isinstance(device.read(point.table, point.address, point.count), tuple)


def _amps(device: SimulatedDevice) -> float:
    return round(-device.power_kw * 1000 / (3 * 230), 3)


def test_alfen_falls_to_its_safe_current_when_the_set_point_is_not_repeated(clock: Any) -> None:
    device = _device("alfen_ng9xx", clock, failsafe_current=7.0)
    assert _write(device, "current_limit_set", 12.0) is None
    for _ in range(3):
        clock.pass_s(40)
        assert _amps(device) == 12
        assert device.value("setpoint_valid_remaining") == 20
        assert _write(device, "current_limit_set", 12.0) is None
    clock.pass_s(59)
    _poll(device)
    assert _amps(device) == 12
    clock.pass_s(3)
    _poll(device)
    assert _amps(device) == 7
    assert _write(device, "current_limit_set", 12.0) is None
    clock.pass_s(5)
    assert _amps(device) == 12


def test_keba_as_delivered_keeps_the_last_set_point_for_ever(clock: Any) -> None:
    device = _device("keba_p30_p40", clock)
    assert _write(device, "current_limit_set", 10.0) is None
    clock.pass_s(24 * 3600)
    assert device.value("current_limit_applied") == 10


def test_keba_falls_back_once_its_failsafe_was_set(clock: Any) -> None:
    device = _device("keba_p30_p40", clock)
    for role, value in (("failsafe_current_set", 8.0), ("failsafe_timeout_set", 30), ("current_limit_set", 14.0)):
        assert _write(device, role, value) is None
        clock.pass_s(5)
    assert device.value("failsafe_current") == 8
    assert device.value("failsafe_timeout") == 30
    clock.pass_s(20)
    assert _amps(device) == 14
    clock.pass_s(8)
    assert _amps(device) == 8


def test_heidelberg_stops_without_polls_because_its_failsafe_is_below_six_ampere(clock: Any) -> None:
    device = _device("heidelberg_energy_control", clock)
    assert _write(device, "current_limit_set", 11.0) is None
    for _ in range(5):
        clock.pass_s(14)
        _poll(device)
        assert _amps(device) == 11
    clock.pass_s(16)
    assert _amps(device) == 0
    # Its watchdog is in milliseconds and survives a restart.
    assert _write(device, "failsafe_timeout", 60) is None
    assert device.read("holding", 257, 1) == (60000,)
    device.fault("reboot", seconds=1)
    clock.pass_s(2)
    assert device.value("failsafe_timeout") == 60


def test_webasto_wants_its_token(clock: Any) -> None:
    device = _device("webasto_next", clock, failsafe_current=6, failsafe_timeout=20)
    assert _write(device, "current_limit_set", 16) is None
    for _ in range(4):
        clock.pass_s(15)
        _poll(device)
        assert _write(device, "heartbeat", 1) is None
    assert _amps(device) == 16
    clock.pass_s(15)
    assert _write(device, "heartbeat", 0) is None
    clock.pass_s(6)
    _poll(device)
    assert _amps(device) == 6


def test_where_no_source_says_what_happens_the_worst_does(clock: Any) -> None:
    device = _device("mennekes_amtron_compact_2s", clock)
    assert _write(device, "current_limit_set", 6.0) is None
    clock.pass_s(9)
    assert _amps(device) == 6
    assert _write(device, "heartbeat", 0x55AA) is None
    clock.pass_s(9)
    assert _amps(device) == 6
    clock.pass_s(3)
    assert _amps(device) == 16


def test_quasar_goes_idle_when_asked_to_and_nobody_calls(clock: Any) -> None:
    device = _device("wallbox_quasar_1", clock)
    for role, value in (
        ("control_owner", "remote"),
        ("failsafe_timeout", 60),
        ("action", "start"),
        ("power_set", -3000),
    ):
        assert _write(device, role, value) is None
    clock.pass_s(50)
    _poll(device)
    assert device.power_kw == -3
    assert device.read("holding", 526, 1) == (3000,)
    clock.pass_s(50)
    _poll(device)
    clock.pass_s(61)
    assert device.power_kw == 0


def test_energy_counts_the_fall_when_it_happened_not_when_somebody_looked(clock: Any) -> None:
    device = _device("alfen_ng9xx", clock, failsafe_current=6.0)
    assert _write(device, "current_limit_set", 16.0) is None
    clock.pass_s(3600)
    expected = 3 * 230 * (16 * 60 + 6 * 3540) / 3600
    assert device.value("energy_total") == pytest.approx(expected, rel=0.005)


def test_a_restart_forgets_the_set_point_and_is_away_meanwhile(clock: Any) -> None:
    device = _device("warp_charger", clock)
    assert _write(device, "current_limit_set", 8.0) is None
    clock.pass_s(10)
    assert _amps(device) == 8
    device.fault("reboot", seconds=20)
    assert device.away
    clock.pass_s(21)
    assert not device.away
    assert device.value("current_limit_set") == 0
    assert _amps(device) == 16


def test_writes_are_remembered_with_their_time(clock: Any) -> None:
    device = _device("mennekes_hcc3", clock)
    _write(device, "current_limit_set", 9)
    clock.pass_s(1)
    _write(device, "current_limit_set", 7)
    assert list(device.writes) == [(1000.0, "current_limit_set", 9), (1001.0, "current_limit_set", 7)]


def test_a_current_between_nothing_and_six_is_taken_and_means_nothing(clock: Any) -> None:
    device = _device("alfen_ng9xx", clock)
    words = struct.unpack(">2H", struct.pack(">f", 4.0))
    assert device.write(16, "holding", 1210, words) is None
    clock.pass_s(10)
    assert _amps(device) == 0


@pytest.mark.parametrize(
    ("profile", "function", "table", "address", "words", "code"),
    [
        ("alfen_ng9xx", 6, "holding", 1215, [1], 1),
        ("alfen_ng9xx", 16, "holding", 1210, [0], 2),
        ("alfen_ng9xx", 16, "holding", 306, [0, 0], 2),
        ("alfen_ng9xx", 16, "holding", 9999, [0], 2),
        ("alfen_ng9xx", 16, "holding", 1215, [2], 3),
        ("keba_p30_p40", 6, "holding", 5004, [64000], None),
        ("wallbox_quasar_1", 6, "holding", 260, [8000], 3),
        ("sunspec_der", 16, "holding", 40002, [1], 2),
    ],
)
def test_writes_against_the_rules(
    profile: str, function: int, table: Any, address: int, words: list[int], code: int | None, clock: Any
) -> None:
    assert _device(profile, clock).write(function, table, address, words) == code
