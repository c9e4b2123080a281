import time

from bench_kit import CHARGER, INVERTER

from feederloop.hil.bench import bench_from
from feederloop.hil.reading import Quality
from feederloop.hil.serving import BenchServer
from feederloop.hil.snapshot import State
from feederloop.hil.station import Pace, Station
from feederloop.hil.supervisor import Command

REAL_TIME = Pace(real_time=True)


def served(tmp_path, count: int, **more):
    """A bench of inverters that live by themselves, and their server."""
    entries = [
        {"prosumer": f"home_{number:02}", "url": "simulated", "mode": "armed", **INVERTER} for number in range(count)
    ]
    server = BenchServer(bench_from({"devices": entries}))
    server.__enter__()
    entries = [{**entry, "url": server.urls[f"{entry['prosumer']}/inverter"], "poll_s": 0.2} for entry in entries]
    return server, bench_from({"devices": entries, "stop_file": str(tmp_path / "stop"), **more})


def eventually(condition, seconds: float = 8.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_three_of_twenty_dead_at_once_concern_nobody_else_and_never_the_clock(tmp_path):
    server, bench = served(tmp_path, 20)
    names = [entry.name for entry in bench.devices]
    dead, alive = names[:3], names[3:]
    try:
        with Station(bench, pace=REAL_TIME) as station:
            station.start(tmp_path)
            held = station.devices
            assert eventually(lambda: all(held[name].snapshot.state is State.ARMED for name in names))
            for name, fault in zip(dead, ("silent", "reset", "garbage"), strict=True):
                server.server.fault(name, fault)
            handing_s = []
            for number in range(20):
                began = time.perf_counter()
                command = Command(1.0 + 0.05 * number)
                station.post(dict.fromkeys(names, command))
                seen = [held[name].snapshot for name in names]
                handing_s.append(time.perf_counter() - began)
                assert all(item.quality in Quality for item in seen)
                time.sleep(0.1)
            assert sorted(handing_s)[10] < 0.005, "handing over to 20 devices takes no I/O"
            assert eventually(lambda: all(held[name].snapshot.state is State.LOST for name in dead))
            assert all(held[name].snapshot.state is State.ARMED for name in alive)
            # The latest wins, once the interval between two writes is over.
            assert eventually(lambda: {round(held[name].snapshot.sent_kw or 0, 2) for name in alive} == {1.95})
            for name in dead:
                server.server.clear(name)
            assert eventually(lambda: all(held[name].snapshot.state is State.ARMED for name in dead), 15)
        limits = [server.server.devices[name].value("power_limit_pct_set") for name in names]
        assert limits == [0.0] * 20, "all are in their safe state at the end"
    finally:
        server.__exit__(None, None, None)


def test_a_hung_run_leaves_devices_in_the_default_envelope(tmp_path):
    server, bench = served(tmp_path, 1, default_export_kw=0.5)
    name = bench.devices[0].name
    try:
        with Station(bench, pace=REAL_TIME) as station:
            station.start(tmp_path)
            device = station.devices[name]
            station.post({name: Command(2.5, expires=device.clock() + 1.0)})
            assert eventually(lambda: device.snapshot.sent_kw == 2.5)
            assert eventually(lambda: device.snapshot.sent_kw == 0.5)
    finally:
        server.__exit__(None, None, None)


def test_devices_on_one_line_share_its_link_and_take_turns(tmp_path):
    from feederloop.hil.profile import load_profile
    from feederloop.hil.simulated.device import SimulatedDevice
    from feederloop.hil.simulated.physics import Ratings
    from feederloop.hil.simulated.server import DeviceServer

    profile = load_profile("alfen_ng9xx")
    ratings = Ratings(phases=1)
    sockets = {str(unit): SimulatedDevice(profile, unit=unit, ratings=ratings) for unit in (1, 2)}
    # A port that was free a moment ago: both sockets of the station answer there.
    with DeviceServer({"probe": SimulatedDevice(profile)}) as probe:
        url = probe.urls["probe"]
    with DeviceServer(sockets, addresses=dict.fromkeys(sockets, url)):
        entries = [
            {"prosumer": f"home_{unit}", "url": url, "unit": unit, "mode": "armed", "poll_s": 0.2, **CHARGER}
            for unit in (1, 2)
        ]
        bench = bench_from({"devices": entries, "stop_file": str(tmp_path / "stop")})
        with Station(bench, pace=REAL_TIME) as station:
            station.start(tmp_path)
            first, second = station.devices.values()
            assert first.transport.link is second.transport.link
            station.post({first.name: Command(-2.0), second.name: Command(-3.0)})
            reached = lambda: (first.snapshot.sent_kw, second.snapshot.sent_kw) == (-2.0, -3.0)  # noqa: E731
            assert eventually(reached)
        assert [device.value("current_limit_set") for device in sockets.values()] == [0.0, 0.0]


def test_a_mistake_of_ours_with_one_device_is_told_and_spoils_no_other(tmp_path, monkeypatch):
    server, bench = served(tmp_path, 2)
    try:
        with Station(bench, pace=REAL_TIME) as station:
            station.start(tmp_path)
            first, second = station.devices.values()

            async def broken(roles):
                raise KeyError("power_total")

            monkeypatch.setattr(first.transport, "read", broken)
            assert eventually(lambda: "KeyError" in first.snapshot.reason)
            assert eventually(lambda: second.snapshot.quality is Quality.GOOD)
    finally:
        server.__exit__(None, None, None)
