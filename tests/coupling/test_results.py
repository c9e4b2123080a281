"""Opening the folder of a run, and what is said where there is none."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import feederloop
from feederloop.coupling.results import open_run
from feederloop.coupling.status import RunStatus, failure_message, read_status
from feederloop.simulators.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """A run with one finished table, one in parts, and a scenario."""
    run = tmp_path / "day"
    run.mkdir()
    RunStatus("complete").write(run)
    (run / "scenario.yaml").write_text("# a comment\nname: day\nseed: 3\n")
    (run / "summary.json").write_text('{"voltage": {"max_v": 251.0}}')
    pq.write_table(pa.table({"volume_kwh": [1.0, 2.0]}), run / "market.parquet")
    (run / "ev").mkdir()
    for part, value in enumerate([1.0, 2.0]):
        pq.write_table(pa.table({"p_kw": [value]}), run / "ev" / f"part-{part:05}.parquet")
    return run


def test_a_run_gives_its_parts(folder):
    run = open_run(folder)
    assert run.status == "complete"
    assert run.message == ""
    assert run.scenario == {"name": "day", "seed": 3}
    assert run.summary["voltage"]["max_v"] == 251.0
    assert run.tables == ["ev", "market"]
    assert run.table("market")["volume_kwh"].tolist() == [1.0, 2.0]
    assert run.table("ev")["p_kw"].tolist() == [1.0, 2.0]
    assert "complete" in repr(run)


def test_a_path_may_be_text(folder):
    assert open_run(str(folder)).folder == folder


def test_a_missing_table_names_the_nearest_and_all(folder):
    with pytest.raises(InputError, match=r"did you mean market.*table = 'markt'.*ev, market"):
        open_run(folder).table("markt")


def test_a_missing_folder_names_the_nearest(folder):
    with pytest.raises(InputError, match="no such folder; did you mean day"):
        open_run(folder.parent / "dya")


def test_a_folder_above_runs_names_them(folder):
    with pytest.raises(InputError, match=r"no run in this folder.*one of the runs below it: day"):
        open_run(folder.parent)


def test_a_folder_without_any_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no run in this folder"):
        open_run(tmp_path)


def test_a_run_that_is_going_on_is_running(folder):
    RunStatus("running").write(folder)
    assert open_run(folder).status == "running"


def test_a_run_whose_program_is_gone_is_incomplete(folder):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    RunStatus("running", pid=process.pid).write(folder)
    assert open_run(folder).status == "incomplete"
    assert open_run(folder).message == "the program ended before the run did"


def test_a_run_on_another_machine_is_believed(folder):
    RunStatus("running", pid=2**22 + 1, host="elsewhere").write(folder)
    assert open_run(folder).status == "running"


def test_a_status_of_a_later_version_can_be_read(folder):
    content = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps({**content, "mood": "fine"}))
    assert read_status(folder).status == "complete"


def test_a_status_that_is_being_written_is_never_half_there(folder):
    RunStatus("failed", message="x" * 100).write(folder)
    assert read_status(folder).message == "x" * 100
    assert not list(folder.glob("*.unfinished"))
    assert read_status(folder).pid == os.getpid()


@pytest.mark.parametrize(
    ("simulator", "time_s", "reached_end", "expected"),
    [
        ("grid", 300, False, "grid failed at 2016-06-15T11:05:00+00:00 (300 s after the start): x"),
        ("grid", None, False, "grid failed while starting: x"),
        ("grid", None, True, "grid failed while finishing: x"),
        (None, None, False, "the coupling failed while starting: x"),
    ],
)
def test_a_failure_says_who_and_when(simulator, time_s, reached_end, expected):
    start = "2016-06-15T12:00:00+01:00"
    assert failure_message(simulator, time_s, start, "x", reached_end=reached_end) == expected


def test_the_package_offers_what_users_need_without_importing_it_at_once():
    script = (
        "import sys, feederloop\n"
        "assert 'mosaik' not in sys.modules and 'pandas' not in sys.modules\n"
        "print(feederloop.open_run.__module__, feederloop.run.__module__, feederloop.load_scenario.__module__)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["feederloop.coupling.results", "feederloop.coupling.run"]
    assert set(dir(feederloop)) == {"__version__", "envelopes", "load_scenario", "open_run", "run"}
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        feederloop.rnu  # noqa: B018


STEPS = pd.date_range("2016-06-15 11:00", periods=3, freq="5min", tz="UTC").as_unit("ms")


def write(folder, name, **columns):
    pd.DataFrame(columns).to_parquet(folder / f"{name}.parquet", index=False)


@pytest.fixture
def points(folder):
    """Three steps of two homes, of which the last row of the last step is missing, in a zone that is not UTC."""
    (folder / "scenario.yaml").write_text("time: {time_zone: Europe/London}\n")
    write(folder, "connection_point", time=STEPS.repeat(2)[:5], prosumer=[*"babab"], p_kw=[1.0, 2.0, 3.0, 4.0, 5.0])
    return folder


def test_a_table_knows_its_units(points):
    assert open_run(points).table("connection_point").attrs["units"] == {"p_kw": "kW"}


def test_a_series_is_in_local_time_with_a_column_per_home(points):
    series = open_run(points).series("connection_point", "p_kw")
    assert str(series.index.tz) == "Europe/London"
    assert series.index[0] == pd.Timestamp("2016-06-15 12:00+01:00")
    assert list(series.columns) == ["b", "a"]
    assert series["b"].tolist() == [1.0, 3.0, 5.0]
    assert series["a"].tolist()[:2] == [2.0, 4.0]
    assert np.isnan(series["a"].iloc[2])
    assert series.attrs["units"] == "kW"


def test_a_series_of_a_table_with_one_row_per_time_has_one_column(folder):
    write(folder, "grid", time=STEPS, losses_kw=[0.1, 0.2, 0.3])
    assert open_run(folder).series("grid", "losses_kw").to_dict("list") == {"losses_kw": [0.1, 0.2, 0.3]}


def test_a_dataset_has_the_table_s_axes_and_says_what_is_in_it(points):
    dataset = open_run(points).dataset("connection_point")
    assert dataset.p_kw.dims == ("time", "prosumer")
    assert dataset.p_kw.sel(time="2016-06-15T11:05", prosumer="a").item() == 4.0
    assert np.isnan(dataset.p_kw.sel(time="2016-06-15T11:10", prosumer="a").item())
    assert dataset.p_kw.attrs["units"] == "kW"
    assert dataset.attrs["time_zone"] == "Europe/London"
    assert dataset.attrs["status"] == "complete"


def test_columns_per_phase_become_an_axis(folder):
    write(
        folder,
        "grid_bus",
        time=STEPS,
        bus=[7, 7, 7],
        v_a_v=[1.0] * 3,
        v_b_v=[2.0] * 3,
        v_c_v=[3.0] * 3,
        vuf_percent=0.5,
    )
    dataset = open_run(folder).dataset("grid_bus")
    assert dataset.v_v.dims == ("time", "bus", "phase")
    assert dataset.v_v.sel(bus=7, phase="b").values.tolist() == [2.0, 2.0, 2.0]
    assert dataset.vuf_percent.dims == ("time", "bus")
    assert dataset.v_v.attrs == {"units": "V", "long_name": "voltage to neutral"}


def test_whole_tables_keep_their_types(folder):
    write(folder, "ev", time=STEPS, prosumer=["a"] * 3, plugged=[True, False, True])
    assert open_run(folder).dataset("ev").plugged.dtype == bool


@pytest.mark.parametrize("name", ["orders", "table_of_tomorrow"])
def test_lists_of_rows_have_no_axes(folder, name):
    write(folder, name, kwh=[1.0])
    with pytest.raises(InputError, match=r"list of rows.*connection_point"):
        open_run(folder).dataset(name)


def test_a_column_that_is_not_there_names_those_that_are(points):
    with pytest.raises(InputError, match=r"column = 'p_w'.*allowed: p_kw"):
        open_run(points).series("connection_point", "p_w")


def test_without_xarray_it_is_said_how_to_get_it(points, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"pip install 'feederloop\[xarray\]'"):
        open_run(points).dataset("connection_point")


def test_columns_of_another_version_open_without_a_unit(points):
    write(points, "connection_point", time=STEPS, prosumer=["a"] * 3, mood=["fine"] * 3)
    assert open_run(points).series("connection_point", "mood").attrs == {}


def test_a_run_without_a_scenario_is_in_utc(folder):
    (folder / "scenario.yaml").unlink()
    run = open_run(folder)
    assert run.time_zone == "UTC"
    with pytest.raises(InputError, match="scenario cannot be read"):
        _ = run.scenario


@pytest.mark.parametrize(
    ("file", "use"),
    [
        ("status.json", open_run),
        ("summary.json", lambda folder: open_run(folder).summary),
        ("market.parquet", lambda folder: open_run(folder).table("market")),
    ],
)
def test_a_damaged_file_is_named(folder, file, use):
    (folder / file).write_text("{")
    with pytest.raises(InputError, match=file.partition(".")[0]):
        use(folder)
