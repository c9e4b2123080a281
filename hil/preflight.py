"""The look at a bench before anything is armed; and stopping it from outside.

Public: `preflight(bench) -> list[Finding]`, `Finding`, `misfits(bench, findings) -> list[Problem]`,
`stop_devices(bench, stop) -> dict[name, bool]`, `bench_transports(bench)`.
"""

import asyncio
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from feederloop.coupling.scenario.problems import Problem
from feederloop.hil.audit import AuditLog
from feederloop.hil.bench import Bench, DeviceEntry
from feederloop.hil.connecting import Connections
from feederloop.hil.emergency import EmergencyStop
from feederloop.hil.held import HeldDevice
from feederloop.hil.inspection import Inspection, inspect
from feederloop.hil.snapshot import State
from feederloop.hil.timekeeping import WallClock
from feederloop.hil.transport import ModbusTransport

STOP_PATIENCE_S, BETWEEN_ATTEMPTS_S = 6.0, 0.2
SLOW_S = 0.25
"""A reading that takes longer leaves little of a poll period of a second."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one device.

    Attributes:
        entry: The device.
        inspection: What it said; None for a device that is not contacted (simulated by the run, or a recording).
    """

    entry: DeviceEntry
    inspection: Inspection | None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the bench must not be used as it is; empty when it may."""
        found = self.inspection
        if found is None:
            return ()
        if not found.answered:
            return (f"does not answer: {found.reason}",)
        return tuple(map(str, found.refusals)) if self.entry.mode == "armed" else ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth knowing."""
        found = self.inspection
        if found is None or not found.answered:
            return ()
        notes = [] if self.entry.mode == "armed" else [f"not to be armed: {refusal}" for refusal in found.refusals]
        if found.latency_s > SLOW_S:
            notes.append(f"slow: {1000 * found.latency_s:.0f} ms for a reading")
        if found.power is not None and not found.power.good:
            notes.append(f"its power cannot be used: {found.power.reason}")
        if self.entry.device_profile.verified == "one source":
            notes.append("its profile has one source: compare its readings with its display first")
        if self.entry.mode == "armed" and self.entry.accept_failsafe and math.isnan(found.fallback_kw):
            notes.append("armed on the bench's word, although nobody knows its fail-safe")
        return tuple(notes)


def preflight(bench: Bench) -> list[Finding]:
    """Contact every device of a bench once, all at a time, and write nothing."""

    async def look() -> list[Finding]:
        transports = bench_transports(bench)
        try:
            found = await asyncio.gather(
                *(inspect(transports[entry.name], entry) for entry in bench.devices if entry.name in transports)
            )
        finally:
            for transport in transports.values():
                transport.close()
        said = dict(zip(transports, found, strict=True))
        return [Finding(entry, said.get(entry.name)) for entry in bench.devices]

    return asyncio.run(look())


def misfits(bench: Bench, findings: Sequence[Finding]) -> list[Problem]:
    """Return what of a bench its devices do not fit, each with the place in the file where it is mended.

    Args:
        bench: The bench.
        findings: What was found of its devices, in its order.
    """
    return [
        bench.problem(
            f"{finding.entry.name}: {refusal}", index, refusal.key, value=refusal.value, allowed=refusal.allowed
        )
        for index, finding in enumerate(findings)
        if finding.inspection is not None and finding.inspection.answered
        for refusal in finding.inspection.refusals
    ]


def stop_devices(bench: Bench, stop: EmergencyStop) -> dict[str, bool]:
    """Bring every armed device to its safe state from here too, once the emergency stop is set off.

    A run that goes on does the same within a tenth of a second; a device that takes one connection only is reached by
    it alone.

    Args:
        bench: The bench.
        stop: Its emergency stop, set off. The writes are logged beside it, or in the folder for temporary files where
            that cannot be.

    Returns:
        By name of each armed device that lives by itself, whether it took it from here.
    """

    async def make_safe() -> dict[str, bool]:
        audit, clock = _audit_beside(stop.path), WallClock()
        transports = bench_transports(bench)
        armed = [entry for entry in bench.devices if entry.mode == "armed" and entry.name in transports]

        async def one(entry: DeviceEntry) -> bool:
            device = HeldDevice(entry, bench, transports[entry.name], clock=clock, audit=audit, stop=stop)
            # A run that stops it too may have written just now: then the device wants its pause first.
            until = clock() + STOP_PATIENCE_S + 2 * entry.device_profile.transport.min_write_interval_s
            while True:
                await device.cycle()
                if device.snapshot.state is State.STOPPED and device.statistics.writes > 0:
                    return True
                if clock() > until:
                    return False
                await asyncio.sleep(BETWEEN_ATTEMPTS_S)

        try:
            taken = await asyncio.gather(*(one(entry) for entry in armed))
        finally:
            for transport in transports.values():
                transport.close()
            audit.close()
        return {entry.name: ok for entry, ok in zip(armed, taken, strict=True)}

    return asyncio.run(make_safe())


def _audit_beside(latch: Path) -> AuditLog:
    file = latch.with_suffix(".audit.jsonl")
    try:
        return AuditLog(file)
    except OSError:
        return AuditLog(Path(tempfile.gettempdir()) / file.name)


def bench_transports(bench: Bench) -> Mapping[str, ModbusTransport]:
    """Return the way to each device of a bench that lives by itself; devices on one line share its link."""
    connections = Connections(bench)
    return {entry.name: connections.transport(entry) for entry in bench.devices if entry.is_elsewhere}


def shown_power_kw(found: Inspection) -> float | None:
    """Return the power that flowed at the inspection, None where it is not known."""
    power = found.power
    return float(power.value) if power is not None and power.good and power.value is not None else None
