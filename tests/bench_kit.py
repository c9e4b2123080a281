"""What tests of the bench share: benches in a line, a device with its server and a clock that is pushed."""

import asyncio
from pathlib import Path
from typing import Any

from feederloop.hil.audit import AuditLog, read_audit
from feederloop.hil.bench import Bench, bench_from
from feederloop.hil.emergency import EmergencyStop
from feederloop.hil.held import HeldDevice
from feederloop.hil.link import Link
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.simulation import simulated_device
from feederloop.hil.timekeeping import PushedClock
from feederloop.hil.transport import ModbusTransport

INVERTER = {"slot": "inverter", "profile": "sunspec_inverter_three_phase", "ratings": {"power_kw": 5.0}}
CHARGER = {"slot": "charger", "profile": "alfen_ng9xx", "ratings": {"current_a": 32}}


def bench_of(*devices: dict[str, Any], **more: Any) -> Bench:
    """Return a bench of armed simulated devices, each with what is given for it."""
    entries = [
        {"prosumer": f"home_{number:02}", "url": "simulated", "mode": "armed", **device}
        for number, device in enumerate(devices, start=1)
    ]
    return bench_from({"devices": entries, **more})


class OneDevice:
    """A simulated device over real Modbus TCP, held as a bench holds it, both living by one pushed clock."""

    def __init__(self, folder: Path, device: dict[str, Any], **more: Any) -> None:
        more.setdefault("stop_file", str(folder / "bench.stop"))
        self.bench = bench_of(device, **more)
        self.entry = self.bench.devices[0]
        self.clock = PushedClock()
        self.device: SimulatedDevice = simulated_device(self.entry, self.clock)
        self.server = DeviceServer({"device": self.device})
        self.audit_file = folder / "audit.jsonl"
        self.audit = AuditLog(self.audit_file)
        self.stop = EmergencyStop(self.bench.stop_path)
        self.loop = asyncio.new_event_loop()
        self.held: HeldDevice

    def __enter__(self) -> "OneDevice":
        self.server.start()
        self.held = HeldDevice(
            self.entry, self.bench, self.transport(), clock=self.clock, audit=self.audit, stop=self.stop
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.held.transport.close()
        self.loop.run_until_complete(asyncio.sleep(0.02))
        self.loop.close()
        self.server.stop()
        self.audit.close()

    def transport(self) -> ModbusTransport:
        from feederloop.hil.address import DeviceAddress

        profile = self.entry.device_profile
        facts = profile.transport.model_copy(update={"min_read_interval_s": 0.0, "min_write_interval_s": 0.0})
        profile = profile.model_copy(update={"transport": facts})
        address = DeviceAddress.parse(self.server.urls["device"], profile)
        link = Link(address, name=self.entry.name, timeout_s=0.15, back_off_s=(0.01, 0.02))
        most = 1250 * self.entry.rated_kw
        return ModbusTransport(
            profile, link, unit=self.entry.unit, name=self.entry.name, plausible={"power_total": (-most, most)}
        )

    def cycle(self, times: int = 1, *, every_s: float = 5.0) -> None:
        for _ in range(times):
            self.loop.run_until_complete(self.held.cycle())
            self.clock.push(every_s)

    def make_safe(self, why: str = "test") -> bool:
        return self.loop.run_until_complete(self.held.make_safe(why))

    def logged(self, kind: str = "write") -> list[dict[str, Any]]:
        return [line for line in read_audit(self.audit_file) if line["kind"] == kind]

    def set_points(self) -> list[float]:
        """What the device took for set-points, in the order it did."""
        control = self.entry.device_profile.control
        return [float(value) for _, role, value in self.device.writes if control and role == control.setpoint]
