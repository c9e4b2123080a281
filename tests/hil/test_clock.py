import asyncio
import inspect
import time

import pytest

from feederloop.coupling.world import run_world
from feederloop.hil.clock import ClockSimulator


def run_steps(clock: ClockSimulator, steps: int, step_s: int, work_s: float = 0.0) -> list[float]:
    """Step a clock as mosaik does and return how late each step was."""

    async def go() -> list[float]:
        late = []
        for number in range(steps):
            waiting = clock.step(number * step_s, {}, 0)
            try:
                awaited = next(waiting)
                while True:
                    awaited = waiting.send(await awaited)
            except StopIteration as done:
                returned = done.value
            assert returned == (number + 1) * step_s
            late.append(clock.get_data({"Clock": ["late_s"]})["Clock"]["late_s"])
            time.sleep(work_s)
        return late

    return asyncio.run(go())


def test_steps_begin_when_their_time_has_come_and_not_before():
    clock = ClockSimulator()
    clock.init("clock", step_s=10, factor=100.0)
    began = time.monotonic()
    late = run_steps(clock, 11, 10)
    assert time.monotonic() - began >= 1.0
    assert sorted(late)[5] < 0.01, "half of the steps begin within 10 ms, on a machine however busy"


def test_work_within_a_step_costs_no_time():
    clock = ClockSimulator()
    clock.init("clock", step_s=10, factor=100.0)
    began = time.monotonic()
    run_steps(clock, 11, 10, work_s=0.05)
    assert 1.0 <= time.monotonic() - began < 1.5


def test_a_run_that_cannot_keep_up_ends_and_says_by_how_much():
    clock = ClockSimulator()
    clock.init("clock", step_s=1, factor=100.0, tolerance_s=0.05)
    with pytest.raises(RuntimeError, match=r"0\.05 s are tolerated: it cannot keep up with 100 times real time"):
        run_steps(clock, 30, 1, work_s=0.02)


def test_a_step_is_tolerated_by_default():
    clock = ClockSimulator()
    clock.init("clock", step_s=100, factor=100.0)
    run_steps(clock, 2, 100, work_s=0.5)
    assert clock.get_data({"Clock": ["time_s"]})["Clock"]["time_s"] == 100


def test_it_sleeps_without_holding_up_the_world_and_longer_than_a_step_may_take():
    assert inspect.isgeneratorfunction(ClockSimulator.step)

    async def build(world):
        clock = await world.start("feederloop.hil.clock:ClockSimulator", sim_id="clock", step_s=1, factor=1.0)
        await clock.Clock.create(1)

    outcome = run_world(build, until=2, step_time_limit_s=0.2, patient=["clock"])
    assert outcome.status == "complete", outcome.message
    assert 0.9 < outcome.wall_s < 3


def test_without_patience_it_is_overdue():
    async def build(world):
        clock = await world.start("feederloop.hil.clock:ClockSimulator", sim_id="clock", step_s=2, factor=1.0)
        await clock.Clock.create(1)

    outcome = run_world(build, until=4, step_time_limit_s=0.2)
    assert outcome.status == "failed"
    assert "took longer than the limit" in outcome.message


def test_there_is_one_clock():
    clock = ClockSimulator()
    clock.init("clock", step_s=1)
    with pytest.raises(ValueError, match="one clock"):
        clock.create(2, "Clock")
