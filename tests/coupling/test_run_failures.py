"""From a scenario to a folder of results: complete, failed, interrupted, refused."""

import functools
import importlib.util
import json
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mosaik.starters import PythonStarter

from feederloop.coupling.results import open_run
from feederloop.coupling.run import run, run_scenario
from feederloop.coupling.scenario import scenario_from
from feederloop.coupling.world import run_world
from feederloop.simulators.errors import InputError
from feederloop.simulators.recorder.simulator import RecorderSimulator

HELPER = Path(__file__).with_name("misbehaving.py")
SPEC = importlib.util.spec_from_file_location("misbehaving", HELPER)
misbehaving = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(misbehaving)
START = "2016-06-15T11:00:00+00:00"


@pytest.fixture
def scenario():
    """Half an hour in steps of five minutes."""
    return scenario_from({"name": "little", "time": {"days": 1 / 48}})


@pytest.fixture(autouse=True)
def report(monkeypatch):
    """A report that only says that it was asked for, as its contents are not what is tested here."""
    module = types.ModuleType("feederloop.coupling.report")
    module.write_report = lambda folder: (folder / "report.html").write_text("a report")
    monkeypatch.setitem(sys.modules, "feederloop.coupling.report", module)
    return module


def recorded(**fault):
    """Build a world in which one simulator's output goes to the table `market`, if it does not fail."""

    async def build(world, scenario, folder):
        source = await world.start(PythonStarter(misbehaving.Thing), sim_id="source", step_s=300, **fault)
        thing = await source.Thing()
        recorder = await world.start(
            PythonStarter(RecorderSimulator), sim_id="recorder", folder=str(folder), start=START, step_s=300
        )
        columns = {"volume_kwh": "float64", "price_per_kwh": "float64"}
        spec = {"name": "market", "kind": "per_entity", "time_column": "interval_start", "columns": columns}
        table = await recorder.Table(spec={**spec, "until_s": scenario.time.duration_s})
        world.connect(thing, table, ("value", "volume_kwh"))

    return build


def test_a_complete_run_leaves_everything_behind(tmp_path, scenario):
    result = run_scenario(scenario, out=tmp_path / "out", quiet=True, build=recorded())
    assert (result.status, result.message) == ("complete", "")
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "market.parquet",
        "report.html",
        "scenario.yaml",
        "status.json",
        "summary.json",
    ]
    results = result.open()
    assert results.status == "complete"
    assert results.details.reached_s == 1800
    assert results.summary == json.loads(json.dumps(result.summary))
    assert result.summary["market"]["traded_kwh"] == sum(range(0, 1800, 300))
    assert result.summary["voltage"]["max_v"] is None
    assert result.summary["compute"]["simulators"]["source"]["steps"] == 7
    assert result.summary["seed"] == scenario.seed


def test_the_scenario_that_is_left_behind_gives_the_same_run(tmp_path, scenario):
    result = run_scenario(scenario, out=tmp_path / "out", quiet=True, build=recorded())
    text = (result.folder / "scenario.yaml").read_text()
    assert scenario_from(yaml.safe_load(text)).resolved() == scenario.resolved()
    assert "mosaik 3." in text.splitlines()[0]
    assert set(result.open().details.versions) >= {"feederloop", "python", "mosaik", "pandapower", "highspy", "numpy"}


def test_a_failed_run_says_who_and_when_and_keeps_what_was_recorded(tmp_path, scenario):
    result = run_scenario(scenario, out=tmp_path / "out", quiet=True, build=recorded(fault="raise", at=900))
    assert result.status == "failed"
    expected = "source failed at 2016-06-15T11:15:00+00:00 (900 s after the start): ValueError: broken on purpose"
    assert result.message == expected
    results = result.open()
    assert (results.status, results.message) == ("failed", expected)
    assert (results.details.simulator, results.details.time_s) == ("source", 900)
    assert "in misbehave" in results.details.traceback
    assert results.table("market")["volume_kwh"].tolist() == [0, 300, 600]
    assert results.summary["market"]["traded_kwh"] == 900
    assert results.summary["status"] == "failed"


def test_a_simulator_that_blocks_leaves_readable_tables(tmp_path, scenario, monkeypatch):
    monkeypatch.setattr("feederloop.coupling.run.run_world", functools.partial(run_world, grace_s=0.3))
    short = scenario.model_copy(update={"run": scenario.run.model_copy(update={"step_time_limit_s": 0.3})})
    result = run_scenario(short, out=tmp_path / "out", quiet=True, build=recorded(fault="hang", at=900))
    assert result.status == "failed"
    assert "took longer than the limit of 0.3 s" in result.message
    assert result.outcome.given_up
    assert result.open().table("market")["volume_kwh"].tolist() == [0, 300, 600]


def test_an_interrupted_run_keeps_whole_steps(tmp_path):
    scenario = scenario_from({"name": "long", "time": {"days": 300}})
    result = run_scenario(scenario, out=tmp_path / "out", quiet=True, build=recorded(fault="interrupt", at=600))
    assert result.status == "interrupted"
    assert result.message.startswith("stopped on request at 2016-")
    results = result.open()
    assert len(results.table("market")) == results.details.reached_s // 300 < 300 * 288


def test_an_error_at_the_start_is_a_failed_run(tmp_path, scenario):
    result = run_scenario(scenario, out=tmp_path / "out", quiet=True, build=recorded(fault="raise", where="create"))
    assert result.message == "source failed while starting: in create: ValueError: broken on purpose"
    assert result.open().status == "failed"


def test_an_error_at_the_end_is_a_failed_run(tmp_path, scenario):
    result = run_scenario(scenario, out=tmp_path / "out", quiet=True, build=recorded(fault="raise", where="finalize"))
    assert result.message == "source failed while finishing: in finalize: ValueError: broken on purpose"


@pytest.mark.parametrize("made_before", [False, True])
def test_input_that_a_simulator_refuses_leaves_nothing_behind(tmp_path, scenario, made_before):
    async def build(world, scenario, folder):
        (folder / "half").mkdir()
        (folder / "half" / "written").touch()
        raise InputError("There is no such bus.", key="bus", value=907)

    out = tmp_path / "new" / "out"
    if made_before:
        out.mkdir(parents=True)
    with pytest.raises(InputError, match="no such bus"):
        run_scenario(scenario, out=out, quiet=True, build=build)
    assert list(tmp_path.rglob("*")) == ([out.parent, out] if made_before else [])


def test_an_input_error_in_the_middle_is_a_failed_run(tmp_path, scenario):
    class Refusing(misbehaving.Thing):
        def step(self, time, inputs, max_advance):
            if time == 600:
                raise InputError("The file ends here.", file="load.csv")
            return time + 300

    async def build(world, scenario, folder):
        await (await world.start(PythonStarter(Refusing), sim_id="household")).Thing()

    result = run_scenario(scenario, out=tmp_path / "out", quiet=True, build=build)
    assert result.status == "failed"
    assert "load.csv: The file ends here." in result.message


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path, scenario):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="not empty"):
        run_scenario(scenario, out=tmp_path, quiet=True, build=recorded())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, scenario):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        run_scenario(scenario, out=tmp_path / "file" / "out", quiet=True, build=recorded())


def test_runs_get_folders_of_their_own(tmp_path, scenario, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [run_scenario(scenario, quiet=True, build=recorded()).folder for _ in range(2)]
    assert len(set(folders)) == 2
    assert all(folder.parent == Path("runs") and folder.name.startswith("little-20") for folder in folders)


def test_a_report_that_fails_spoils_a_complete_run(tmp_path, scenario, report):
    def write_report(folder):
        raise KeyError("no such table")

    report.write_report = write_report
    result = run_scenario(scenario, out=tmp_path / "out", quiet=True, build=recorded())
    assert result.status == "failed"
    assert "the report could not be made" in result.message
    assert result.open().status == "failed"


def test_a_report_that_fails_does_not_hide_why_a_run_failed(tmp_path, scenario, report):
    del report.write_report
    result = run_scenario(scenario, out=tmp_path / "out", quiet=True, build=recorded(fault="raise", at=900))
    assert "broken on purpose" in result.message
    assert "the report could not be made" in result.open().details.later_errors[-1]


def test_the_same_run_twice_writes_the_same_bytes(tmp_path, scenario):
    first, second = (run_scenario(scenario, out=tmp_path / name, quiet=True, build=recorded()) for name in "ab")
    for name in ("market.parquet", "scenario.yaml"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_progress_comes_in_lines_on_standard_error(tmp_path, scenario, capfd):
    run_scenario(scenario, out=tmp_path / "out", build=recorded())
    out, err = capfd.readouterr()
    assert out == ""
    assert "little  100%  2016-06-15 12:30" in err


def test_quiet_prints_nothing(tmp_path, scenario, capfd):
    run_scenario(scenario, out=tmp_path / "out", quiet=True, build=recorded())
    assert capfd.readouterr() == ("", "")


def test_a_loaded_scenario_takes_no_changes(scenario):
    with pytest.raises(InputError, match="loaded already"):
        run(scenario, days=2)


def test_a_run_that_is_killed_is_incomplete_and_readable(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import importlib.util, sys\n"
        f"sys.path.insert(0, {str(HELPER.parent)!r})\n"
        "import test_run_failures as here\n"
        "scenario = here.scenario_from({'name': 'little', 'time': {'days': 30}})\n"
        f"here.run_scenario(scenario, out={str(tmp_path / 'out')!r}, quiet=True, build=here.recorded())\n"
    )
    process = subprocess.Popen([sys.executable, script])
    try:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("out/market/part-*.parquet")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert open_run(tmp_path / "out").status == "running"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    results = open_run(tmp_path / "out")
    assert results.status == "incomplete"
    assert results.tables == ["market"]
    assert isinstance(results.table("market"), pd.DataFrame)
    assert len(results.table("market")) > 0
    assert results.summary == {}
