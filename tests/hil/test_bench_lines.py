"""A bench over TLS and over a serial line: armed, restarted in mid-run, stopped, captured."""

import ssl
import time

import pandas as pd
import pytest

from feederloop.hil.audit import read_audit
from feederloop.hil.bench import bench_from
from feederloop.hil.reading import Quality
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.simulation import simulated_device
from feederloop.hil.snapshot import State
from feederloop.hil.station import Pace, Station
from feederloop.hil.supervisor import Command
from feederloop.hil.timekeeping import WallClock

CHARGER = {"prosumer": "home_01", "slot": "charger", "ratings": {"current_a": 16, "phases": 3}, "mode": "armed",
           "poll_s": 0.3, "limits": {"import_kw": 6.9, "write_interval_s": 0}}  # fmt: skip
INVERTER = {"prosumer": "home_01", "slot": "inverter", "ratings": {"power_kw": 5.0}, "mode": "armed", "poll_s": 0.3}


def eventually(condition, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(params=["tls", "rtu"])
def line(request, tmp_path):
    """A served device with its bench; gives the bench, the device, and a set-point with the register that it makes."""
    context = None
    if request.param == "tls":
        certificates = request.getfixturevalue("certificates")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates["device"], certificates["key"])
        entry = {**INVERTER, "profile": "sunspec_inverter_three_phase", "tls": {"ca": certificates["authority"]}}
        served, ours, asked = "tls://127.0.0.1:0", None, (2.0, "power_limit_pct_set", 40.0)
    else:
        ends = request.getfixturevalue("serial_pair")
        entry = {**CHARGER, "profile": "heidelberg_energy_control", "failsafe": {"timeout_s": 15, "value": 0}}
        served, ours = (f"rtu://{end}?baud=19200&parity=N&stop=1" for end in ends)
        asked = (-6.9, "current_limit_set", 10.0)
    described = bench_from({"devices": [{**entry, "url": "simulated"}]}).devices[0]
    device = simulated_device(described, WallClock())
    with DeviceServer({"it": device}, addresses={"it": served}, tls=context) as server:
        url = ours or server.urls["it"]
        allow = [f"{url.removeprefix('rtu://').partition('?')[0]}:1"]
        options = {"stop_file": str(tmp_path / "stop"), "timeout_s": 1.0, "allow": allow}
        yield bench_from({"devices": [{**entry, "url": url}], **options}), device, asked


def test_it_is_armed_restarts_is_told_again_is_stopped_and_all_of_it_is_kept(line, tmp_path):
    bench, device, (asked_kw, role, value) = line
    with Station(bench, pace=Pace(real_time=True)) as station:
        station.start(tmp_path / "bench", capture=True)
        (held,) = station.devices.values()
        station.post({held.name: Command(asked_kw)})
        assert eventually(lambda: held.snapshot.sent_kw == pytest.approx(asked_kw)), held.snapshot
        assert device.value(role) == pytest.approx(value)
        assert eventually(lambda: held.snapshot.state is State.ARMED)
        device.fault("reboot", seconds=1.5)
        assert eventually(lambda: held.snapshot.state is State.LOST)
        assert held.snapshot.quality is Quality.BAD
        assert eventually(lambda: device.value(role) == pytest.approx(value) and held.snapshot.state is State.ARMED)
        station.stop.trip("smoke", "operator")
        assert eventually(lambda: held.snapshot.state is State.STOPPED)
        assert device.value(role) == 0
    log = read_audit(tmp_path / "bench" / "audit.jsonl")
    kinds = [entry["kind"] for entry in log if entry["kind"] != "write"]
    assert kinds == ["began", "found", "armed", "lost", "found", "armed", "stopped", "ended"]
    assert log[-1]["not_confirmed_safe"] == []
    assert [entry["new"] for entry in log if entry["kind"] == "write" and entry["role"] == role][-1] == 0
    table = pd.read_parquet(tmp_path / "bench" / "capture.parquet")
    power = table[(table.kind == "read") & (table.role == "power_total")]
    assert {"good", "bad"} <= set(power.quality)
    assert power[power.quality == "good"].raw.str.len().min() >= 1
    taken = table[(table.kind == "write") & (table.role == role) & (table.quality == "good")].value
    assert taken.iloc[0] == pytest.approx(value)
    assert taken.iloc[-1] == 0


def test_a_certificate_of_a_stranger_keeps_the_device_from_being_contacted(certificates, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["device"], certificates["key"])
    entry = {**INVERTER, "profile": "sunspec_inverter_three_phase", "tls": {"ca": certificates["stranger"]}}
    described = bench_from({"devices": [{**entry, "url": "simulated"}]}).devices[0]
    device = simulated_device(described, WallClock())
    with DeviceServer({"it": device}, addresses={"it": "tls://127.0.0.1:0"}, tls=context) as server:
        bench = bench_from({"devices": [{**entry, "url": server.urls["it"]}], "stop_file": str(tmp_path / "stop")})
        with Station(bench, pace=Pace(real_time=True)) as station:
            station.start(tmp_path / "bench")
            (held,) = station.devices.values()
            station.post({held.name: Command(2.0)})
            assert eventually(lambda: "certificate" in held.snapshot.reason)
            assert held.snapshot.state is State.NEVER
    assert list(device.writes) == []
