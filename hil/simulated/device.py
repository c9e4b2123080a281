"""A simulated device: a profile's registers, the physics behind them, its habits, and its faults.

Public: `SimulatedDevice(profile, *, ratings, physics, unit, clock, ...)` with `set(attribute, value)`, `fault(name,
...)`, `clear(name)`, `value(role)`, `writes`, and what a server needs: `read(...)`, `write(...)`, `image`;
`driven_attributes(profile)`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from feederloop.hil.profile import Profile, Table
from feederloop.hil.reading import Value
from feederloop.hil.simulated.charger import BidirectionalPhysics, ChargerPhysics
from feederloop.hil.simulated.faults import Fault, Faults
from feederloop.hil.simulated.inverter import InverterPhysics, MeterPhysics, StoragePhysics
from feederloop.hil.simulated.physics import Output, Physics, Ratings
from feederloop.hil.simulated.registers import Cell, RegisterImage

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, BUSY = 1, 2, 3, 6


class SimulatedDevice:
    """One device. Safe to drive from one thread while another serves it.

    Args:
        profile: What it is; also its function-code, gap, block and write-interval rules, time-out and fail-safe.
        ratings: Its nameplate.
        physics: What it does; made to suit the profile's kind without it.
        unit: Its unit id; the profile's without it.
        any_unit: Whether it answers requests to any unit id, as many TCP devices do; else others are refused.
        clock: Seconds, never running backwards; its physics and time-outs live by it.
        base: Address of a SunSpec device's marker.
        name: Its serial number, where it has one.
        values: Registers to begin with, by role (kept through restarts), e.g. `{"failsafe_timeout": 30}`.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        ratings: Ratings | None = None,
        physics: Physics | None = None,
        unit: int | None = None,
        any_unit: bool = False,
        clock: Callable[[], float] = time.monotonic,
        base: int | None = None,
        name: str = "1",
        values: Mapping[str, Value] | None = None,
    ) -> None:
        self.ratings = ratings or Ratings()
        self.physics = physics or _physics_for(profile, self.ratings)
        self.unit = profile.transport.unit if unit is None else unit
        self.any_unit = any_unit
        self.faults = Faults()
        self.name = name
        self.writes: deque[tuple[float, str, Value]] = deque(maxlen=10_000)
        watts = 2 if self.ratings.rated_power_w > 300e3 else 1 if self.ratings.rated_power_w > 30e3 else 0
        watt_scales = dict.fromkeys(("W", "VA", "WRtg", "VARtg", "WMax", "VAMax", "WChaMax", "WHRtg", "WH"), watts)
        self.image = RegisterImage(profile, base=base, scales=watt_scales if profile.sunspec else None)
        self.profile = self.image.profile
        self._values = dict(values or {})
        self._clock = clock
        self._lock = threading.RLock()
        self._now = self._heard = clock()
        self._last_write = -float("inf")
        self._away_until = -float("inf")
        self._fallen = False
        self._shown: dict[str, Output] = {}
        self._shown_roles = frozenset(role for role in self.physics.outputs() if self.profile.has(role))
        self._shows_validity = self.profile.has("setpoint_valid_remaining")
        self._begin()

    def set(self, attribute: str, value: object) -> None:
        """Drive an attribute of the physics (`available_kw`, `plugged`, `grid_voltage_v`, ...), from any thread."""
        with self._lock:
            self._live()
            self.physics.set(attribute, value)

    def fault(self, name: str, **parameters: float) -> None:
        """Switch a fault on (see `feederloop.hil.simulated.faults.Fault`), from any thread."""
        with self._lock:
            self.faults.set(name, **parameters)
            if name == Fault.REBOOT:
                self._restart(self.faults.parameter(Fault.REBOOT, "seconds"))
                self.faults.clear(Fault.REBOOT)

    def clear(self, name: str | None = None) -> None:
        """Switch a fault off, or all."""
        self.faults.clear(name)

    def value(self, role: str) -> Value | None:
        """Return what the device would say of a role now, faults aside."""
        with self._lock:
            self._live()
            self._show()
            return self.image.value(role)

    @property
    def power_kw(self) -> float:
        """What truly flows now, export positive."""
        with self._lock:
            self._live()
            return self.physics.power_w / 1000

    @property
    def away(self) -> bool:
        """Whether it is restarting."""
        return self._clock() < self._away_until

    def read(self, table: Table, address: int, count: int) -> tuple[int, ...] | int:
        """Answer a read: registers (or bits), or the exception code."""
        with self._lock:
            self._live()
            if self.profile.heartbeat.kind == "any_poll":
                self._hear()
            facts = self.profile.transport
            cells = self.image.cells_of(table, address, count)
            # Bits are answered in whole words of them.
            self._show(cells if table in ("holding", "input") else None)
            if facts.one_value_per_read and (cells is None or len(cells) != 1):
                return ILLEGAL_ADDRESS
            if count > facts.max_block:
                return ILLEGAL_VALUE
            if cells is not None and any(cell.point is not None and not cell.point.readable for cell in cells):
                return ILLEGAL_ADDRESS
            words = self.image.words(table, address, count)
            return ILLEGAL_ADDRESS if words is None else self._distorted(table, address, words)

    def write(self, function: int, table: Table, address: int, words: Sequence[int]) -> int | None:
        """Take a write; return the exception code, or None when it was taken."""
        with self._lock:
            self._live()
            if self.profile.heartbeat.kind == "any_poll":
                self._hear()
            if refused := self._refusal(function, table, address, words):
                return refused
            self._last_write = self._now
            # What is written stays in its register until the physics says something else than before.
            self._show()
            for cell in self.image.cells_of(table, address, len(words)) or ():
                part = words[cell.address - address : cell.address - address + cell.count]
                self._take(cell, part)
            self._show()
            return None

    def _refusal(self, function: int, table: Table, address: int, words: Sequence[int]) -> int | None:
        if function == 6 and self.faults.has(Fault.REFUSE_FC06):
            return ILLEGAL_FUNCTION
        cells = self.image.cells_of(table, address, len(words))
        if cells is None or not all(cell.writable for cell in cells):
            return ILLEGAL_ADDRESS
        for cell in cells:
            wanted = (cell.point and cell.point.write_function) or self.profile.transport.write_function
            if wanted is not None and table == "holding" and function != wanted:
                return ILLEGAL_FUNCTION
        if self._now < self._last_write + self.profile.transport.min_write_interval_s:
            return BUSY
        return ILLEGAL_VALUE if any(self._refuses_value(cell, address, words) for cell in cells) else None

    def _refuses_value(self, cell: Cell, address: int, words: Sequence[int]) -> bool:
        if cell.point is None or cell.point.charge_min is not None:
            # A current between 0 and the least is taken, and means 0.
            return False
        before = self.image.words(cell.table, cell.address, cell.count) or ()
        offset = cell.address - address
        self.image.store(cell.table, cell.address, words[offset : offset + cell.count])
        value = self.image.value(cell.point.role)
        self.image.store(cell.table, cell.address, before)
        return value is None

    def _take(self, cell: Cell, words: Sequence[int]) -> None:
        self.image.store(cell.table, cell.address, words)
        if cell.point is None:
            return
        role = cell.point.role
        value = self.image.value(role)
        if value is None:
            return
        self.writes.append((self._now, role, value))
        control, heartbeat, failsafe = self.profile.control, self.profile.heartbeat, self.profile.failsafe
        is_setpoint = control is not None and role == control.setpoint
        if (heartbeat.kind == "token" and role == heartbeat.role and value == heartbeat.token) or (
            heartbeat.kind == "rewrite_setpoint" and is_setpoint
        ):
            self._hear()
        if is_setpoint:
            self._fallen = False
        for shown in {cell.point.read_back, self._shown_elsewhere(role)} - {None, role}:
            if shown and not is_setpoint:
                self.image.put(shown, value)
        if role == failsafe.timeout_set_role:
            self._hear()
        if not self.faults.has(Fault.IGNORE_SETPOINTS):
            self.physics.command(role, value)

    def _shown_elsewhere(self, role: str) -> str | None:
        failsafe = self.profile.failsafe
        pairs = {failsafe.timeout_set_role: failsafe.timeout_role, failsafe.value_set_role: failsafe.value_role}
        return pairs.get(role)

    def _live(self) -> None:
        """Let the physics catch up with the clock, its controller's silence included."""
        now = self._clock()
        if now <= self._now:
            return
        silent_at = self._heard + (self._timeout_s() or float("inf"))
        if not self._fallen and silent_at <= now:
            self.physics.advance(max(silent_at - self._now, 0.0))
            self._now = max(silent_at, self._now)
            self._fall_back()
        self.physics.advance(now - self._now)
        self._now = now

    def _show(self, cells: Sequence[Cell] | None = None) -> None:
        """Put what the physics says into the registers, those of all roles or of some cells."""
        asked = self._shown_roles if cells is None else [cell.point.role for cell in cells if cell.point is not None]
        outputs = self.physics.outputs()
        for role in self._shown_roles.intersection(asked):
            value = outputs[role]
            # Most values stand still between two requests, and encoding is what a request costs.
            if self._shown.get(role, self) != value:
                self._shown[role] = value
                self.image.put(role, value)
        if self._shows_validity and (cells is None or "setpoint_valid_remaining" in asked):
            left = self._heard + (self._timeout_s() or 0.0) - self._now
            self.image.put("setpoint_valid_remaining", max(0.0, left))

    def _hear(self) -> None:
        self._heard = self._now

    def _timeout_s(self) -> float | None:
        """Seconds of silence that the device bears now; None or 0: it bears any."""
        failsafe, heartbeat = self.profile.failsafe, self.profile.heartbeat
        if self.profile.sunspec or heartbeat.kind == "none":
            return None
        if failsafe.enable_role and not self.image.value(failsafe.enable_role):
            return None
        role = failsafe.timeout_role or failsafe.timeout_set_role
        if role and self.profile.point(role).readable:
            value = self.image.value(role)
            return float(value) if isinstance(value, int | float) else None
        if failsafe.fallback == "unknown" and heartbeat.period_s:
            return 2 * heartbeat.period_s
        return failsafe.timeout_s

    def _fall_back(self) -> None:
        failsafe = self.profile.failsafe
        value = self.image.value(failsafe.value_role) if failsafe.value_role else failsafe.value
        self._fallen = True
        # Where no source says what happens, the worst is assumed: the limit is forgotten.
        kind = "unlimited" if failsafe.fallback == "unknown" else failsafe.fallback
        if kind != "none":
            self.physics.fall_back(kind, float(value) if isinstance(value, int | float) else 0.0)

    def _restart(self, seconds: float) -> None:
        self._live()
        self.physics.restart()
        self._away_until = self._now + seconds
        self.image.restore(keep=[point.role for point in self.profile.points if point.non_volatile])
        self._begin()

    def _begin(self) -> None:
        identity = {
            "manufacturer": "feederloop",
            "model": self.profile.name,
            "firmware": "1",
            "serial_number": self.name,
        }
        for role, text in identity.items():
            if self.profile.has(role) and self.profile.point(role).type == "string":
                self.image.put(role, text)
        phases = self.ratings.phases
        if self.profile.has("phases_set") and phases in self.profile.point("phases_set").enum.values():
            self.image.put("phases_set", phases)
        for role, value in self._values.items():
            self.image.put(role, value)
        for point in self.profile.points:
            if point.writable and point.role.endswith("power_max_set"):
                self.image.put(point.role, self.ratings.rated_power_w)
            elif point.role == "power_limit_pct_set":
                self.image.put(point.role, 100.0)
        self._fallen = False
        self._heard = self._now
        self._shown.clear()
        self._show()

    def _distorted(self, table: Table, address: int, words: tuple[int, ...]) -> tuple[int, ...]:
        distort = (Fault.NAN, Fault.OUT_OF_RANGE, Fault.SWAPPED_WORDS)
        if not any(self.faults.has(fault) for fault in distort):
            return words
        result = list(words)
        for point in self.profile.points:
            start = point.address - address
            if point.table != table or start < 0 or start + point.count > len(words):
                continue
            truth = self.image.words(table, point.address, point.count) or ()
            result[start : start + point.count] = self._distorted_point(point.role, truth)
        return tuple(result)

    def _distorted_point(self, role: str, truth: tuple[int, ...]) -> tuple[int, ...]:
        point = self.profile.point(role)
        shown = truth
        if role == "power_total" and self.faults.has(Fault.OUT_OF_RANGE):
            factor = self.faults.parameter(Fault.OUT_OF_RANGE, "factor")
            sign = -1 if self.physics.power_w < 0 else 1
            self.image.put(role, factor * (self.physics.power_w + sign * self.ratings.rated_power_w))
            shown = self.image.words(point.table, point.address, point.count) or truth
        elif role in self.physics.outputs() and self.faults.has(Fault.NAN):
            self.image.put(role, None)
            shown = self.image.words(point.table, point.address, point.count) or truth
        self.image.store(point.table, point.address, truth)
        numeric = point.type not in ("string", "char16", "bool")
        return shown[::-1] if numeric and self.faults.has(Fault.SWAPPED_WORDS) else shown


def driven_attributes(profile: Profile) -> frozenset[str]:
    """Return what a time series may drive of a simulated device with this profile."""
    return _physics_for(profile, Ratings()).ATTRIBUTES


def _physics_for(profile: Profile, ratings: Ratings) -> Physics:
    if profile.kind == "charger":
        return ChargerPhysics(ratings)
    if profile.kind == "meter":
        return MeterPhysics(ratings)
    if profile.kind == "storage" or (profile.sunspec and profile.kind == "bidirectional_charger"):
        return StoragePhysics(ratings)
    if profile.kind == "inverter":
        return InverterPhysics(ratings)
    return BidirectionalPhysics(ratings, needs_control=profile.has("control_owner"))
