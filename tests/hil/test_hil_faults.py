"""Every fault of a device, over real Modbus TCP, as our transport meets it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from feederloop.hil.profile import load_profile
from feederloop.hil.reading import Quality, Reading
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.faults import Fault, Faults
from feederloop.hil.simulated.physics import Ratings
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.transport import ModbusTransport, open_transport
from feederloop.simulators.errors import InputError

Scenario = Callable[[DeviceServer, SimulatedDevice, ModbusTransport], Awaitable[None]]


def _play(profile: str, scenario: Scenario, *, timeout_s: float = 0.3, **options: Any) -> None:
    facts = load_profile(profile)
    device = SimulatedDevice(facts, ratings=Ratings(ramp_percent_per_s=1000), **options)
    with DeviceServer({"box": device}) as server:

        async def play() -> None:
            transport = open_transport(facts, server.urls["box"], name="box", timeout_s=timeout_s)
            assert isinstance(transport, ModbusTransport)
            try:
                await scenario(server, device, transport)
            finally:
                transport.close()

        asyncio.run(play())


async def _power(transport: ModbusTransport) -> Reading:
    return (await transport.read(["power_total"]))["power_total"]


def test_a_silent_device_costs_one_time_out_and_then_nearly_nothing() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        assert (await _power(transport)).good
        server.fault("box", "silent")
        spent = []
        for _ in range(4):
            began = time.monotonic()
            reading = await _power(transport)
            spent.append(time.monotonic() - began)
            assert (reading.value, reading.quality) == (None, Quality.BAD)
            assert "box" in reading.reason
        assert spent[0] < 0.5
        assert spent[1] < 0.5
        assert spent[2] < 0.05
        assert spent[3] < 0.05

    _play("mennekes_hcc3", scenario)


def test_a_silent_device_receives_a_write_once() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        server.fault("box", "late", delay_s=0.2)
        result = await transport.write("current_limit_set", 8)
        assert not result.ok
        await asyncio.sleep(0.2)
        assert [(role, value) for _, role, value in device.writes] == [("current_limit_set", 8)]

    _play("mennekes_hcc3", scenario, timeout_s=0.1)


def test_a_slow_device_is_waited_for_within_the_time_out() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        server.fault("box", "slow", delay_s=0.1)
        assert (await _power(transport)).good
        server.fault("box", "slow", delay_s=0.6)
        assert not (await _power(transport)).good

    _play("mennekes_hcc3", scenario)


def test_late_answers_are_never_taken_for_others() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        roles = ["voltage_l1", "current_limit_applied", "frequency", "power_l1"]
        truth = await transport.read(roles)
        assert all(reading.good for reading in truth.values())
        for delay in (0.06, 0.11):
            server.fault("box", "late", delay_s=delay)
            for role in roles:
                await transport.read([role])
            server.clear("box")
            await asyncio.sleep(0.15)
            transport.link._retry_at = 0.0
            after = await transport.read(roles)
            assert {role: after[role].value for role in roles} == {role: truth[role].value for role in roles}

    _play("alfen_ng9xx", scenario, timeout_s=0.05, clock=lambda: 0.0)


def test_a_reset_is_noticed_at_once_and_healed() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        assert (await _power(transport)).good
        server.fault("box", "reset")
        began = time.monotonic()
        reading = await _power(transport)
        assert "connection lost" in reading.reason
        assert time.monotonic() - began < 0.25
        server.clear("box")
        assert (await _power(transport)).good
        assert transport.link.reconnects == 2

    _play("mennekes_hcc3", scenario)


def test_garbage_is_noticed_at_once_and_healed(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        server.fault("box", "garbage")
        began = time.monotonic()
        reading = await _power(transport)
        assert "garbled" in reading.reason
        assert time.monotonic() - began < 0.25
        server.clear("box")
        assert (await _power(transport)).good

    _play("mennekes_hcc3", scenario)
    assert not [record for record in caplog.records if record.name == "asyncio" and record.levelname == "ERROR"]


@pytest.mark.parametrize("code", [1, 2, 4, 6])
def test_exceptions_come_back_with_their_code(code: int) -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        server.fault("box", "exception", code=code)
        reading = await _power(transport)
        assert reading.quality is Quality.BAD
        assert f"exception {code}" in reading.reason
        result = await transport.write("current_limit_set", 8)
        assert (result.ok, result.exception_code) == (False, code)
        assert transport.link.connected
        server.clear("box")
        assert (await _power(transport)).good

    _play("mennekes_hcc3", scenario)


@pytest.mark.parametrize(
    "profile", ["alfen_ng9xx", "sunspec_inverter_three_phase", "sunspec_inverter_float", "sunspec_der"]
)
def test_missing_values_are_bad(profile: str) -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        roles = ["power_total", "voltage_l1", "frequency"]
        assert all(reading.good for reading in (await transport.read(roles)).values())
        server.fault("box", "nan")
        readings = await transport.read(roles)
        assert {reading.quality for reading in readings.values()} == {Quality.BAD}
        assert all(reading.value is None and reading.raw for reading in readings.values())

    _play(profile, scenario)


def test_values_beyond_the_rating_are_bad_where_the_rating_is_known() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        transport._plausible["power_total"] = (-11500, 0)
        assert (await _power(transport)).good
        server.fault("box", "out_of_range", factor=3)
        reading = await _power(transport)
        assert "plausible" in reading.reason

    _play("mennekes_hcc3", scenario)


def test_a_device_that_ignores_set_points_shows_them_and_does_not_follow() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        server.set("box", "available_kw", 4.0)
        server.fault("box", "ignore_setpoints")
        assert (await transport.write("power_limit_pct_set", 10)).ok
        assert (await transport.write("power_limit_enable", "enabled")).ok
        await asyncio.sleep(0.3)
        readings = await transport.read(["power_limit_pct_set", "power_limit_enable", "power_total"])
        assert {role: reading.value for role, reading in readings.items()} == {
            "power_limit_pct_set": 10,
            "power_limit_enable": "enabled",
            "power_total": 4000,
        }
        server.clear("box")
        assert (await transport.write("power_limit_enable", "enabled")).ok
        assert (await transport.write("power_limit_pct_set", 10)).ok
        await asyncio.sleep(0.3)
        assert (await _power(transport)).value == 500

    _play("sunspec_der", scenario)


def test_a_reboot_is_an_absence_and_the_set_point_is_gone() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        assert (await transport.write("current_limit_set", 8)).ok
        server.fault("box", "reboot", seconds=0.3)
        assert not (await _power(transport)).good
        await asyncio.sleep(0.3)
        readings = await transport.read(["power_total", "current_limit_set"])
        assert readings["power_total"].good
        assert readings["current_limit_set"].value == 0

    _play("mennekes_hcc3", scenario, timeout_s=0.1)


def test_swapped_words_give_values_that_the_rating_unmasks() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        transport._plausible["power_total"] = (-11500, 0)
        await asyncio.sleep(0.3)
        truth = await _power(transport)
        assert truth.value == -11040
        server.fault("box", "swapped_words")
        reading = await _power(transport)
        assert reading.raw == truth.raw[::-1]
        assert reading.quality is Quality.BAD

    _play("mennekes_hcc3", scenario)


def test_a_device_that_refuses_function_six() -> None:
    async def scenario(server: DeviceServer, device: SimulatedDevice, transport: ModbusTransport) -> None:
        server.fault("box", "refuse_fc06")
        result = await transport.write("current_limit_set", 8)
        assert (result.ok, result.exception_code) == (False, 1)
        assert "illegal function" in result.reason
        server.clear("box", "refuse_fc06")
        assert (await transport.write("current_limit_set", 8)).ok

    _play("mennekes_hcc3", scenario)


def test_three_dead_devices_of_twenty_delay_no_other() -> None:
    names = [f"box{n}" for n in range(20)]
    facts = load_profile("warp_charger")
    with DeviceServer({name: SimulatedDevice(facts) for name in names}) as server:

        async def scenario() -> None:
            transports = {name: open_transport(facts, server.urls[name], name=name) for name in names}
            for name in names:
                assert (await transports[name].read(["power_total"]))["power_total"].good
            server.fault("box3", "silent")
            server.fault("box8", "silent")
            server.cut("box13")
            done: dict[str, float] = {}
            began = time.monotonic()

            async def poll(name: str) -> None:
                reading = (await transports[name].read(["power_total"]))["power_total"]
                assert reading.good == (name not in ("box3", "box8", "box13"))
                done[name] = time.monotonic() - began

            await asyncio.gather(*(poll(name) for name in names))
            dead = {name: done.pop(name) for name in ("box3", "box8", "box13")}
            assert max(done.values()) < 0.25
            assert max(dead.values()) < 0.6
            for transport in transports.values():
                transport.close()

        asyncio.run(scenario())


def test_faults_are_known_by_name_and_parameter() -> None:
    faults = Faults()
    with pytest.raises(InputError, match="silent, slow"):
        faults.set("sulking")
    with pytest.raises(InputError, match="delay_s"):
        faults.set("slow", volume=3)
    faults.set("slow", delay_s=2)
    faults.set("silent")
    faults.clear("silent")
    assert faults.has(Fault.SLOW)
    assert not faults.has(Fault.SILENT)
    assert faults.parameter(Fault.SLOW, "delay_s") == 2
