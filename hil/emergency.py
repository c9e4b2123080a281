"""The emergency stop: once set off it stays so, for every process that uses the bench, until somebody releases it.

Public: `EmergencyStop(path)` with `trip(why, who)`, `tripped`, `reason`, `release()`; `stop_on_signal(stop)`.

The latch is a file: it survives the process that made it, and a person can make it with any tool (`touch bench.stop`).
While it exists no device of the bench is armed, and runs that go on bring theirs to the safe state within a
tenth of a second.
"""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

STOP_SIGNAL = signal.SIGUSR1
"""`kill -USR1 <process>` is the emergency stop of a run."""


class EmergencyStop:
    """The latch of one bench.

    Args:
        path: The file that is the latch.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tripped = threading.Event()
        self._reason = ""

    @property
    def tripped(self) -> bool:
        """Whether it is set off, by this process or by the file."""
        if not self._tripped.is_set() and self.path.exists():
            self._reason = self._read()
            self._tripped.set()
        return self._tripped.is_set()

    @property
    def reason(self) -> str:
        """Who set it off and why; empty when it is not."""
        return self._reason if self.tripped else ""

    @property
    def can_be_set(self) -> bool:
        """Whether somebody can make the file, so that other processes hear of it."""
        folder = next(folder for folder in self.path.parents if folder.exists())
        return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)

    def trip(self, why: str, who: str = "bench") -> bool:
        """Set it off, in this process at once and for all others by the file; return whether the file is there."""
        if not self._tripped.is_set():
            self._reason = f"{why} ({who})"
            self._tripped.set()
        if not self.path.exists():
            entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "who": who, "why": why}
            # The process's own latch holds even where the file cannot be made.
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_text(json.dumps(entry) + "\n", encoding="utf-8")
        return self.path.exists()

    def release(self) -> bool:
        """Remove the latch; return whether there was one. A run that it stopped stays stopped."""
        existed = self.path.exists()
        self.path.unlink(missing_ok=True)
        return existed

    def _read(self) -> str:
        try:
            entry = json.loads(self.path.read_text(encoding="utf-8"))
            return f"{entry['why']} ({entry['who']})"
        except (OSError, ValueError, KeyError, TypeError):
            return f"the file {self.path.name} exists"


@contextlib.contextmanager
def stop_on_signal(stop: EmergencyStop) -> Iterator[None]:
    """Let SIGUSR1 be the emergency stop, where that is possible: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.trip("signal", f"process {os.getpid()}")

    before = signal.signal(STOP_SIGNAL, on_signal)
    try:
        yield
    finally:
        signal.signal(STOP_SIGNAL, before)
