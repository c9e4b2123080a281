"""Prosumers who plan nothing: charge on arrival, export everything; heeding no limit, or by a simple control of it.

What they will do is still announced, as a net position that answers to no price.
"""

import numpy as np

from feederloop.simulators.energy_manager.controller import SetPoints
from feederloop.simulators.energy_manager.offer import Clock, Offer
from feederloop.simulators.energy_manager.outlook import Beliefs, Vehicles
from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff


class UnmanagedSites:
    """The same face as `manager.EnergyManagers`, without a decision behind it.

    Chargers get no set-point and inverters no limit, so that each follows its own rule.

    Args:
        sites: The prosumers' devices.
        clock: Periods.
        tariff: Prices; they only set the prices at which the one position is announced.
        options: Number of points on the curve.
    """

    def __init__(self, sites: Sites, clock: Clock, tariff: Tariff, options: Options) -> None:
        self._sites, self._clock, self._tariff, self._options = sites, clock, tariff, options

    def begin_interval(
        self,
        now_s: int,
        beliefs: Beliefs,
        vehicles: Vehicles,
        told: tuple[np.ndarray, np.ndarray],
    ) -> Offer:
        """Announce what will happen in the current interval and the next; arguments as of the manager's."""
        interval, length_s = now_s // self._clock.interval_s, self._clock.interval_s
        length_h = length_s / 3600.0
        here = vehicles.share_plugged(now_s + length_s * np.arange(2.0), length_s)
        full_kwh = self._sites.ev_charge_kw[:, None] * here * length_h
        missing = np.maximum(vehicles.required_kwh - vehicles.energy_kwh, 0.0) / self._sites.ev_efficiency
        drawn_kwh = np.diff(np.minimum(full_kwh.cumsum(axis=1), missing[:, None]), axis=1, prepend=0.0)
        position_kwh = (beliefs.household_kw + beliefs.pv_available_kw)[:, :2] * length_h - drawn_kwh
        prices = np.linspace(*self._tariff.local_range(interval + 1), self._options.curve_points)
        curve_kwh = np.repeat(position_kwh[:, 1:], len(prices), axis=1)
        return Offer(position_kwh[:, 0], prices, curve_kwh)

    def step(self, now_s: int, household_kw: np.ndarray, pv_available_kw: np.ndarray, vehicles: Vehicles) -> SetPoints:
        """Return no set-points (NaN)."""
        nothing = np.full(len(self._sites), np.nan)
        return SetPoints(nothing, nothing)


class LimitedSites(UnmanagedSites):
    """Charge on arrival and export everything as far as the limits allow, without looking ahead.

    What export and import limitation at the connection point does: charging is throttled to what the household leaves
    of the import limit, and stops below the charger's smallest power; the inverter is throttled to what household and
    vehicle leave of the export limit. Vehicles charge up to what the driver requires.
    """

    def __init__(self, sites: Sites, clock: Clock, tariff: Tariff, options: Options) -> None:
        super().__init__(sites, clock, tariff, options)
        self._limits = sites.import_cap_kw, sites.export_cap_kw

    def begin_interval(
        self,
        now_s: int,
        beliefs: Beliefs,
        vehicles: Vehicles,
        told: tuple[np.ndarray, np.ndarray],
    ) -> Offer:
        """Take note of the limits and announce what would happen without them."""
        self._limits = beliefs.import_limit_kw[:, 0], beliefs.export_limit_kw[:, 0]
        return super().begin_interval(now_s, beliefs, vehicles, told)

    def step(self, now_s: int, household_kw: np.ndarray, pv_available_kw: np.ndarray, vehicles: Vehicles) -> SetPoints:
        """Return what charger and inverter are throttled to."""
        sites, (import_kw, export_kw) = self._sites, self._limits
        missing_kwh = np.maximum(vehicles.required_kwh - vehicles.energy_kwh, 0.0)
        battery_kw = missing_kwh / (sites.ev_efficiency * self._clock.step_s / 3600.0)
        room_kw = np.clip(import_kw + household_kw, 0.0, sites.ev_charge_kw)
        # A battery that is all but full draws less than the charger's smallest power over a step.
        asked = np.where((room_kw < sites.charger_min_kw) | (missing_kwh <= 0.0), 0.0, room_kw)
        asked = np.where(vehicles.plugged & (vehicles.departure_s > now_s), asked, 0.0)
        asked = np.where(battery_kw < asked, np.maximum(battery_kw, np.minimum(sites.charger_min_kw, asked)), asked)
        limit_kw = np.maximum(export_kw - household_kw + np.minimum(asked, battery_kw), 0.0)
        return SetPoints(0.0 - asked, limit_kw)
