"""Prosumers who manage nothing: charge on arrival, export everything, heed no limit.

Their chargers get no set-point and their inverters no limit, so that each follows its own rule. What they will do is
still announced, as a net position that answers to no price.
"""

import numpy as np

from feederloop.simulators.energy_manager.controller import SetPoints
from feederloop.simulators.energy_manager.offer import Clock, Offer
from feederloop.simulators.energy_manager.outlook import Beliefs, Vehicles
from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff


class UnmanagedSites:
    """The same face as `manager.EnergyManagers`, without a decision behind it.

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
        traded: tuple[np.ndarray, np.ndarray],
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
