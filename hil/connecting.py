"""The ways to the devices of a bench: devices on one line share its link.

Public: `Connections(bench)` with `transport(entry, simulated_url=None) -> ModbusTransport`, `line_of(entry)`.
"""

from feederloop.hil.address import DeviceAddress
from feederloop.hil.bench import Bench, DeviceEntry
from feederloop.hil.link import Link
from feederloop.hil.profile import Profile
from feederloop.hil.transport import ModbusTransport

_BACK_OFF_S, _QUICK_BACK_OFF_S = (2.0, 5.0), (0.02, 0.05)
_OWN_TIMEOUT_S = 1.0
"""Our own devices answer when the processor has time, however many others want it."""


class Connections:
    """Makes the transports of a bench.

    Args:
        bench: The bench.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._links: dict[str, Link] = {}
        self._lines: dict[str, str] = {}

    def transport(self, entry: DeviceEntry, simulated_url: str | None = None) -> ModbusTransport:
        """Return the way to a device; nothing is connected yet.

        Args:
            entry: The device.
            simulated_url: Where the run serves it, if it is a simulated one.
        """
        profile = entry.device_profile
        if entry.connector != 1:
            profile = profile.at_connector(entry.connector)
        timeout_s, back_off_s = self._bench.timeout_s, _BACK_OFF_S
        if simulated_url is not None:
            profile, back_off_s = _without_waiting(profile), _QUICK_BACK_OFF_S
            timeout_s = max(timeout_s, _OWN_TIMEOUT_S)
        address = DeviceAddress.parse(simulated_url or entry.url, profile)
        line = self._lines[entry.name] = address.line
        if line not in self._links:
            self._links[line] = Link(
                address,
                name=entry.name,
                timeout_s=timeout_s,
                tls=entry.tls_files,
                pause_s=profile.transport.inter_request_pause_s,
                back_off_s=back_off_s,
            )
        most_w = 1250 * entry.rated_kw + 100
        plausible = {"power_total": (-most_w, most_w)}
        return ModbusTransport(profile, self._links[line], unit=entry.unit, name=entry.name, plausible=plausible)

    def line_of(self, entry: DeviceEntry) -> str:
        """Return a name that devices on the same line share; a device without a transport has a line of its own."""
        return self._lines.get(entry.name, entry.name)


def _without_waiting(profile: Profile) -> Profile:
    """A profile for a device that does not live by the wall's clock: how long to wait is for the supervisor to say."""
    waits = {"min_read_interval_s": 0.0, "min_write_interval_s": 0.0, "inter_request_pause_s": 0.0}
    return profile.model_copy(update={"transport": profile.transport.model_copy(update=waits)})
