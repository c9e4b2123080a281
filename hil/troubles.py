"""The faults that a bench writes down for its simulated devices, made when their time has come.

Public: `Troubles(server)` with `make(entry, time_s)`.
"""

from feederloop.hil.bench import DeviceEntry
from feederloop.hil.simulated.server import DeviceServer


class Troubles:
    """Begins and ends faults.

    Args:
        server: Serves the devices.
    """

    def __init__(self, server: DeviceServer) -> None:
        self._server = server
        self._begun: set[tuple[str, int]] = set()

    def make(self, entry: DeviceEntry, time_s: float) -> None:
        """Begin and end what is due of a device.

        Args:
            entry: What the bench says of it.
            time_s: Seconds since the run's start.
        """
        for index, trouble in enumerate(entry.faults):
            on = trouble.from_s <= time_s < trouble.from_s + trouble.for_s
            if on == ((entry.name, index) in self._begun):
                continue
            self._begun ^= {(entry.name, index)}
            if trouble.fault == "cut":
                (self._server.cut if on else self._server.heal)(entry.name)
            elif trouble.fault == "reboot":
                # It ends by itself.
                if on:
                    self._server.fault(entry.name, "reboot", seconds=trouble.for_s)
            elif on:
                self._server.fault(entry.name, trouble.fault)
            else:
                self._server.clear(entry.name, trouble.fault)
