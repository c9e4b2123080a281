"""A process that drives devices and is killed on the spot: they fall back by themselves."""

import subprocess
import sys
import time

import pytest
import yaml

from feederloop.hil.audit import read_audit
from feederloop.hil.bench import load_bench
from feederloop.hil.serving import BenchServer

TIMEOUT_S = 3
DRIVER = """
import sys, time
from pathlib import Path
from feederloop.hil.audit import read_audit
from feederloop.hil.bench import load_bench
from feederloop.hil.station import Pace, Station
from feederloop.hil.supervisor import Command

with Station(load_bench(sys.argv[1]), pace=Pace(real_time=True)) as station:
    station.start(Path(sys.argv[2]))
    station.post({name: Command(2.0 if name.endswith("inverter") else -2.3) for name in station.devices})
    while any(device.snapshot.sent_kw is None for device in station.devices.values()):
        time.sleep(0.05)
    print("driven", flush=True)
    time.sleep(60)
"""
ROOF = {"slot": "inverter", "ratings": {"power_kw": 5.0}, "accept_failsafe": True}
DEVICES = {
    "model_123": {**ROOF, "profile": "sunspec_inverter_three_phase", "failsafe": {"timeout_s": TIMEOUT_S}},
    "model_704": {**ROOF, "profile": "sunspec_der", "failsafe": {"timeout_s": TIMEOUT_S, "value": 1000}},
    "webasto": {"slot": "charger", "profile": "webasto_next", "ratings": {"current_a": 16},
             "failsafe": {"timeout_s": TIMEOUT_S, "value": 6}},
}  # fmt: skip
DRIVEN = {"model_123": 2.0, "model_704": 2.0, "webasto": -2.07}
"""A charger that tells no voltage gets the current of 2.3 kW at the highest one that is permitted."""
FALLEN = {"model_123": 3.0, "model_704": 1.0, "webasto": -1.38}
"""Model 123 has no other limit to fall back to: then the sun's 3 kW flow."""


def flow(server: BenchServer) -> dict[str, float]:
    return {name.partition("/")[0]: device.power_kw for name, device in server.server.devices.items()}


def eventually(server: BenchServer, expected: dict[str, float], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while flow(server) != pytest.approx(expected, rel=0.02):
        assert time.monotonic() < deadline, flow(server)
        time.sleep(0.05)


def test_devices_of_a_killed_process_go_to_their_fail_safe_within_their_time(tmp_path):
    file = tmp_path / "bench.yaml"
    entries = [{"prosumer": name, "mode": "armed", "poll_s": 0.3, "url": "simulated", **device}
               for name, device in DEVICES.items()]  # fmt: skip
    file.write_text(yaml.safe_dump({"devices": entries}), encoding="utf-8")
    with BenchServer(load_bench(file)) as server:
        entries = [{**entry, "url": server.urls[f"{entry['prosumer']}/{entry['slot']}"]} for entry in entries]
        file.write_text(yaml.safe_dump({"devices": entries}), encoding="utf-8")
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(file), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert driver.stdout.readline() == "driven\n"
            eventually(server, DRIVEN, 20)
            time.sleep(TIMEOUT_S + 1)
            assert flow(server) == pytest.approx(DRIVEN, rel=0.02), "signs of life keep them going"
        finally:
            driver.kill()
            driver.communicate()
        eventually(server, FALLEN, TIMEOUT_S + 15)
    log = read_audit(tmp_path / "audit.jsonl")
    assert {line["device"] for line in log if line["kind"] == "write"} == set(server.urls), "the log is whole"
