"""What this project relies on, or works around, in mosaik; a new version of mosaik has to pass these."""

import asyncio
import json
import subprocess
import sys
import warnings

import mosaik_api_v3
import numpy as np
import pytest
from mosaik import AsyncWorld
from mosaik.exceptions import ScenarioError, SimulationError
from mosaik.proxies import LocalProxy
from mosaik.starters import CmdStarter, PythonStarter, Starter
from mosaik_api_v3.connection import encode

from feederloop.coupling.watched import WatchedWorld

META = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {"Thing": {"public": True, "params": [], "attrs": ["value", "input"]}},
}


class Thing(mosaik_api_v3.Simulator):
    """Puts out one list, in which it counts its steps, and remembers what it was given."""

    def __init__(self, fail_at=None, events=None, step_s=10):
        super().__init__(META)
        self.fail_at, self.events, self.step_s = fail_at, [] if events is None else events, step_s
        self.value, self.inputs, self.advances = [0], [], []

    def init(self, sid, time_resolution=1.0):
        self.sid = sid
        return self.meta

    def create(self, num, model):
        return [{"eid": f"thing{i}", "type": model} for i in range(num)]

    def step(self, time, inputs, max_advance):
        if self.fail_at == time:
            raise ValueError("broken on purpose")
        self.value[0] = time
        self.inputs.append(inputs.get("thing0", {}).get("input"))
        self.advances.append(max_advance)
        self.events.append((self.sid, time))
        return time + self.step_s

    def get_data(self, outputs):
        return {eid: {"value": self.value} for eid in outputs}

    def finalize(self):
        self.events.append((self.sid, "finalize"))


class Existing(Starter):
    """Hands mosaik a simulator that exists already."""

    api_version = None

    def __init__(self, simulator):
        self.simulator = simulator

    async def start(self, sim_id, mosaik_remote, mosaik_config):
        return LocalProxy(self.simulator, mosaik_remote)

    @classmethod
    def from_starter_config(cls, starter_config):
        return None


def run(source, target, until=30, shutdown=True, **connection):
    """Run two simulators of which the second hears the first; return the world."""

    async def main():
        world = AsyncWorld()
        try:
            things = []
            for name, simulator in (("source", source), ("target", target)):
                factory = await world.start(Existing(simulator), sim_id=name)
                things.append(await factory.Thing())
            world.connect(things[0], things[1], ("value", "input"), **connection)
            await world.run(until=until)
        finally:
            world._shutdown_performed = not shutdown
            if shutdown:
                await world.shutdown()
        return world

    return asyncio.run(main())


def test_run_returns_normally_when_a_remote_simulator_raises(tmp_path):
    script = tmp_path / "remote.py"
    script.write_text(
        "import mosaik_api_v3\n"
        f"META = {META!r}\n"
        "class Broken(mosaik_api_v3.Simulator):\n"
        "    def __init__(self):\n        super().__init__(META)\n"
        "    def init(self, sid, time_resolution=1.0):\n        return self.meta\n"
        "    def create(self, num, model):\n        return [{'eid': 'thing0', 'type': model}]\n"
        "    def step(self, time, inputs, max_advance):\n        raise ValueError('broken on purpose')\n"
        "mosaik_api_v3.start_simulation(Broken())\n"
    )

    async def main():
        world = AsyncWorld()
        # mosaik splits a command as Windows does unless told otherwise, and the reverse on Windows
        factory = await world.start(CmdStarter(f"%(python)s {script} %(addr)s", posix=True), sim_id="remote")
        await factory.Thing()
        await world.run(until=30)
        progress = world.compile(use_cache=True)["remote"].progress.time.time
        await world.shutdown()
        return progress

    assert asyncio.run(main()) == 0


def test_an_exception_in_process_skips_every_finalize_without_shutdown():
    events = []
    with pytest.raises(ValueError, match="broken"):
        run(Thing(events=events), Thing(fail_at=10, events=events), shutdown=False)
    assert ("source", "finalize") not in events


def test_a_shutdown_after_an_exception_finalizes_all():
    events = []
    with pytest.raises(ValueError, match="broken"):
        run(Thing(events=events), Thing(fail_at=10, events=events))
    assert {("source", "finalize"), ("target", "finalize")} <= set(events)


def test_progress_of_every_simulator_is_the_end_after_a_whole_run():
    world = run(Thing(), Thing(step_s=7), until=30)
    assert {runner.progress.time.time for runner in world.compile(use_cache=True).values()} == {30}


def test_compile_makes_new_runners_unless_told_to_use_the_old_ones():
    world = run(Thing(), Thing())
    assert world.compile()["source"].progress.time.time == 0


def test_a_plain_connection_brings_the_value_of_the_same_step():
    target = Thing()
    seen = []
    target.events = type(
        "Log", (list,), {"append": lambda self, item: seen.append(target.inputs[-1]["source.thing0"][0])}
    )()
    run(Thing(), target)
    assert seen[:3] == [0, 10, 20]


def test_values_pass_by_reference_in_process():
    source, target = Thing(), Thing()
    run(source, target)
    assert all(entry["source.thing0"] is source.value for entry in target.inputs)


def test_a_time_shifted_connection_brings_the_initial_value_and_then_the_one_before():
    class Copying(Thing):
        def get_data(self, outputs):
            return {eid: {"value": list(self.value)} for eid in outputs}

    target = Thing()
    run(Copying(), target, until=40, time_shifted=True, initial_data={"value": [-1]})
    assert [entry["source.thing0"] for entry in target.inputs] == [[-1], [0], [10], [20]]


def test_a_time_shifted_connection_needs_initial_data():
    with pytest.raises(ScenarioError, match="requires initial data"):
        run(Thing(), Thing(), time_shifted=True)


def test_a_shift_by_more_than_one_loses_the_initial_value():
    target = Thing(step_s=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(Thing(step_s=1), target, until=4, time_shifted=2, initial_data={"value": [-1]})
    assert target.inputs[1] == {"source.thing0": None}


def test_the_slower_of_two_simulators_sets_no_pace_for_the_faster():
    """A value of an interval stays until the next: a connection from 30 s to 10 s repeats it."""

    class Copying(Thing):
        def get_data(self, outputs):
            return {eid: {"value": list(self.value)} for eid in outputs}

    target = Thing()
    run(Copying(step_s=30), target, until=60)
    assert [entry["source.thing0"][0] for entry in target.inputs] == [0, 0, 0, 30, 30, 30]


def test_max_advance_of_a_time_based_simulator_is_the_end():
    target = Thing()
    run(Thing(), target, until=30)
    assert target.advances == [30, 30, 30]


def test_a_missing_output_becomes_none_with_a_warning():
    class Silent(Thing):
        def get_data(self, outputs):
            return {"thing0": {}}

    target = Thing()
    with pytest.warns(UserWarning, match="did not produce output"):
        run(Silent(), target)
    assert target.inputs[0] == {"source.thing0": None}


def test_a_cycle_without_a_shift_is_refused():
    async def main():
        world = AsyncWorld()
        things = []
        for name in "ab":
            things.append(await (await world.start(Existing(Thing()), sim_id=name)).Thing())
        world.connect(things[0], things[1], ("value", "input"))
        world.connect(things[1], things[0], ("value", "input"))
        try:
            world.compile()
        finally:
            await world.shutdown()

    with pytest.raises(ScenarioError, match="cycle"):
        asyncio.run(main())


def test_duplicate_connections_and_unconnected_entities_are_not_noticed():
    async def main():
        world = AsyncWorld()
        source = await (await world.start(Existing(Thing()), sim_id="source")).Thing()
        target = await (await world.start(Existing(Thing()), sim_id="target")).Thing()
        await (await world.start(Existing(Thing()), sim_id="alone")).Thing()
        for _ in range(2):
            world.connect(source, target, ("value", "input"))
        await world.run(until=20)
        await world.shutdown()

    asyncio.run(main())


def test_an_end_that_is_no_whole_number_is_not_refused():
    run(Thing(), Thing(), until=25.5)


def test_a_simulator_without_the_exact_parameter_names_is_taken_for_an_old_one(capsys):
    class Misnamed(Thing):
        def step(self, time, inputs, advance):
            return time + 10

    async def main():
        async with AsyncWorld() as world:
            await world.start(Existing(Misnamed()), sim_id="old")

    with pytest.raises(ScenarioError, match="not compliant"):
        asyncio.run(main())
    assert "max_advance" in capsys.readouterr().out


@pytest.mark.parametrize("value", [np.float32(1.0), np.int64(1), np.bool_(True), np.zeros(2)])
def test_numpy_values_cannot_be_sent_to_a_remote_simulator(value):
    with pytest.raises(TypeError):
        encode([value])


def test_numbers_survive_the_way_to_a_remote_simulator_to_the_last_bit():
    value = 0.1 + 0.2
    assert json.loads(encode([value])[4:])[0] == value


def test_a_world_that_is_not_async_fails_inside_a_running_loop():
    script = (  # in a process of its own, as it leaves its event loop open
        "import asyncio, mosaik\n"
        "async def main():\n"
        "    with mosaik.World({}, configure_logging=False):\n"
        "        pass\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "event loop" in done.stderr


def test_an_exception_leaves_the_other_simulators_running():
    """The reason why the tasks of the others are cancelled after a failure."""

    class Waiting(Thing):
        def step(self, time, inputs, max_advance):
            yield asyncio.sleep(0.001)
            return time + 10

    async def main():
        world = AsyncWorld()
        await (await world.start(Existing(Waiting()), sim_id="good")).Thing()
        await (await world.start(Existing(Thing(fail_at=10)), sim_id="bad")).Thing()
        with pytest.raises(ValueError, match="broken"):
            await world.run(until=10**6)
        before = world.compile(use_cache=True)["good"].progress.time.time
        await asyncio.sleep(0.05)
        runner = world.compile(use_cache=True)["good"]
        after = runner.progress.time.time
        runner.task.cancel()
        await world.shutdown()
        return before, after

    before, after = asyncio.run(main())
    assert after > before


def test_a_remote_that_fails_in_init_ends_the_interpreter(tmp_path):
    """The reason why the watch meets this case first."""

    async def main():
        world = AsyncWorld()
        command = CmdStarter(f"%(python)s {script} %(addr)s", posix=True)
        try:
            await world.start(command, sim_id="remote")
        finally:
            await world.shutdown()

    script = tmp_path / "remote.py"
    script.write_text(
        "import sys, mosaik_api_v3\n"
        "class Broken(mosaik_api_v3.Simulator):\n"
        "    def __init__(self):\n        super().__init__({'models': {}})\n"
        "    def init(self, sid, time_resolution=1.0):\n        sys.exit(0)\n"
        "    def step(self, time, inputs, max_advance):\n        return None\n"
        "mosaik_api_v3.start_simulation(Broken())\n"
    )
    with pytest.raises(SystemExit, match="closed its connection"):
        asyncio.run(main())


def test_starting_and_running_may_be_specialised():
    assert issubclass(WatchedWorld, AsyncWorld)
    assert issubclass(PythonStarter, Starter)
    assert issubclass(SimulationError, Exception)
