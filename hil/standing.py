"""How the devices of a bench stand, for people and other programs: a row for each, and a file that is kept up to date.

Public: `standing(device) -> dict`, `StateKeeper(file, state)`.
"""

import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from feederloop.coupling.status import write_whole
from feederloop.hil.held import HeldDevice

STATE_PERIOD_S = 0.5


def standing(device: HeldDevice) -> dict[str, Any]:
    """Return how a device stands and what it has come to."""
    entry, now, counts = device.entry, device.snapshot, device.statistics
    asked = device.command.asked_kw if device.command is not None else None
    if asked is not None and not math.isfinite(asked):
        asked = None
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


class StateKeeper:
    """Writes a file twice a second from a thread of its own, whole each time, and once more at the end.

    Args:
        file: The file.
        state: Gives what it is to hold, besides whether the bench is in operation and the time on the wall.
    """

    def __init__(self, file: Path, state: Callable[[], dict[str, Any]]) -> None:
        self._file, self._state = file, state
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="bench state", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write it a last time and end the thread."""
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._closing.wait(STATE_PERIOD_S):
            self._write("running")
        self._write("ended")

    def _write(self, status: str) -> None:
        state = {"status": status, "wall": time.time(), **self._state()}
        write_whole(self._file, json.dumps(state, allow_nan=False) + "\n")
