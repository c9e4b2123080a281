import asyncio
import threading

import pytest

from feederloop.hil.profile import load_profile
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.server import DeviceServer, serve
from feederloop.hil.transport import open_transport
from feederloop.simulators.errors import InputError

WARP = load_profile("warp_charger")


def _power(url: str, unit: int = 1) -> float | None:
    async def read() -> float | None:
        transport = open_transport(WARP, url, unit=unit)
        reading = (await transport.read(["power_total"]))["power_total"]
        transport.close()
        return reading.value if isinstance(reading.value, float) else None

    return asyncio.run(read())


def test_many_devices_have_ports_of_their_own_and_the_thread_ends() -> None:
    before = threading.active_count()
    with DeviceServer({f"box{n}": SimulatedDevice(WARP) for n in range(30)}) as server:
        assert len(set(server.urls.values())) == 30
        assert threading.active_count() == before + 1
        assert _power(server.urls["box29"]) is not None
        server.start()
    assert threading.active_count() == before
    server.stop()


def test_a_time_series_drives_a_device_from_another_thread(clock: object) -> None:
    device = SimulatedDevice(WARP)
    with DeviceServer({"box": device}) as server:
        server.set("box", "plugged", False)
        assert _power(server.urls["box"]) == 0
        assert device.value("status") == "A"
        with pytest.raises(InputError, match="no such attribute"):
            server.set("box", "colour", "red")


def test_devices_on_one_address_are_told_apart_by_their_unit() -> None:
    boxes = {"a": SimulatedDevice(WARP, unit=1, clock=lambda: 0), "b": SimulatedDevice(WARP, unit=2, clock=lambda: 0)}
    with DeviceServer({"probe": SimulatedDevice(WARP)}) as probe:
        url = probe.urls["probe"]
    with DeviceServer(boxes, addresses={"a": url, "b": url}) as server:
        assert server.urls == {"a": url, "b": url}
        assert _power(url, 1) == 0
        assert _power(url, 2) == 0
        assert _power(url, 3) is None


def test_the_same_unit_twice_is_refused() -> None:
    async def twice() -> None:
        await serve([SimulatedDevice(WARP), SimulatedDevice(WARP)])

    with pytest.raises(InputError, match="unit ids of their own"):
        asyncio.run(twice())


def test_a_port_that_is_taken_is_said() -> None:
    with DeviceServer({"a": SimulatedDevice(WARP)}) as server:
        other = DeviceServer({"b": SimulatedDevice(WARP)}, addresses={"b": server.urls["a"]})
        with pytest.raises(InputError, match="cannot serve here"):
            other.start()


def test_a_cut_device_comes_back_at_its_address() -> None:
    with DeviceServer({"box": SimulatedDevice(WARP)}) as server:
        url = server.urls["box"]
        server.cut("box")
        server.cut("box")
        assert _power(url) is None
        server.heal("box")
        server.heal("box")
        assert server.urls["box"] == url
        assert _power(url) is not None
    with pytest.raises(InputError, match="not being served"):
        server.cut("box")


def test_devices_are_served_inside_ones_own_loop() -> None:
    async def scenario() -> None:
        served = await serve([SimulatedDevice(WARP)])
        transport = open_transport(WARP, served.url)
        assert (await transport.read(["power_total"]))["power_total"].good
        transport.close()
        await served.stop()

    asyncio.run(scenario())
