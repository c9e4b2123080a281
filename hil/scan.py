"""Look for Modbus devices at an address: unit ids that answer, SunSpec models, profiles that are likely.

Public: `scan(host, ...) -> list[Found]`, `Found`. Nothing is written.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from feederloop.hil.address import DeviceAddress
from feederloop.hil.link import Link
from feederloop.hil.measuring import measured_roles
from feederloop.hil.profile import Profile, load_profile, profile_names
from feederloop.hil.sunspec import MARKER, find_base, walk
from feederloop.hil.transport import ModbusTransport

USUAL_PORTS = (502, 1502, 5020, 802)
USUAL_UNITS = (1, 2, 126, 255)
_BASES = (40000, 0, 50000)
_LIKELY = 0.6


@dataclass(frozen=True, slots=True)
class Found:
    """A unit that answers.

    Attributes:
        url: Where.
        unit: Its unit id.
        models: SunSpec models, in their order; empty where it is none.
        identity: What it says of itself: maker, model, serial number.
        profiles: Likely profiles, the likeliest first, each with the share of its points that made sense.
    """

    url: str
    unit: int
    models: tuple[int, ...]
    identity: tuple[str, ...]
    profiles: tuple[tuple[str, float], ...]


def scan(
    host: str, *, ports: Sequence[int] = USUAL_PORTS, units: Sequence[int] = USUAL_UNITS, timeout_s: float = 0.5
) -> list[Found]:
    """Ask a host (or a URL as of `DeviceAddress`) for devices; all ports at a time, units one after the other.

    Args:
        host: Host name or address, `host:port`, or a whole URL.
        ports: TCP ports to try, where the host names none.
        units: Unit ids to try.
        timeout_s: Time to wait for each answer.
    """

    async def look() -> list[Found]:
        found = await asyncio.gather(*(_scan_link(url, units, timeout_s) for url in _urls(host, ports)))
        return [item for items in found for item in items]

    return asyncio.run(look())


def _urls(host: str, ports: Sequence[int]) -> list[str]:
    if "://" in host:
        return [host]
    if host.rpartition(":")[2].isdecimal() and host.count(":") == 1:
        return [f"tcp://{host}"]
    return [f"tcp://{host}:{port}" for port in ports]


async def _scan_link(url: str, units: Iterable[int], timeout_s: float) -> list[Found]:
    link = Link(DeviceAddress.parse(url), timeout_s=timeout_s, back_off_s=(0.0, 0.0), late_window_s=0.0)
    found = []
    try:
        for unit in units:
            answer = await link.read(unit, "holding", _BASES[0], len(MARKER))
            if not answer.ok and answer.exception_code is None:
                if not link.connected and "cannot connect" in answer.reason:
                    break
                continue
            if answer.exception_code in (10, 11):
                continue
            found.append(await _identify(link, url, unit))
    finally:
        link.close()
        # The transport closes in the loop's next round.
        await asyncio.sleep(0)
    return found


async def _identify(link: Link, url: str, unit: int) -> Found:
    async def read(address: int, count: int) -> tuple[int, ...] | None:
        answer = await link.read(unit, "holding", address, count)
        return answer.words if answer.ok else None

    base = await find_base(read, _BASES)
    places = await walk(read, base) if base is not None else ()
    models = tuple(place.model_id for place in places)
    likely = []
    identity: tuple[str, ...] = ()
    for name in profile_names():
        profile = load_profile(name)
        if (profile.sunspec is not None) != (base is not None):
            continue
        if profile.sunspec is not None and not set(profile.sunspec.models) <= set(models):
            continue
        share, told = await _fit(link, unit, profile)
        identity = identity or told
        if share >= _LIKELY:
            likely.append((name, share))
    likely.sort(key=lambda item: (-item[1], -len(load_profile(item[0]).points)))
    return Found(url, unit, models, identity, tuple(likely[:4]))


async def _fit(link: Link, unit: int, profile: Profile) -> tuple[float, tuple[str, ...]]:
    """Return the share of a profile's measured points that read as something, and what the device says of itself."""
    transport = ModbusTransport(profile, link, unit=unit)
    if await transport.prepare():
        return 0.0, ()
    profile = transport.profile
    roles = [role for role in measured_roles(profile) if role != "soc"]
    names = [role for role in ("manufacturer", "model", "serial_number") if profile.has(role)]
    readings = await transport.read([*roles, *names])
    told = tuple(str(readings[role].value) for role in names if readings[role].good)
    fits = [readings[role].good for role in roles]
    return (sum(fits) / len(fits) if fits else 0.0), told
