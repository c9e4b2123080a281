"""A world that ends well, and what is known about it then."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from mosaik.starters import PythonStarter

from feederloop.coupling.world import run_world

HELPER = Path(__file__).with_name("misbehaving.py")
SPEC = importlib.util.spec_from_file_location("misbehaving", HELPER)
misbehaving = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(misbehaving)
COMMAND = {"cmd": f"%(python)s {HELPER} %(addr)s"}


def chain(first=None, second=None, third=None, starters=(None, None, None)):
    """Three simulators, one after the other."""

    async def build(world):
        things = []
        for name, parameters, starter in zip("abc", (first, second, third), starters, strict=True):
            factory = await world.start(starter or PythonStarter(misbehaving.Thing), sim_id=name, **(parameters or {}))
            things.append(await factory.Thing())
        world.connect(things[0], things[1], ("value", "input"))
        world.connect(things[1], things[2], ("value", "input"))

    return build


def test_a_run_that_reaches_its_end_is_complete():
    progress = []
    outcome = run_world(chain(), until=50, step_time_limit_s=5, on_progress=progress.append)
    assert outcome.status == "complete"
    assert (outcome.simulator, outcome.time_s, outcome.message, outcome.traceback) == (None, None, "", None)
    assert outcome.reached_s == 50
    assert progress[-1] == 50.0
    assert not outcome.given_up


def test_time_on_the_wall_is_measured_for_each_simulator():
    outcome = run_world(chain(second={"fault": "slow", "at": 40}), until=50, step_time_limit_s=5)
    assert {name: timing.steps for name, timing in outcome.timings.items()} == {"a": 5, "b": 5, "c": 5}
    assert outcome.timings["b"].step_s >= outcome.timings["b"].max_step_s > 0.35
    assert outcome.timings["a"].step_s < 0.2
    assert outcome.wall_s > outcome.timings["b"].step_s


def test_remote_simulators_take_part():
    outcome = run_world(chain(starters=(COMMAND, None, COMMAND)), until=50, step_time_limit_s=10)
    assert outcome.status == "complete", outcome.message


def test_a_world_runs_inside_a_running_event_loop():
    async def notebook_cell():
        return run_world(chain(), until=20, step_time_limit_s=5)

    assert asyncio.run(notebook_cell()).status == "complete"


def test_a_world_runs_outside_the_main_thread():
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(run_world(chain(), until=20, step_time_limit_s=5)))
    thread.start()
    thread.join()
    assert outcomes[0].status == "complete"


def test_nothing_is_printed(capfd):
    run_world(chain(), until=20, step_time_limit_s=5)
    assert capfd.readouterr() == ("", "")


def test_warnings_are_collected_once_each():
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        outcome = run_world(chain(second={"fault": "warn"}), until=50, step_time_limit_s=5)
    assert outcome.warnings == ("UserWarning: take care",)


@pytest.mark.parametrize("until", [0, -1, 1.5, True, "60"])
def test_an_end_that_is_no_whole_number_of_seconds_is_refused(until):
    with pytest.raises(ValueError, match="whole number"):
        run_world(chain(), until=until, step_time_limit_s=5)


def test_a_stop_request_ends_the_run_at_a_step_boundary(tmp_path):
    log = tmp_path / "log"
    step = {"log": str(log)}
    outcome = run_world(chain(step, {**step, "fault": "interrupt", "at": 30}, step), until=10**6, step_time_limit_s=5)
    assert outcome.status == "interrupted"
    assert outcome.simulator is None
    assert outcome.message == "stopped on request"
    lines = log.read_text().splitlines()
    steps = {name: [line for line in lines if line.startswith(f"{name} step")] for name in "abc"}
    assert len(steps["a"]) == len(steps["b"]) == len(steps["c"]) == outcome.reached_s // 10
    assert sorted(lines[-3:]) == ["a finalize", "b finalize", "c finalize"]


def test_sigterm_ends_a_run_and_the_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    outcome = run_world(chain(), until=10**8, step_time_limit_s=5)
    assert outcome.status == "interrupted"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_second_request_ends_a_run_whose_step_does_not_end():
    timers = [threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGINT)) for delay_s in (0.3, 0.5)]
    for timer in timers:
        timer.start()
    outcome = run_world(chain(second={"fault": "hang", "at": 20}), until=50, step_time_limit_s=60, grace_s=0.3)
    assert outcome.status == "failed"
    assert outcome.given_up
    assert outcome.wall_s < 5


def test_a_second_request_ends_a_run_at_once_where_nothing_blocks():
    timers = [threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGINT)) for delay_s in (1.0, 1.2)]
    for timer in timers:
        timer.start()
    remote = chain(second={"fault": "hang", "at": 20}, starters=(None, COMMAND, None))
    outcome = run_world(remote, until=50, step_time_limit_s=60)
    assert outcome.status == "interrupted"
    assert outcome.wall_s < 4


def test_an_exception_in_the_progress_display_ends_the_run(tmp_path):
    log = tmp_path / "log"

    before = set(threading.enumerate())

    def fail(reached_s):
        raise RuntimeError("no display")

    with pytest.raises(RuntimeError, match="no display"):
        run_world(chain({"log": str(log)}), until=10**8, step_time_limit_s=5, on_progress=fail)
    assert log.read_text().splitlines()[-1] == "a finalize"
    assert set(threading.enumerate()) <= before


def test_a_stuck_simulator_does_not_keep_the_program_from_ending(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, importlib.util\n"
        f"sys.path.insert(0, {str(HELPER.parent)!r})\n"
        "from misbehaving import Thing\n"
        "from mosaik.starters import PythonStarter\n"
        "from feederloop.coupling.world import run_world\n"
        "async def build(world):\n"
        "    factory = await world.start(PythonStarter(Thing), sim_id='stuck', fault='hang', at=20)\n"
        "    await factory.Thing()\n"
        "outcome = run_world(build, until=50, step_time_limit_s=0.3, grace_s=0.3)\n"
        "print(outcome.status, outcome.simulator, outcome.time_s, outcome.given_up)\n"
        "sys.exit(1)\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=25, check=False)
    assert done.stdout == "failed stuck 20 True\n"
    assert done.returncode == 1
    assert time.monotonic() - began < 20
