"""Checks of a bench that a model of single values cannot make: profiles, slots, addresses and who may be contacted.

Public: `check_bench(bench) -> list[Problem]`, `is_allowed(entry, allow)`, `check_against(bench, sites)`.
"""

import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from feederloop.coupling.scenario.problems import Problem, nearest_of
from feederloop.hil.address import DeviceAddress
from feederloop.hil.profile import profile_names
from feederloop.hil.simulated.device import driven_attributes
from feederloop.simulators.errors import InputError

if TYPE_CHECKING:
    from feederloop.hil.bench import Bench, DeviceEntry

KINDS = {"inverter": ("inverter",), "charger": ("charger", "bidirectional_charger", "storage")}
"""Which kinds of devices fill which slot."""
_WRITTEN = ("rewrite_setpoint", "token")
_MOST_TIMES_RATING = 10
"""A limit so far above the rating is one in W."""


def check_bench(bench: "Bench") -> list[Problem]:
    """Return everything that is wrong with a bench whose values are valid by themselves."""
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(bench.devices):
        if entry.name in seen:
            message = f"is filled by devices.{seen[entry.name]} already"
            problems.append(bench.problem(message, index, "slot", value=entry.name))
        seen.setdefault(entry.name, index)
        problems += _check_entry(bench, index, entry)
    return problems + list(_shared_devices(bench))


def _shared_devices(bench: "Bench") -> Iterator[Problem]:
    """Two would command one device against each other, and its power would count twice."""
    seen: dict[tuple[str, int], int] = {}
    lines: dict[str, tuple[int, DeviceAddress]] = {}
    for index, entry in enumerate(bench.devices):
        if not entry.is_elsewhere:
            continue
        try:
            address, place = DeviceAddress.parse(entry.url, entry.device_profile), _own_path(identity(entry))
        except InputError:
            continue
        host, _, rest = place.partition(":")
        key = (f"loopback:{rest}" if _is_loopback(host) else place, entry.connector)
        first, settings = lines.setdefault(address.line, (index, address))
        if key in seen:
            message = f"is the device of devices.{seen[key]} already"
            allowed = "another unit or connector"
            yield bench.problem(message, index, "url", value=entry.url, allowed=allowed)
        elif (address.baud, address.parity, address.stop_bits) != (settings.baud, settings.parity, settings.stop_bits):
            allowed = str(settings)
            message = f"is the serial line of devices.{first}, which has other settings"
            yield bench.problem(message, index, "url", value=entry.url, allowed=allowed)
        seen.setdefault(key, index)


def _check_entry(bench: "Bench", index: int, entry: "DeviceEntry") -> Iterator[Problem]:
    try:
        profile = entry.device_profile
    except InputError as error:
        names = profile_names()
        nearest = nearest_of(entry.profile, names)
        yield bench.problem(
            error.message, index, "profile", value=entry.profile, nearest=nearest, allowed=", ".join(names)
        )
        return
    if profile.kind not in KINDS[entry.slot]:
        allowed = f"a profile of kind {' or '.join(KINDS[entry.slot])}"
        yield bench.problem(
            f"is a {profile.kind}, which fills no slot {entry.slot}",
            index,
            "profile",
            value=entry.profile,
            allowed=allowed,
        )
    if entry.mode == "armed" and (profile.control is None or entry.is_replay):
        why = "a recording takes no set-points" if entry.is_replay else "the profile has no control"
        yield bench.problem(f"cannot be armed: {why}", index, "mode", value=entry.mode, allowed="read_only")
    control = profile.control
    if entry.mode == "armed" and profile.kind == "storage" and control and control.quantity == "percent":
        yield bench.problem(
            "cannot be armed: its rates bound charging and discharging in percent and command neither",
            index,
            "mode",
            value=entry.mode,
            allowed="read_only, or a profile with a signed set-point, such as sunspec_storage_der",
        )
    rest_s = profile.transport.min_write_interval_s
    if entry.failsafe and profile.heartbeat.kind in _WRITTEN and entry.failsafe.timeout_s < 2 * rest_s:
        message = f"is shorter than its signs of life may follow each other: one write in {rest_s:g} s"
        allowed = f"at least {2 * rest_s:g}"
        yield bench.problem(message, index, "failsafe.timeout_s", value=entry.failsafe.timeout_s, allowed=allowed)
    known = driven_attributes(profile)
    for attribute in sorted(set(entry.drive) - known):
        allowed = ", ".join(sorted(known))
        nearest = nearest_of(attribute, sorted(known))
        yield bench.problem("has no such attribute", index, "drive", value=attribute, nearest=nearest, allowed=allowed)
    for key in ("import_kw", "export_kw"):
        limit = getattr(entry.limits, key)
        if limit is not None and limit > _MOST_TIMES_RATING * entry.rated_kw:
            message = f"is far above the rating of {entry.rated_kw:g} kW and would limit nothing"
            yield bench.problem(message, index, f"limits.{key}", value=limit, allowed="kW, not W")
    if not -entry.import_kw <= entry.safe_kw <= entry.export_kw:
        allowed = f"{-entry.import_kw:g} to {entry.export_kw:g} kW"
        yield bench.problem("is outside the limits", index, "safe_kw", value=entry.safe_kw, allowed=allowed)
    if entry.is_replay and not (entry.replay_file.is_file() or entry.replay_file.with_suffix("").is_dir()):
        yield bench.problem("there is no such file", index, "url", value=entry.url, allowed="replay:FILE")
    if entry.is_elsewhere:
        yield from _check_address(bench, index, entry)


def _check_address(bench: "Bench", index: int, entry: "DeviceEntry") -> Iterator[Problem]:
    try:
        place = identity(entry)
    except InputError as error:
        allowed = f"{error.allowed}, simulated, replay:FILE"
        yield bench.problem(error.message, index, "url", value=entry.url, allowed=allowed)
        return
    if not is_allowed(entry, bench.allow):
        allowed = f"a device on this machine, or allow: [{place}] in the bench"
        yield bench.problem("may not be contacted", index, "url", value=entry.url, allowed=allowed)


def identity(entry: "DeviceEntry") -> str:
    """Return `host:port:unit` of a device, or `path:unit` on a serial line.

    Raises:
        InputError: Its address is none.
    """
    profile = entry.device_profile
    address = DeviceAddress.parse(entry.url, profile)
    unit = profile.transport.unit if entry.unit is None else entry.unit
    return f"{address.host}:{unit}" if address.protocol == "rtu" else f"{address.host}:{address.port}:{unit}"


def is_allowed(entry: "DeviceEntry", allow: Sequence[str]) -> bool:
    """Whether a device may be contacted: it is on this machine's loopback, or it is listed."""
    if not entry.is_elsewhere:
        return True
    host = DeviceAddress.parse(entry.url, entry.device_profile).host
    return _is_loopback(host) or _own_path(identity(entry)) in map(_own_path, allow)


def _own_path(place: str) -> str:
    """A serial port may go by several paths, such as those below /dev/serial/by-id."""
    path, _, unit = place.rpartition(":")
    return f"{os.path.realpath(path)}:{unit}" if path.startswith("/") else place


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_against(bench: "Bench", sites: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Return what of a bench does not fit the scenario's prosumers.

    Args:
        bench: The bench.
        sites: The scenario's site dictionaries.
    """
    having = {
        "inverter": [site["name"] for site in sites if site["pv_kwp"] > 0],
        "charger": [site["name"] for site in sites if site["ev_capacity_kwh"] > 0],
    }
    problems = []
    for index, entry in enumerate(bench.devices):
        names = having[entry.slot]
        if entry.prosumer not in names:
            nearest = nearest_of(entry.prosumer, names)
            message = f"has no {entry.slot} in this scenario"
            shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
            problems.append(
                bench.problem(
                    message, index, "prosumer", value=entry.prosumer, nearest=nearest, allowed=shown or "none"
                )
            )
    return problems
