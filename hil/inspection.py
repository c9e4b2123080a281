"""What a device says of itself before anything is written to it: nameplate, fail-safe, and whether it may be armed.

Public: `await inspect(transport, entry) -> Inspection`, `Inspection`, `Refusal`, `keep_alive_s(profile, timeout_s)`.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from feederloop.hil.bench import NOMINAL_V, DeviceEntry
from feederloop.hil.measuring import measured_roles, power_kw, shown_setpoint, voltage_v
from feederloop.hil.profile import Profile
from feederloop.hil.reading import Reading, Value
from feederloop.hil.transport import DeviceTransport

DEFAULT_REVERSION_S = 60.0
_PLATE = ("rated_power", "power_max_set", "rated_current", "current_max", "power_charge_max", "power_discharge_max")
_PHASES = ("phases_set", "phases_installed")
_IDENTITY = ("manufacturer", "model", "serial_number", "firmware")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a device must not be armed.

    Attributes:
        message: What was found.
        key: Key of the bench's entry by which it is mended.
        value: What stands there.
        allowed: What would be accepted.
    """

    message: str
    key: str
    value: Any = None
    allowed: str = ""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found on a device.

    Attributes:
        answered: Whether it answered at all.
        reason: Why not.
        identity: Maker, model, serial number and firmware, as far as it tells.
        import_kw: Most that it can draw: the smaller of its own nameplate and the bench's ratings.
        export_kw: Most that it can feed in, likewise.
        rated_kw: What 100 % of its set-point means.
        rated_a: Most current per phase.
        timeout_s: Silence after which it falls back; None for off or unknown.
        fallback_kw: What it then does, export positive, at worst; NaN where nobody knows.
        latency_s: Time of the reading.
        power: What flows now.
        refusals: Why it must not be armed; empty when it may be.
        setpoint: What its set-point register (or the one that shows it) says; None where it does not.
        settings: What its fail-safe registers hold, and those kept in flash that say who is in control, by role.
        is_another: Whether it is another device than the bench expects: then it is not even stopped.
        voltage_v: Mean voltage of its phases, see `measuring.voltage_v`.
    """

    answered: bool
    reason: str = ""
    identity: dict[str, str] = field(default_factory=dict)
    import_kw: float = 0.0
    export_kw: float = 0.0
    rated_kw: float = 0.0
    rated_a: float = 0.0
    timeout_s: float | None = None
    fallback_kw: float = math.nan
    latency_s: float = 0.0
    power: Reading | None = None
    refusals: tuple[Refusal, ...] = ()
    setpoint: float | None = None
    settings: Mapping[str, Value] = field(default_factory=dict)
    is_another: bool = False
    voltage_v: float | None = None


async def inspect(transport: DeviceTransport, entry: DeviceEntry) -> Inspection:
    """Read nameplate, identity and fail-safe of a device; nothing is written.

    Args:
        transport: The way to it.
        entry: What the bench says of it.
    """
    began = time.monotonic()
    reason = await transport.prepare()
    profile = transport.profile
    if reason:
        return Inspection(False, reason)
    asked = _settings(profile)
    roles = [*_PLATE, *_PHASES, *_IDENTITY, *asked, *measured_roles(profile)]
    known = tuple(dict.fromkeys(role for role in roles if role and profile.has(role) and profile.point(role).readable))
    readings = await transport.read(known)
    latency_s = time.monotonic() - began
    power = power_kw(profile, readings)
    if not any(reading.raw for reading in readings.values()):
        reason = next((reading.reason for reading in readings.values()), "nothing to read")
        return Inspection(False, reason, latency_s=latency_s, power=power)
    numbers = {role: _number(readings.get(role)) for role in known}
    identity = {role: str(readings[role].value) for role in _IDENTITY if role in readings and readings[role].good}
    rated_kw, rated_a = _ratings(entry, numbers)
    import_kw, export_kw = _most(entry, profile, numbers, rated_kw, rated_a)
    timeout_s = _timeout_s(entry, profile, numbers)
    fallback_kw = _fallback_kw(entry, profile, numbers, rated_kw)
    another = _identity_refusals(entry, identity)
    refusals = (
        *another,
        *_plate_refusals(entry, rated_kw, rated_a),
        *_phase_refusals(entry, numbers),
        *_failsafe_refusals(entry, profile, timeout_s, fallback_kw),
    )
    return Inspection(
        True,
        "",
        identity,
        import_kw,
        export_kw,
        rated_kw,
        rated_a,
        timeout_s,
        fallback_kw,
        latency_s,
        power,
        refusals,
        shown_setpoint(profile, readings),
        {role: item.value for role in asked if (item := readings.get(role)) and item.value is not None},
        bool(another),
        voltage_v(readings, entry.ratings.phases),
    )


def keep_alive_s(profile: Profile, timeout_s: float | None) -> float | None:
    """Return the seconds between two signs of life: a third of the time-out, sooner where the maker says so."""
    heartbeat = profile.heartbeat
    if heartbeat.kind == "none" and profile.control is not None and profile.control.reversion_role is None:
        return None
    periods = [heartbeat.period_s] if heartbeat.period_s else []
    if timeout_s:
        periods.append(timeout_s * min(heartbeat.timeout_share or 1.0, 1 / 3))
    return min(periods, default=None)


def _settings(profile: Profile) -> list[str]:
    """The registers whose values are set before arming, as far as they are known without being written."""
    failsafe, control = profile.failsafe, profile.control
    roles = [failsafe.timeout_role, failsafe.value_role, failsafe.enable_role]
    before = [item.role for item in control.before] if control is not None else []
    return [role for role in roles if role] + [role for role in before if profile.point(role).non_volatile]


def _number(reading: Reading | None) -> float | None:
    if reading is None or not reading.good or isinstance(reading.value, str | None):
        return None
    return float(reading.value)


def _ratings(entry: DeviceEntry, numbers: dict[str, float | None]) -> tuple[float, float]:
    """Return what 100 % is (the device's own setting before its nameplate before the bench's), and the current."""
    watts = numbers.get("power_max_set") or numbers.get("rated_power")
    rated_kw = watts / 1000 if watts and watts > 0 else entry.rated_kw
    amps = numbers.get("rated_current") or numbers.get("current_max")
    return rated_kw, min(amps, entry.rated_a) if amps else entry.rated_a


def _most(
    entry: DeviceEntry, profile: Profile, numbers: dict[str, float | None], rated_kw: float, rated_a: float
) -> tuple[float, float]:
    import_kw, export_kw = entry.import_kw, entry.export_kw
    if profile.kind == "inverter":
        return 0.0, min(export_kw, rated_kw)
    if profile.control is not None and profile.control.quantity == "current":
        import_kw = min(import_kw, rated_a * entry.ratings.phases * NOMINAL_V / 1000)
    charge, discharge = numbers.get("power_charge_max"), numbers.get("power_discharge_max")
    if charge:
        import_kw = min(import_kw, charge / 1000)
    if discharge:
        export_kw = min(export_kw, discharge / 1000)
    return import_kw, export_kw


def _timeout_s(entry: DeviceEntry, profile: Profile, numbers: dict[str, float | None]) -> float | None:
    """The silence that the device will bear once it is armed."""
    failsafe, control = profile.failsafe, profile.control
    wanted = entry.failsafe.timeout_s if entry.failsafe else None
    if control is not None and control.reversion_role is not None:
        return wanted or DEFAULT_REVERSION_S
    if wanted is not None and failsafe.timeout_set_role is not None:
        return wanted
    if failsafe.enable_role is not None and numbers.get(failsafe.enable_role) == 0:
        return None
    if failsafe.timeout_role is not None:
        return numbers.get(failsafe.timeout_role) or None
    return failsafe.timeout_s


def _fallback_kw(entry: DeviceEntry, profile: Profile, numbers: dict[str, float | None], rated_kw: float) -> float:
    """The worst that the device does by itself, export positive; NaN where nobody knows."""
    failsafe = profile.failsafe
    if failsafe.fallback == "stop":
        return 0.0
    if failsafe.fallback in ("none", "unlimited"):
        if profile.kind == "inverter":
            settable = profile.has("power_limit_pct_fallback") and entry.failsafe is not None
            watts = entry.failsafe.value if settable and entry.failsafe else None
            return rated_kw if watts is None else watts / 1000
        return -entry.rated_kw
    if failsafe.fallback == "unknown":
        return math.nan
    value = numbers.get(failsafe.value_role) if failsafe.value_role else failsafe.value
    if entry.failsafe is not None and entry.failsafe.value is not None and failsafe.value_set_role is not None:
        value = entry.failsafe.value
    if value is None:
        return math.nan
    amount = value / 1000 if failsafe.fallback == "power" else value * entry.ratings.phases * NOMINAL_V / 1000
    return amount if profile.kind == "inverter" else 0.0 - amount


def _identity_refusals(entry: DeviceEntry, identity: dict[str, str]) -> list[Refusal]:
    wanted, told = entry.verify_identity, identity.get("serial_number")
    if wanted is None or told == wanted:
        return []
    message = f"serial number is {told or 'not told'}, the bench expects {wanted}"
    return [Refusal(message, "verify_identity", wanted, told or "only for a device that tells its serial number")]


def _plate_refusals(entry: DeviceEntry, rated_kw: float, rated_a: float) -> list[Refusal]:
    if entry.slot == "inverter" and not 0.5 <= rated_kw / entry.rated_kw <= 2:
        message = f"rated power is {rated_kw:g} kW, the bench says {entry.rated_kw:g} kW"
        return [Refusal(message, "ratings.power_kw", entry.rated_kw, f"{rated_kw:g}, within a factor of two")]
    if entry.slot == "charger" and entry.rated_a and rated_a < 0.4 * entry.rated_a:
        message = f"rated current is {rated_a:g} A, the bench says {entry.rated_a:g} A"
        return [Refusal(message, "ratings.current_a", entry.rated_a, f"{rated_a:g}")]
    return []


def _phase_refusals(entry: DeviceEntry, numbers: dict[str, float | None]) -> list[Refusal]:
    """Current becomes power by the number of phases: three where one is believed is thrice what was allowed."""
    told = [int(value) for role in _PHASES if (value := numbers.get(role)) in (1, 3)]
    phases = entry.ratings.phases
    if not told or min(told) == phases:
        return []
    message = f"it is set to {min(told)} phase{'s' * (min(told) > 1)}, the bench says {phases}"
    return [Refusal(message, "ratings.phases", phases, f"{min(told)}, or set the device to {phases}")]


def _failsafe_refusals(
    entry: DeviceEntry, profile: Profile, timeout_s: float | None, fallback_kw: float
) -> list[Refusal]:
    if entry.accept_failsafe:
        return []
    see_to_it = "true, once you have seen to it otherwise"
    if profile.failsafe.fallback == "none":
        message = "it has no fail-safe: it keeps its last set-point for ever"
        return [Refusal(message, "accept_failsafe", False, see_to_it)]
    if math.isnan(fallback_kw):
        message = "nobody knows what it does when its controller falls silent"
        return [Refusal(message, "accept_failsafe", False, see_to_it)]
    stated = entry.failsafe.model_dump(exclude_none=True) if entry.failsafe else None
    if timeout_s is None:
        message = "its fail-safe is off: set failsafe in the bench"
        return [Refusal(message, "failsafe", stated, "{timeout_s: S, value: WHAT IT FALLS BACK TO}")]
    low, high = -entry.import_kw, entry.export_kw
    if not low - 1e-6 <= fallback_kw <= high + 1e-6:
        message = f"its fail-safe is {fallback_kw:g} kW, outside the limits {low:g} to {high:g} kW"
        return [Refusal(message, "failsafe", stated, "a value within the limits, or set it on the device")]
    return []
