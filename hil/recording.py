"""Record what the devices of a bench say without a run; and find how those of a run stand.

Public: `record(bench, out, seconds) -> int`, `newest_state(folder)`, `read_state(file)`.
"""

import asyncio
import contextlib
import json
import os
import signal
from asyncio import FIRST_COMPLETED
from pathlib import Path
from typing import Any

from feederloop.hil.audit import AuditLog
from feederloop.hil.bench import Bench, DeviceEntry
from feederloop.hil.capture import CaptureFile, CapturingTransport
from feederloop.hil.emergency import EmergencyStop
from feederloop.hil.held import HeldDevice
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
        InputError: There is no such device, or the file exists, or its name is no Parquet file's.
    """
    entries = [entry for entry in bench.devices if entry.is_elsewhere]
    if not entries:
        raise InputError("no device of this bench lives by itself", file=bench.file, key="devices")
    if out.suffix != ".parquet":
        raise InputError("not the name of a capture", key="--out", value=str(out), allowed="FILE.parquet")
    # What a killed process left of a capture lies in a folder of the same name.
    for there in (out, out.with_suffix("")):
        if there.exists():
            raise InputError("exists already, and is kept", file=there, key="--out", allowed="a name that is free")
    sink = CaptureFile(out)
    try:
        answers = asyncio.run(_record(bench, entries, sink, seconds))
    finally:
        sink.close()
    return answers


async def _record(bench: Bench, entries: list[DeviceEntry], sink: CaptureFile, seconds: float | None) -> int:
    transports, clock, over = bench_transports(bench), WallClock(), asyncio.Event()
    audit, stop = AuditLog(Path(os.devnull)), EmergencyStop(bench.stop_path)
    devices = [
        HeldDevice(
            # As a run would hold it, but that nothing is ever written.
            entry.model_copy(update={"mode": "read_only"}),
            bench,
            CapturingTransport(transports[entry.name], sink, clock),
            clock=clock,
            audit=audit,
            stop=stop,
        )
        for entry in entries
    ]

    async def follow(device: HeldDevice) -> None:
        due = clock()
        while not over.is_set():
            await device.cycle()
            due = max(due + device.entry.poll_s, clock())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), due - clock())

    tasks = [asyncio.create_task(follow(device)) for device in devices]
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, over.set)
    try:
        await asyncio.wait([*tasks, asyncio.create_task(over.wait())], timeout=seconds, return_when=FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        # A cancelled request would not always end (before Python 3.12): each is let finish what it does.
        over.set()
        await asyncio.wait(tasks, timeout=5.0)
        for device in devices:
            device.transport.close()
        audit.close()
        await asyncio.sleep(0)
    return sum(device.statistics.cycles for device in devices)


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
