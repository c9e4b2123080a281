"""Run a mosaik world so that a partial run can never look like success.

mosaik returns normally when a remote simulator raises, has no time limit for a step, skips every `finalize` behind
an exception, and cannot run where an event loop is running already. Here the world runs in a thread of its own; the
calling thread watches it, reports progress, and takes the signals.
"""

import asyncio
import contextlib
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from mosaik.exceptions import NonSerializableOutputsError, ScenarioError
from mosaik.simmanager import SimRunner

from feederloop.coupling.pausing import Pause
from feederloop.coupling.watch import (
    FINALIZE,
    RUN,
    Failure,
    SimulatorTiming,
    Watch,
    describe,
    traceback_text,
)
from feederloop.coupling.watched import WatchedProxy, WatchedWorld

Status = Literal["complete", "failed", "interrupted"]
Build = Callable[[WatchedWorld], Awaitable[None]]

_TICK_S = 0.05


@dataclass(frozen=True)
class WorldOutcome:
    """How a run ended.

    Attributes:
        status: `complete` only if every simulator reached the end and was finalized.
        simulator: The id of the simulator that stopped the run, None if none did.
        time_s: Simulated seconds at which it stopped, None before the first step.
        message: What happened, in one line; empty when complete.
        traceback: The original traceback of a failure.
        error: The exception behind a failure.
        reached_s: Simulated seconds that every simulator has completed.
        wall_s: Seconds on the wall, starting and finalizing included.
        timings: What each simulator has cost.
        began_at: Seconds on the wall, of any origin, at which each step began, by simulated seconds.
        warnings: What mosaik and the simulators have warned of, each once.
        later_errors: What else went wrong after the first failure.
        remote_output: The last lines of each remote simulator's output, after a failure.
        given_up: Whether the worker is still stuck in a simulator.
    """

    status: Status
    simulator: str | None = None
    time_s: int | None = None
    message: str = ""
    traceback: str | None = None
    error: BaseException | None = None
    reached_s: int = 0
    wall_s: float = 0.0
    timings: Mapping[str, SimulatorTiming] = field(default_factory=dict)
    began_at: Mapping[int, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    later_errors: tuple[str, ...] = ()
    remote_output: Mapping[str, str] = field(default_factory=dict)
    given_up: bool = False


def run_world(
    build: Build,
    *,
    until: int,
    step_time_limit_s: float,
    start_time_limit_s: float = 120.0,
    grace_s: float = 5.0,
    log_folder: Path | None = None,
    on_progress: Callable[[float], None] | None = None,
    patient: Collection[str] = (),
    pause: Pause | None = None,
) -> WorldOutcome:
    """Build a world and run it to its end.

    Ctrl-C or SIGTERM ends the run after the step that is under way; a second one ends it at once.

    Args:
        build: Starts and connects the simulators of the world that it is given.
        until: Simulated seconds to run, a whole number greater than 0.
        step_time_limit_s: Seconds on the wall that any step of any simulator may take.
        start_time_limit_s: Seconds on the wall that starting, `init` and `create` may take, each.
        grace_s: Seconds that a blocked simulator gets to come back once the run has to end.
        log_folder: Where the output of remote simulators is kept; nowhere by default.
        on_progress: Called in this thread with the simulated seconds reached, about ten times a second.
        patient: Ids of simulators whose steps may take any time, as that of a clock on the wall.
        pause: By which the run can be made to stand still between two steps.

    Returns:
        How it ended. Nothing that a simulator does is raised.
    """
    if isinstance(until, bool) or not isinstance(until, int) or until <= 0:
        raise ValueError(f"until must be a whole number of seconds greater than 0, not {until!r}")
    with contextlib.ExitStack() as stack:
        if log_folder is None:
            log_folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        # filters stay as they are: whoever turns warnings into errors gets errors
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        watch = Watch(step_time_limit_s, start_time_limit_s, patient, pause)
        worker = _Worker(build, watch, until, log_folder, start_time_limit_s, grace_s)
        stack.enter_context(_stop_signals(worker.request_stop))
        worker.thread.start()
        try:
            worker.wait(on_progress)
        except BaseException:
            worker.request_abort()
            worker.wait(None)
            raise
        return worker.outcome(caught)


class _Worker:
    """The thread that the world runs in, and how the calling thread deals with it."""

    def __init__(
        self, build: Build, watch: Watch, until: int, log_folder: Path, start_limit_s: float, grace_s: float
    ) -> None:
        self._build, self._watch, self._until = build, watch, until
        self._log_folder, self._start_limit_s, self._grace_s = log_folder, start_limit_s, grace_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None
        self._runners: dict[str, SimRunner] = {}
        self._began = time.monotonic()
        self._stop_requests = 0
        self._abort_at: float | None = None
        self._done = threading.Event()
        self.thread = threading.Thread(target=self._run_thread, name="feederloop world", daemon=True)

    # --- called by the calling thread ---

    def request_stop(self) -> None:
        """End the run after the present step; when asked again, at once."""
        self._stop_requests += 1
        if self._stop_requests > 1:
            for name in self._watch.stuck_simulators() & self._watch.proxies.keys():
                self._watch.proxies[name].unresponsive = True
            self.request_abort()

    def request_abort(self) -> None:
        """End the run at once."""
        self._abort_at = self._abort_at or time.monotonic()
        if self._loop is not None and self._work is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed: there is nothing left to end
                self._loop.call_soon_threadsafe(self._work.cancel)

    def wait(self, on_progress: Callable[[float], None] | None) -> None:
        """Wait for the end, watching for calls that take too long."""
        while not self._done.wait(_TICK_S):
            overdue = self._watch.overdue()
            if overdue is not None and (self._watch.failure is None or self._abort_at is None):
                self._watch.fail_overdue(overdue)
                self.request_abort()
            if self._abort_at and time.monotonic() - max(self._abort_at, self._watch.beat) > self._grace_s:
                self._give_up()
                return
            if on_progress is not None:
                on_progress(float(min(self._watch.reached_s, self._until)))
        self.thread.join()
        if on_progress is not None:
            on_progress(float(min(self._watch.reached_s, self._until)))

    def _give_up(self) -> None:
        """Leave the worker in the simulator that blocks it, and finalize the others from outside."""
        self._watch.given_up = True
        if self._watch.failure is None:
            self._watch.fail(Failure(None, None, "the run did not end when it was told to"))
        proxies = list(self._watch.proxies.values())
        stuck = self._watch.stuck_simulators()
        helper = threading.Thread(target=_finalize_all, args=(proxies, stuck), daemon=True)
        helper.start()
        helper.join(self._grace_s)
        for proxy in proxies:
            proxy.kill_process()

    def outcome(self, caught: list[warnings.WarningMessage]) -> WorldOutcome:
        """How the run ended."""
        watch = self._watch
        failure = watch.failure
        status: Status = "failed" if failure else "complete"
        if not failure and watch.reached_s < self._until:
            status = "interrupted"
            failure = Failure(None, watch.reached_s, "stopped on request")
        failure = failure or Failure(None, None, "")
        return WorldOutcome(
            status=status,
            simulator=failure.simulator,
            time_s=failure.time_s,
            message=failure.message,
            traceback=failure.traceback,
            error=failure.error,
            reached_s=min(watch.reached_s, self._until),
            wall_s=time.monotonic() - self._began,
            timings=watch.timings(),
            began_at=dict(watch.began_at),
            warnings=tuple(dict.fromkeys(f"{item.category.__name__}: {item.message}" for item in caught)),
            later_errors=tuple(watch.later_errors),
            remote_output={} if status == "complete" else _remote_output(watch),
            given_up=watch.given_up,
        )

    # --- run in the worker thread ---

    def _run_thread(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # nothing may end this thread unseen
            self._watch.fail(Failure(None, None, describe(error), traceback_text(error), error))
        finally:
            self._done.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._keep_loop_error)
        world = WatchedWorld(self._watch, self._log_folder, self._start_limit_s)
        self._work = asyncio.create_task(self._build_and_run(world))
        ticking = asyncio.create_task(self._tick())
        if self._abort_at is not None:
            self._work.cancel()
        try:
            await self._work
        except asyncio.CancelledError:
            pass
        except (Exception, SystemExit) as error:
            self._keep_error(error)
        try:
            await self._drain()
            for runner in self._runners.values():
                if runner.task is not None:
                    runner.task.cancel()
            self._watch.phase = FINALIZE
            await world.shutdown()
            for proxy in list(self._watch.proxies.values()):
                await proxy.stop()  # mosaik does not know those whose init failed
        finally:
            ticking.cancel()

    async def _build_and_run(self, world: WatchedWorld) -> None:
        await self._build(world)
        if not self._watch.proxies:
            raise ScenarioError("there is no simulator in this world")
        self._runners = world.compile()
        self._watch.phase = RUN
        await world.run(until=self._until)
        for name, runner in self._runners.items():
            if runner.progress.time.time < self._until and self._watch.failure is None:
                message = f"stopped before the end, at {runner.progress.time.time} s of {self._until} s"
                self._watch.fail(Failure(name, runner.progress.time.time, message))

    async def _tick(self) -> None:
        """Show that the loop is alive, and carry out a request to stop."""
        while True:
            self._watch.beat = time.monotonic()
            if self._stop_requests and self._work is not None:
                if self._watch.phase == RUN and self._watch.failure is None:
                    self._watch.hold_from(self._watch.latest_step_s + 1)
                    if not self._unfinished():
                        self._work.cancel()
                else:
                    self._work.cancel()
            await asyncio.sleep(_TICK_S)

    async def _drain(self) -> None:
        """After a failure, let the others finish the steps that precede it, so that what is recorded is whole."""
        deadline = time.monotonic() + self._grace_s
        while self._unfinished() and time.monotonic() < deadline and self._abort_at is None:
            await asyncio.sleep(_TICK_S / 10)

    def _unfinished(self) -> list[str]:
        """The simulators that have steps to do before the time at which the run stops."""
        stop_before = self._watch.stop_before
        if stop_before is None:
            return []
        return [
            name
            for name, runner in self._runners.items()
            if runner.task is not None and not runner.task.done() and runner.progress.time.time < stop_before
        ]

    def _keep_error(self, error: BaseException) -> None:
        """Keep what the world raised, unless the watch has seen it where it arose."""
        watch = self._watch
        seen = watch.failure
        if seen is not None and isinstance(error, NonSerializableOutputsError):
            watch.failure = Failure(seen.simulator, seen.time_s, str(error), seen.traceback, seen.error)
        elif seen is None:
            name, time_s = self._at_fault(error)
            watch.fail(Failure(name, time_s, describe(error), traceback_text(error), error))

    def _at_fault(self, error: BaseException) -> tuple[str | None, int | None]:
        """The simulator in whose turn mosaik itself raised, and the time."""
        for name, runner in self._runners.items():
            task = runner.task
            if task is not None and task.done() and not task.cancelled() and task.exception() is error:
                return name, (runner.current_step or runner.last_step).time
        return None, None

    def _keep_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._watch.later_errors.append(f"coupling: {context.get('exception') or context['message']!s}")


def _finalize_all(proxies: list[WatchedProxy], stuck: set[str]) -> None:
    for proxy in proxies:
        if proxy.simulator not in stuck:
            proxy.finalize_from_outside()


def _remote_output(watch: Watch) -> dict[str, str]:
    tails = {name: proxy.output_tail() for name, proxy in watch.proxies.items()}
    return {name: tail for name, tail in tails.items() if tail}


@contextlib.contextmanager
def _stop_signals(request_stop: Callable[[], None]) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a request to stop, where that is possible: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        request_stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
