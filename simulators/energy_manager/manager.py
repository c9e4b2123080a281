"""The energy managers of all prosumers through the intervals: offer, take a position, carry it out."""

import numpy as np

from feederloop.simulators.energy_manager.holder import PositionHolder
from feederloop.simulators.energy_manager.offer import Clock, Offer
from feederloop.simulators.energy_manager.outlook import Beliefs, Outlook, Vehicles, charging_room, look_ahead
from feederloop.simulators.energy_manager.planner import Planner
from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff
from feederloop.simulators.errors import InputError


class EnergyManagers(PositionHolder):
    """Managers that optimise.

    At the start of interval k they take their position for k from what was traded, and plan k+1, … inside the limits.
    Later intervals are expected to be priced as by the retailer, or locally as the prosumer itself last traded at that
    time of day.

    Args:
        sites: The prosumers' devices.
        clock: Periods.
        tariff: Prices over the whole run and a horizon beyond.
        options: How they decide.
    """

    def __init__(self, sites: Sites, clock: Clock, tariff: Tariff, options: Options) -> None:
        super().__init__(sites, clock, tariff, options)
        self._planner = Planner(sites, clock.horizon - 1, clock.interval_s, options.weights)
        self._last_traded_at = np.full((len(sites), max(clock.slot_of_interval) + 1), np.nan)
        self._offered_kwh: np.ndarray | None = None

    def begin_interval(
        self,
        now_s: int,
        beliefs: Beliefs,
        vehicles: Vehicles,
        told: tuple[np.ndarray, np.ndarray],
    ) -> Offer:
        """Take a position for the interval that begins and offer one for the next.

        Args:
            now_s: Start of the interval on the clock.
            beliefs: Of the intervals from the current one on, shape (prosumers, horizon).
            vehicles: The vehicles now.
            told: Energy traded for this interval in kWh (sold positive) and its price per kWh.
        """
        interval = now_s // self._clock.interval_s
        self._check_span(interval)
        self._remember(interval, *told)
        position_kwh = self._take_position(interval, beliefs, vehicles, told[0])
        self._commit(interval, position_kwh, beliefs, vehicles)
        outlook = self._outlook(
            interval, 1, beliefs, self._expected_vehicles(interval, position_kwh, beliefs, vehicles)
        )
        prices = np.linspace(*self._tariff.local_range(interval + 1), self._options.curve_points)
        buy, sell = self._tariff.with_local(prices[:, None], slice(interval + 1, interval + 2))
        curve_kw = self._planner.net_position_curve(outlook, buy[:, 0], sell[:, 0])
        self._offered_kwh = curve_kw * self._interval_h
        return Offer(position_kwh, prices, self._offered_kwh)

    def _check_span(self, interval: int) -> None:
        """Refuse to run past the prices."""
        needed, given = interval + self._clock.horizon, len(self._tariff.retail_per_kwh)
        if given < needed:
            allowed = f"at least {needed} values, one per interval of run and horizon"
            raise InputError("prices end before the horizon", key="tariff.retail_per_kwh", value=given, allowed=allowed)

    def _remember(self, interval: int, traded_kwh: np.ndarray, price_per_kwh: np.ndarray) -> None:
        """Keep the price each prosumer got or paid at this time of day."""
        slot = self._clock.slot_of_interval[interval]
        at = self._last_traded_at[:, slot]
        self._last_traded_at[:, slot] = np.where(traded_kwh != 0.0, price_per_kwh, at)

    def _take_position(self, interval: int, beliefs: Beliefs, vehicles: Vehicles, traded_kwh: np.ndarray) -> np.ndarray:
        """Return the position for the current interval in kWh.

        What was traded holds; beyond it a prosumer buys from the retailer what it wants even at the retail price, and
        sells to it what it offers even at the feed-in price. Before the first market it plans by the tariff alone.
        """
        if self._offered_kwh is None:
            return self._planned_kwh(interval, beliefs, vehicles)
        position = np.clip(traded_kwh, self._offered_kwh[:, 0], self._offered_kwh[:, -1])
        # A limit may have come after the offer: what was not traded is curtailed where the network does not bear it.
        limited: np.ndarray = np.minimum(position, beliefs.export_limit_kw[:, 0] * self._interval_h)
        return limited

    def _planned_kwh(self, interval: int, beliefs: Beliefs, vehicles: Vehicles) -> np.ndarray:
        """Return the positions in kWh that plans from the current interval on begin with."""
        plan = self._planner.plan(self._outlook(interval, 0, beliefs, vehicles))
        return plan.position_kw[:, 0] * self._interval_h

    def _outlook(self, interval: int, skip: int, beliefs: Beliefs, vehicles: Vehicles) -> Outlook:
        """Return the outlook on the planned intervals, which begin `skip` after the current one."""
        count = self._clock.horizon - 1
        window = slice(interval + skip, interval + skip + count)
        expected = self._last_traded_at[:, list(self._clock.slot_of_interval[window])]
        return look_ahead(
            self._sites,
            beliefs.between(skip, skip + count),
            vehicles,
            self._tariff.with_local(expected, window),
            self._tariff.feed_in_per_kwh[window],
            self._starts_s(interval + skip, count),
            self._clock.interval_s,
            self._options.curtailment_penalty_per_kwh,
            self._options.firm_pv_share,
        )

    def _expected_vehicles(
        self, interval: int, position_kwh: np.ndarray, beliefs: Beliefs, vehicles: Vehicles
    ) -> Vehicles:
        """Return the vehicles as they will be at the interval's end if its position is carried out as forecast."""
        sites, efficiency = self._sites, self._sites.ev_efficiency
        here = vehicles.share_plugged(self._starts_s(interval, 1), self._clock.interval_s)[:, 0]
        room = charging_room(sites, beliefs.between(0, 1), self._options.firm_pv_share)[:, 0]
        power = position_kwh / self._interval_h - beliefs.household_kw[:, 0] - beliefs.pv_available_kw[:, 0]
        power = np.clip(power, -room * here, sites.ev_discharge_kw * here)
        stored = np.where(power < 0, -efficiency * power, -power / efficiency) * self._interval_h
        energy = np.clip(vehicles.energy_kwh + stored, 0.0, sites.ev_capacity_kwh)
        return Vehicles(energy, vehicles.plugged, vehicles.departure_s, vehicles.required_kwh)


class TariffManagers(EnergyManagers):
    """Managers without a local market: they plan against the retailer's prices, at the start of every interval anew.

    Nothing is traded ahead, so that no gate closes and the latest forecasts count.
    """

    def begin_interval(
        self, now_s: int, beliefs: Beliefs, vehicles: Vehicles, told: tuple[np.ndarray, np.ndarray]
    ) -> Offer:
        """Take the position planned for the interval that begins, and offer nothing; nobody is told anything."""
        interval = now_s // self._clock.interval_s
        self._check_span(interval)
        position_kwh = self._planned_kwh(interval, beliefs, vehicles)
        self._commit(interval, position_kwh, beliefs, vehicles)
        return self._offer_nothing(position_kwh)
