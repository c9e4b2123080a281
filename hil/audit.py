"""The audit log: every write to a device, and what led to it, one JSON object per line, only ever appended.

Public: `AuditLog(path)` with `write(...)`, `event(...)`, `close()`; `read_audit(path)`.

Each line is on its way to the disk before the next request goes to a device: the log of a killed run is whole.
"""

import contextlib
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feederloop.hil.reading import Value


class AuditLog:
    """Appends lines to a file; safe to use from several threads.

    Args:
        path: The file; made with its folders where it does not exist, otherwise continued.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.failure = ""
        """Why it cannot be written any more; empty while it can. Who is logged here brings devices to rest then."""
        self._file: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock = threading.Lock()

    def write(
        self,
        device: str,
        role: str,
        *,
        old: Value | None,
        new: Value,
        raw: tuple[int, ...],
        who: str,
        why: str,
        ok: bool,
        reason: str = "",
    ) -> None:
        """Log one write, taken or refused.

        Args:
            device: Its name.
            role: The point written.
            old: What it was known to hold; None where nobody knew.
            new: What was written, base units, export positive.
            raw: The registers sent.
            who: Who wanted it.
            why: For what reason.
            ok: Whether the device took it.
            reason: Why not.
        """
        entry = {"kind": "write", "device": device, "role": role, "old": old, "new": new, "raw": list(raw)}
        self._append({**entry, "who": who, "why": why, "ok": ok, "reason": reason})

    def event(self, what: str, *, device: str | None = None, who: str = "bench", why: str = "", **more: Any) -> None:
        """Log something that changed what may be written: armed, refused, stopped, lost, found."""
        self._append({"kind": what, "device": device, "who": who, "why": why, **more})

    def close(self) -> None:
        """Put everything on the disk."""
        with self._lock:
            if self._file is not None:
                with contextlib.suppress(OSError):  # not every file can be put on a disk
                    os.fsync(self._file)
                os.close(self._file)
                self._file = None

    def _append(self, entry: dict[str, Any]) -> None:
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}, allow_nan=False)
        with self._lock:
            if self._file is not None:
                try:
                    # One call, so that lines of two processes never mix.
                    os.write(self._file, line.encode() + b"\n")
                except OSError as error:
                    # Raised, it would come between a device and its safe state.
                    self.failure = self.failure or f"audit log cannot be written: {error.strerror}"


def read_audit(path: Path) -> list[dict[str, Any]]:
    """Return the lines of an audit log, oldest first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
