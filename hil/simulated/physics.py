"""What every simulated device's physics has in common.

Public: `Physics` (base class), `Ratings`, `approach`.

Powers inside are W and export positive, as everywhere in feederloop; `outputs()` speaks the roles of the profiles in
base units. A tuple stands for a state that devices name differently: the profile's enum decides which of its words is
used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from feederloop.hil.reading import Value
from feederloop.simulators.errors import InputError

Output = Value | tuple[Value, ...] | None
"""A value for a role; several words for the same state; None where the device has nothing to say."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """Nameplate and set-up of a simulated device.

    Attributes:
        rated_power_w: Active power of an inverter or storage, and of a bidirectional charger each way.
        rated_va: Apparent power of an inverter; its active power without it.
        rated_current_a: Current per phase of a charger.
        min_current_a: Least charging current per phase.
        phases: 1 or 3.
        capacity_wh: Energy that a battery or vehicle holds.
        efficiency: Of charging and of discharging, each, 0..1.
        ramp_percent_per_s: How fast power or current follows, percent of the rating a second.
    """

    rated_power_w: float = 5000.0
    rated_va: float | None = None
    rated_current_a: float = 16.0
    min_current_a: float = 6.0
    phases: int = 3
    capacity_wh: float = 40000.0
    efficiency: float = 0.95
    ramp_percent_per_s: float = 25.0

    def __post_init__(self) -> None:
        if self.phases not in (1, 3):
            raise InputError("a device has one phase or three", key="phases", value=self.phases, allowed="1, 3")
        if not 0 < self.efficiency <= 1:
            raise InputError("no such efficiency", key="efficiency", value=self.efficiency, allowed="above 0..1")
        for key in ("rated_power_w", "rated_current_a", "capacity_wh", "ramp_percent_per_s"):
            if not getattr(self, key) > 0:
                raise InputError("a rating is above 0", key=key, value=getattr(self, key))


class Physics:
    """Base of all physics: the grid as the device sees it, energy counters, and the hook for time series.

    Args:
        ratings: The device's nameplate.
    """

    ATTRIBUTES: ClassVar[frozenset[str]] = frozenset({"grid_voltage_v", "frequency_hz", "temperature_degc"})
    """What `set` may drive."""

    def __init__(self, ratings: Ratings) -> None:
        self.ratings = ratings
        self.grid_voltage_v = 230.0
        self.frequency_hz = 50.0
        self.temperature_degc = 25.0
        self.power_w = 0.0
        self.exported_wh = 0.0
        self.imported_wh = 0.0

    def set(self, attribute: str, value: object) -> None:
        """Set one of `ATTRIBUTES`, as a time series does step by step.

        Raises:
            InputError: There is no such attribute.
        """
        if attribute not in self.ATTRIBUTES:
            allowed = ", ".join(sorted(self.ATTRIBUTES))
            raise InputError("no such attribute", key="attribute", value=attribute, allowed=allowed)
        kind = type(getattr(self, attribute))
        setattr(self, attribute, kind(value))

    def advance(self, seconds: float) -> None:
        """Let time pass, in parts short enough for ramps, batteries and times that run out."""
        passed = 0.0
        while True:
            # Ramps begin with a command, which comes between two calls: the first seconds are looked at closely.
            part = min(seconds - passed, 1.0 if passed < 10 else 10.0, self._next_event_s())
            self._pass(part)
            passed += part
            if passed >= seconds:
                return

    def _pass(self, seconds: float) -> None:
        """Move, then count what flowed."""
        before = self.power_w
        self._move(seconds)
        energy = (before + self.power_w) / 2 * seconds / 3600
        self.exported_wh += max(energy, 0.0)
        self.imported_wh += max(-energy, 0.0)

    def _next_event_s(self) -> float:
        """Seconds until something happens by itself."""
        return float("inf")

    def command(self, role: str, value: Value) -> None:
        """Take a register that was written, by role, in base units and export positive."""

    def fall_back(self, kind: str, value: float) -> None:
        """Do what a device does when its controller fell silent; `kind` as in `Failsafe.fallback`."""

    def restart(self) -> None:
        """Forget what was commanded, as after a loss of power."""
        self.power_w = 0.0

    def outputs(self) -> Mapping[str, Output]:
        """Return what the registers say, by role."""
        volts = {f"voltage_l{phase}": self._volts(phase) for phase in (1, 2, 3)}
        powers = {f"power_l{phase}": self._share(phase, self.power_w) for phase in (1, 2, 3)}
        currents = {f"current_l{phase}": self._amps(phase) for phase in (1, 2, 3)}
        return {
            **volts,
            **powers,
            **currents,
            "voltage": self.grid_voltage_v,
            "current_total": sum(currents.values()),
            "power_total": self.power_w,
            "apparent_power": abs(self.power_w),
            "reactive_power": 0.0,
            "power_factor": 100.0,
            "frequency": self.frequency_hz,
            "temperature": self.temperature_degc,
            "energy_export": self.exported_wh,
            "energy_import": self.imported_wh,
        }

    def _move(self, seconds: float) -> None:
        raise NotImplementedError

    def _volts(self, phase: int) -> float:
        return self.grid_voltage_v if phase <= self._active_phases() else 0.0

    def _amps(self, phase: int) -> float:
        return abs(self._share(phase, self.power_w)) / max(self.grid_voltage_v, 1.0)

    def _share(self, phase: int, amount: float) -> float:
        return amount / self._active_phases() if phase <= self._active_phases() else 0.0

    def _active_phases(self) -> int:
        return self.ratings.phases


def approach(value: float, target: float, step: float) -> float:
    """Return `value` moved towards `target` by at most `step`."""
    return min(value + step, target) if target > value else max(value - step, target)
