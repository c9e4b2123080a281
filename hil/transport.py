"""Reads and writes the points of one device, by role.

Public:
    `DeviceTransport` (protocol): `async read(roles) -> dict[str, Reading]`, `async write(role, value) -> WriteResult`,
    `async prepare() -> str`, `profile`, `name`, `close()`.
    `ModbusTransport(profile, link, *, unit=None, plausible={})`: the real thing, over a `feederloop.hil.link.Link`.
    `DryRunTransport(inner)`: reads for real, writes nowhere and says what it would have written.
    `open_transport(profile, url, *, unit=None, connector=1, name="", tls=None, timeout_s=0.3, ...)`: both in one call.

Neither read nor write ever raises for what a device does: no answer, exceptions and nonsense come back as quality bad
and as failed results. They do raise `InputError` for what the caller does: an unknown role, a value that the point
cannot hold. Nothing here decides whether a write is allowed; that is the supervisor's. Set-points reach the device
once, or not at all.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Protocol

from feederloop.hil.address import DeviceAddress, TlsFiles
from feederloop.hil.codec import Codec
from feederloop.hil.link import Link
from feederloop.hil.profile import Point, Profile
from feederloop.hil.read_plan import Block, plan_reads
from feederloop.hil.reading import Quality, Reading, Value, WriteResult
from feederloop.hil.sunspec import find_base, resolve, walk
from feederloop.simulators.errors import InputError


class DeviceTransport(Protocol):
    """What stands between a device slot and its device, whichever it is: Modbus, a recording, or a dry run.

    Attributes:
        cycle: The cycle of the device that requests belong to; a capture keeps it, and a replay answers by it.
    """

    cycle: int

    @property
    def name(self) -> str:
        """Name of the device, for reasons and logs."""
        ...

    @property
    def profile(self) -> Profile:
        """The device's profile; a SunSpec device's has its points once `prepare` succeeded."""
        ...

    async def prepare(self) -> str:
        """Do what must precede the first read (find a SunSpec device's models); return why not, or an empty text."""
        ...

    async def read(self, roles: Iterable[str]) -> dict[str, Reading]:
        """Read points; every role asked for is in the answer."""
        ...

    async def write(self, role: str, value: Value) -> WriteResult:
        """Write one point."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class ModbusTransport:
    """A device behind a Modbus link.

    Args:
        profile: What the device is.
        link: How it is reached; devices on one line share the link.
        unit: Its unit id; the profile's without it.
        name: Names it in reasons; the link's name without it.
        plausible: Role -> (lowest, highest) value that can be true of this very device, in base units, export positive.
    """

    def __init__(
        self,
        profile: Profile,
        link: Link,
        *,
        unit: int | None = None,
        name: str = "",
        plausible: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self.link, self.cycle = link, 0
        self.unit = profile.transport.unit if unit is None else unit
        self._name = name or link.name
        self._profile = profile
        self._codec = Codec(profile)
        self._plausible = dict(plausible or {})
        self._found = profile.sunspec is None
        self._plans: dict[frozenset[str], tuple[Block, ...]] = {}
        self._refused: set[tuple[str, int, int]] = set()
        self._exponents: dict[str, int] = {}
        self._recent: dict[str, Reading] = {}
        self._last_write = -float("inf")

    @property
    def name(self) -> str:
        """Name of the device."""
        return self._name

    @property
    def profile(self) -> Profile:
        """The profile, with the points of a SunSpec device once they were found."""
        return self._profile

    async def prepare(self) -> str:
        """Find a SunSpec device's models; nothing to do for others. Returns why not, or an empty text."""
        sunspec = self._profile.sunspec
        if self._found or sunspec is None:
            return ""
        failure = ""

        async def read(address: int, count: int) -> tuple[int, ...] | None:
            nonlocal failure
            answer = await self.link.read(self.unit, "holding", address, count)
            failure = answer.reason
            return answer.words if answer.ok else None

        base = await find_base(read, sunspec.bases)
        if base is None:
            return failure or f"{self._name}: no SunSpec marker at {', '.join(map(str, sunspec.bases))}"
        places = await walk(read, base)
        try:
            self._profile = resolve(self._profile, places)
        except InputError as error:
            return failure or str(error)
        self._codec, self._found = Codec(self._profile), True
        return ""

    async def read(self, roles: Iterable[str]) -> dict[str, Reading]:
        """Read points by role; what could not be had is bad and says why."""
        wanted = tuple(dict.fromkeys(roles))
        if reason := await self.prepare():
            now = time.monotonic()
            return {role: Reading(None, Quality.BAD, reason, time=now) for role in wanted}
        readings: dict[str, Reading] = {}
        raw: dict[str, Reading] = {}
        for block in self._plan(frozenset(wanted) - self._fresh(wanted, readings)):
            await self._read_block(block, raw)
        for role, reading in raw.items():
            readings[role] = self._scaled(self._profile.point(role), reading, raw)
        for role in wanted:
            self._recent[role] = readings[role]
        return {role: readings[role] for role in wanted}

    async def write(self, role: str, value: Value) -> WriteResult:
        """Write one point with the function code that the device wants, once."""
        if reason := await self.prepare():
            return WriteResult(False, reason, time=time.monotonic())
        point = self._profile.point(role)
        words, reason = await self.words_for(point, value)
        if reason:
            return WriteResult(False, reason, time=time.monotonic())
        now = time.monotonic()
        early = self._last_write + self._profile.transport.min_write_interval_s - now
        if early > 0:
            return WriteResult(False, "too soon after the last write", retry_after_s=early, raw=words, time=now)
        self._last_write = now
        self._recent.clear()
        answer = await self.link.write(self.unit, self.function_for(point), point.address, words)
        return WriteResult(answer.ok, answer.reason, answer.exception_code, raw=words, time=answer.time)

    async def words_for(self, point: Point, value: Value) -> tuple[tuple[int, ...], str]:
        """Return the registers that a write of this value sends, and why they cannot be told (a scale factor not read).

        Raises:
            InputError: The point cannot be written, or not with this value.
        """
        if not point.writable:
            writable = ", ".join(sorted(item.role for item in self._profile.points if item.writable))
            raise InputError("this point cannot be written", key="role", value=point.role, allowed=writable)
        exponent = 0
        if point.scale_role:
            if point.scale_role not in self._exponents:
                await self.read([point.scale_role])
            if point.scale_role not in self._exponents:
                return (), f"scale factor {point.scale_role} could not be read"
            exponent = self._exponents[point.scale_role]
        return self._codec.encode(point, value, exponent=exponent), ""

    def function_for(self, point: Point) -> int:
        """Return the function code with which this point is written."""
        if point.type == "bool":
            return 5
        return point.write_function or self._profile.transport.write_function or (6 if point.count == 1 else 16)

    def close(self) -> None:
        """Close the link (and with it that of other devices on the same line, until their next request)."""
        self.link.close()

    def _fresh(self, wanted: Iterable[str], readings: dict[str, Reading]) -> frozenset[str]:
        """Answer from memory what the device does not want to be asked again so soon."""
        horizon = time.monotonic() - self._profile.transport.min_read_interval_s
        for role in wanted:
            recent = self._recent.get(role)
            if recent is not None and recent.good and recent.time > horizon:
                readings[role] = recent
        return frozenset(readings)

    def _plan(self, roles: frozenset[str]) -> tuple[Block, ...]:
        if roles not in self._plans:
            points = {role: self._profile.point(role) for role in roles}
            unreadable = sorted(role for role, point in points.items() if not point.readable)
            if unreadable:
                raise InputError("these points can only be written", key="role", value=", ".join(unreadable))
            scales = {point.scale_role for point in points.values() if point.scale_role}
            needed = [*points.values(), *(self._profile.point(scale) for scale in sorted(scales - set(points)))]
            self._plans[roles] = plan_reads(needed, self._profile.transport)
        return self._plans[roles]

    async def _read_block(self, block: Block, raw: dict[str, Reading]) -> None:
        key = (block.table, block.address, block.count)
        if key not in self._refused:
            answer = await self.link.read(self.unit, block.table, block.address, block.count)
            if not (len(block.points) > 1 and answer.exception_code in (2, 3)):
                for point in block.points:
                    start = point.address - block.address
                    words = answer.words[start : start + point.count]
                    quality = Quality.GOOD if answer.ok else Quality.BAD
                    raw[point.role] = Reading(None, quality, answer.reason, words, answer.time)
                return
            self._refused.add(key)
        # The device does not have all of it: ask for each point, so that one missing point costs no other.
        for point in block.points:
            await self._read_block(Block(point.table, point.address, point.count, (point,)), raw)

    def _scaled(self, point: Point, reading: Reading, raw: Mapping[str, Reading]) -> Reading:
        if not reading.good:
            return reading
        exponent = 0
        if point.scale_role:
            factor = raw.get(point.scale_role)
            decoded = self._decoded_scale(point.scale_role, factor)
            if decoded is None:
                return Reading(None, Quality.BAD, f"no scale factor {point.scale_role}", reading.raw, reading.time)
            exponent = decoded
        result = self._codec.decode(point, reading.raw, exponent=exponent, time=reading.time)
        if result.good and point.role in self._plausible and isinstance(result.value, int | float):
            low, high = self._plausible[point.role]
            if not low <= result.value <= high:
                reason = f"{result.value:g} is not plausible ({low:g}..{high:g})"
                return Reading(None, Quality.BAD, reason, result.raw, result.time)
        if result.good and point.role.partition(".")[2].endswith("_SF") and isinstance(result.value, int):
            self._exponents[point.role] = result.value
        return result

    def _decoded_scale(self, role: str, reading: Reading | None) -> int | None:
        if reading is None or not reading.good:
            return None
        decoded = self._codec.decode(self._profile.point(role), reading.raw)
        if not decoded.good or not isinstance(decoded.value, int):
            return None
        self._exponents[role] = decoded.value
        return decoded.value


class DryRunTransport:
    """Reads through another transport and never writes; `written` lists what would have been, oldest first.

    Args:
        inner: The transport that reads.
    """

    def __init__(self, inner: ModbusTransport) -> None:
        self._inner, self.cycle = inner, 0
        self.written: list[tuple[str, Value, tuple[int, ...]]] = []

    @property
    def name(self) -> str:
        """Name of the device."""
        return self._inner.name

    @property
    def profile(self) -> Profile:
        """The device's profile."""
        return self._inner.profile

    async def prepare(self) -> str:
        """Prepare the inner transport (which only reads)."""
        return await self._inner.prepare()

    async def read(self, roles: Iterable[str]) -> dict[str, Reading]:
        """Read for real."""
        return await self._inner.read(roles)

    async def write(self, role: str, value: Value) -> WriteResult:
        """Encode the value as for a real write, note it, and send nothing."""
        if reason := await self._inner.prepare():
            return WriteResult(False, reason, time=time.monotonic())
        words, reason = await self._inner.words_for(self.profile.point(role), value)
        if reason:
            return WriteResult(False, reason, time=time.monotonic())
        self.written.append((role, value, words))
        return WriteResult(True, "dry run: not sent", raw=words, time=time.monotonic())

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


def open_transport(
    profile: Profile,
    url: str,
    *,
    unit: int | None = None,
    connector: int = 1,
    name: str = "",
    tls: TlsFiles | None = None,
    timeout_s: float = 0.3,
    plausible: Mapping[str, tuple[float, float]] | None = None,
    dry_run: bool = False,
) -> ModbusTransport | DryRunTransport:
    """Return a transport with a link of its own; nothing is connected before the first request.

    Args:
        profile: What the device is.
        url: Where it is; see `feederloop.hil.address`.
        unit: Unit id; the profile's without it.
        connector: Which connector of a station (from 1).
        name: Names it in reasons.
        tls: Certificates for `tls://`.
        timeout_s: Seconds to wait for an answer.
        plausible: See `ModbusTransport`.
        dry_run: Whether writes go nowhere.
    """
    link = Link(
        DeviceAddress.parse(url, profile),
        name=name,
        timeout_s=timeout_s,
        tls=tls,
        pause_s=profile.transport.inter_request_pause_s,
    )
    placed = profile.at_connector(connector) if connector != 1 else profile
    transport = ModbusTransport(placed, link, unit=unit, plausible=plausible)
    return DryRunTransport(transport) if dry_run else transport
