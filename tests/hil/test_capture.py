import asyncio
import time

import pandas as pd
import pytest
from bench_kit import CHARGER, OneDevice, bench_of

from feederloop.coupling.scenario import scenario_from
from feederloop.hil.bench import bench_from
from feederloop.hil.capture import COLUMNS, CaptureFile, CapturingTransport
from feederloop.hil.measuring import measured_roles
from feederloop.hil.replay import ReplayTransport
from feederloop.hil.session import run_on_bench
from feederloop.hil.supervisor import Command
from feederloop.hil.timekeeping import PushedClock
from feederloop.simulators.errors import InputError


def captured(tmp_path, cycles: int = 8):
    """Capture a charger through a set-point, a spell of silence and another set-point; return what was read."""
    sink = CaptureFile(tmp_path / "capture.parquet")
    seen = []
    with OneDevice(tmp_path, CHARGER) as one:
        one.held.transport = CapturingTransport(one.transport(), sink, one.clock)
        one.held.command = Command(-3.0)
        for number in range(cycles):
            one.device.fault("silent") if number == 3 else one.device.clear()
            one.held.command = Command(-3.0 if number < 5 else -4.0)
            one.cycle(1)
            time.sleep(0.04)
            seen.append(one.held.snapshot)
        one.held.transport.close()
    sink.close()
    return seen


def replayed_entry(tmp_path, **more):
    entry = {"prosumer": "home_01", "url": f"replay:{tmp_path / 'capture.parquet'}", **CHARGER, **more}
    return bench_from({"devices": [entry]}).devices[0]


def test_a_capture_holds_registers_values_times_quality_and_commands(tmp_path):
    captured(tmp_path)
    table = pd.read_parquet(tmp_path / "capture.parquet")
    assert list(table.columns) == COLUMNS.names
    reads, writes = table[table.kind == "read"], table[table.kind == "write"]
    assert set(writes.role) == {"current_limit_set"}
    assert writes[writes.quality == "good"].value.round(1).unique().tolist() == [13.0, 17.4]
    assert {"good", "bad"} == set(reads.quality)
    assert reads[reads.quality == "bad"].raw.str.len().eq(0).all()
    power = reads[(reads.role == "power_total") & (reads.quality == "good")]
    assert power.raw.str.len().eq(2).all()
    assert power.time_s.is_monotonic_increasing
    assert reads[reads.role == "status"].text.dropna().isin(["A", "B", "C"]).all()


def test_a_replay_answers_what_the_device_answered(tmp_path):
    captured(tmp_path)
    table = pd.read_parquet(tmp_path / "capture.parquet")
    power = table[(table.kind == "read") & (table.role == "power_total")].drop_duplicates("time_s", keep="last")
    clock = PushedClock()
    transport = ReplayTransport(replayed_entry(tmp_path), clock)
    roles = measured_roles(transport.profile)
    for row in power.itertuples():
        clock.push(row.time_s - clock())
        answer = asyncio.run(transport.read(roles))["power_total"]
        assert (answer.quality.value, answer.raw) == (row.quality, tuple(row.raw))
        assert answer.value == row.value or (answer.value is None and pd.isna(row.value))
    assert transport.length_s == pytest.approx(table.time_s.max() - table.time_s.min())


def test_a_replay_takes_no_set_points(tmp_path):
    captured(tmp_path, 2)
    transport = ReplayTransport(replayed_entry(tmp_path), PushedClock())
    result = asyncio.run(transport.write("current_limit_set", 10.0))
    assert not result.ok
    assert "recording" in result.reason


def test_before_its_first_reading_and_without_a_point_a_replay_has_nothing(tmp_path):
    captured(tmp_path, 2)
    transport = ReplayTransport(replayed_entry(tmp_path), PushedClock())
    answer = asyncio.run(transport.read(["energy_total"]))["energy_total"]
    assert (answer.value, answer.quality.value, answer.reason) == (None, "bad", "not in the capture")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"profile": "keba_p30_p40"}, "was made of a alfen_ng9xx")],
)
def test_a_capture_of_another_device_is_refused(tmp_path, change, message):
    captured(tmp_path, 2)
    with pytest.raises(InputError, match=message):
        ReplayTransport(replayed_entry(tmp_path, **change), PushedClock())


def test_a_file_that_is_no_capture_is_refused(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "capture.parquet")
    with pytest.raises(InputError, match="no capture"):
        ReplayTransport(replayed_entry(tmp_path), PushedClock())


def test_a_run_with_the_capture_of_a_run_measures_the_same(tmp_path):
    homes = [
        {"name": "home_01", "pv_kwp": 5.0, "pv_tilt_deg": 30, "pv_azimuth_deg": 180, "inverter_kva": 5.0},
        {"name": "home_02", "ev_capacity_kwh": 40, "ev_charge_kw": 7.36, "ev_efficiency": 0.95},
    ]
    scenario = scenario_from(
        {
            "scheme": "uncoordinated",
            "time": {"start": "2016-06-15 18:00", "days": 1 / 12, "horizon_intervals": 4},
            "grid": {"network": "street_12"},
            "prosumers": {"list": homes},
        }
    )
    inverter = {"slot": "inverter", "profile": "sunspec_der", "ratings": {"power_kw": 5.0}}
    bench = bench_of(inverter, CHARGER, stop_file=str(tmp_path / "stop"))
    first = run_on_bench(scenario, bench, out=tmp_path / "first", progress=False)
    assert first.run.status == "complete", first.run.message
    url = f"replay:{tmp_path / 'first' / 'bench' / 'capture.parquet'}"
    entries = [{"prosumer": "home_01", **inverter}, {"prosumer": "home_02", **CHARGER}]
    again = bench_from({"devices": [{**entry, "url": url} for entry in entries], "stop_file": str(tmp_path / "stop")})
    second = run_on_bench(scenario, again, out=tmp_path / "second", progress=False)
    assert second.run.status == "complete", second.run.message
    columns = ["time", "prosumer", "slot", "p_kw", "quality"]
    tables = [pd.read_parquet(tmp_path / run / "device_io.parquet")[columns] for run in ("first", "second")]
    assert tables[0].p_kw.abs().max() > 2
    pd.testing.assert_frame_equal(*tables)
    metered = [pd.read_parquet(tmp_path / run / "connection_point.parquet")["p_kw"] for run in ("first", "second")]
    pd.testing.assert_series_equal(*metered)
