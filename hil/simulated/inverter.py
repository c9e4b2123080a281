"""Physics of SunSpec devices: PV inverter, storage, meter.

Public: `InverterPhysics(ratings)`, `StoragePhysics(ratings)`, `MeterPhysics(ratings)`.

Reversion follows the models: a control that is written with a reversion time falls back when that many seconds passed
since it was last written; 0 means that it holds for ever. Volt-var and the other autonomous functions are off.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

from feederloop.hil.reading import Value
from feederloop.hil.simulated.physics import Output, Physics, Ratings, approach


class _Timer:
    """A control that reverts: `left` seconds to go, 0 when nothing runs."""

    def __init__(self) -> None:
        self.length = 0.0
        self.left = 0.0

    def restart(self) -> None:
        self.left = self.length

    def over(self, seconds: float) -> bool:
        if self.left <= 0:
            return False
        self.left = max(0.0, self.left - seconds)
        return self.left == 0


class InverterPhysics(Physics):
    """A PV inverter: what the sun offers, cut by a limit in percent or W, by its apparent power, and by its switch.

    Attributes that a time series may drive: `available_kw` (what the panels could give) and those of every physics.
    """

    ATTRIBUTES: ClassVar[frozenset[str]] = Physics.ATTRIBUTES | {"available_kw"}

    def __init__(self, ratings: Ratings) -> None:
        super().__init__(ratings)
        self.available_kw = 0.0
        self._limit_timer = _Timer()
        self._set_timer = _Timer()
        self.restart()

    def restart(self) -> None:
        """Connect, and forget every limit."""
        super().restart()
        self.connected = True
        self.limit_percent, self.limited = 100.0, False
        self.set_w, self.set_enabled = 0.0, False
        self.ramp_s = 0.0
        self._fallbacks: dict[str, float] = {"limit": 100.0, "limited": 0.0, "set": 0.0, "set_enabled": 0.0}
        for timer in (self._limit_timer, self._set_timer):
            timer.length = timer.left = 0.0

    def command(self, role: str, value: Value) -> None:
        """Take a control register of models 123, 703 or 704."""
        on = value in ("enabled", "connect", 1)
        if role == "connect":
            self.connected = on
        elif role in ("power_limit_pct_set", "power_limit_enable"):
            self.limit_percent = float(value) if role == "power_limit_pct_set" else self.limit_percent
            self.limited = on if role == "power_limit_enable" else self.limited
            self._limit_timer.restart()
        elif role in ("power_set", "power_set_enable"):
            self.set_w = float(value) if role == "power_set" else self.set_w
            self.set_enabled = on if role == "power_set_enable" else self.set_enabled
            self._set_timer.restart()
        elif role == "power_limit_reversion_s":
            self._limit_timer.length = float(value)
        elif role == "power_set_reversion_s":
            self._set_timer.length = float(value)
        elif role == "power_limit_ramp_s":
            self.ramp_s = float(value)
        else:
            self._take_fallback(role, float(on) if isinstance(value, str) else float(value))

    def _take_fallback(self, role: str, value: float) -> None:
        names = {
            "power_limit_pct_fallback": "limit",
            "power_limit_enable_fallback": "limited",
            "power_set_fallback": "set",
            "power_set_enable_fallback": "set_enabled",
        }
        if role in names:
            self._fallbacks[names[role]] = value

    def _timers(self) -> tuple[_Timer, ...]:
        return (self._limit_timer, self._set_timer)

    def _next_event_s(self) -> float:
        return min((timer.left for timer in self._timers() if timer.left > 0), default=float("inf"))

    def _pass(self, seconds: float) -> None:
        super()._pass(seconds)
        self._revert(seconds)

    def controls(self) -> Mapping[str, Value]:
        """Return the control registers that change by themselves when a time is over."""
        return {
            "power_limit_pct_set": self.limit_percent,
            "power_limit_enable": "enabled" if self.limited else "disabled",
            "power_set": self.set_w,
            "power_set_enable": "enabled" if self.set_enabled else "disabled",
        }

    def outputs(self) -> Mapping[str, Output]:
        """Return what the registers say."""
        rated = self.ratings.rated_power_w
        va = self._rated_va()
        return {
            **super().outputs(),
            **self.controls(),
            "state": self._state(),
            "connection_state": "connected" if self.connected else "disconnected",
            "energy_total": self.exported_wh,
            "rated_power": rated,
            "rated_apparent_power": va,
            "power_charge_max": None,
            "power_discharge_max": None,
            "der_type": "pv",
            "power_limit_reversion_left": math.ceil(self._limit_timer.left),
            "power_set_reversion_left": math.ceil(self._set_timer.left),
        }

    def _state(self) -> tuple[str, ...]:
        if not self.connected:
            return ("standby",)
        if self.power_w == 0:
            return ("sleeping",)
        throttled = self._target() < min(self.available_kw * 1000, self._rated_va()) - 1
        return ("throttled",) if throttled else ("mppt", "running")

    def _target(self) -> float:
        ceilings = [self.available_kw * 1000, self.ratings.rated_power_w, self._rated_va()]
        if self.limited:
            ceilings.append(self.ratings.rated_power_w * self.limit_percent / 100)
        if self.set_enabled:
            ceilings.append(self.set_w)
        return max(0.0, min(ceilings)) if self.connected else 0.0

    def _rated_va(self) -> float:
        return self.ratings.rated_va or self.ratings.rated_power_w

    def _move(self, seconds: float) -> None:
        rated = self.ratings.rated_power_w
        rate = rated / self.ramp_s if self.ramp_s > 0 else rated * self.ratings.ramp_percent_per_s / 100
        power = approach(self.power_w, self._target(), rate * seconds)
        # Clouds are quicker than any ramp.
        self.power_w = min(power, max(self.available_kw * 1000, 0.0)) if power > 0 else power

    def _revert(self, seconds: float) -> None:
        if self._limit_timer.over(seconds):
            self.limit_percent, self.limited = self._fallbacks["limit"], bool(self._fallbacks["limited"])
        if self._set_timer.over(seconds):
            self.set_w, self.set_enabled = self._fallbacks["set"], bool(self._fallbacks["set_enabled"])


class StoragePhysics(InverterPhysics):
    """A battery behind a SunSpec inverter: a set-point in W (model 704), or limits on its rates (model 124).

    Without a command it rests. Attributes that a time series may drive: `soc_percent`, `min_soc_percent`, `plugged` (a
    battery that drives away), and those of every physics.
    """

    ATTRIBUTES: ClassVar[frozenset[str]] = Physics.ATTRIBUTES | {"soc_percent", "min_soc_percent", "plugged"}

    def __init__(self, ratings: Ratings) -> None:
        self.soc_percent = 50.0
        self.min_soc_percent = 5.0
        self.plugged = True
        self._rates_timer = _Timer()
        super().__init__(ratings)

    def restart(self) -> None:
        """Forget every command."""
        super().restart()
        self.control_bits, self.discharge_percent, self.charge_percent = 0, 0.0, 0.0
        self._rates_timer.length = self._rates_timer.left = 0.0

    def command(self, role: str, value: Value) -> None:
        """Take a control register of models 124, 703 or 704."""
        if role == "storage_reversion_s":
            self._rates_timer.length = float(value)
            return
        if role == "storage_control":
            self.control_bits = int(value)
        elif role == "discharge_rate_pct_set":
            self.discharge_percent = float(value)
        elif role == "charge_rate_pct_set":
            self.charge_percent = float(value)
        else:
            super().command(role, value)
            return
        self._rates_timer.restart()

    def _timers(self) -> tuple[_Timer, ...]:
        return (*super()._timers(), self._rates_timer)

    def _pass(self, seconds: float) -> None:
        imported, exported = self.imported_wh, self.exported_wh
        super()._pass(seconds)
        stored = (self.imported_wh - imported) * self.ratings.efficiency
        drawn = (self.exported_wh - exported) / self.ratings.efficiency
        change = 100 * (stored - drawn) / self.ratings.capacity_wh
        self.soc_percent = min(100.0, max(0.0, self.soc_percent + change))

    def outputs(self) -> Mapping[str, Output]:
        """Return what the registers say."""
        rated, stored = self.ratings.rated_power_w, self.ratings.capacity_wh * self.soc_percent / 100
        states = ("discharging",) if self.power_w > 0 else ("charging",) if self.power_w < 0 else ("holding",)
        return {
            **super().outputs(),
            "state": ("mppt", "running") if self.power_w else ("standby",),
            "der_type": "pv_stor",
            "storage_power_max": rated,
            "power_charge_max": rated,
            "power_discharge_max": rated,
            "capacity": self.ratings.capacity_wh,
            "energy_stored": stored,
            "soc": self.soc_percent,
            "health": 100.0,
            "storage_state": states,
            "storage_control": self.control_bits,
            "discharge_rate_pct_set": self.discharge_percent,
            "charge_rate_pct_set": self.charge_percent,
        }

    def _target(self) -> float:
        rated = self.ratings.rated_power_w
        wish = self.set_w if self.set_enabled else self._rate_w()
        ceiling = rated * self.limit_percent / 100 if self.limited else rated
        target = min(max(wish, -rated), min(ceiling, self._rated_va()))
        if (target < 0 and self.soc_percent >= 100) or (target > 0 and self.soc_percent <= self.min_soc_percent):
            return 0.0
        return target if self.connected and self.plugged else 0.0

    def _rate_w(self) -> float:
        """At rest, as far as the limits let it: a negative limit of one direction makes the other flow."""
        most_out = self.discharge_percent if self.control_bits & 2 else 100.0
        most_in = self.charge_percent if self.control_bits & 1 else 100.0
        return self.ratings.rated_power_w * max(-most_in, min(most_out, 0.0)) / 100

    def _move(self, seconds: float) -> None:
        rate = self.ratings.rated_power_w * self.ratings.ramp_percent_per_s / 100
        self.power_w = approach(self.power_w, self._target(), rate * seconds) if self.plugged else 0.0

    def _revert(self, seconds: float) -> None:
        super()._revert(seconds)
        if self._rates_timer.over(seconds):
            self.control_bits = 0


class MeterPhysics(Physics):
    """A meter: shows the power it is given, and counts it.

    Attributes that a time series may drive: `power_kw` (export positive) and those of every physics.
    """

    ATTRIBUTES: ClassVar[frozenset[str]] = Physics.ATTRIBUTES | {"power_kw"}

    def __init__(self, ratings: Ratings) -> None:
        super().__init__(ratings)
        self.power_kw = 0.0

    def _move(self, seconds: float) -> None:
        self.power_w = self.power_kw * 1000
