"""One device of the bench in use: polled, supervised, written to, and never trusted further than it answers.

Public: `HeldDevice(entry, bench, transport, ...)` with `command` (the mailbox: the latest wins), `snapshot` (what is
known now), `await cycle()`, `await make_safe(why)`, `statistics`.

Everything asynchronous runs on the I/O thread. Other threads only assign `command` and read `snapshot`, each of which
is one reference to something that never changes.
"""

import asyncio
import time
from collections import deque

from feederloop.hil.audit import AuditLog
from feederloop.hil.bench import Bench, DeviceEntry
from feederloop.hil.emergency import EmergencyStop
from feederloop.hil.inspection import Inspection, inspect, keep_alive_s
from feederloop.hil.measuring import measured_roles, plugged, power_kw, shown_setpoint, soc_percent, voltage_v
from feederloop.hil.preparing import FAIL_SAFE, Preparation, preparation
from feederloop.hil.reading import Quality, Reading, Value, WriteResult
from feederloop.hil.setpoints import SetpointScale
from feederloop.hil.snapshot import Snapshot, State
from feederloop.hil.statistics import DeviceStatistics
from feederloop.hil.supervisor import Command, Decision, FlashBudget, Order, Supervisor
from feederloop.hil.timekeeping import DeviceClock, PushedClock, RecordedClock, WallClock
from feederloop.hil.transport import DeviceTransport
from feederloop.simulators.errors import InputError

_QUICKEST_S = 0.5
_SAFE_ATTEMPTS, _BETWEEN_ATTEMPTS_S = 3, 0.05


class HeldDevice:
    """A device of the bench.

    Args:
        entry: What the bench says of it.
        bench: The bench's own rules.
        transport: The way to it.
        clock: The time that the device lives by, seconds.
        audit: Where every write is logged.
        stop: The emergency stop.

    Attributes:
        stale_after_s: Age at which a reading no longer counts, device time.
    """

    def __init__(
        self,
        entry: DeviceEntry,
        bench: Bench,
        transport: DeviceTransport,
        *,
        clock: DeviceClock,
        audit: AuditLog,
        stop: EmergencyStop,
    ) -> None:
        self.entry, self.name, self.transport, self.clock = entry, entry.name, transport, clock
        self.command: Command | None = None
        self.snapshot = Snapshot()
        self.statistics = DeviceStatistics()
        self.inspection: Inspection | None = None
        self.cycles = 0
        # Time that runs faster than the wall's makes no request quicker.
        on_the_wall_s = _QUICKEST_S * clock.rate if isinstance(clock, WallClock | RecordedClock) else 0.0
        self.stale_after_s = max(bench.stale_after_s, 3 * entry.poll_s, on_the_wall_s)
        self._bench, self._audit, self._stop = bench, audit, stop
        self._supervisor: Supervisor | None = None
        self._obeys_run = False
        self._flash = FlashBudget(entry.limits.flash_writes_per_day)
        self._pending: deque[Preparation] = deque()
        self._known: dict[str, Value] = {}
        self._refused: dict[str, str] = {}
        self._voltage_v: float | None = None
        self._wrote_at = self._token_at = -float("inf")
        self._closing = ""
        self._stop_logged = False

    @property
    def keep_alive_s(self) -> float | None:
        """Seconds between two signs of life, None where it needs none or nobody knows yet."""
        found = self.inspection
        return keep_alive_s(self.transport.profile, found.timeout_s) if found else None

    async def cycle(self, *, writes: bool = True) -> None:
        """Write what is due, then read; takes a few time-outs at most, whatever the device does."""
        self.cycles += 1
        self.transport.cycle = self.cycles
        if self.inspection is None and not await self._begin():
            return
        if writes:
            await self._write_due()
        await self._read()

    async def make_safe(self, why: str) -> bool:
        """Bring the device to its safe state and keep it there; return whether it is known to have taken it.

        May be called again for a device that did not take it: one that was lost is looked for each time.
        """
        self._closing = self._closing or why
        untouched = not self._obeys_run and self.statistics.writes == 0
        if self.entry.mode != "armed" or untouched:
            return True
        if self.inspection is None:
            await self._begin()
        supervisor = self._supervisor
        if supervisor is None:
            return False
        self._pending.clear()
        decision = supervisor.decide(None, self.clock(), stop=self._closing)
        if decision is None:
            return False
        if self.snapshot.state is State.STOPPED and supervisor.sent_value == decision.value:
            return True
        for _ in range(_SAFE_ATTEMPTS):
            if await self._order(Order(decision, False)):
                return True
            await self._let_pass(self.entry.device_profile.transport.min_write_interval_s + _BETWEEN_ATTEMPTS_S)
        return False

    async def _begin(self) -> bool:
        """Look at the device, and arm it where that is allowed; return whether it answers."""
        found = await inspect(self.transport, self.entry)
        if not found.answered:
            self._lose(found.reason)
            return False
        self.inspection, self._voltage_v = found, found.voltage_v
        # What is set already is not written again: it may lie in flash.
        self._known.update(found.settings)
        self._audit.event("found", device=self.name, why=", ".join(found.identity.values()))
        if self.entry.mode != "armed":
            return True
        if found.refusals:
            self._audit.event("refused", device=self.name, why="; ".join(map(str, found.refusals)))
        if found.is_another:
            return True
        profile = self.transport.profile
        scale = SetpointScale(profile, found.rated_kw, found.rated_a, self.entry.ratings.phases)
        # A device that must not be armed can still be stopped.
        self._supervisor = Supervisor(self.entry, self._bench, scale, found, self._flash)
        self._obeys_run = not found.refusals
        if self._obeys_run:
            self._pending.extend(preparation(profile, self.entry.failsafe, found))
            self._audit.event("armed", device=self.name, why=f"fail-safe after {found.timeout_s} s")
        return True

    # --- writing ---

    async def _write_due(self) -> None:
        supervisor = self._supervisor
        now = self.clock()
        stop = self._closing or (f"emergency stop: {self._stop.reason}" if self._stop.tripped else self._audit.failure)
        if supervisor is None or not (self._obeys_run or stop):
            return
        if stop:
            self._pending.clear()
            if not self._stop_logged:
                self._refused.clear()
                self._audit.event("stopped", device=self.name, why=stop)
                self._stop_logged = True
        if self._pending:
            await self._write_pending()
            if self._pending:
                return
        decision = supervisor.decide(self.command, now, voltage_v=self._voltage_v, stop=stop)
        order = supervisor.due(decision, now) if decision is not None else None
        if decision is not None and decision.urgent and decision.value == supervisor.sent_value:
            self._set(state=State.STOPPED)
        if order is not None and self._may_write():
            await self._order(order)
        await self._send_token()

    async def _write_pending(self) -> None:
        while self._pending and self._may_write():
            item = self._pending[0]
            lasting = item.why == FAIL_SAFE or self.transport.profile.point(item.role).non_volatile
            if lasting and self._known.get(item.role) == item.value:
                self._pending.popleft()
                continue
            if not await self._put(item.role, item.value, who="bench", why=item.why):
                return
            self._pending.popleft()

    async def _order(self, order: Order) -> bool:
        """Write a set-point and what makes it take effect."""
        supervisor, control = self._supervisor, self.transport.profile.control
        if supervisor is None or control is None:
            return False
        decision: Decision = order.decision
        why = "keep-alive" if order.is_keep_alive else decision.why
        writes: list[tuple[str, Value]] = [(control.setpoint, decision.value)]
        if decision.urgent and control.reversion_role is not None:
            # The safe state is to hold until somebody changes it, not until a time is over; and never what it was told
            # before, should this be cut off half-way.
            writes.append((control.reversion_role, 0.0))
        writes += [(item.role, item.value) for item in control.after]
        for role, value in writes:
            if not await self._put(role, value, who=decision.who, why=why):
                # It may have taken it all the same, or a part: nobody knows what it was told until it is told again.
                supervisor.forget(order)
                return False
        supervisor.sent(order, self.clock())
        self.statistics.keep_alives += order.is_keep_alive
        if decision.urgent:
            self._set(state=State.STOPPED, sent_kw=supervisor.sent_kw)
        else:
            self._set(sent_kw=supervisor.sent_kw)
        return True

    async def _send_token(self) -> None:
        """Write the number by which the device knows that its controller lives; it commands nothing."""
        heartbeat = self.transport.profile.heartbeat
        alive = self._supervisor.keep_alive_s if self._supervisor is not None else None
        if heartbeat.kind != "token" or heartbeat.role is None or heartbeat.token is None or alive is None:
            return
        now = self.clock()
        if now >= self._token_at + alive and self._may_write():
            if await self._put(heartbeat.role, heartbeat.token, who="bench", why="keep-alive"):
                self.statistics.keep_alives += 1
            self._token_at = now

    async def _put(self, role: str, value: Value, *, who: str, why: str) -> bool:
        """Write one point and log it, whatever comes of it."""
        old = self._known.get(role)
        try:
            result = await self.transport.write(role, value)
        except InputError as error:
            result = WriteResult(False, str(error))
        if result.ok or result.exception_code:
            self._wrote_at = self.clock()
        self.statistics.writes += result.ok
        self.statistics.refused += not result.ok
        self._audit.write(
            self.name, role, old=old, new=value, raw=result.raw, who=who, why=why, ok=result.ok, reason=result.reason
        )
        if result.ok:
            self._known[role] = value
            self._refused.pop(role, None)
        elif not result.retry_after_s:
            self._refused[role] = f"{role} was not taken: {result.reason}"
        return result.ok

    def _may_write(self) -> bool:
        """Whether the device takes a write so soon after the last one."""
        return self.clock() >= self._wrote_at + self.entry.device_profile.transport.min_write_interval_s

    async def _let_pass(self, seconds: float) -> None:
        """Wait in the time that the device lives by."""
        if isinstance(self.clock, PushedClock):
            self.clock.push(seconds)
        else:
            await asyncio.sleep(seconds)

    # --- reading ---

    async def _read(self) -> None:
        began = time.monotonic()
        profile = self.transport.profile
        readings = await self.transport.read(measured_roles(profile))
        power = power_kw(profile, readings)
        now = self.clock.at(power.time)
        if not any(reading.raw for reading in readings.values()):
            self._lose(power.reason or "no answer")
            return
        self.statistics.answered(time.monotonic() - began, good=power.good, now=now)
        self._voltage_v = voltage_v(readings, self.entry.ratings.phases)
        shown = shown_setpoint(profile, readings)
        if shown is not None and profile.control is not None:
            self._known.setdefault(profile.control.setpoint, shown)
        disobeys = ""
        supervisor = self._supervisor
        kw = float(power.value) if power.good and power.value is not None else None
        if supervisor is not None:
            disobeys = supervisor.verify(now, shown=shown, power_kw=kw, voltage_v=self._voltage_v)
            if disobeys.startswith("its register"):
                supervisor.repeat()
            disobeys = next(iter(self._refused.values()), disobeys)
            self._note_obedience(disobeys)
        self._take(now, kw, power, plugged(readings), soc_percent(readings), disobeys)

    def _take(
        self, now: float, kw: float | None, power: Reading, is_plugged: bool | None, soc: float | None, disobeys: str
    ) -> None:
        before, supervisor = self.snapshot, self._supervisor
        if before.state is State.STOPPED:
            state = State.STOPPED
        else:
            state = State.ARMED if supervisor is not None and self._obeys_run else State.READING
        if kw is None:
            self._set(
                quality=Quality.BAD,
                reason=power.reason,
                state=state,
                disobeys=disobeys,
                plugged=is_plugged,
                cycle=self.cycles,
            )
            return
        passed = now - before.time if before.power_kw is not None else 0.0
        # Longer gaps were an outage, over which nothing was measured.
        whole = passed <= max(self.stale_after_s, self._longest_gap_s())
        self.snapshot = Snapshot(
            time=now,
            power_kw=kw,
            # Measured well; but what it does, what it says and what it was told do not fit together.
            quality=Quality.BAD if disobeys else Quality.GOOD,
            reason=disobeys,
            energy_kwh=before.energy_kwh + (kw * passed / 3600 if whole else 0.0),
            measured_s=before.measured_s + (passed if whole else 0.0),
            plugged=is_plugged,
            soc_percent=soc,
            sent_kw=before.sent_kw,
            state=state,
            disobeys=disobeys,
            cycle=self.cycles,
        )

    def _longest_gap_s(self) -> float:
        return 1.5 * (self.keep_alive_s or 60.0)

    def _note_obedience(self, disobeys: str) -> None:
        if bool(disobeys) != bool(self.snapshot.disobeys):
            self.statistics.disobeyed += bool(disobeys)
            self._audit.event("disobeys" if disobeys else "obeys", device=self.name, why=disobeys)

    def _lose(self, reason: str) -> None:
        """Note that the device does not answer; when it does again, it is looked at as if it were new."""
        self.statistics.failed(self.clock())
        if self.inspection is not None:
            self._audit.event("lost", device=self.name, why=reason)
        self.inspection = self._supervisor = None
        self._obeys_run = False
        self._pending.clear()
        self._known.clear()
        self._refused.clear()
        self._voltage_v = None
        never = self.snapshot.power_kw is None
        state = self.snapshot.state if self.snapshot.state is State.STOPPED else State.NEVER if never else State.LOST
        quality = Quality.NEVER if never else Quality.BAD
        self._set(
            quality=quality, reason=reason, state=state, sent_kw=None, plugged=None, disobeys="", cycle=self.cycles
        )

    def give_up(self, error: Exception) -> None:
        """Note a mistake of ours with this device; the others go on."""
        self._lose(f"{type(error).__name__}: {error}")

    def _set(self, **changes: object) -> None:
        before = self.snapshot
        fields = {name: getattr(before, name) for name in Snapshot.__slots__}
        self.snapshot = Snapshot(**{**fields, **changes})
