"""However a simulator fails, in process or remote, the run is failed and says who and when."""

import importlib.util
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from mosaik.starters import PythonStarter

from feederloop.coupling.world import run_world

HELPER = Path(__file__).with_name("misbehaving.py")
SPEC = importlib.util.spec_from_file_location("misbehaving", HELPER)
misbehaving = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(misbehaving)
COMMAND = {"cmd": f"%(python)s {HELPER} %(addr)s"}
LOCAL = PythonStarter(misbehaving.Thing)


def world_of(tmp_path, starter, **fault):
    """Three simulators in a row of which the middle one fails; all note what they do in tmp_path/notes."""
    log = str(tmp_path / "notes")

    async def build(world):
        things = []
        for name, how, parameters in (("first", LOCAL, {}), ("bad", starter, fault), ("last", LOCAL, {})):
            factory = await world.start(how, sim_id=name, log=log, **parameters)
            things.append(await factory.Thing())
        world.connect(things[0], things[1], ("value", "input"))
        world.connect(things[1], things[2], ("value", "input"))

    return build


def run(build, **more):
    return run_world(build, **{"until": 60, "step_time_limit_s": 5.0, "grace_s": 1.0, **more})


def notes(tmp_path):
    return (tmp_path / "notes").read_text().splitlines()


@pytest.mark.parametrize("starter", [LOCAL, COMMAND], ids=["in process", "remote"])
@pytest.mark.parametrize("where", ["step", "get_data"])
def test_a_simulator_that_raises_fails_the_run(tmp_path, starter, where):
    outcome = run(world_of(tmp_path, starter, fault="raise", where=where, at=30))
    assert (outcome.status, outcome.simulator, outcome.time_s) == ("failed", "bad", 30)
    assert "ValueError: broken on purpose" in outcome.message
    assert "in misbehave" in outcome.traceback
    assert outcome.reached_s == 30


@pytest.mark.parametrize("starter", [LOCAL, COMMAND], ids=["in process", "remote"])
def test_after_a_failure_the_steps_before_it_are_done_and_all_are_finalized(tmp_path, starter):
    run(world_of(tmp_path, starter, fault="raise", at=30))
    lines = notes(tmp_path)
    assert [line.split()[2] for line in lines if line.startswith("last step")] == ["0", "10", "20"]
    assert {line for line in lines if line.endswith("finalize")} == {"first finalize", "bad finalize", "last finalize"}


def test_what_a_remote_simulator_printed_is_kept(tmp_path):
    outcome = run(world_of(tmp_path, COMMAND, fault="raise", at=30), log_folder=tmp_path / "logs")
    assert "about to raise" in outcome.remote_output["bad"]
    assert "about to raise" in (tmp_path / "logs" / "bad.log").read_text()


@pytest.mark.parametrize("where", ["init", "create"])
@pytest.mark.parametrize("starter", [LOCAL, COMMAND], ids=["in process", "remote"])
def test_a_simulator_that_raises_at_the_start_fails_the_run(tmp_path, starter, where):
    outcome = run(world_of(tmp_path, starter, fault="raise", where=where))
    assert (outcome.status, outcome.simulator, outcome.time_s) == ("failed", "bad", None)
    assert "broken on purpose" in outcome.message
    assert "first finalize" in notes(tmp_path)


def test_a_remote_simulator_that_is_killed_fails_the_run(tmp_path):
    outcome = run(world_of(tmp_path, COMMAND, fault="kill", at=30))
    assert (outcome.status, outcome.simulator, outcome.time_s) == ("failed", "bad", 30)
    assert "SIGKILL" in outcome.message
    assert "last finalize" in notes(tmp_path)


def test_a_remote_simulator_that_is_killed_while_it_is_not_listening_fails_the_run(tmp_path):
    """The connection is reset then, which mosaik does not notice."""
    done = {}

    def stop_then_kill(reached_s):
        if "stopped" not in done and reached_s > 0:
            done["process"] = child_of_this_process()
            os.kill(done["process"], signal.SIGSTOP)
            done["stopped"] = time.monotonic()
        elif "stopped" in done and "killed" not in done and time.monotonic() - done["stopped"] > 0.3:
            os.kill(done["process"], signal.SIGKILL)
            done["killed"] = True

    outcome = run(world_of(tmp_path, COMMAND), until=10**7, step_time_limit_s=20.0, on_progress=stop_then_kill)
    assert (outcome.status, outcome.simulator) == ("failed", "bad")
    assert "SIGKILL" in outcome.message
    assert outcome.wall_s < 10


def child_of_this_process():
    for status in Path("/proc").glob("[0-9]*/stat"):
        fields = status.read_text().rsplit(")", 1)[1].split()
        if int(fields[1]) == os.getpid() and b"misbehaving" in (status.parent / "cmdline").read_bytes():
            return int(status.parent.name)
    raise AssertionError("no child found")


@pytest.mark.parametrize("where", ["init", "step"])
def test_a_remote_simulator_that_hangs_fails_the_run(tmp_path, where):
    began = time.monotonic()
    limits = {"step_time_limit_s": 0.5, "start_time_limit_s": 3.0}
    outcome = run(world_of(tmp_path, COMMAND, fault="hang", where=where, at=20), **limits)
    assert (outcome.status, outcome.simulator) == ("failed", "bad")
    assert outcome.time_s == (20 if where == "step" else None)
    limit = "0.5 s (run.step_time_limit_s)" if where == "step" else "3 s"
    assert outcome.message == f"{where} took longer than the limit of {limit}"
    assert not outcome.given_up
    assert "first finalize" in notes(tmp_path)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("where", ["create", "step", "get_data", "finalize"])
def test_an_in_process_simulator_that_blocks_fails_the_run_and_the_others_are_finalized(tmp_path, where):
    limits = {"step_time_limit_s": 0.3, "start_time_limit_s": 0.3, "grace_s": 0.2}
    outcome = run(world_of(tmp_path, LOCAL, fault="hang", where=where, at=20), **limits)
    assert (outcome.status, outcome.simulator, outcome.given_up) == ("failed", "bad", True)
    assert outcome.time_s == (20 if where in ("step", "get_data") else None)
    assert outcome.message.startswith(f"{where} took longer than the limit of 0.3 s")
    assert "first finalize" in notes(tmp_path)
    if where != "create":
        assert "last finalize" in notes(tmp_path)


def test_a_step_that_is_too_slow_but_ends_fails_the_run(tmp_path):
    outcome = run(world_of(tmp_path, LOCAL, fault="slow", at=30), step_time_limit_s=0.2)
    assert (outcome.status, outcome.simulator, outcome.time_s) == ("failed", "bad", 30)
    assert not outcome.given_up
    assert "bad finalize" in notes(tmp_path)


def test_time_in_which_another_simulator_blocks_is_not_held_against_a_remote_one(tmp_path):
    async def build(world):
        remote = await (await world.start(COMMAND, sim_id="remote")).Thing()
        slow = await (await world.start(LOCAL, sim_id="slow", fault="slow")).Thing()
        end = await (await world.start(LOCAL, sim_id="end")).Thing()
        world.connect(remote, end, ("value", "input"))
        world.connect(slow, end, ("value", "input"))

    assert run(build, until=40, step_time_limit_s=0.6).status == "complete"


def test_an_in_process_simulator_that_ends_the_program_fails_the_run(tmp_path):
    outcome = run(world_of(tmp_path, LOCAL, fault="exit", at=30))
    assert (outcome.status, outcome.simulator, outcome.time_s) == ("failed", "bad", 30)
    assert "SystemExit: 3" in outcome.message


def test_an_error_in_finalize_fails_a_run_that_went_well(tmp_path):
    outcome = run(world_of(tmp_path, LOCAL, fault="raise", where="finalize"))
    assert (outcome.status, outcome.simulator) == ("failed", "bad")
    assert outcome.message == "in finalize: ValueError: broken on purpose"
    assert outcome.reached_s == 60
    assert {"first finalize", "last finalize"} <= set(notes(tmp_path))


def test_output_that_cannot_be_sent_names_the_value(tmp_path):
    async def build(world):
        source = await (await world.start(LOCAL, sim_id="source", fault="not json", where="get_data")).Thing()
        target = await (await world.start(COMMAND, sim_id="target")).Thing()
        world.connect(source, target, ("value", "input"))

    outcome = run(build)
    assert (outcome.status, outcome.simulator) == ("failed", "target")
    assert "source.thing0" in outcome.message


def test_a_step_that_leads_nowhere_names_the_simulator(tmp_path):
    outcome = run(world_of(tmp_path, LOCAL, fault="no next step", at=20))
    assert (outcome.status, outcome.simulator, outcome.time_s) == ("failed", "bad", 20)
    assert "must be later" in outcome.message


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("/no/such/program %(addr)s", "could not be started"),
        (f"{sys.executable} -c 'raise SystemExit(7)'", "ended with exit code 7 before it connected"),
        (f"{sys.executable} -c 'import time; time.sleep(30)'", "did not connect within 0.5 s"),
    ],
)
def test_a_remote_simulator_that_never_connects_fails_the_run(tmp_path, command, message):
    outcome = run(world_of(tmp_path, {"cmd": command, "connect_timeout": 0.5}))
    assert (outcome.status, outcome.simulator, outcome.time_s) == ("failed", "bad", None)
    assert message in outcome.message


def test_nobody_at_the_address_fails_the_run(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    outcome = run(world_of(tmp_path, {"connect": address}))
    assert (outcome.status, outcome.simulator) == ("failed", "bad")
    assert f'Could not connect to "{address}"' in outcome.message


def test_a_mistake_in_the_wiring_fails_the_run(tmp_path):
    async def build(world):
        things = [await (await world.start(LOCAL, sim_id=name)).Thing() for name in "ab"]
        world.connect(things[0], things[1], ("value", "input"))
        world.connect(things[1], things[0], ("value", "input"))

    outcome = run(build)
    assert (outcome.status, outcome.simulator, outcome.time_s) == ("failed", None, None)
    assert "cycle" in outcome.message


def test_an_empty_world_fails():
    async def build(world):
        pass

    assert run(build).message.endswith("there is no simulator in this world")
