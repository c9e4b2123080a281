import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from feederloop.hil.address import DeviceAddress
from feederloop.hil.link import Answer, Link
from feederloop.hil.profile import Profile, Table, load_profile
from feederloop.hil.reading import Quality, Reading
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.transport import DryRunTransport, ModbusTransport, open_transport
from feederloop.simulators.errors import InputError


class RecordedLink:
    """A link that answers from a simulated device directly and remembers what it was asked."""

    def __init__(self, device: SimulatedDevice) -> None:
        self.name = "recorded"
        self.device = device
        self.asked: list[tuple[int, str, int, int]] = []
        self.sent: list[tuple[int, int, int, tuple[int, ...]]] = []
        self.failing: Callable[[], str] = lambda: ""

    async def read(self, unit: int, table: Table, address: int, count: int) -> Answer:
        self.asked.append((unit, table, address, count))
        if reason := self.failing():
            return Answer(reason=reason, time=time.monotonic())
        words = self.device.read(table, address, count)
        if isinstance(words, int):
            return Answer(reason=f"exception {words}", exception_code=words, time=time.monotonic())
        return Answer(words=words, time=time.monotonic())

    async def write(self, unit: int, function: int, address: int, words: tuple[int, ...]) -> Answer:
        self.sent.append((unit, function, address, tuple(words)))
        code = self.device.write(function, "coil" if function == 5 else "holding", address, words)
        return Answer(reason=f"exception {code}" if code else "", exception_code=code, time=time.monotonic())

    def close(self) -> None:
        pass


@pytest.fixture
def recorded(clock: Any) -> Callable[..., tuple[ModbusTransport, RecordedLink]]:
    def make(profile: str | Profile, **options: Any) -> tuple[ModbusTransport, RecordedLink]:
        facts = load_profile(profile) if isinstance(profile, str) else profile
        link = RecordedLink(SimulatedDevice(facts, clock=clock))
        return ModbusTransport(facts, link, **options), link  # type: ignore[arg-type]

    return make


def _read(transport: ModbusTransport | DryRunTransport, roles: Iterable[str]) -> dict[str, Reading]:
    return asyncio.run(transport.read(roles))


def test_few_requests_read_many_points(recorded: Any) -> None:
    transport, link = recorded("alfen_ng9xx")
    roles = [f"{what}_l{phase}" for what in ("voltage", "current", "power") for phase in (1, 2, 3)]
    readings = _read(transport, roles)
    assert list(readings) == roles
    assert all(reading.good for reading in readings.values())
    assert link.asked == [(1, "holding", 306, 6), (1, "holding", 320, 6), (1, "holding", 338, 6)]


def test_one_missing_point_costs_no_other_and_is_asked_for_by_itself_ever_after(recorded: Any) -> None:
    facts = load_profile("alfen_ng9xx")
    transport, link = recorded(facts)
    gone = facts.point("voltage_l2")
    for offset in range(gone.count):
        del link.device.image._words[gone.table, gone.address + offset]
    for _ in range(2):
        link.asked.clear()
        readings = _read(transport, ["voltage_l1", "voltage_l2", "voltage_l3"])
        assert [reading.quality for reading in readings.values()] == [Quality.GOOD, Quality.BAD, Quality.GOOD]
        assert "exception 2" in readings["voltage_l2"].reason
    assert link.asked == [(1, "holding", 306, 2), (1, "holding", 308, 2), (1, "holding", 310, 2)]


def test_a_device_is_not_asked_again_sooner_than_it_likes(recorded: Any) -> None:
    transport, link = recorded("keba_p30_p40")
    first = _read(transport, ["power_total", "current_l1"])
    again = _read(transport, ["power_total", "current_l1"])
    assert len(link.asked) == 2
    assert again == first
    link.failing = lambda: "no answer"
    assert _read(transport, ["power_total"])["power_total"] == first["power_total"]
    time.sleep(0.5)
    assert not _read(transport, ["power_total"])["power_total"].good


def test_writes_keep_the_interval_and_say_when_they_may_come_again(recorded: Any) -> None:
    transport, link = recorded("keba_p30_p40")
    assert asyncio.run(transport.write("current_limit_set", 10)).ok
    held_back = asyncio.run(transport.write("current_limit_set", 8))
    assert not held_back.ok
    assert 4 < held_back.retry_after_s <= 5
    assert held_back.raw == (8000,)
    assert link.sent == [(255, 6, 5004, (10000,))]


@pytest.mark.parametrize(
    ("profile", "role", "value", "sent"),
    [
        ("alfen_ng9xx", "phases_set", 3, (1, 16, 1215, (3,))),
        ("alfen_ng9xx", "current_limit_set", 10, (1, 16, 1210, (0x4120, 0))),
        ("mennekes_hcc3", "current_limit_set", 10, (255, 6, 0x400, (10,))),
        ("heidelberg_energy_control", "current_limit_set", 10, (1, 16, 261, (100,))),
        ("abb_terra_ac", "current_limit_set", 10, (1, 16, 0x4100, (0, 10000))),
        ("abb_terra_ac", "comm_timeout", 60, (1, 6, 0x4106, (60,))),
        ("phoenix_em_cp_pp_eth", "enable", True, (180, 5, 400, (1,))),
        ("sigenergy_evdc", "power_limit_set", 4000, (1, 16, 41002, (0, 4000))),
        ("ambibox_ambicharge_home", "power_set", -4000, (1, 16, 3000, (0xFFFF, 0x10000 - 4000))),
        ("sunspec_der", "power_set", -4000, (1, 16, 40320, (0xFFFF, 0x10000 - 4000))),
        ("sunspec_inverter_three_phase", "power_limit_pct_set", 33.3, (1, 6, 40187, (3330,))),
    ],
)
def test_each_device_gets_the_function_and_the_registers_it_wants(
    recorded: Any, profile: str, role: str, value: Any, sent: tuple[int, int, int, tuple[int, ...]]
) -> None:
    transport, link = recorded(profile)
    result = asyncio.run(transport.write(role, value))
    assert (result.ok, result.raw) == (True, sent[3])
    assert link.sent == [sent]


def test_what_the_caller_gets_wrong_is_raised_and_not_sent(recorded: Any) -> None:
    transport, link = recorded("alfen_ng9xx")
    for role, value in (("current_limit_set", 3), ("power_total", 5), ("nothing", 5)):
        with pytest.raises(InputError):
            asyncio.run(transport.write(role, value))
    with pytest.raises(InputError, match="heartbeat"):
        _read(recorded("mennekes_amtron_compact_2s")[0], ["heartbeat"])
    assert link.sent == []


def test_what_cannot_be_true_of_this_device_is_bad(recorded: Any) -> None:
    transport, link = recorded("alfen_ng9xx", plausible={"voltage_l1": (200, 260), "power_total": (-11500, 0)})
    link.device.set("grid_voltage_v", 300)
    readings = _read(transport, ["voltage_l1", "voltage_l2", "power_total"])
    assert (readings["voltage_l1"].value, readings["voltage_l1"].quality) == (None, Quality.BAD)
    assert "200..260" in readings["voltage_l1"].reason
    assert readings["voltage_l2"].value == 300


def test_a_sunspec_write_without_a_scale_factor_is_not_sent(recorded: Any) -> None:
    transport, link = recorded("sunspec_inverter_three_phase")
    assert asyncio.run(transport.prepare()) == ""
    link.failing = lambda: "no answer"
    result = asyncio.run(transport.write("power_limit_pct_set", 50))
    assert "scale factor" in result.reason
    assert link.sent == []


def test_a_device_without_a_sunspec_map_says_so(recorded: Any) -> None:
    transport, link = recorded("sunspec_der")
    link.device.image.store("holding", 40000, (0, 0))
    reading = _read(transport, ["power_total"])["power_total"]
    assert reading.quality is Quality.BAD
    assert reading.reason
    other, _ = recorded("sunspec_der")
    other.link.device = SimulatedDevice(load_profile("sunspec_inverter_single_phase"))
    assert "701" in asyncio.run(other.prepare())


def test_a_dry_run_reads_and_writes_nothing(recorded: Any) -> None:
    inner, link = recorded("sunspec_inverter_three_phase")
    dry = DryRunTransport(inner)
    assert _read(dry, ["frequency"])["frequency"].value == 50
    result = asyncio.run(dry.write("power_limit_pct_set", 25))
    assert (result.ok, result.raw) == (True, (2500,))
    assert dry.written == [("power_limit_pct_set", 25, (2500,))]
    assert link.sent == []
    with pytest.raises(InputError):
        asyncio.run(dry.write("frequency", 50))


def test_nothing_listens_then_something_does() -> None:
    device = SimulatedDevice(load_profile("warp_charger"))
    with DeviceServer({"box": device}) as server:
        server.cut("box")

        async def scenario() -> None:
            address = DeviceAddress.parse(server.urls["box"])
            link = Link(address, name="box", back_off_s=(0.05, 0.1))
            transport = ModbusTransport(load_profile("warp_charger"), link)
            refused = (await transport.read(["power_total"]))["power_total"]
            assert "cannot connect" in refused.reason
            began = time.monotonic()
            waiting = (await transport.read(["power_total"]))["power_total"]
            assert "next attempt" in waiting.reason
            assert time.monotonic() - began < 0.03
            server.heal("box")
            await asyncio.sleep(0.11)
            assert (await transport.read(["power_total"]))["power_total"].good
            assert link.connected
            assert link.reconnects == 1
            transport.close()
            assert not link.connected

        asyncio.run(scenario())


def test_back_offs_grow_to_their_limit_and_differ_between_devices_but_not_between_runs() -> None:
    async def waits(name: str) -> list[float]:
        link = Link(DeviceAddress.parse("tcp://127.0.0.1:1"), name=name)
        found = []
        for _ in range(6):
            link._failed("x")
            found.append(link._retry_at - time.monotonic())
        return found

    one, same, other = (asyncio.run(waits(name)) for name in ("a", "a", "b"))
    assert one == pytest.approx(same, abs=0.01)
    assert one != pytest.approx(other, abs=0.01)
    assert 1.8 <= one[0] <= 2.0
    assert all(4.5 <= wait <= 5.0 for wait in one[3:])
    assert all(wait <= 5.0 for wait in one + other)


def test_a_wrong_unit_is_refused_not_answered() -> None:
    device = SimulatedDevice(load_profile("warp_charger"), unit=1)
    with DeviceServer({"box": device}) as server:

        async def scenario() -> None:
            transport = open_transport(load_profile("warp_charger"), server.urls["box"], unit=7)
            reading = (await transport.read(["power_total"]))["power_total"]
            assert reading.quality is Quality.BAD
            assert "exception 11" in reading.reason
            result = await transport.write("current_limit_set", 10)
            assert (result.ok, result.exception_code) == (False, 11)
            transport.close()

        asyncio.run(scenario())
    assert not device.writes


def test_devices_that_answer_to_any_unit() -> None:
    device = SimulatedDevice(load_profile("warp_charger"), unit=1, any_unit=True)
    with DeviceServer({"box": device}) as server:

        async def scenario() -> None:
            transport = open_transport(load_profile("warp_charger"), server.urls["box"], unit=200)
            assert (await transport.read(["power_total"]))["power_total"].good
            transport.close()

        asyncio.run(scenario())


def test_requests_keep_the_silence_that_a_device_needs(clock: Any) -> None:
    profile = load_profile("heidelberg_energy_control")
    with DeviceServer({"box": SimulatedDevice(profile, clock=clock)}) as server:

        async def scenario() -> float:
            transport = open_transport(profile, server.urls["box"])
            began = time.monotonic()
            readings = await transport.read(["status", "power_total", "energy_total"])
            transport.close()
            assert all(reading.good for reading in readings.values())
            return time.monotonic() - began

        assert asyncio.run(scenario()) >= 0.2


def test_a_request_that_is_cancelled_takes_its_answer_with_it() -> None:
    profile = load_profile("warp_charger")
    device = SimulatedDevice(profile)
    with DeviceServer({"box": device}) as server:

        async def scenario() -> None:
            transport = open_transport(profile, server.urls["box"], timeout_s=5)
            assert (await transport.read(["table_version"]))["table_version"].good
            server.fault("box", "late", delay_s=0.1)
            task = asyncio.create_task(transport.read(["current_limit_applied"]))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            server.clear("box")
            assert (await transport.read(["table_version"]))["table_version"].value == 0
            transport.close()

        asyncio.run(scenario())
