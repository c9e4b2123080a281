"""Opening the folder of a run, and what is said where there is none."""

import json
import os
import subprocess
import sys

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
