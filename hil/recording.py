"""Record what the devices of a bench say without a run; and find how those of a run stand.

Public: `record(bench, out, seconds) -> int`, `newest_state(folder)`, `read_state(file)`.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from feederloop.hil.bench import Bench
from feederloop.hil.capture import CaptureFile, CapturingTransport
from feederloop.hil.inspection import inspect
from feederloop.hil.measuring import measured_roles
from feederloop.hil.preflight import bench_transports
from feederloop.hil.station import STATE_FILE
from feederloop.hil.timekeeping import WallClock
from feederloop.simulators.errors import InputError


def record(bench: Bench, out: Path, seconds: float | None) -> int:
    """Poll every device that lives by itself and keep what it says, until time is over or Ctrl-C.

    Args:
        bench: The bench.
        out: The capture to be made.
        seconds: How long; None: until Ctrl-C.

    Returns:
        How many times a device answered.

    Raises:
        InputError: There is no such device, or the file exists.
    """
    entries = [entry for entry in bench.devices if entry.is_elsewhere]
    if not entries:
        raise InputError("no device of this bench lives by itself", file=bench.file, key="devices")
    sink, clock = CaptureFile(out), WallClock()
    answers, over = 0, asyncio.Event()

    async def follow(name: str, transport: CapturingTransport, period_s: float) -> None:
        nonlocal answers
        entry = bench.entry(name)
        while not (over.is_set() or (await inspect(transport, entry)).answered):
            await asyncio.sleep(period_s)
        while not over.is_set():
            readings = await transport.read(measured_roles(transport.profile))
            answers += any(reading.raw for reading in readings.values())
            await asyncio.sleep(period_s)

    async def all_of_them() -> None:
        transports = bench_transports(bench)
        tasks = [
            asyncio.create_task(
                follow(entry.name, CapturingTransport(transports[entry.name], sink, clock), entry.poll_s)
            )
            for entry in entries
        ]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            # A cancelled request would not always end (before Python 3.12): each is let finish what it does.
            over.set()
            await asyncio.wait(tasks, timeout=5.0)
            for transport in transports.values():
                transport.close()
            await asyncio.sleep(0)

    try:
        asyncio.run(all_of_them())
    except KeyboardInterrupt:
        pass
    finally:
        sink.close()
    return answers


def newest_state(folder: Path | None) -> Path:
    """Return the file that shows how the devices of a run stand; of the latest run in `runs/` without a folder.

    Raises:
        InputError: There is none.
    """
    if folder is not None:
        file = folder / "bench" / STATE_FILE
        if not file.is_file():
            raise InputError("there is no run with a bench in this folder", file=folder)
        return file
    files = sorted(Path("runs").glob(f"*/bench/{STATE_FILE}"), key=lambda item: item.stat().st_mtime)
    if not files:
        raise InputError("there is no run with a bench below this folder", file=Path("runs"))
    return files[-1]


def read_state(file: Path) -> dict[str, Any]:
    """Return how the devices of a run stand."""
    return dict(json.loads(file.read_text(encoding="utf-8")))
