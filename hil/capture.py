"""Captures: every reading and write of devices as Parquet, raw registers included, to be looked at or replayed.

Public: `CaptureFile(path)` with `close()`, `CapturingTransport(inner, sink, clock)`, `COLUMNS`.

Rows are written by a thread of their own; the I/O thread only puts them in a queue.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from feederloop.hil.profile import Profile
from feederloop.hil.reading import Reading, Value, WriteResult
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
    ]
)
"""`kind` is read or write; `time_s` is the device's time since the capture began; `value` holds numbers (true as 1),
`text` labels and texts; `quality` of a write is good where the device took it."""

_FLUSH_ROWS = 20_000
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
        while True:
            row = self._rows.get()
            if row is not None:
                waiting.append(row)
            if waiting and (row is None or len(waiting) >= _FLUSH_ROWS):
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

    def __init__(self, inner: DeviceTransport, sink: CaptureFile, clock: Callable[[], float]) -> None:
        self._inner, self._sink, self._clock = inner, sink, clock

    @property
    def name(self) -> str:
        """Name of the device."""
        return self._inner.name

    @property
    def profile(self) -> Profile:
        """Its profile."""
        return self._inner.profile

    async def prepare(self) -> str:
        """Prepare the inner transport."""
        return await self._inner.prepare()

    async def read(self, roles: Iterable[str]) -> dict[str, Reading]:
        """Read, and keep what was read."""
        readings = await self._inner.read(roles)
        now, wall = self._clock(), time.time_ns() // 1000
        for role, item in readings.items():
            self._keep(now, wall, "read", role, item.value, item.quality.value, item.reason, item.raw)
        return readings

    async def write(self, role: str, value: Value) -> WriteResult:
        """Write, and keep what was written."""
        result = await self._inner.write(role, value)
        quality = "good" if result.ok else "bad"
        self._keep(self._clock(), time.time_ns() // 1000, "write", role, value, quality, result.reason, result.raw)
        return result

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
            (self.name, self.profile.name, now, wall_us, kind, role, number, text, quality, reason, list(raw))
        )
