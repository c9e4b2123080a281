"""Captures: every reading and write of devices as Parquet, raw registers included, to be looked at or replayed.

Public: `CaptureFile(path)` with `close()`, `CapturingTransport(inner, sink, clock)` with `mark_step(...)`, `COLUMNS`,
`READ`, `WRITE`, `STEP`.

Rows are written by a thread of their own; the I/O thread only puts them in a queue. They reach the disk in parts
(`<name>/part-*.parquet`), joined at the end: a process that is killed loses the last minute at most.
"""

import queue
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from feederloop.hil.profile import Profile
from feederloop.hil.reading import Reading, Value, WriteResult
from feederloop.hil.timekeeping import DeviceClock
from feederloop.hil.transport import DeviceTransport
from feederloop.simulators.recorder.tables import TableWriter

COLUMNS = pa.schema(
    [
        ("device", pa.string()),
        ("profile", pa.string()),
        ("time_s", pa.float64()),
        ("wall_utc", pa.timestamp("us", tz="UTC")),
        ("kind", pa.string()),
        ("role", pa.string()),
        ("value", pa.float64()),
        ("text", pa.string()),
        ("quality", pa.string()),
        ("reason", pa.string()),
        ("raw", pa.list_(pa.uint16())),
        ("cycle", pa.int64()),
    ]
)
"""`kind` is read, write or step; `time_s` is the device's time; `value` holds numbers (true as 1), `text` labels and
texts; `quality` of a write is good where the device took it; `cycle` counts the times that the device was seen to. A
read without a role says why the device could not be asked. A step says what a run had before it: `value` is the time of
the step in the run, `time_s` that of the device then, `cycle` the last one that the run knew of, and `text` how fast
the device's clock ran."""

READ, WRITE, STEP = "read", "write", "step"
_FLUSH_ROWS = 20_000
_FLUSH_S = 60.0
_FLUSH_SHARE = 0.1
Row = tuple[Any, ...]


class CaptureFile:
    """A capture being made.

    Args:
        path: The Parquet file, to be made.

    Raises:
        InputError: It exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = TableWriter(path.parent, path.name.removesuffix(".parquet"), COLUMNS)
        self._rows: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="capture", daemon=True)
        self._thread.start()

    def put(self, row: Row) -> None:
        """Add a row in the order of `COLUMNS`; returns at once."""
        self._rows.put(row)

    def close(self) -> None:
        """Write what is left and join the file."""
        if self._thread.is_alive():
            self._rows.put(None)
            self._thread.join()
        self._writer.close()

    def _write(self) -> None:
        waiting: list[Row] = []
        began = flushed = time.monotonic()
        while True:
            row = self._rows.get()
            if row is not None:
                waiting.append(row)
            now = time.monotonic()
            due = now - flushed > min(_FLUSH_S, max(1.0, _FLUSH_SHARE * (now - began)))
            if waiting and (row is None or due or len(waiting) >= _FLUSH_ROWS):
                flushed = now
                columns = zip(*waiting, strict=True)
                arrays = [pa.array(list(values), field.type) for values, field in zip(columns, COLUMNS, strict=True)]
                self._writer.append(arrays)
                self._writer.flush()
                waiting = []
            if row is None:
                return


class CapturingTransport:
    """Passes everything on to another transport and keeps what came of it.

    Args:
        inner: The transport.
        sink: Where rows go.
        clock: The device's time, seconds.
    """

    def __init__(self, inner: DeviceTransport, sink: CaptureFile, clock: DeviceClock) -> None:
        self._inner, self._sink, self._clock = inner, sink, clock
        self._cycle = self._silent_in = 0

    @property
    def cycle(self) -> int:
        """The cycle that is under way."""
        return self._cycle

    @cycle.setter
    def cycle(self, number: int) -> None:
        self._cycle = self._inner.cycle = number

    @property
    def name(self) -> str:
        """Name of the device."""
        return self._inner.name

    @property
    def profile(self) -> Profile:
        """Its profile."""
        return self._inner.profile

    async def prepare(self) -> str:
        """Prepare the inner transport, and keep why that cannot be, once in a cycle."""
        reason = await self._inner.prepare()
        if reason and self._silent_in != self._cycle:
            self._silent_in = self._cycle
            self._keep(self._clock(), time.time_ns() // 1000, READ, "", None, "bad", reason, ())
        return reason

    async def read(self, roles: Iterable[str]) -> dict[str, Reading]:
        """Read, and keep what was read."""
        readings = await self._inner.read(roles)
        wall, at = time.time_ns() // 1000, self._clock.at
        for role, item in readings.items():
            self._keep(at(item.time), wall, READ, role, item.value, item.quality.value, item.reason, item.raw)
        return readings

    async def write(self, role: str, value: Value) -> WriteResult:
        """Write, and keep what was written."""
        result = await self._inner.write(role, value)
        quality = "good" if result.ok else "bad"
        self._keep(self._clock(), time.time_ns() // 1000, WRITE, role, value, quality, result.reason, result.raw)
        return result

    def mark_step(self, time_s: int, now: float, cycle: int) -> None:
        """Keep what a run has before its step.

        Args:
            time_s: The step's time in the run, s.
            now: Device time at which the run looks, s.
            cycle: The last cycle that is behind what it sees.
        """
        rate = getattr(self._clock, "rate", 1.0)
        wall_us = time.time_ns() // 1000
        self._sink.put(
            (self.name, self.profile.name, now, wall_us, STEP, "", float(time_s), str(rate), "good", "", [], cycle)
        )

    def close(self) -> None:
        """Close the inner transport; the capture stays open for other devices."""
        self._inner.close()

    def _keep(
        self,
        now: float,
        wall_us: int,
        kind: str,
        role: str,
        value: Value | None,
        quality: str,
        reason: str,
        raw: tuple[int, ...],
    ) -> None:
        number = None if value is None or isinstance(value, str) else float(value)
        text = value if isinstance(value, str) else None
        self._sink.put(
            (
                self.name,
                self.profile.name,
                now,
                wall_us,
                kind,
                role,
                number,
                text,
                quality,
                reason,
                list(raw),
                self._cycle,
            )
        )
