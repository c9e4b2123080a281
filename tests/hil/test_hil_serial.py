import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import serial

from feederloop.hil.address import DeviceAddress
from feederloop.hil.link import Link
from feederloop.hil.profile import load_profile
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.physics import Ratings
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.transport import ModbusTransport

HEIDELBERG = load_profile("heidelberg_energy_control")

# Pseudo terminals know no parity.


def _play(
    ends: tuple[str, str],
    scenario: Callable[[DeviceServer, Link], Awaitable[None]],
    *,
    timeout_s: float = 0.3,
    late_window_s: float = 0.5,
    **devices: SimulatedDevice,
) -> None:
    line, ours = (f"rtu://{end}?baud=19200&parity=N" for end in ends)
    with DeviceServer(devices, addresses=dict.fromkeys(devices, line)) as server:

        async def play() -> None:
            link = Link(DeviceAddress.parse(ours), timeout_s=timeout_s, late_window_s=late_window_s)
            try:
                await scenario(server, link)
            finally:
                link.close()

        asyncio.run(play())


def test_a_serial_charger_is_read_and_driven(serial_pair: tuple[str, str], clock: Any) -> None:
    device = SimulatedDevice(HEIDELBERG, clock=clock, ratings=Ratings(ramp_percent_per_s=1000))

    async def scenario(server: DeviceServer, link: Link) -> None:
        transport = ModbusTransport(HEIDELBERG, link)
        result = await transport.write("current_limit_set", 8)
        assert result.ok, result.reason
        clock.pass_s(5)
        readings = await transport.read(["status", "current_l1", "voltage_l3", "power_total", "current_limit_set"])
        assert {role: reading.value for role, reading in readings.items()} == {
            "status": "C",
            "current_l1": 8,
            "voltage_l3": 230,
            "power_total": -5520,
            "current_limit_set": 8,
        }

    _play(serial_pair, scenario, box=device)


def test_several_units_share_a_line_and_a_dead_one_does_not_silence_the_others(serial_pair: tuple[str, str]) -> None:
    boxes = {f"box{unit}": SimulatedDevice(HEIDELBERG, unit=unit) for unit in (1, 2)}

    async def scenario(server: DeviceServer, link: Link) -> None:
        first, second, absent = (ModbusTransport(HEIDELBERG, link, unit=unit) for unit in (1, 2, 9))
        assert (await first.read(["status"]))["status"].good
        assert (await second.read(["status"]))["status"].good
        assert "no answer" in (await absent.read(["status"]))["status"].reason
        server.fault("box2", "silent")
        assert not (await second.read(["status"]))["status"].good
        began = time.monotonic()
        assert "left alone" in (await second.read(["status"]))["status"].reason
        assert (await first.read(["status"]))["status"].good
        assert time.monotonic() - began < 0.25
        assert link.reconnects == 1

    _play(serial_pair, scenario, **boxes)


@pytest.mark.parametrize("delay", [0.15, 0.3, 0.45])
def test_a_late_answer_is_never_taken_for_that_of_the_next_request(serial_pair: tuple[str, str], delay: float) -> None:
    # Two points of the same length, the likeliest to be mixed up: 230 V and 0 A.
    device = SimulatedDevice(HEIDELBERG, values={}, clock=lambda: 0.0)

    async def scenario(server: DeviceServer, link: Link) -> None:
        transport = ModbusTransport(HEIDELBERG, link)
        assert (await transport.read(["voltage_l1"]))["voltage_l1"].value == 230
        server.fault("box", "late", delay_s=delay)
        assert not (await transport.read(["voltage_l1"]))["voltage_l1"].good
        server.clear("box")
        seen = []
        began = time.monotonic()
        while time.monotonic() - began < 0.8:
            reading = (await transport.read(["current_l1"]))["current_l1"]
            seen.append(reading.value)
            await asyncio.sleep(0.01)
        assert set(seen) == {None, 0}
        assert seen[-1] == 0

    _play(serial_pair, scenario, timeout_s=0.1, late_window_s=0.5, box=device)


def test_garbage_on_the_line_is_not_a_value(serial_pair: tuple[str, str]) -> None:
    async def scenario(server: DeviceServer, link: Link) -> None:
        transport = ModbusTransport(HEIDELBERG, link)
        server.fault("box", "garbage")
        assert not (await transport.read(["status"]))["status"].good
        server.clear("box")
        await asyncio.sleep(0.3)
        assert (await transport.read(["status"]))["status"].good

    _play(serial_pair, scenario, timeout_s=0.1, late_window_s=0.25, box=SimulatedDevice(HEIDELBERG))


def test_a_serial_device_answers_a_hand_made_frame(serial_pair: tuple[str, str], clock: Any) -> None:
    line = f"rtu://{serial_pair[0]}?baud=19200&parity=N"
    with (
        DeviceServer({"box": SimulatedDevice(HEIDELBERG, clock=clock)}, addresses={"box": line}),
        serial.Serial(serial_pair[1], 19200, timeout=2) as port,
    ):
        # Function 4 on unit 1, three registers from 10; the checksum worked out by hand from the Modbus document.
        port.write(bytes.fromhex("0104000a0003") + _crc(bytes.fromhex("0104000a0003")))
        answer = port.read(11)
    assert answer[:3] == bytes([1, 4, 6])
    assert struct.unpack(">3H", answer[3:9]) == (230, 230, 230)
    assert answer[9:] == _crc(answer[:9])


def test_a_line_that_is_not_there_says_so() -> None:
    async def scenario() -> None:
        link = Link(DeviceAddress.parse("rtu:///dev/no-such-line"))
        answer = await link.read(1, "input", 5, 1)
        assert "cannot connect" in answer.reason
        assert "no-such-line" in answer.reason

    asyncio.run(scenario())


def _crc(data: bytes) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)
