"""Keep watch over every call that the world makes to a simulator: how long it takes, and the first that fails.

The watch is shared by two threads: the worker, in which mosaik and the in-process simulators run, writes it; the
thread that asked for the run reads it, because a simulator that blocks the worker cannot be noticed from inside.
"""

import time
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mosaik.exceptions import ConnectionClosedError, SimulationError
from mosaik_api_v3.connection import RemoteException

from feederloop.coupling.pausing import Pause
from feederloop.simulators.grid.counted import solved_here

if TYPE_CHECKING:
    from feederloop.coupling.watched import WatchedProxy

DEAD_PROCESS_S = 0.5
START, RUN, FINALIZE = "start", "run", "finalize"


@dataclass(frozen=True)
class Failure:
    """The first thing that went wrong.

    Attributes:
        simulator: The simulator's id, None when it was the coupling itself.
        time_s: Simulated time in seconds, None before the first step.
        message: What happened, in one line, without simulator and time.
        traceback: The original traceback, of the remote process where it was remote.
        error: The exception, None for a time limit.
    """

    simulator: str | None
    time_s: int | None
    message: str
    traceback: str | None = None
    error: BaseException | None = None


@dataclass(frozen=True)
class SimulatorTiming:
    """What one simulator has cost in seconds on the wall.

    Attributes:
        steps: Number of steps.
        step_s: Sum over its steps.
        max_step_s: The slowest step.
        get_data_s: Sum over its outputs.
        power_flows: Scenarios that its steps put through the power flow; None in another process, where nobody counts.
    """

    steps: int
    step_s: float
    max_step_s: float
    get_data_s: float
    power_flows: int | None = None


@dataclass
class _Call:
    simulator: str
    name: str
    time_s: int | None
    blocking: bool
    began: float
    blocked_before: float
    solved_before: int


class Watch:
    """What all calls to all simulators have in common.

    Args:
        step_limit_s: Seconds on the wall that a step, an output or a finalize may take.
        start_limit_s: Seconds on the wall that a call may take before the first step.
        patient: Ids of simulators whose steps may take any time, as that of a clock on the wall.
        pause: By which the run can be made to stand still.
    """

    def __init__(
        self,
        step_limit_s: float,
        start_limit_s: float,
        patient: Collection[str] = (),
        pause: Pause | None = None,
    ) -> None:
        self._patient = frozenset(patient)
        self._limits = {START: start_limit_s, RUN: step_limit_s, FINALIZE: step_limit_s}
        self.phase = START
        self.failure: Failure | None = None
        self.later_errors: list[str] = []
        self.stop_before: int | None = None
        self.pause = pause or Pause()
        self.given_up = False
        self.latest_step_s = 0
        self.beat = time.monotonic()
        self.proxies: dict[str, WatchedProxy] = {}
        self._reached: dict[str, int] = {}
        self.began_at: dict[int, float] = {}
        """Seconds on the wall, of any origin, at which the first simulator began each step, by simulated seconds."""
        self._durations: dict[str, dict[str, list[float]]] = {}
        self._power_flows: dict[str, int | None] = {}
        self._calls: dict[int, _Call] = {}
        self._blocking: _Call | None = None
        self._blocked_s = 0.0

    @property
    def limit_s(self) -> float:
        """What a call may take in the present phase."""
        return self._limits[self.phase]

    @property
    def reached_s(self) -> int:
        """Simulated seconds that every simulator has left behind."""
        return min(list(self._reached.values()), default=0)

    def register(self, proxy: "WatchedProxy") -> None:
        """Take one more simulator under watch."""
        self.proxies[proxy.simulator] = proxy
        self._durations[proxy.simulator] = {"step": [0, 0.0, 0.0], "get_data": [0, 0.0, 0.0]}
        self._power_flows[proxy.simulator] = None if proxy.is_remote else 0

    def timings(self) -> dict[str, SimulatorTiming]:
        """The cost of each simulator so far."""
        return {
            name: SimulatorTiming(
                int(spent["step"][0]),
                round(spent["step"][1], 6),
                round(spent["step"][2], 6),
                round(spent["get_data"][1], 6),
                self._power_flows[name],
            )
            for name, spent in self._durations.items()
        }

    def begin(self, simulator: str, name: str, time_s: int | None, *, blocking: bool) -> _Call:
        """Note that a call has begun; `blocking` if nothing else in the worker can run meanwhile."""
        call = _Call(simulator, name, time_s, blocking, time.monotonic(), self._blocked_s, solved_here())
        self._calls[id(call)] = call
        if blocking:
            self._blocking = call
        if name == "step" and time_s is not None:
            # A patient simulator waits for its time, which has not come: a run that is to stop does not wait with it.
            if simulator not in self._patient:
                self.latest_step_s = max(self.latest_step_s, time_s)
            self._reached.setdefault(simulator, time_s)
            self.began_at.setdefault(time_s, call.began)
        return call

    def end(self, call: _Call) -> None:
        """Note that a call has ended and what it took."""
        took = time.monotonic() - call.began
        self._calls.pop(id(call), None)
        if call.blocking:
            self._blocking = None
            self._blocked_s += took
        if spent := self._durations.get(call.simulator, {}).get(call.name):
            spent[:] = [spent[0] + 1, spent[1] + took, max(spent[2], took)]
            solved = self._power_flows[call.simulator]
            if solved is not None:
                self._power_flows[call.simulator] = solved + solved_here() - call.solved_before

    def stepped(self, simulator: str, time_s: int, next_s: Any) -> None:
        """Note how far a simulator has come: the time of its next step."""
        self._reached[simulator] = next_s if isinstance(next_s, int) else time_s + 1

    def waited_s(self, call: _Call) -> float:
        """Seconds a call has taken, without those in which another simulator blocked the worker."""
        return time.monotonic() - call.began - (0.0 if call.blocking else self._blocked_s - call.blocked_before)

    def overdue(self) -> _Call | None:
        """The call that has used up its time, if there is one."""
        blocking = self._blocking
        if blocking is not None:
            return blocking if self.waited_s(blocking) > self.limit_s else None
        return next((call for call in list(self._calls.values()) if self._is_overdue(call)), None)

    def stuck_simulators(self) -> set[str]:
        """The simulators that are in a call now."""
        return {call.simulator for call in list(self._calls.values())}

    def _is_overdue(self, call: _Call) -> bool:
        if call.name == "step" and call.simulator in self._patient:
            return False
        waited_s = self.waited_s(call)
        if waited_s > min(self.limit_s, DEAD_PROCESS_S):
            # a reset connection leaves mosaik waiting for ever
            proxy = self.proxies.get(call.simulator)
            return waited_s > self.limit_s or (call.name != "finalize" and proxy is not None and proxy.process_ended())
        return False

    def fail(self, failure: Failure) -> None:
        """Keep the first failure; what comes after it is only listed."""
        if self.failure is None:
            self.failure = failure
            if self.phase == RUN and failure.time_s is not None:
                self.hold_from(failure.time_s)
        elif failure.error is None or failure.error is not self.failure.error:
            self.later_errors.append(f"{failure.simulator or 'coupling'}: {failure.message}")

    def hold_from(self, time_s: int) -> None:
        """Let no step begin at or after a simulated time, so that what precedes it can be finished."""
        self.stop_before = time_s if self.stop_before is None else min(time_s, self.stop_before)

    def is_held(self, simulator: str, time_s: int) -> bool:
        """Whether a step has to wait for the end of a pause; those that others have begun already may be finished."""
        return self.pause.on and time_s > self.latest_step_s and simulator not in self._patient

    def fail_overdue(self, call: _Call) -> None:
        """Record that a call took too long, or that nobody is left to answer it."""
        proxy = self.proxies.get(call.simulator)
        if proxy is not None:
            proxy.unresponsive = True
        if proxy is not None and proxy.process_ended():
            message = f"the connection broke during {call.name}{proxy.process_note()}"
        else:
            key = "" if self.phase == START else " (run.step_time_limit_s)"
            message = f"{call.name} took longer than the limit of {self.limit_s:g} s{key}"
        self.fail(Failure(call.simulator, call.time_s, message))

    def fail_call(self, call: _Call, error: BaseException) -> None:
        """Record that a call raised."""
        time_s = call.time_s if self.phase == RUN else None
        detail = describe(error)
        proxy = self.proxies.get(call.simulator)
        if isinstance(error, ConnectionError | ConnectionClosedError) and proxy is not None and proxy.is_remote:
            detail = f"the connection broke during {call.name}{proxy.process_note()}"
        where = "" if call.name == "step" else f"in {call.name}: "
        self.fail(Failure(call.simulator, time_s, where + detail, traceback_text(error), error))


def describe(error: BaseException) -> str:
    """An exception in one line, with its type; of a remote one, what the remote process raised."""
    if isinstance(error, RemoteException):
        return f"{error.remote_type}: {error.remote_msg}"
    if isinstance(error, SimulationError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def traceback_text(error: BaseException) -> str:
    """The traceback of an exception; of a remote one, that of the remote process."""
    if isinstance(error, RemoteException):
        return "".join(error.further_args)
    return "".join(traceback.format_exception(error))
