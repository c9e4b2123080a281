"""What `status.json` says: how a run stands, or how it ended, when and why."""

import json
import os
import socket
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FILE_NAME = "status.json"


@dataclass(frozen=True)
class RunStatus:
    """How a run stands.

    Attributes:
        status: `running`, `complete`, `failed` or `interrupted`; `incomplete` when it was running and its process is
            gone.
        message: What happened, with simulator and time, in one line; empty when complete.
        simulator: The id of the simulator that stopped it.
        time_s: Simulated seconds at which it stopped; None before the first step and after the last.
        time: The same as UTC.
        reached_s: Simulated seconds that every simulator has completed.
        duration_s: Simulated seconds of the whole run.
        traceback: The original traceback of a failure.
        warnings: What mosaik and the simulators have warned of.
        later_errors: What else went wrong after the first failure.
        remote_output: The last lines of each remote simulator's output, after a failure.
        versions: Versions of what the result depends on.
        pid: The process that runs it.
        host: The machine that runs it.
        started: When it was started, on the wall, UTC.
        ended: When it ended.
    """

    status: str
    message: str = ""
    simulator: str | None = None
    time_s: int | None = None
    time: str | None = None
    reached_s: int = 0
    duration_s: int = 0
    traceback: str | None = None
    warnings: list[str] = field(default_factory=list)
    later_errors: list[str] = field(default_factory=list)
    remote_output: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    started: str = field(default_factory=lambda: wall_time())
    ended: str | None = None

    def write(self, folder: Path) -> None:
        """Write it into a run's folder; a reader finds the old or the new one, never half of it."""
        write_whole(folder / FILE_NAME, json.dumps(asdict(self), indent=2) + "\n")


def read_status(folder: Path) -> RunStatus | None:
    """Read a run's status, None if the folder has none; a run whose process is gone is `incomplete`."""
    file = folder / FILE_NAME
    if not file.is_file():
        return None
    known = {entry.name for entry in fields(RunStatus)}
    content: dict[str, Any] = {
        key: value for key, value in json.loads(file.read_text(encoding="utf-8")).items() if key in known
    }
    status = RunStatus(**content)
    if status.status == "running" and not _may_be_alive(status.pid, status.host):
        message = "the program ended before the run did"
        return RunStatus(**{**asdict(status), "status": "incomplete", "message": message})
    return status


def failure_message(simulator: str | None, time_s: int | None, start_utc: str, what: str, *, reached_end: bool) -> str:
    """Say who failed, at which simulated time, and what happened.

    Args:
        simulator: The simulator's id, None for the coupling itself.
        time_s: Simulated seconds, None before the first step and after the last.
        start_utc: Start of the run, ISO 8601.
        what: What happened.
        reached_end: Whether all steps had been done.
    """
    who = simulator or "the coupling"
    if time_s is None:
        when = "while finishing" if reached_end else "while starting"
    else:
        when = f"at {utc_time(start_utc, time_s)} ({time_s} s after the start)"
    return f"{who} failed {when}: {what}"


def utc_time(start_utc: str, time_s: int) -> str:
    """The UTC time `time_s` seconds after the start, ISO 8601."""
    return (datetime.fromisoformat(start_utc).astimezone(UTC) + timedelta(seconds=time_s)).isoformat()


def wall_time() -> str:
    """The time on the wall, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_whole(file: Path, text: str) -> None:
    """Write a text file that is either whole or not there."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)


def _may_be_alive(pid: int, host: str) -> bool:
    """Whether a process may still be running; where that cannot be known, it may."""
    if host != socket.gethostname() or os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
