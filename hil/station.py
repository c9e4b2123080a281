"""A bench in operation: its devices connected, supervised, logged, and brought to their safe state at the end.

Public: `Station(bench, pace=..., ...)`, a context manager; `Pace`; `open_station(key)` for simulators, which are given
nothing but texts and numbers.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from feederloop.coupling.scenario.problems import Problem, ScenarioError
from feederloop.hil.audit import AuditLog
from feederloop.hil.bench import Bench, DeviceEntry
from feederloop.hil.capture import CaptureFile, CapturingTransport
from feederloop.hil.connecting import Connections
from feederloop.hil.drive import Drive
from feederloop.hil.emergency import EmergencyStop
from feederloop.hil.held import HeldDevice
from feederloop.hil.replay import Recording
from feederloop.hil.runtime import Runtime
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.simulation import simulated_device
from feederloop.hil.snapshot import State
from feederloop.hil.standing import StateKeeper, standing
from feederloop.hil.supervisor import Command
from feederloop.hil.timekeeping import DeviceClock, PushedClock, WallClock
from feederloop.hil.transport import DeviceTransport
from feederloop.hil.troubles import Troubles
from feederloop.simulators.errors import InputError

STATE_FILE, AUDIT_FILE, CAPTURE_FILE = "state.json", "audit.jsonl", "capture.parquet"
_SWITCH_S = 0.0005
_OPEN: dict[str, "Station"] = {}


@dataclass(frozen=True, slots=True)
class Pace:
    """How the run's time goes by.

    Attributes:
        real_time: By the clock on the wall; else as fast as everything answers.
        factor: Seconds of the run per second on the wall, in real time.
        tolerance_s: Lateness on the wall at which a real-time run ends; None: one physical step.
        pause: Key of the pause by which the clock can be stopped; empty for none.
    """

    real_time: bool = False
    factor: float = 1.0
    tolerance_s: float | None = None
    pause: str = ""

    @property
    def clock(self) -> dict[str, Any] | None:
        """Parameters of the clock on the wall; None for an accelerated run."""
        if not self.real_time:
            return None
        return {"factor": self.factor, "tolerance_s": self.tolerance_s or 0.0, "pause": self.pause}


class Station:
    """Runs a bench.

    Args:
        bench: The bench.
        pace: How time goes by; as fast as everything answers by default.
        start_utc: Start of the run, for time series with times stamped ISO 8601.

    Raises:
        ScenarioError: A device needs real time, or the emergency stop is set off.
        InputError: A recording or a time series is not as it has to be.
    """

    def __init__(self, bench: Bench, *, pace: Pace | None = None, start_utc: str | None = None) -> None:
        self.bench, self.pace = bench, pace or Pace()
        self.key = f"station {id(self)}"
        self.stop = EmergencyStop(bench.stop_path)
        self._check()
        self.simulated: dict[str, SimulatedDevice] = {}
        self.server: DeviceServer | None = None
        self.devices: dict[str, HeldDevice] = {}
        self._drives = {entry.name: Drive(entry, start_utc) for entry in bench.devices if entry.drive}
        self._recordings = {entry.name: Recording(entry) for entry in bench.devices if entry.is_replay}
        self._clocks = {entry.name: self._clock(entry) for entry in bench.devices}
        self._audit: AuditLog | None = None
        self._capture: CaptureFile | None = None
        self._keeper: StateKeeper | None = None
        self._runtime: Runtime | None = None
        self._troubles: Troubles | None = None
        self._switch_s: float | None = None
        self._resting = threading.Lock()
        self._at_rest: list[dict[str, Any]] | None = None
        self._closed = False

    def __enter__(self) -> "Station":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("the run ended" if error is None else f"{type(error).__name__}: {error}")

    def start(self, folder: Path, *, capture: bool = False) -> None:
        """Serve simulated devices, and begin to talk to all.

        Args:
            folder: Where the audit log goes, the file that shows how things stand, and the capture.
            capture: Whether to capture everything read and written.
        """
        try:
            self._audit = audit = AuditLog(folder / AUDIT_FILE)
            self._capture = CaptureFile(folder / CAPTURE_FILE) if capture else None
            if self.pace.real_time:
                # Else Python lets the I/O thread go on for 5 ms while the clock's thread waits for its turn.
                self._switch_s = sys.getswitchinterval()
                sys.setswitchinterval(_SWITCH_S)
            self._start_simulated()
            connections = Connections(self.bench)
            lines: dict[str, list[HeldDevice]] = {}
            for entry in self.bench.devices:
                transport = self._transport(entry, connections)
                clock = self._clocks[entry.name]
                if self._capture is not None:
                    transport = CapturingTransport(transport, self._capture, clock)
                held = HeldDevice(entry, self.bench, transport, clock=clock, audit=audit, stop=self.stop)
                self.devices[entry.name] = held
                lines.setdefault(connections.line_of(entry), []).append(held)
            self._runtime = Runtime(list(lines.values()), self.stop)
            self._runtime.start(poll=self.pace.real_time)
            self._keeper = StateKeeper(folder / STATE_FILE, lambda: {"stop": self.stop.reason, "devices": self.rows()})
            _OPEN[self.key] = self
            audit.event("began", why=f"{len(self.devices)} devices")
        except BaseException:
            self.close("the bench could not be started")
            raise

    def rest(self, why: str) -> None:
        """Bring every device to its safe state and leave it there; may be called from any thread, and again."""
        with self._resting:
            if self._runtime is None or self._at_rest is not None:
                return
            self._at_rest = self.rows()
            unsafe = [name for name, ok in self._runtime.make_safe(why).items() if not ok]
            if self._audit is not None:
                self._audit.event("ended", why=why, not_confirmed_safe=unsafe)

    def close(self, why: str) -> None:
        """Bring every device to its safe state, close everything; may be called twice."""
        if self._closed:
            return
        self._closed = True
        _OPEN.pop(self.key, None)
        with _undisturbed():
            self._close(why)

    def _close(self, why: str) -> None:
        try:
            self.rest(why)
        finally:
            if self._switch_s is not None:
                sys.setswitchinterval(self._switch_s)
            for closing in (self._keeper, self._runtime, self.server, self._capture, self._audit):
                if isinstance(closing, DeviceServer):
                    closing.stop()
                elif closing is not None:
                    closing.close()

    # --- for the run ---

    def holds(self, prosumer: str, slot: str) -> bool:
        """Whether a device of the bench fills a prosumer's slot."""
        return self.bench.holds(prosumer, slot)

    @property
    def clock(self) -> dict[str, Any] | None:
        """Parameters of the clock on the wall; None for an accelerated run."""
        return self.pace.clock

    # --- for who looks on ---

    @property
    def audit_file(self) -> Path | None:
        """The audit log, None before the start."""
        return None if self._audit is None else self._audit.path

    def note(self, what: str, *, who: str) -> None:
        """Log what somebody did to the run that matters to its devices."""
        if self._audit is not None:
            self._audit.event(what, who=who)

    # --- for the adapters ---

    def post(self, commands: Mapping[str, Command]) -> None:
        """Put set-points into the devices' mailboxes; the latest wins."""
        for name, command in commands.items():
            self.devices[name].command = command

    def exchange(self, names: Iterable[str], time_s: int, seconds: float) -> "Future[None] | None":
        """Let devices live through a step of an accelerated run; in real time only recordings are waited for.

        Args:
            names: The devices.
            time_s: The step's time in the run.
            seconds: Its length.
        """
        if self.pace.real_time:
            names = self._recordings.keys() & set(names) if self._recordings else ()
        devices = [self.devices[name] for name in names]
        if not devices or self._runtime is None:
            return None
        return self._runtime.exchange(devices, time_s, seconds, self._recordings)

    def drive(self, name: str, time_s: float, **attributes: object) -> None:
        """Set attributes of a simulated device, those of its time series last.

        Args:
            name: The device; nothing happens where it is not simulated.
            time_s: Seconds since the run's start.
            **attributes: What the scenario says: `available_kw`, `plugged`, `soc_percent`.
        """
        device = self.simulated.get(name)
        if device is None:
            return
        series = self._drives[name].at(time_s) if name in self._drives else {}
        for attribute, value in {**attributes, **series}.items():
            if attribute in device.physics.ATTRIBUTES:
                device.set(attribute, value)
        if self._troubles is not None:
            self._troubles.make(self.bench.entry(name), time_s)

    def end_wanted(self) -> str:
        """Return why the run is to end, as the bench has it; empty when it is not."""
        if self.bench.on_emergency_stop == "end_run" and self.stop.tripped:
            return f"emergency stop: {self.stop.reason}"
        if self.bench.on_lost == "end_run":
            lost = [name for name, device in self.devices.items() if device.snapshot.state is State.LOST]
            if lost:
                return f"lost {', '.join(lost)}: {self.devices[lost[0]].snapshot.reason}"
        return ""

    def rows(self) -> list[dict[str, Any]]:
        """Return how each device stands and what it has come to, for people."""
        return [standing(device) for device in self.devices.values()]

    def report(self) -> list[dict[str, Any]]:
        """Return the same as it was before the devices were brought to rest."""
        return self.rows() if self._at_rest is None else self._at_rest

    # --- its own ---

    def _check(self) -> None:
        problems = []
        if self.stop.tripped and any(entry.mode == "armed" for entry in self.bench.devices):
            message = f"the emergency stop is set off: {self.stop.reason}"
            allowed = "release it: feederloop hil stop BENCH --release"
            problems.append(Problem(message, allowed=allowed, file=self.stop.path))
        if (
            any(entry.mode == "armed" and entry.is_elsewhere for entry in self.bench.devices)
            and not self.stop.can_be_set
        ):
            message = "the emergency stop could not be set off: this file cannot be made"
            problems.append(Problem(message, allowed="a stop_file in a folder of yours", file=self.stop.path))
        if not self.pace.real_time:
            for index, entry in enumerate(self.bench.devices):
                if entry.is_elsewhere:
                    message = "lives by the clock on the wall"
                    allowed = "--real-time, or url: simulated"
                    problems.append(self.bench.problem(message, index, "url", value=entry.url, allowed=allowed))
        if problems:
            raise ScenarioError(problems)

    def _clock(self, entry: DeviceEntry) -> DeviceClock:
        if entry.is_replay:
            return self._recordings[entry.name].clock
        if entry.is_elsewhere:
            return WallClock()
        return WallClock(self.pace.factor) if self.pace.real_time else PushedClock()

    def _start_simulated(self) -> None:
        for entry in self.bench.devices:
            if entry.is_simulated:
                self.simulated[entry.name] = simulated_device(entry, self._clocks[entry.name])
        if self.simulated:
            self.server = DeviceServer(self.simulated)
            self.server.start()
            self._troubles = Troubles(self.server)
            for name in self.simulated:
                self.drive(name, 0.0)

    def _transport(self, entry: DeviceEntry, connections: Connections) -> DeviceTransport:
        if entry.is_replay:
            return self._recordings[entry.name].transport
        served = self.server.urls[entry.name] if entry.is_simulated and self.server is not None else None
        return connections.transport(entry, served)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let nobody who is in a hurry cut off devices on their way to the safe state, which takes seconds at most."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def open_station(key: str) -> Station:
    """Return a station that is in operation in this process.

    Raises:
        InputError: There is none with this key.
    """
    if key not in _OPEN:
        raise InputError("no such bench is in operation in this process", key="station", value=key)
    return _OPEN[key]
