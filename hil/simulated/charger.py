"""Physics of chargers: one way, and both ways.

Public: `ChargerPhysics(ratings)`, `BidirectionalPhysics(ratings)`.
"""

from collections.abc import Mapping
from typing import ClassVar

from feederloop.hil.reading import Value
from feederloop.hil.simulated.physics import Output, Physics, Ratings, approach


class ChargerPhysics(Physics):
    """An AC charger with a vehicle: a current limit per phase becomes power by the voltage of the grid.

    A limit below the least charging current means none; nothing flows while the vehicle is away, full or unwilling.

    Attributes that a time series may drive: `plugged`, `wants_energy`, `vehicle_current_a` (what the vehicle takes at
    most), `soc_percent`, `broken`, and those of every physics.
    """

    ATTRIBUTES: ClassVar[frozenset[str]] = Physics.ATTRIBUTES | {
        "plugged",
        "wants_energy",
        "vehicle_current_a",
        "soc_percent",
        "broken",
    }

    def __init__(self, ratings: Ratings) -> None:
        super().__init__(ratings)
        self.plugged = True
        self.wants_energy = True
        self.vehicle_current_a = 32.0
        self.soc_percent = 50.0
        self.broken = False
        self.phases = ratings.phases
        self.restart()

    def restart(self) -> None:
        """Forget the limit: as delivered a charger charges with all it has."""
        super().restart()
        self.limit_a = self.ratings.rated_current_a
        self.enabled = True
        self.current_a = 0.0
        self.session_wh = 0.0

    def command(self, role: str, value: Value) -> None:
        """Take a current or power limit, an on/off switch or a number of phases."""
        if role == "current_limit_set":
            self.limit_a = float(value)
        elif role == "power_limit_set":
            self.limit_a = float(value) / (self.phases * self.grid_voltage_v)
        elif role in ("enable", "remote_lock"):
            self.enabled = value in (1, True, "enable", "released", "unlocked")
        elif role == "phases_set" and value in (1, 3):
            self.phases = min(int(value), self.ratings.phases)

    def fall_back(self, kind: str, value: float) -> None:
        """Charge with the fail-safe current, stop, or forget the limit."""
        if kind == "current":
            self.limit_a = value
        elif kind == "power":
            self.limit_a = value / (self.phases * self.grid_voltage_v)
        else:
            self.limit_a = 0.0 if kind == "stop" else self.ratings.rated_current_a

    @property
    def applied_a(self) -> float:
        """The limit in force per phase: 0 or at least the least charging current."""
        limit = min(self.limit_a, self.ratings.rated_current_a)
        return limit if self.enabled and limit >= self.ratings.min_current_a else 0.0

    def outputs(self) -> Mapping[str, Output]:
        """Return what the registers say."""
        status, state = self._states()
        rated = self.ratings.rated_current_a
        return {
            **super().outputs(),
            "status": status,
            "evse_state": {"A": 0, "B": 1, "C": 2}.get(status[0], 4),
            "cp_state": {"A": 1, "B": 2, "C": 3}.get(status[0], 5),
            "charging_state": state,
            "cable_state": ("locked_ev", 3) if self.plugged else ("none", 0),
            "ev_presence": int(self.plugged),
            "error_code": int(self.broken),
            "energy_total": self.imported_wh,
            "energy_session": self.session_wh,
            "current_limit_applied": self.applied_a,
            "current_signalled": self.applied_a,
            "rated_current": rated,
            "current_min": self.ratings.min_current_a,
            "current_max": rated,
            "phases": self.phases,
            "phases_installed": self.ratings.phases,
            "soc": self.soc_percent,
        }

    def _states(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if self.broken:
            return ("F", "E", "error", "cp_fault", "other"), ("error", "not_charging")
        if not self.plugged:
            return ("A",), ("not_ready", "disconnected", "not_charging")
        if self.current_a > 0:
            return ("C",), ("charging",)
        if self.applied_a == 0:
            return ("B",), ("interrupted", "wait_release", "not_charging")
        return ("B",), ("ready", "not_charging")

    def _move(self, seconds: float) -> None:
        willing = self.plugged and self.wants_energy and not self.broken and self.soc_percent < 100
        limit = min(self.applied_a, self.vehicle_current_a)
        target = limit if willing and limit >= self.ratings.min_current_a else 0.0
        step = self.ratings.rated_current_a * self.ratings.ramp_percent_per_s / 100 * seconds
        if not self.plugged:
            self.current_a, self.session_wh = 0.0, 0.0
        else:
            # No vehicle draws a current between none and the least.
            least = self.ratings.min_current_a
            current = approach(max(self.current_a, least) if target else self.current_a, target, step)
            self.current_a = current if current >= least else 0.0
        self.power_w = -self.current_a * self.phases * self.grid_voltage_v

    def _pass(self, seconds: float) -> None:
        before = self.imported_wh
        super()._pass(seconds)
        taken = self.imported_wh - before
        self.session_wh += taken if self.plugged else 0.0
        self.soc_percent = min(
            100.0, self.soc_percent + 100 * taken * self.ratings.efficiency / self.ratings.capacity_wh
        )

    def _active_phases(self) -> int:
        return self.phases

    def _volts(self, phase: int) -> float:
        return self.grid_voltage_v if phase <= self.ratings.phases else 0.0


class BidirectionalPhysics(Physics):
    """A charger that also discharges: a signed set-point in W, followed within the ramp, the ratings and the battery.

    Where the device must be told who is in control (`control_owner`, `action`), set-points count only after that.

    Attributes that a time series may drive: `plugged`, `soc_percent`, `min_soc_percent`, and those of every physics.
    """

    ATTRIBUTES: ClassVar[frozenset[str]] = Physics.ATTRIBUTES | {"plugged", "soc_percent", "min_soc_percent"}

    def __init__(self, ratings: Ratings, *, needs_control: bool = False) -> None:
        super().__init__(ratings)
        self._needs_control = needs_control
        self.plugged = True
        self.soc_percent = 50.0
        self.min_soc_percent = 10.0
        self.restart()

    def restart(self) -> None:
        """Forget set-point and control."""
        super().restart()
        self.set_w = 0.0
        self.discharge_limit_w = self.ratings.rated_power_w
        self.remote = self.running = not self._needs_control

    def command(self, role: str, value: Value) -> None:
        """Take a set-point, a limit, or who is in control."""
        if role == "control_owner":
            self.remote = value == "remote"
            self.running = self.running and self.remote
        elif role in ("action", "start_stop"):
            self.running = value == "start" and self.remote
        elif role == "power_set":
            self.set_w = float(value)
        elif role == "power_limit_set":
            self.set_w = -float(value)
        elif role == "power_discharge_limit_set":
            self.discharge_limit_w = float(value)

    def fall_back(self, kind: str, value: float) -> None:
        """Stop, or charge with the fail-safe power."""
        self.set_w = -value if kind == "power" else 0.0

    def outputs(self) -> Mapping[str, Output]:
        """Return what the registers say."""
        rated = self.ratings.rated_power_w
        return {
            **super().outputs(),
            "state": self._state(),
            "session_state": ("charge_loop",) if self.power_w else ("paused",),
            "session_type": "bidirectional",
            "ev_connected": int(self.plugged),
            "soc": self.soc_percent,
            "capacity": self.ratings.capacity_wh,
            "power_charge_max": rated,
            "power_discharge_max": rated,
            "power_discharge_floor": -rated,
            "power_charge_min": 0.0,
            "phases": self.ratings.phases,
            "energy_session": self.imported_wh,
            "connector_type": ("ccs",),
        }

    def _state(self) -> tuple[str, ...]:
        if not self.plugged:
            return ("none", "idle")
        if self.power_w < 0:
            return ("charging",)
        return ("discharging",) if self.power_w > 0 else ("paused", "plugged", "occupied")

    def _move(self, seconds: float) -> None:
        rated = self.ratings.rated_power_w
        target = min(max(self.set_w, -rated), min(rated, self.discharge_limit_w))
        full, empty = self.soc_percent >= 100, self.soc_percent <= self.min_soc_percent
        stopped = not (self.plugged and self.remote and self.running)
        if stopped or (target < 0 and full) or (target > 0 and empty):
            target = 0.0
        if not self.plugged:
            self.power_w = 0.0
        self.power_w = approach(self.power_w, target, rated * self.ratings.ramp_percent_per_s / 100 * seconds)

    def _pass(self, seconds: float) -> None:
        imported, exported = self.imported_wh, self.exported_wh
        super()._pass(seconds)
        stored = (self.imported_wh - imported) * self.ratings.efficiency
        drawn = (self.exported_wh - exported) / self.ratings.efficiency
        change = 100 * (stored - drawn) / self.ratings.capacity_wh
        self.soc_percent = min(100.0, max(0.0, self.soc_percent + change))
