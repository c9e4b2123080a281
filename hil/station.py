"""A bench in operation: its devices connected, supervised, logged, and brought to their safe state at the end.

Public: `Station(bench, pace=..., ...)`, a context manager; `Pace`; `open_station(key)` for simulators, which are given
nothing but texts and numbers.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from feederloop.coupling.scenario.problems import Problem, ScenarioError
from feederloop.coupling.status import write_whole
from feederloop.hil.address import DeviceAddress
from feederloop.hil.audit import AuditLog
from feederloop.hil.bench import Bench, DeviceEntry
from feederloop.hil.capture import CaptureFile, CapturingTransport
from feederloop.hil.drive import Drive
from feederloop.hil.emergency import EmergencyStop
from feederloop.hil.held import HeldDevice
from feederloop.hil.link import Link
from feederloop.hil.profile import Profile
from feederloop.hil.replay import ReplayTransport
from feederloop.hil.runtime import Runtime
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.simulation import simulated_device
from feederloop.hil.snapshot import State
from feederloop.hil.supervisor import Command
from feederloop.hil.timekeeping import PushedClock, WallClock
from feederloop.hil.transport import DeviceTransport, ModbusTransport
from feederloop.simulators.errors import InputError

STATE_FILE, AUDIT_FILE, CAPTURE_FILE = "state.json", "audit.jsonl", "capture.parquet"
_STATE_PERIOD_S = 0.5
_SWITCH_S = 0.0005
_QUICK_BACK_OFF_S = (0.02, 0.05)
_OPEN: dict[str, "Station"] = {}


@dataclass(frozen=True, slots=True)
class Pace:
    """How the run's time goes by.

    Attributes:
        real_time: By the clock on the wall; else as fast as everything answers.
        factor: Seconds of the run per second on the wall, in real time.
        tolerance_s: Lateness on the wall at which a real-time run ends; None: one physical step.
    """

    real_time: bool = False
    factor: float = 1.0
    tolerance_s: float | None = None


class Station:
    """Runs a bench.

    Args:
        bench: The bench.
        pace: How time goes by; as fast as everything answers by default.
        start_utc: Start of the run, for time series with times stamped ISO 8601.

    Raises:
        ScenarioError: A device needs real time, or the emergency stop is set off.
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
        self._clocks = {entry.name: self._clock(entry) for entry in bench.devices}
        self._audit: AuditLog | None = None
        self._capture: CaptureFile | None = None
        self._state_file: Path | None = None
        self._runtime: Runtime | None = None
        self._troubled: set[tuple[str, int]] = set()
        self._switch_s: float | None = None
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep_state, name="bench state", daemon=True)
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
        # What a device does is told by qualities and reasons; pymodbus would print it too, for want of a handler.
        logging.getLogger("pymodbus").addHandler(logging.NullHandler())
        try:
            self._audit = audit = AuditLog(folder / AUDIT_FILE)
            self._capture = CaptureFile(folder / CAPTURE_FILE) if capture else None
            self._state_file = folder / STATE_FILE
            if self.pace.real_time:
                # Else Python lets the I/O thread go on for 5 ms while the clock's thread waits for its turn.
                self._switch_s = sys.getswitchinterval()
                sys.setswitchinterval(_SWITCH_S)
            self._start_simulated()
            links: dict[str, Link] = {}
            lines: dict[str, list[HeldDevice]] = {}
            for entry in self.bench.devices:
                transport, line = self._transport(entry, links)
                clock = self._clocks[entry.name]
                if self._capture is not None:
                    transport = CapturingTransport(transport, self._capture, clock)
                held = HeldDevice(entry, self.bench, transport, clock=clock, audit=audit, stop=self.stop)
                self.devices[entry.name] = held
                lines.setdefault(line, []).append(held)
            self._runtime = Runtime(list(lines.values()), self.stop)
            self._runtime.start(poll=self.pace.real_time)
            self._keeper.start()
            _OPEN[self.key] = self
            audit.event("began", why=f"{len(self.devices)} devices")
        except BaseException:
            self.close("the bench could not be started")
            raise

    def close(self, why: str) -> None:
        """Bring every device to its safe state, close everything; may be called twice."""
        if self._closed:
            return
        self._closed = True
        _OPEN.pop(self.key, None)
        try:
            if self._runtime is not None:
                taken = self._runtime.make_safe(why)
                unsafe = [name for name, ok in taken.items() if not ok]
                if self._audit is not None:
                    self._audit.event("ended", why=why, not_confirmed_safe=unsafe)
        finally:
            self._closing.set()
            if self._switch_s is not None:
                sys.setswitchinterval(self._switch_s)
            if self._keeper.is_alive():
                self._keeper.join()
            for closing in (self._runtime, self.server, self._capture, self._audit):
                if isinstance(closing, DeviceServer):
                    closing.stop()
                elif closing is not None:
                    closing.close()

    # --- for the run ---

    def holds(self, prosumer: str, slot: str) -> bool:
        """Whether a device of the bench fills a prosumer's slot."""
        return self.bench.holds(prosumer, slot)

    @property
    def clock(self) -> dict[str, float] | None:
        """Parameters of the clock on the wall; None for an accelerated run."""
        if not self.pace.real_time:
            return None
        return {"factor": self.pace.factor, "tolerance_s": self.pace.tolerance_s or 0.0}

    # --- for the adapters ---

    def post(self, commands: Mapping[str, Command]) -> None:
        """Put set-points into the devices' mailboxes; the latest wins."""
        for name, command in commands.items():
            self.devices[name].command = command

    def exchange(self, names: Iterable[str], seconds: float) -> "Future[None] | None":
        """Let devices live through a step of an accelerated run; nothing to wait for in real time."""
        if self.pace.real_time or self._runtime is None:
            return None
        return self._runtime.exchange([self.devices[name] for name in names], seconds)

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
        for trouble in device_troubles(self.bench.entry(name), time_s, self._troubled):
            self._make_trouble(name, *trouble)

    def _make_trouble(self, name: str, fault: str, begins: bool) -> None:
        if self.server is None:
            return
        if fault == "cut":
            (self.server.cut if begins else self.server.heal)(name)
        elif begins:
            self.server.fault(name, fault)
        else:
            self.server.clear(name, fault)

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
        return [_row(device) for device in self.devices.values()]

    # --- its own ---

    def _check(self) -> None:
        problems = []
        if self.stop.tripped and any(entry.mode == "armed" for entry in self.bench.devices):
            message = f"the emergency stop is set off: {self.stop.reason}"
            allowed = "release it: feederloop hil stop BENCH --release"
            problems.append(Problem(message, allowed=allowed, file=self.stop.path))
        if not self.pace.real_time:
            for index, entry in enumerate(self.bench.devices):
                if entry.is_elsewhere:
                    message = "lives by the clock on the wall"
                    allowed = "--real-time, or url: simulated"
                    problems.append(self.bench.problem(message, index, "url", value=entry.url, allowed=allowed))
        if problems:
            raise ScenarioError(problems)

    def _clock(self, entry: DeviceEntry) -> WallClock | PushedClock:
        if entry.is_elsewhere:
            return WallClock()
        return WallClock(self.pace.factor) if self.pace.real_time else PushedClock()

    def _start_simulated(self) -> None:
        for entry in self.bench.devices:
            if entry.is_simulated:
                self.simulated[entry.name] = simulated_device(entry, self._clocks[entry.name])
                self.drive(entry.name, 0.0)
        if self.simulated:
            self.server = DeviceServer(self.simulated)
            self.server.start()

    def _transport(self, entry: DeviceEntry, links: dict[str, Link]) -> tuple[DeviceTransport, str]:
        """Return the way to a device, and a name that devices on the same line share."""
        if entry.is_replay:
            return ReplayTransport(entry, self._clocks[entry.name]), entry.name
        profile = entry.device_profile
        if entry.connector != 1:
            profile = profile.at_connector(entry.connector)
        if entry.is_simulated:
            profile = _without_waiting(profile)
        url = self.server.urls[entry.name] if entry.is_simulated and self.server is not None else entry.url
        address = DeviceAddress.parse(url, profile)
        line = str(address)
        if line not in links:
            links[line] = Link(
                address,
                name=entry.name,
                # Our own devices answer when the processor has time, however many others want it.
                timeout_s=max(self.bench.timeout_s, 1.0) if entry.is_simulated else self.bench.timeout_s,
                tls=entry.tls_files,
                pause_s=profile.transport.inter_request_pause_s,
                back_off_s=_QUICK_BACK_OFF_S if entry.is_simulated else (2.0, 5.0),
            )
        most_w = 1250 * entry.rated_kw + 100
        plausible = {"power_total": (-most_w, most_w)}
        return (
            ModbusTransport(profile, links[line], unit=entry.unit, name=entry.name, plausible=plausible),
            line,
        )

    def _keep_state(self) -> None:
        while not self._closing.wait(_STATE_PERIOD_S):
            self._write_state("running")
        self._write_state("ended")

    def _write_state(self, status: str) -> None:
        if self._state_file is not None:
            state = {"status": status, "wall": time.time(), "stop": self.stop.reason, "devices": self.rows()}
            write_whole(self._state_file, json.dumps(state, allow_nan=False) + "\n")


def open_station(key: str) -> Station:
    """Return a station that is in operation in this process.

    Raises:
        InputError: There is none with this key.
    """
    if key not in _OPEN:
        raise InputError("no such bench is in operation in this process", key="station", value=key)
    return _OPEN[key]


def device_troubles(entry: DeviceEntry, time_s: float, begun: set[tuple[str, int]]) -> Iterator[tuple[str, bool]]:
    """Yield the faults that begin or end at a time, each with whether it begins; `begun` remembers those that have."""
    for index, trouble in enumerate(entry.faults):
        on = trouble.from_s <= time_s < trouble.from_s + trouble.for_s
        if on != ((entry.name, index) in begun):
            begun ^= {(entry.name, index)}
            yield trouble.fault, on


def _without_waiting(profile: Profile) -> Profile:
    """A profile for a device that does not live by the wall's clock: how long to wait is for the supervisor to say."""
    waits = {"min_read_interval_s": 0.0, "min_write_interval_s": 0.0, "inter_request_pause_s": 0.0}
    return profile.model_copy(update={"transport": profile.transport.model_copy(update=waits)})


def _row(device: HeldDevice) -> dict[str, Any]:
    entry, now, counts = device.entry, device.snapshot, device.statistics
    asked = device.command.asked_kw if device.command is not None else None
    return {
        "device": device.name,
        "profile": entry.profile,
        "mode": entry.mode,
        "state": now.state.value,
        "quality": now.quality.value,
        "reason": now.disobeys or now.reason,
        "asked_kw": asked,
        "sent_kw": now.sent_kw,
        "power_kw": now.power_kw,
        "soc_percent": now.soc_percent,
        "energy_kwh": now.energy_kwh,
        "answers": counts.cycles,
        "answers_good": counts.good,
        "good_share": min(now.measured_s / max(device.clock(), 1e-9), 1.0),
        "outages": counts.outages,
        "longest_outage_s": counts.longest_outage_s,
        "writes": counts.writes,
        "keep_alives": counts.keep_alives,
        "refused": counts.refused,
        "disobeyed": counts.disobeyed,
        "latency_ms": counts.mean_latency_ms,
        "latency_p99_ms": counts.worst_latency_ms,
    }
