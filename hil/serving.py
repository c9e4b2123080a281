"""Serve a bench: simulated devices for its entries, on this machine, until somebody stops it.

Public: `BenchServer(bench)`, a context manager with `urls`, `step()`.
"""

import time
from types import TracebackType

from feederloop.hil.address import DeviceAddress
from feederloop.hil.bench import Bench, DeviceEntry
from feederloop.hil.drive import Drive
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.simulation import simulated_device
from feederloop.hil.timekeeping import WallClock
from feederloop.hil.troubles import Troubles

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class BenchServer:
    """Simulated devices that live by the clock on the wall.

    An entry with an address on this machine is served there, others (and TLS, which needs certificates of the device)
    on a free port of the loopback.

    Args:
        bench: The bench; recordings in it are left out.
    """

    def __init__(self, bench: Bench) -> None:
        self._entries = {entry.name: entry for entry in bench.devices if not entry.is_replay}
        clock = WallClock()
        self._clock = clock
        devices = {name: simulated_device(entry, clock) for name, entry in self._entries.items()}
        addresses = {name: url for name, entry in self._entries.items() if (url := _here(entry)) is not None}
        self._server = DeviceServer(devices, addresses=addresses)
        self._troubles = Troubles(self._server)
        self._drives = {name: Drive(entry, None) for name, entry in self._entries.items() if entry.drive}
        for name, entry in self._entries.items():
            if entry.slot == "inverter" and "available_kw" not in entry.drive:
                devices[name].set("available_kw", 0.6 * entry.rated_kw)

    @property
    def urls(self) -> dict[str, str]:
        """Where each device is served, by name."""
        return self._server.urls

    @property
    def server(self) -> DeviceServer:
        """The server behind it."""
        return self._server

    def __enter__(self) -> "BenchServer":
        self._server.start()
        self.step()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def step(self) -> None:
        """Let time series drive their devices' attributes, and faults come and go."""
        now = self._clock()
        for name, drive in self._drives.items():
            for attribute, value in drive.at(now).items():
                self._server.set(name, attribute, value)
        for entry in self._entries.values():
            self._troubles.make(entry, now)

    def serve_for(self, seconds: float | None) -> None:
        """Serve for some seconds, or for ever."""
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            self.step()
            time.sleep(0.2)


def _here(entry: DeviceEntry) -> str | None:
    """The address where an entry is served; None for a free port."""
    if not entry.url.startswith(("tcp://", "rtu://")):
        return None
    address = DeviceAddress.parse(entry.url, entry.device_profile)
    return entry.url if address.protocol == "rtu" or address.host in _LOOPBACK else None
