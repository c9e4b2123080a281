"""What a device's readings say: power, plugged, state of charge, whatever it calls them.

Public: `measured_roles(profile)`, `power_kw(profile, readings)`, `plugged(readings)`, `soc_percent(readings)`,
`voltage_v(readings, phases)`, `shown_setpoint(profile, readings)`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from feederloop.hil.profile import Profile
from feederloop.hil.reading import Quality, Reading
from feederloop.hil.setpoints import HIGHEST_V

Readings = Mapping[str, Reading]

_PHASES = ("l1", "l2", "l3")
_LEAST_V, _MOST_V = 50.0, 500.0
_STATES = ("status", "state", "cable_state", "charging_state", "ev_presence", "ev_connected")
_UNPLUGGED = frozenset({"A", "none", "disconnected", "at_station", "locked_station", "wait_car"})
_PLUGGED = frozenset(
    {"B", "C", "D", "charging", "discharging", "paused", "plugged", "occupied", "derating", "at_ev", "locked_ev",
     "app_controlled", "schedule_end"}
)  # fmt: skip


def measured_roles(profile: Profile) -> tuple[str, ...]:
    """Return the points to poll: power, what tells whether a vehicle is there, state of charge, voltage, set-point.

    A SunSpec profile has points only once its models were found on the device.
    """
    return tuple(dict.fromkeys(role for role in _wanted(profile) if profile.has(role) and profile.point(role).readable))


def _wanted(profile: Profile) -> Iterator[str]:
    yield from _power_roles(profile)
    if profile.kind != "inverter":
        yield from _STATES
        yield from ("soc", "setpoint_valid_remaining")
    if not profile.has("voltage_l1"):
        yield "voltage"
    elif profile.kind == "inverter":
        yield "voltage_l1"
    else:  # whose power becomes current by the voltages of all its phases
        yield from (f"voltage_{phase}" for phase in _PHASES)
    if profile.control and profile.has(profile.control.setpoint):
        setpoint = profile.control.setpoint
        yield profile.point(setpoint).read_back or setpoint


def _power_roles(profile: Profile) -> tuple[str, ...]:
    if profile.has("power_total"):
        return ("power_total",)
    powers = tuple(f"power_{phase}" for phase in _PHASES)
    if all(profile.has(role) for role in powers):
        return powers
    return tuple(f"{name}_{phase}" for phase in _PHASES for name in ("current", "voltage"))


def power_kw(profile: Profile, readings: Readings) -> Reading:
    """Return the power that flows, kW, export positive; bad where a part of it, or the voltage behind it, is.

    Where a charger tells no power, it is the sum of its currents times their voltages (230 V where it tells none).
    """
    roles = [role for role in _power_roles(profile) if role in readings]
    if not roles:
        return Reading(None, Quality.BAD, "the profile has no power")
    bad = next((readings[role] for role in roles if not readings[role].good), None)
    if bad is not None:
        return replace(bad, value=None)
    volts = readings.get("voltage_l1")
    if volts is not None and volts.good and not isinstance(volts.value, str | None):
        amount = abs(float(volts.value))
        if amount != 0 and not _LEAST_V < amount < _MOST_V:
            # Words in the wrong order, above all: the power of such a device may look like any number.
            return replace(
                volts, value=None, quality=Quality.BAD, reason=f"its voltage of {volts.value:.3g} V cannot be"
            )
    values = {role: float(readings[role].value or 0.0) for role in roles}
    if any(role.startswith("current") for role in roles):
        watts = -sum(values.get(f"current_{name}", 0.0) * values.get(f"voltage_{name}", 230.0) for name in _PHASES)
    else:
        watts = sum(values.values())
    return replace(readings[roles[0]], value=watts / 1000, time=max(readings[role].time for role in roles))


def plugged(readings: Readings) -> bool | None:
    """Return whether a vehicle is at the charger; None where the device does not say."""
    for role in _STATES:
        reading = readings.get(role)
        if reading is None or not reading.good:
            continue
        if role.startswith("ev_"):
            return bool(reading.value)
        if role == "cable_state" and not isinstance(reading.value, str):
            # Without labels in the profile: 0 none, 1 at the station, 2 and more at the vehicle.
            return float(reading.value or 0) >= 2
        if reading.value in _UNPLUGGED:
            return False
        if reading.value in _PLUGGED:
            return True
    return None


def soc_percent(readings: Readings) -> float | None:
    """Return the vehicle's state of charge, None where the device does not say."""
    reading = readings.get("soc")
    return float(reading.value) if reading is not None and reading.good and reading.value is not None else None


def voltage_v(readings: Readings, phases: int) -> float:
    """Return the mean voltage of a device's phases; one that is not told, or cannot be, is the highest permitted."""
    told = [_volts(readings.get(f"voltage_{phase}")) for phase in _PHASES[:phases]]
    if told[0] is None:
        told[0] = _volts(readings.get("voltage"))
    return sum(HIGHEST_V if volts is None else volts for volts in told) / phases


def _volts(reading: Reading | None) -> float | None:
    if reading is None or not reading.good or isinstance(reading.value, str | None):
        return None
    return float(reading.value) if 150 < float(reading.value) < 300 else None


def shown_setpoint(profile: Profile, readings: Readings) -> float | None:
    """Return what the set-point register, or the one by which it is checked, holds; None where nobody knows."""
    control = profile.control
    if control is None or not profile.has(control.setpoint):
        return None
    point = profile.point(control.setpoint)
    reading = readings.get(point.read_back or point.role)
    if reading is None or not reading.good or isinstance(reading.value, str | None):
        return None
    return float(reading.value)
