"""From kW to what a device's set-point register takes, and back.

Public: `SetpointScale(profile, rated_kw, rated_a, phases)` with `value(p_kw, voltage_v)`, `power_kw(value, voltage_v)`,
`capability_kw()`.

Rounding never exceeds what was asked: the register value lies on the near side of zero.
"""

import math
from dataclasses import dataclass

from feederloop.hil.profile import Point, Profile

HIGHEST_V = 253.0
"""Where nobody measures it the voltage may be as high as supply standards permit (EN 50160, AS 60038: 230 V + 10 %)."""
MIN_CHARGE_A = 6.0
"""IEC 61851-1: the least current that a charger can offer."""


@dataclass(frozen=True, slots=True)
class SetpointScale:
    """How one device takes its set-point.

    Attributes:
        profile: With its points (for SunSpec devices: after discovery).
        rated_kw: What 100 % means, and most that it can do.
        rated_a: Most current per phase.
        phases: Phases it is connected to.
    """

    profile: Profile
    rated_kw: float
    rated_a: float
    phases: int

    @property
    def point(self) -> Point:
        """The point that takes the set-point."""
        control = self.profile.control
        if control is None:
            raise ValueError(f"profile {self.profile.name} has no control")
        return self.profile.point(control.setpoint)

    @property
    def quantity(self) -> str:
        """What the set-point is: current, power, signed_power or percent."""
        return self.profile.control.quantity if self.profile.control else "none"

    def value(self, p_kw: float, voltage_v: float | None = None) -> float:
        """Return the register's value (A, W or %, export positive where signed) that asks for no more than a power.

        Args:
            p_kw: Export positive; the upper limit for an inverter.
            voltage_v: Mean voltage of its phases; the highest that is permitted without.
        """
        if self.quantity == "percent":
            amount = 100 * max(p_kw, 0.0) / self.rated_kw
        elif self.quantity == "signed_power":
            amount = 1000 * p_kw
        elif self.quantity == "power":
            amount = 1000 * max(-p_kw, 0.0)
        else:
            amount = min(max(-p_kw, 0.0) / self._per_ampere(voltage_v or HIGHEST_V), self.rated_a)
        amount = self._towards_zero(amount)
        if self.quantity == "current" and amount < (self.point.charge_min or MIN_CHARGE_A):
            return 0.0
        return amount

    def power_kw(self, value: float, voltage_v: float | None = None) -> float:
        """Return the power that a value of the register stands for, export positive."""
        if self.quantity == "percent":
            return self.rated_kw * value / 100
        if self.quantity == "signed_power":
            return value / 1000
        if self.quantity == "power":
            return -value / 1000
        return -value * self._per_ampere(voltage_v or HIGHEST_V)

    def capability_kw(self) -> tuple[float, float]:
        """Return what the profile's limits of the point let it be asked for, (lowest, highest) kW."""
        point = self.point
        if self.quantity == "signed_power":
            # The point's limits are in the device's own sign.
            ends = [self.profile.direction(point.role) * end for end in (point.min, point.max) if end is not None]
            low = min((end for end in ends if end < 0), default=-math.inf)
            high = max((end for end in ends if end > 0), default=math.inf)
            return low / 1000, high / 1000
        most = math.inf if point.max is None else abs(self.power_kw(point.max))
        return (0.0, most) if self.quantity == "percent" else (-most, 0.0)

    def _per_ampere(self, voltage_v: float) -> float:
        return self.phases * voltage_v / 1000

    def _towards_zero(self, amount: float) -> float:
        point = self.point
        if point.type.startswith("float") or point.scale_role:
            # The scale factor is the device's; a hundredth (SunSpec's usual) is fine enough for all.
            return math.trunc(amount * 100 + math.copysign(1e-6, amount)) / 100
        step = abs(point.factor)
        return round(math.trunc(amount / step + math.copysign(1e-6, amount)) * step, 9)
