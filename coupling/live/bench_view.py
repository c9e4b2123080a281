"""What is to be seen of a bench: its devices and the end of its audit log."""

import json
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feederloop.hil.station import Station

AUDIT_LINES = 40
_SHOWN = (
    "device", "profile", "mode", "state", "quality", "reason", "asked_kw", "sent_kw", "power_kw", "soc_percent",
    "latency_ms",
)  # fmt: skip


class BenchView:
    """Looks at a bench in operation.

    Args:
        station: The bench.
    """

    def __init__(self, station: "Station") -> None:
        self.station = station
        self._tail: AuditTail | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return devices with age and quality, the last lines of the audit log, and the emergency stop."""
        devices = []
        for row, device in zip(self.station.rows(), self.station.devices.values(), strict=True):
            known = device.snapshot
            age_s = None if known.power_kw is None else max(device.clock() - known.time, 0.0)
            devices.append({**{name: row[name] for name in _SHOWN}, "age_s": age_s})
        if self._tail is None and self.station.audit_file is not None:
            self._tail = AuditTail(self.station.audit_file)
        return {
            "devices": devices,
            "audit": self._tail.lines() if self._tail is not None else [],
            "stopped": self.station.stop.reason,
        }


class AuditTail:
    """Follows an audit log; signs of life, of which there are many, are left out.

    Args:
        file: The log.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._at = file, 0
        self._rest = b""
        self._lines: deque[dict[str, Any]] = deque(maxlen=AUDIT_LINES)

    def lines(self) -> list[dict[str, Any]]:
        """Return the last whole lines, oldest first."""
        try:
            with self._file.open("rb") as log:
                log.seek(self._at)
                new = log.read()
        except OSError:
            return list(self._lines)
        self._at += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        entries = (json.loads(line) for line in whole if line)
        self._lines.extend(entry for entry in entries if entry["why"] != "keep-alive" or not entry.get("ok", True))
        return list(self._lines)
