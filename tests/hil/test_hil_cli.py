import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from feederloop.coupling.scenario import load_scenario
from feederloop.hil.audit import read_audit
from feederloop.hil.bench import bench_from, load_bench
from feederloop.hil.emergency import EmergencyStop
from feederloop.hil.preflight import preflight, stop_devices
from feederloop.hil.recording import record
from feederloop.hil.scan import scan
from feederloop.hil.serving import BenchServer
from feederloop.hil.session import run_with
from feederloop.simulators.errors import InputError

COMMAND = str(Path(sys.executable).with_name("feederloop"))
DEVICES = [
    {
        "prosumer": "home_03",
        "slot": "inverter",
        "profile": "sunspec_inverter_three_phase",
        "ratings": {"power_kw": 4.0},
    },
    {"prosumer": "home_04", "slot": "charger", "profile": "keba_p30_p40", "ratings": {"current_a": 16}},
]


def feederloop(*arguments: str, cwd: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture
def bench(tmp_path):
    """A bench file whose devices are being served; gives the file and the server."""
    file = tmp_path / "bench.yaml"

    def write(urls: dict[str, str]) -> None:
        entries = [
            {**item, "mode": "armed", "url": urls.get(f"{item['prosumer']}/{item['slot']}", "simulated")}
            for item in DEVICES
        ]
        file.write_text(yaml.safe_dump({"devices": entries}), encoding="utf-8")

    write({})
    with BenchServer(load_bench(file)) as server:
        write(server.urls)
        yield file, server


def test_profiles_and_their_points_are_listed(tmp_path):
    listed = feederloop("hil", "profiles", cwd=tmp_path)
    assert listed.returncode == 0
    assert {"alfen_ng9xx", "sunspec_der", "wallbox_quasar_1"} <= set(re.findall(r"\b[a-z]\w+_\w+\b", listed.stdout))
    shown = feederloop("hil", "profile", "sunspec_der", cwd=tmp_path)
    assert "power_limit_pct_set" in shown.stdout
    assert "sources: " in shown.stdout
    unknown = feederloop("hil", "profile", "alfen", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "alfen_ng9xx" in unknown.stderr + unknown.stdout


def test_preflight_says_what_is_there_and_refuses_what_is_unsafe(bench):
    file, server = bench
    ready = feederloop("hil", "preflight", str(file), cwd=file.parent)
    assert ready.returncode == 0, ready.stdout + ready.stderr
    assert ready.stdout.count("ready") == 2
    server.server.devices["home_04/charger"].image.put("failsafe_timeout", 0)
    refused = feederloop("hil", "preflight", str(file), cwd=file.parent)
    assert refused.returncode == 1
    assert "fail-safe is off" in refused.stdout


def test_preflight_writes_nothing_and_measures_how_long_an_answer_takes(bench):
    file, server = bench
    for device in server.server.devices.values():
        device.fault("slow", delay_s=0.1)
    findings = preflight(load_bench(file))
    assert [finding.inspection.answered for finding in findings] == [True, True]
    assert all(finding.inspection.latency_s > 0.1 for finding in findings)
    assert all(not device.writes for device in server.server.devices.values())
    server.server.fault("home_03/inverter", "silent")
    assert "does not answer" in preflight(load_bench(file))[0].problems[0]


def test_a_scan_finds_units_models_and_likely_profiles(bench):
    _, server = bench
    (inverter,) = scan(server.urls["home_03/inverter"], units=[1], timeout_s=0.5)
    assert inverter.models == (1, 103, 120, 121, 123)
    assert inverter.identity[:2] == ("feederloop", "sunspec_inverter_three_phase")
    assert inverter.profiles[0] == ("sunspec_inverter_three_phase", 1.0)
    (charger,) = scan(server.urls["home_04/charger"], units=[255], timeout_s=0.5)
    assert "keba_p30_p40" in dict(charger.profiles)
    assert scan("tcp://127.0.0.1:9", timeout_s=0.2) == []


@pytest.mark.parametrize(("mode", "code"), [("armed", 1), ("read_only", 0)])
def test_phases_that_do_not_fit_are_told_with_the_key_that_is_to_be_mended(tmp_path, serve, mode, code):
    _, _, url = serve("alfen_ng9xx", values={"phases_set": 3})
    file = tmp_path / "bench.yaml"
    file.write_text(
        f"""devices:
  - prosumer: home_04
    slot: charger
    profile: alfen_ng9xx
    url: {url}
    mode: {mode}
    ratings:
      current_a: 16
      phases: 1
""",
        encoding="utf-8",
    )
    shown = feederloop("hil", "preflight", str(file), cwd=tmp_path)
    assert shown.returncode == code
    (line,) = shown.stderr.splitlines()
    assert line == (
        f"{file}:9: devices.0.ratings.phases = 1: home_04/charger: it is set to 3 phases, the bench says 1 "
        "(allowed: 3, or set the device to 1)"
    )
    file.write_text(file.read_text(encoding="utf-8").replace("phases: 1", "phases: 3"), encoding="utf-8")
    (finding,) = preflight(load_bench(file))
    assert finding.problems == ()


def test_a_device_is_read_once(bench):
    file, server = bench
    shown = feederloop("hil", "read", f"{file}:home_03/inverter", "--once", cwd=file.parent)
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"power_total\s*│\s*\d+\s*│\s*W\s*│\s*good", shown.stdout)
    url = server.urls["home_04/charger"]
    shown = feederloop("hil", "read", url, "--profile", "keba_p30_p40", "--once", cwd=file.parent)
    assert "current_limit_applied" in shown.stdout


def test_stop_brings_every_device_to_its_safe_state_until_it_is_released(bench):
    file, server = bench
    loaded = load_bench(file)
    stop = EmergencyStop(loaded.stop_path)
    assert stop.trip("command", "feederloop hil stop")
    taken = stop_devices(loaded, stop)
    assert taken == {"home_03/inverter": True, "home_04/charger": True}
    assert server.server.devices["home_03/inverter"].value("power_limit_pct_set") == 0
    deadline = time.monotonic() + 10
    while server.server.devices["home_04/charger"].power_kw != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {line["why"] for line in read_audit(file.with_suffix(".audit.jsonl")) if line["kind"] == "write"} >= {
        "emergency stop: command (feederloop hil stop)"
    }
    assert feederloop("hil", "preflight", str(file), cwd=file.parent).returncode == 1
    released = feederloop("hil", "stop", str(file), "--release", cwd=file.parent)
    assert released.stdout == "released\n"
    assert feederloop("hil", "preflight", str(file), cwd=file.parent).returncode == 0


def test_a_bench_that_is_not_valid_any_more_can_be_stopped_all_the_same(bench):
    file, _ = bench
    loaded = load_bench(file)
    for broken in (file.read_text(encoding="utf-8").replace("armed", "arrmed"), "devices: ["):
        file.write_text(broken, encoding="utf-8")
        stopped = feederloop("hil", "stop", str(file), cwd=file.parent)
        assert stopped.returncode == 2
        assert f"emergency stop is set off: {loaded.stop_path}" in stopped.stdout
        assert EmergencyStop(loaded.stop_path).tripped
        assert feederloop("hil", "stop", str(file), "--release", cwd=file.parent).stdout == "released\n"


def test_a_stop_that_no_run_can_hear_of_is_said_and_stops_the_devices(bench):
    file, server = bench
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    (file.parent / "occupied").touch()
    file.write_text(yaml.safe_dump({**data, "stop_file": "occupied/bench.stop"}), encoding="utf-8")
    stopped = feederloop("hil", "stop", str(file), cwd=file.parent)
    assert stopped.returncode == 1
    assert "NO RUN WAS TOLD" in stopped.stderr
    assert stopped.stdout.count("in its safe state") == 2
    assert server.server.devices["home_03/inverter"].value("power_limit_pct_set") == 0
    refused = feederloop("run", "minimal", "--bench", str(file), "--real-time", cwd=file.parent)
    assert refused.returncode == 2
    assert "emergency stop could not be set off" in refused.stdout + refused.stderr


def test_serve_and_capture_work_hand_in_hand(tmp_path):
    file = tmp_path / "bench.yaml"
    (tmp_path / "volts.csv").write_text("time,v\n0,225\n1,250\n", encoding="utf-8")
    drive = {"grid_voltage_v": {"path": "volts.csv", "column": "v"}}
    entries = [{**item, "url": "simulated", "drive": drive} for item in DEVICES]
    file.write_text(yaml.safe_dump({"devices": entries}), encoding="utf-8")
    serving = subprocess.Popen(
        [COMMAND, "hil", "serve", str(file), "--seconds", "30"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        urls = dict(serving.stdout.readline().split() for _ in DEVICES)
        entries = [{**item, "url": urls[f"{item['prosumer']}/{item['slot']}"], "poll_s": 0.2} for item in DEVICES]
        file.write_text(yaml.safe_dump({"devices": entries}), encoding="utf-8")
        out = tmp_path / "capture.parquet"
        done = feederloop("hil", "capture", str(file), "--out", str(out), "--seconds", "2.5", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    finally:
        serving.terminate()
        serving.communicate(timeout=10)
    table = pd.read_parquet(out)
    assert set(table.kind) == {"read"}
    assert set(table.device) == {"home_03/inverter", "home_04/charger"}
    assert {225.0, 250.0} & set(table[table.role == "voltage_l1"].value)


@pytest.mark.parametrize(("there", "name"), [("a.parquet", "a.parquet"), ("a", "a.parquet"), ("b", "a.csv")])
def test_a_capture_overwrites_nothing(bench, there, name):
    file, _ = bench
    (file.parent / there).write_text("mine", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        record(load_bench(file), file.parent / name, 0.1)
    told = "not the name of a capture" if name.endswith("csv") else f"{file.parent / there}: exists already"
    assert told in str(caught.value)
    assert (file.parent / there).read_text(encoding="utf-8") == "mine"


def test_a_bench_that_is_served_has_its_faults(tmp_path):
    fault = {"fault": "silent", "from_s": 0, "for_s": 3600}
    described = bench_from({"devices": [{**DEVICES[0], "url": "simulated", "faults": [fault]}]})
    with BenchServer(described) as server:
        url = server.urls["home_03/inverter"]
        (finding,) = preflight(bench_from({"devices": [{**DEVICES[0], "url": url}]}))
        assert finding.problems[0].startswith("does not answer")


@pytest.mark.parametrize(
    ("url", "pace", "message"),
    [
        ("tcp://192.0.2.1:502", {"real_time": True, "factor": 1.0}, "may not be contacted"),
        ("simulated", {"real_time": False, "factor": 60.0}, "with --real-time"),
        ("simulated", {"real_time": True, "factor": 0.0}, "above 0"),
        ("tcp://127.0.0.1:502", {"real_time": False, "factor": 1.0}, "clock on the wall"),
    ],
)
def test_a_run_that_cannot_be_is_refused_before_anything_happens(tmp_path, url, pace, message):
    file = tmp_path / "bench.yaml"
    file.write_text(yaml.safe_dump({"devices": [{**DEVICES[0], "url": url}]}), encoding="utf-8")
    scenario, out = load_scenario("minimal"), tmp_path / "never"
    with pytest.raises(InputError) as caught:
        run_with(scenario, str(file), out=out, progress=False, **pace)
    assert message in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_however_a_run_is_ended_devices_are_safe(bench, ending):
    file, server = bench
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("ratings:", "failsafe: {timeout_s: 3}\n  ratings:", 1), encoding="utf-8")
    roof = server.server.devices["home_03/inverter"]
    out = file.parent / "run"
    changes = ["--set", "scheme=uncoordinated", "--set", "time.step_s=60", "--set", "time.interval_s=300"]
    changes += ["--set", "time.horizon_intervals=2"]
    real_time = ["--real-time", "--factor", "120"]
    started = subprocess.Popen(
        [COMMAND, "run", "minimal", *changes, "--bench", str(file), *real_time, "-q", "--out", str(out)],
        cwd=file.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 150
        while roof.value("power_limit_pct_set") != 100 or not roof.writes:
            assert time.monotonic() < deadline, "the run never sent a set-point"
            assert started.poll() is None, started.stdout.read()
            time.sleep(0.05)
        started.send_signal(ending)
        if ending is signal.SIGUSR1:
            time.sleep(1.5)
            assert roof.value("power_limit_pct_set") == 0
            assert started.poll() is None, "the run goes on and records"
            shown = feederloop("hil", "monitor", str(out), "--once", cwd=file.parent)
            assert "stopped" in shown.stdout
            started.send_signal(signal.SIGINT)
        started.wait(90)
    finally:
        started.kill()
        started.communicate()
    log = read_audit(out / "bench" / "audit.jsonl")
    assert [line for line in log if line["kind"] == "write"]
    assert started.returncode == 130
    assert roof.value("power_limit_pct_set") == 0
    assert log[-1]["kind"] == "ended"
    assert log[-1]["not_confirmed_safe"] == []
    assert json.loads((out / "bench" / "state.json").read_text(encoding="utf-8"))["status"] == "ended"
