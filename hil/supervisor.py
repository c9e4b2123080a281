"""Stands between what a run asks for and what is written to a device: decides what, when, and whether at all.

Public: `Supervisor(entry, bench, scale, inspection)` with `decide(command, now, ...) -> Decision`,
`due(decision, now) -> Order | None`, `sent(order, now)`, `verify(...)`, `Command`, `Decision`, `Order`, `FlashBudget`.

It does no I/O and knows no clock but the one it is told, so that every rule can be tested by itself. The rules, in
order: an emergency stop means the safe state; a set-point past its time is held against the default envelope instead of
the one that it came with; no set-point lies outside the narrowest of what profile, nameplate, bench and envelope
allow, and nothing is ever forced away from zero; growth is ramped, shrinking is not; a charger is given nothing
between 0 and 6 A; writes keep their distance and flash its budget, except to make power smaller.
"""

import math
from dataclasses import dataclass, field

from feederloop.hil.bench import Bench, DeviceEntry
from feederloop.hil.inspection import Inspection, keep_alive_s
from feederloop.hil.setpoints import SetpointScale

DAY_S = 86400.0
SETTLING_S = 15.0
"""AS/NZS 4777.2: time within which power that exceeds its limit has to be back inside."""
TOLERANCE_SHARE, TOLERANCE_KW = 0.04, 0.1
"""AS/NZS 4777.2: accuracy with which a limit is kept, of the rating or in kW, the larger of both."""


@dataclass(frozen=True, slots=True)
class Command:
    """What the run asks of a device.

    Attributes:
        asked_kw: Power, export positive (an inverter's upper limit); None: as much as is allowed.
        low_kw: Lowest that the current envelope leaves to this device.
        high_kw: Highest.
        expires: Device time after which it no longer counts, seconds.
        who: Who asks.
    """

    asked_kw: float | None
    low_kw: float = -math.inf
    high_kw: float = math.inf
    expires: float = math.inf
    who: str = "energy_manager"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the device is to be told.

    Attributes:
        p_kw: Power, export positive.
        value: The same as the register takes it.
        why: What decided.
        who: Who asked.
        urgent: Whether it must not wait for intervals or budgets.
    """

    p_kw: float
    value: float
    why: str
    who: str
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A decision whose time to be written has come."""

    decision: Decision
    is_keep_alive: bool


@dataclass(slots=True)
class FlashBudget:
    """Counts a device's writes to flash over the last day.

    Attributes:
        budget: Writes that a day bears.
        times: When they were, device time, seconds.
    """

    budget: int
    times: list[float] = field(default_factory=list)

    def left(self, now: float) -> int:
        """Return how many more are allowed now."""
        self.times = [time for time in self.times if time > now - DAY_S]
        return self.budget - len(self.times)


class Supervisor:
    """The rules for one device.

    Args:
        entry: What the bench says of it.
        bench: The bench's own rules.
        scale: How its set-point is written.
        inspection: What it said of itself.
        flash: Its writes to flash so far, which outlive a loss of the device; none without.
    """

    def __init__(
        self,
        entry: DeviceEntry,
        bench: Bench,
        scale: SetpointScale,
        inspection: Inspection,
        flash: FlashBudget | None = None,
    ) -> None:
        self._entry, self._bench, self._scale = entry, bench, scale
        low, high = scale.capability_kw()
        self.low_kw = min(max(low, -inspection.import_kw, -entry.import_kw), 0.0)
        self.high_kw = max(min(high, inspection.export_kw, entry.export_kw), 0.0)
        self.keep_alive_s = keep_alive_s(scale.profile, inspection.timeout_s)
        control, heartbeat = scale.profile.control, scale.profile.heartbeat
        # For others any request is a sign of life, or a number of its own is.
        self._rewrites = heartbeat.kind == "rewrite_setpoint" or (control is not None and bool(control.reversion_role))
        self._rated_kw = max(-self.low_kw, self.high_kw)
        self._flash = flash or FlashBudget(entry.limits.flash_writes_per_day)
        self._last: Decision | None = None
        # What the device may still be following, oldest first, each with the time from which on.
        self._expected: list[tuple[float, Decision]] = []
        # Growth begins at what flows: a device that comes back is not to jump.
        flows = inspection.power.value if inspection.power is not None and inspection.power.good else None
        self._reached = (float(flows), -math.inf) if isinstance(flows, float | int) else None
        self._last_time = -math.inf
        # The largest power that its register may stand for; None where nobody knows.
        self._held_kw = None if inspection.setpoint is None else abs(scale.power_kw(inspection.setpoint))

    @property
    def sent_kw(self) -> float | None:
        """What the device was last told, None before that."""
        return None if self._last is None else self._last.p_kw

    @property
    def sent_value(self) -> float | None:
        """The same as the register took it."""
        return None if self._last is None else self._last.value

    def decide(
        self, command: Command | None, now: float, *, voltage_v: float | None = None, stop: str = ""
    ) -> Decision | None:
        """Return what the device is to be told now; None as long as nobody has asked for anything.

        Args:
            command: The latest command.
            now: Device time, seconds.
            voltage_v: Voltage at the device.
            stop: Why the emergency stop is set off; empty when it is not.
        """
        if stop:
            return self._decision(self._entry.safe_kw, stop, "bench", voltage_v, urgent=True)
        if command is None:
            return None
        low, high, why = command.low_kw, command.high_kw, ""
        if any(math.isnan(number) for number in (low, high, command.asked_kw or 0.0)):
            # Compared with a limit it is neither above nor below: as an envelope it would be none at all.
            return self._decision(0.0, "set-point or envelope is not a number", command.who, voltage_v)
        if now > command.expires:
            low, high = -self._bench.default_import_kw, self._bench.default_export_kw
            why = "no fresh set-point: default envelope"
        allowed_low, allowed_high = max(self.low_kw, min(low, 0.0)), min(self.high_kw, max(high, 0.0))
        asked = allowed_high if command.asked_kw is None else command.asked_kw
        target = min(max(asked, allowed_low), allowed_high)
        if not why:
            why = self._why(asked, target)
        ramped = self._ramped(target, now)
        if ramped != target:
            why = f"ramped towards {target:.3f} kW"
        return self._decision(ramped, why, command.who, voltage_v)

    def due(self, decision: Decision, now: float) -> Order | None:
        """Return the order to write a decision now, None while there is nothing to write or it has to wait."""
        last = self._last
        if last is None or decision.value != last.value:
            smaller = decision.urgent or self._held_kw is None or abs(decision.p_kw) < self._held_kw
            flash = self._scale.point.non_volatile and self._flash.left(now) <= 0
            early = now < self._last_time + self._entry.limits.write_interval_s
            return None if (early or flash) and not smaller else Order(decision, False)
        alive = self.keep_alive_s
        if alive is None or not self._rewrites or now < self._last_time + alive:
            return None
        if self._scale.point.non_volatile and self._flash.left(now) <= 0:
            return None
        return Order(last, True)

    def sent(self, order: Order, now: float) -> None:
        """Note that the device took an order."""
        if not order.is_keep_alive:
            if not self._expected or order.decision.value != self._expected[-1][1].value:
                self._expected.append((now, order.decision))
            self._last = order.decision
            self._reached = (order.decision.p_kw, now)
            self._held_kw = abs(order.decision.p_kw)
        self._last_time = now
        if self._scale.point.non_volatile:
            self._flash.times.append(now)

    def repeat(self) -> None:
        """Note that the device does not do what it was told: the next decision is written whatever it is."""
        self._last = None

    def forget(self, order: Order) -> None:
        """Note that nobody knows whether the device took an order: the next decision is written whatever it is."""
        self._last = None
        self._expected.clear()
        if self._held_kw is not None:
            self._held_kw = max(self._held_kw, abs(order.decision.p_kw))

    def verify(self, now: float, *, shown: float | None, power_kw: float | None, voltage_v: float | None) -> str:
        """Return how the device disobeys, or an empty text.

        What it was told within the settling time it need not follow yet: until then it may also do what it was told
        before. So a device that is told something else every few seconds is found out too.

        Args:
            now: Device time.
            shown: What its set-point register (or the one that shows it) says; None where nobody knows.
            power_kw: What flows, export positive; None where nobody knows.
            voltage_v: Voltage at the device.
        """
        while len(self._expected) > 1 and now >= self._expected[1][0] + SETTLING_S:
            self._expected.pop(0)
        if not self._expected or now < self._expected[0][0] + SETTLING_S:
            return ""
        values = [decision.value for _, decision in self._expected]
        last = values[-1]
        if shown is not None:
            off = max(min(values) - shown, shown - max(values))
            if off > max(0.02 * abs(last), self._resolution()):
                return f"its register shows {shown:g} instead of {last:g}"
        if power_kw is None:
            return ""
        tolerance = max(TOLERANCE_SHARE * self._rated_kw, TOLERANCE_KW)
        allowed = [self._scale.power_kw(value, voltage_v) for value in values]
        over = power_kw - max(*allowed, 0.0) if power_kw > 0 else min(*allowed, 0.0) - power_kw
        return f"{power_kw:.2f} kW flow, {allowed[-1]:.2f} kW were allowed" if over > tolerance else ""

    def _decision(self, p_kw: float, why: str, who: str, voltage_v: float | None, *, urgent: bool = False) -> Decision:
        # Flash wears: there a volt more or less is not worth a write.
        value = self._scale.value(p_kw, None if self._scale.point.non_volatile else voltage_v)
        last = self._last
        # A volt more or less is no reason to write: what was sent stays while it is the same power.
        same = last is not None and math.isclose(p_kw, last.p_kw, abs_tol=1e-9)
        if same and last is not None and last.value > 0 and 0 <= value - last.value <= 0.03 * last.value:
            value = last.value
        return Decision(p_kw, value, why, who, urgent)

    def _ramped(self, target: float, now: float) -> float:
        ramp = self._entry.limits.ramp_kw_per_s
        if ramp is None or self._reached is None:
            return target
        last, since = self._reached
        if math.isinf(since):
            self._reached = (last, now)
            since = now
        same_side = target * last >= 0
        if same_side and abs(target) <= abs(last):
            return target
        start = abs(last) if same_side else 0.0
        return math.copysign(min(abs(target), start + ramp * max(now - since, 0.0)), target)

    def _why(self, asked: float, target: float) -> str:
        if target == asked:
            return "set-point"
        own = target in (self.low_kw, self.high_kw)
        return f"{asked:.3f} kW clamped by {'the limits of the device' if own else 'the envelope'}"

    def _resolution(self) -> float:
        point = self._scale.point
        return 1.01 * abs(point.factor) if not point.scale_role else 1.0
