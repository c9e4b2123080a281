"""Carry out planned charging in physical steps, with chargers that cannot be throttled to nothing."""

import numpy as np

from feederloop.simulators.energy_manager.outlook import Vehicles
from feederloop.simulators.energy_manager.settings import Sites

_NEGLIGIBLE_KWH = 1e-3


class ChargerDispatch:
    """Meets each interval's planned energy by throttling, or below a charger's smallest power by switching.

    Args:
        sites: The prosumers' devices.
        step_s: Physical step in seconds.
    """

    def __init__(self, sites: Sites, step_s: float) -> None:
        self._sites, self._step_h = sites, step_s / 3600.0
        self._left_kwh = np.zeros(len(sites))
        self._end_s = 0.0

    def begin_interval(self, planned_kw: np.ndarray, plugged: np.ndarray, end_s: float, interval_h: float) -> None:
        """Take over a plan; charging that was missed until now is made good.

        Args:
            planned_kw: Mean power of the vehicles over the interval, discharging positive, (prosumers,).
            plugged: Whose vehicle is there now; what others missed is forgotten.
            end_s: When the interval ends, on the clock.
            interval_h: How long it is.
        """
        missed_kwh = np.where(plugged & (planned_kw <= 0.0), np.minimum(self._left_kwh, 0.0), 0.0)
        self._left_kwh = planned_kw * interval_h + missed_kwh
        self._end_s = end_s

    def step(self, now_s: float, vehicles: Vehicles) -> np.ndarray:
        """Return the set-points of the step that begins, discharging positive, (prosumers,) in kW."""
        sites = self._sites
        ends_s = np.minimum(self._end_s, vehicles.departure_s)
        hours = np.maximum((ends_s - now_s) / 3600.0, self._step_h)
        wanted = np.clip(self._left_kwh / hours, -sites.ev_charge_kw, sites.ev_discharge_kw)
        least = sites.charger_min_kw
        # Charging is rounded up to whole pulses, lest a vehicle leaves without the last of its energy.
        owed = (self._left_kwh < -_NEGLIGIBLE_KWH) | (self._left_kwh >= 0.5 * least * self._step_h)
        on = np.where(owed & (wanted != 0.0), np.copysign(least, wanted), 0.0)
        power = np.where(np.abs(wanted) >= least, wanted, on)
        here = vehicles.plugged & (vehicles.departure_s > now_s)
        power = np.where(here, power, 0.0) + 0.0
        self._left_kwh = self._left_kwh - power * self._step_h
        return power
