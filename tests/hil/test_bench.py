import pytest
from bench_kit import CHARGER, INVERTER, bench_of

from feederloop.coupling.scenario.problems import ScenarioError
from feederloop.hil.bench import bench_from, bench_schema, load_bench
from feederloop.hil.bench_check import check_against
from feederloop.hil.bench_file import shipped_benches
from feederloop.hil.connecting import Connections
from feederloop.hil.drive import Drive
from feederloop.simulators.errors import InputError


def keys_and_messages(error: ScenarioError) -> list[tuple[str, str]]:
    return [(problem.key, problem.message) for problem in error.problems]


def test_a_bench_file_with_many_mistakes_is_told_all_of_them_with_their_lines(tmp_path):
    file = tmp_path / "bench.yaml"
    file.write_text(
        """devices:
  - {prosumer: a, slot: charger, profile: alfen_ng9x, url: tcp://127.0.0.1:502, ratings: {current_a: 16}}
  - {prosumer: b, slot: inverter, profile: keba_p30_p40, url: tcp://127.0.0.1:502, ratings: {power_kw: 5}}
  - {prosumer: c, slot: charger, profile: keba_p30_p40, url: tcp://10.0.0.7, ratings: {current_a: 16}}
  - {prosumer: c, slot: charger, profile: keba_p30_p40, url: ftp://10.0.0.7, ratings: {current_a: 16}}
  - {prosumer: d, slot: charger, profile: keba_p30_p40, url: "replay:x", mode: armed, ratings: {current_a: 16}}
""",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError) as caught:
        load_bench(file)
    problems = caught.value.problems
    found = {(problem.key, problem.line) for problem in problems}
    assert found == {
        ("devices.0.profile", 2),
        ("devices.1.profile", 3),
        ("devices.2.url", 4),
        ("devices.3.slot", 5),
        ("devices.3.url", 5),
        ("devices.4.mode", 6),
        ("devices.4.url", 6),
    }
    assert problems[0].nearest == "alfen_ng9xx"


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"ratings": {}}, "devices.0.ratings", "missing"),
        ({"limit": {}}, "devices.0.limit", "unknown key"),
        ({"poll_s": 0}, "devices.0.poll_s", "too small"),
        ({"mode": "arm"}, "devices.0.mode", "choices"),
        ({"unit": 256}, "devices.0.unit", "too large"),
        ({"safe_kw": 1.0}, "devices.0.safe_kw", "outside the limits"),
        ({"ratings": {"current_a": 16000}}, "devices.0.ratings.current_a", "too large"),
        ({"ratings": {"power_kw": 7400}}, "devices.0.ratings.power_kw", "too large"),
        ({"limits": {"import_kw": 1400}}, "devices.0.limits.import_kw", "far above the rating of 7.36 kW"),
        ({"profile": "keba_p30_p40", "failsafe": {"timeout_s": 9}}, "devices.0.failsafe.timeout_s", "one write in 5 s"),
        ({"url": "tcp://127.0.0.1:502", "drive": {"plugged": {"path": "x.csv"}}}, "devices.0.drive", "simulated"),
    ],
)
def test_a_mistake_is_told_by_its_key(change, key, message):
    with pytest.raises(ScenarioError) as caught:
        bench_of({**CHARGER, **change})
    assert [(found, message in text) for found, text in keys_and_messages(caught.value)] == [(key, True)]


def test_storage_that_takes_rates_is_read_and_not_driven():
    entry = {"prosumer": "home_01", "slot": "charger", "profile": "sunspec_storage", "url": "tcp://127.0.0.1:1502",
             "ratings": {"power_kw": 5.0}}  # fmt: skip
    assert bench_from({"devices": [entry]}).devices[0].mode == "read_only"
    with pytest.raises(ScenarioError, match="command neither"):
        bench_from({"devices": [{**entry, "mode": "armed"}]})
    bench_from({"devices": [{**entry, "mode": "armed", "profile": "sunspec_storage_der"}]})


@pytest.mark.parametrize("host", ["192.168.1.20", "charger.example.org", "0.0.0.0", "8.8.8.8"])
def test_a_device_on_another_machine_needs_permission(host):
    entry = {"prosumer": "a", "url": f"tcp://{host}:502", **CHARGER}
    with pytest.raises(ScenarioError, match="may not be contacted"):
        bench_from({"devices": [entry]})
    assert bench_from({"devices": [entry], "allow": [f"{host}:502:1"]}).needs_real_time
    with pytest.raises(ScenarioError, match="may not be contacted"):
        bench_from({"devices": [{**entry, "unit": 2}], "allow": [f"{host}:502:1"]})


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:1502", "tcp://localhost", "tls://[::1]:802", "simulated"])
def test_this_machine_needs_none(url):
    assert bench_from({"devices": [{"prosumer": "a", "url": url, **CHARGER}]})


def test_a_serial_line_needs_permission():
    entry = {"prosumer": "a", "slot": "charger", "profile": "heidelberg_energy_control", "ratings": {"current_a": 16}}
    entry["url"] = "rtu:///dev/ttyUSB0"
    with pytest.raises(ScenarioError, match="/dev/ttyUSB0:1"):
        bench_from({"devices": [entry]})
    assert bench_from({"devices": [entry], "allow": ["/dev/ttyUSB0:1"]})


def test_paths_are_relative_to_the_bench_file(tmp_path):
    (tmp_path / "capture.parquet").touch()
    file = tmp_path / "mine.yaml"
    file.write_text(
        "devices: [{prosumer: a, slot: charger, profile: keba_p30_p40, url: 'replay:capture.parquet', "
        "ratings: {current_a: 16}}]",
        encoding="utf-8",
    )
    bench = load_bench(file)
    assert bench.devices[0].replay_file == tmp_path / "capture.parquet"
    assert bench.stop_path == tmp_path / "mine.stop"


def test_power_and_current_become_each_other():
    charger, inverter = bench_of({**CHARGER, "ratings": {"current_a": 16, "phases": 3}}, INVERTER).devices
    assert charger.rated_kw == pytest.approx(11.04)
    assert (charger.import_kw, charger.export_kw) == (pytest.approx(11.04), 0.0)
    assert (inverter.import_kw, inverter.export_kw) == (0.0, 5.0)


def test_a_bench_is_read_only_unless_it_says_otherwise():
    assert bench_from({"devices": [{"prosumer": "a", "url": "simulated", **CHARGER}]}).devices[0].mode == "read_only"


def test_who_is_not_in_the_scenario_is_told_with_the_nearest():
    sites = [{"name": "home_01", "pv_kwp": 4.0, "ev_capacity_kwh": 0.0}]
    (problem,) = check_against(bench_of({**CHARGER}), sites)
    assert problem.key == "devices.0.prosumer"
    assert "no charger" in problem.message
    (problem,) = check_against(bench_of({**INVERTER, "prosumer": "home_1"}), sites)
    assert problem.nearest == "home_01"


ALFEN = {"slot": "charger", "profile": "alfen_ng9xx", "ratings": {"current_a": 16}}
ABB = {"slot": "charger", "profile": "abb_terra_ac", "ratings": {"current_a": 16}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"url": "tcp://127.0.0.1:502"}, {"url": "tcp://localhost"}),
        ({"url": "tcp://127.0.0.1:502"}, {"url": "tcp://127.0.0.1:502", "mode": "read_only"}),
        ({"url": "rtu:///dev/ttyS0", "unit": 3}, {"url": "rtu:///dev/ttyS0?baud=9600", "unit": 3}),
        ({"url": "rtu:///dev/ttyS0", "unit": 3}, {"url": "rtu:///dev/../dev/ttyS0", "unit": 3}),
    ],
)
def test_a_device_fills_one_slot_only(one, other):
    maker = ABB if one["url"].startswith("rtu") else ALFEN
    with pytest.raises(ScenarioError) as caught:
        bench_of({**maker, **one}, {**maker, **other}, allow=["/dev/ttyS0:3"])
    assert keys_and_messages(caught.value) == [("devices.1.url", "is the device of devices.0 already")]


def test_a_serial_port_is_the_same_by_whatever_path_it_goes(tmp_path):
    port, by_id = tmp_path / "ttyUSB0", tmp_path / "usb-maker_of_adapters-if00-port0"
    port.touch()
    by_id.symlink_to(port)
    one, other = {**ABB, "url": f"rtu://{by_id}", "unit": 3}, {**ABB, "url": f"rtu://{port}", "unit": 3}
    with pytest.raises(ScenarioError) as caught:
        bench_of(one, other, allow=[f"{port}:3"])
    assert keys_and_messages(caught.value) == [("devices.1.url", "is the device of devices.0 already")]
    bench = bench_of(one, {**other, "unit": 4}, allow=[f"{port}:3", f"{by_id}:4"])
    connections = Connections(bench)
    first, second = (connections.transport(entry) for entry in bench.devices)
    assert first.link is second.link
    assert connections.line_of(bench.devices[0]) == connections.line_of(bench.devices[1])
    assert first.link.address.host == str(by_id), "the port is opened by the path that was given"
    with pytest.raises(ScenarioError) as caught:
        bench_of(one, {**other, "url": f"rtu://{port}?baud=115200", "unit": 4}, allow=[f"{port}:3", f"{port}:4"])
    assert keys_and_messages(caught.value) == [
        ("devices.1.url", "is the serial line of devices.0, which has other settings")
    ]


def test_units_of_a_line_and_connectors_of_a_station_are_devices_of_their_own():
    url = "tcp://127.0.0.1:502"
    bench_of({**ALFEN, "url": url, "unit": 1}, {**ALFEN, "url": url, "unit": 2})
    charx = {"slot": "charger", "profile": "phoenix_charx", "ratings": {"current_a": 16}, "url": url}
    bench_of({**charx, "connector": 1}, {**charx, "connector": 2})


def test_shipped_benches_are_valid_and_the_schema_knows_every_key():
    for name in shipped_benches():
        assert load_bench(name).devices
    assert "devices" in bench_schema()["properties"]


def test_a_name_that_is_no_bench_is_told_what_there_is():
    with pytest.raises(ScenarioError, match="demo"):
        load_bench("nothing_of_the_kind")


def test_what_a_series_may_drive_is_checked_and_so_is_its_time(tmp_path):
    series = tmp_path / "volts.csv"
    entry = {"prosumer": "home_01", "slot": "inverter", "profile": "sunspec_der", "url": "simulated",
             "ratings": {"power_kw": 5.0}}  # fmt: skip
    with pytest.raises(ScenarioError, match="no such attribute"):
        bench_from({"devices": [{**entry, "drive": {"grid_volts": {"path": str(series)}}}]})
    bench = bench_from({"devices": [{**entry, "drive": {"grid_voltage_v": {"path": str(series)}}}]})
    start = "2016-06-15T11:00:00+00:00"
    series.write_text("time,value\n2016-06-15T12:00:00+01:00,230\n2016-06-15T11:10:00Z,240\n", encoding="utf-8")
    drive = Drive(bench.devices[0], start)
    assert [drive.at(time)["grid_voltage_v"] for time in (0, 599, 600, 1e6)] == [230, 230, 240, 240]
    series.write_text("time,value\n2016-06-15T12:00:00,230\n", encoding="utf-8")
    with pytest.raises(InputError, match="from UTC"):
        Drive(bench.devices[0], start)
    series.write_text("time,value\n10,230\n5,240\n", encoding="utf-8")
    with pytest.raises(InputError, match="times have to grow"):
        Drive(bench.devices[0], start)
