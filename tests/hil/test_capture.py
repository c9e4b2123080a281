import asyncio
import time

import pandas as pd
import pytest
from bench_kit import CHARGER, OneDevice, bench_of

from feederloop.coupling.scenario import scenario_from
from feederloop.hil.bench import bench_from
from feederloop.hil.capture import COLUMNS, CaptureFile, CapturingTransport
from feederloop.hil.measuring import measured_roles
from feederloop.hil.replay import Recording
from feederloop.hil.session import run_on_bench
from feederloop.hil.station import Pace
from feederloop.hil.supervisor import Command
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


def test_a_replay_answers_in_each_cycle_what_the_device_answered_then(tmp_path):
    captured(tmp_path)
    table = pd.read_parquet(tmp_path / "capture.parquet")
    power = table[(table.kind == "read") & (table.role == "power_total")].drop_duplicates("cycle", keep="last")
    transport = Recording(replayed_entry(tmp_path)).transport
    roles = measured_roles(transport.profile)
    for row in power.itertuples():
        transport.cycle = row.cycle
        for _ in range(2):
            answer = asyncio.run(transport.read(roles))["power_total"]
        assert (answer.quality.value, answer.raw, answer.time) == (row.quality, tuple(row.raw), row.time_s)
        assert answer.value == row.value or (answer.value is None and pd.isna(row.value))


def test_a_capture_without_a_run_goes_by_its_own_seconds(tmp_path):
    captured(tmp_path)
    recording = Recording(replayed_entry(tmp_path))
    assert recording.length_s == 35.0
    cycles, now = recording.cycles_until(0, 12.0, after=0)
    assert ([cycle for cycle, _ in cycles], now) == ([1, 2, 3], 12.0)
    cycles, now = recording.cycles_until(12, 100.0, after=3)
    assert ([cycle for cycle, _ in cycles], now) == ([4, 5, 6, 7, 8], 112.0)
    assert recording.cycles_until(112, 100.0, after=8) == ([], 212.0)


def test_a_replay_takes_no_set_points(tmp_path):
    captured(tmp_path, 2)
    transport = Recording(replayed_entry(tmp_path)).transport
    result = asyncio.run(transport.write("current_limit_set", 10.0))
    assert not result.ok
    assert "recording" in result.reason


def test_in_no_cycle_and_without_a_point_a_replay_has_nothing(tmp_path):
    captured(tmp_path, 2)
    transport = Recording(replayed_entry(tmp_path)).transport
    transport.cycle = 1
    answers = asyncio.run(transport.read(["energy_total", "power_total"]))
    answer = answers["energy_total"]
    assert (answer.value, answer.quality.value, answer.reason) == (None, "bad", "not in the capture")
    assert answers["power_total"].good
    transport.cycle = 3
    assert not asyncio.run(transport.read(["power_total"]))["power_total"].good


@pytest.mark.parametrize(
    ("change", "message"),
    [({"profile": "keba_p30_p40"}, "was made of a alfen_ng9xx")],
)
def test_a_capture_of_another_device_is_refused(tmp_path, change, message):
    captured(tmp_path, 2)
    with pytest.raises(InputError, match=message):
        Recording(replayed_entry(tmp_path, **change))


def test_a_file_that_is_no_capture_is_refused(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "capture.parquet")
    with pytest.raises(InputError, match="no capture"):
        Recording(replayed_entry(tmp_path))


HOMES = [
    {"name": "home_01", "pv_kwp": 5.0, "pv_tilt_deg": 30, "pv_azimuth_deg": 180, "inverter_kva": 5.0},
    {"name": "home_02", "ev_capacity_kwh": 40, "ev_charge_kw": 7.36, "ev_efficiency": 0.95},
]
DEVICES = [
    {"prosumer": "home_01", "slot": "inverter", "profile": "sunspec_der", "ratings": {"power_kw": 5.0}},
    {"prosumer": "home_02", **CHARGER},
]
IN_A_HURRY = Pace(real_time=True, factor=1800.0, tolerance_s=5.0)


def run_with_bench(folder, bench, pace=None):
    """Run two hours of an evening; return what of its devices was measured, and what was metered."""
    time_ = {"start": "2016-06-15 18:00", "days": 1 / 12, "horizon_intervals": 4}
    homes = {"list": HOMES}
    street = {"network": "street_12"}
    scenario = scenario_from({"scheme": "uncoordinated", "time": time_, "grid": street, "prosumers": homes})
    result = run_on_bench(scenario, bench, out=folder, progress=False, pace=pace)
    assert result.run.status == "complete", result.run.message
    columns = ["time", "prosumer", "slot", "p_kw", "soc_percent", "age_s", "quality"]
    return (
        pd.read_parquet(folder / "device_io.parquet")[columns],
        pd.read_parquet(folder / "connection_point.parquet")["p_kw"],
    )


def replay_of(folder, **more):
    url = f"replay:{folder / 'bench' / 'capture.parquet'}"
    return bench_from({"devices": [{**entry, "url": url} for entry in DEVICES], "stop_file": str(folder / "s"), **more})


@pytest.mark.parametrize(
    ("pace", "others"), [(None, [IN_A_HURRY]), (IN_A_HURRY, [None, IN_A_HURRY])], ids=["accelerated", "real time"]
)
def test_the_replay_of_a_run_measures_the_same_to_the_last_bit_however_both_are_paced(tmp_path, pace, others):
    lost = {"faults": [{"fault": "cut", "from_s": 1800, "for_s": 1800}]}
    bench = bench_of({**DEVICES[0], **lost}, DEVICES[1], stop_file=str(tmp_path / "stop"))
    first = run_with_bench(tmp_path / "first", bench, pace)
    assert first[0].p_kw.abs().max() > 2
    assert {"good", "bad"} <= set(first[0].quality)
    for number, other in enumerate(others):
        again = run_with_bench(tmp_path / f"again_{number}", replay_of(tmp_path / "first"), other)
        # When a device is told, and so whether it obeys, hurried wall clocks decide; what was measured they do not.
        judged = ["quality"] if pace or other else []
        pd.testing.assert_frame_equal(first[0].drop(columns=judged), again[0].drop(columns=judged), check_exact=True)
        pd.testing.assert_series_equal(first[1], again[1], check_exact=True)


def test_after_its_end_a_replay_is_a_device_that_is_no_longer_heard(tmp_path):
    captured(tmp_path)
    entry = {"prosumer": "home_02", "url": f"replay:{tmp_path / 'capture.parquet'}", **CHARGER}
    bench = bench_from({"devices": [entry], "stop_file": str(tmp_path / "stop")})
    measured, _ = run_with_bench(tmp_path / "run", bench)
    assert measured.p_kw[1:].eq(0).all()
    assert measured.quality[1:].eq("bad").all()


def test_a_process_that_is_killed_loses_little_of_its_capture(tmp_path):
    sink = CaptureFile(tmp_path / "capture.parquet")
    with OneDevice(tmp_path, CHARGER) as one:
        one.held.transport = CapturingTransport(one.transport(), sink, one.clock)
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob("capture/part-*.parquet")):
            assert time.monotonic() < deadline
            one.cycle(1)
            time.sleep(0.05)
    part = pd.read_parquet(next(tmp_path.glob("capture/part-*.parquet")))
    assert part.cycle.max() >= 5
    recording = Recording(replayed_entry(tmp_path))
    assert len(recording.cycles_until(0, 1e6, after=0)[0]) >= 5, "and its parts are replayed as the whole would be"
    sink.close()
