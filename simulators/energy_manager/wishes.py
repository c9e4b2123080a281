"""What ranges of power the sites ask the DSO for, interval by interval.

A right that is asked for and not used takes room from everybody else, because the envelopes hold for every use of every
right. So a site asks for what it could come to want, and not for what its ratings could do:

- export: the forecast sun with a margin, and what its vehicle would discharge at the best price there can be;
- import: a high quantile of household demand with a margin, and what its vehicle would charge at the best price there
  can be, less the share of the forecast sun that may be relied on.

For a vehicle that discharges it does not ask where no price of the interval pays for wear and for charging again before
it leaves; for one that charges, not for more than it lacks, nor where energy will be cheaper for certain. What it needs
to be ready in time it asks for in any case. Vehicles that are not there may come with any state of charge, other than
within the intervals that are about to begin.
"""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.energy_manager.outlook import Beliefs, Vehicles
from feederloop.simulators.energy_manager.settings import Sites, Tariff

_KNOWN_INTERVALS = 2
"""Whoever is not there when these are asked for is taken not to come before they end."""


@dataclass(frozen=True, eq=False)
class PriceRange:
    """Best prices that there can be in each interval, each array [intervals], per kWh.

    Attributes:
        lowest_buy: Of a kWh bought.
        certain_buy: At which a kWh can be bought in any case: the retailer's.
        highest_sell: Of a kWh sold.
    """

    lowest_buy: np.ndarray
    certain_buy: np.ndarray
    highest_sell: np.ndarray

    @classmethod
    def of(cls, tariff: Tariff, intervals: slice, *, local: bool) -> "PriceRange":
        """Read the range off a tariff; without a local market its prices are all there is."""
        retail, feed_in = tariff.retail_per_kwh[intervals], tariff.feed_in_per_kwh[intervals]
        if not local:
            return cls(retail, retail, feed_in)
        lowest, _ = tariff.with_local(np.array([-np.inf]), intervals)
        _, highest = tariff.with_local(np.array([np.inf]), intervals)
        return cls(lowest, retail, highest)


def charging_need(sites: Sites, vehicles: Vehicles, there: np.ndarray, from_s: float) -> np.ndarray:
    """Return the even charging power that brings every vehicle to what its driver needs, (prosumers, intervals) in kW.

    Args:
        sites: The prosumers' devices.
        vehicles: As last heard of.
        there: Share of each interval in which the vehicle now plugged is still there, (prosumers, intervals).
        from_s: Start of the first interval on the clock.
    """
    missing_kwh = np.maximum(vehicles.required_kwh - vehicles.energy_kwh, 0.0) / sites.ev_efficiency
    hours = np.maximum((vehicles.departure_s - from_s) / 3600.0, 1e-9)
    rate_kw = np.minimum(missing_kwh / hours, sites.ev_charge_kw)
    need: np.ndarray = rate_kw[:, None] * there
    return need


def vehicle_wishes(
    sites: Sites, vehicles: Vehicles, there: np.ndarray, prices: PriceRange | None, interval_h: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the most that vehicles could want to charge and to discharge, each (prosumers, intervals) in kW.

    Args:
        sites: The prosumers' devices.
        vehicles: As last heard of.
        there: As of `charging_need`.
        prices: Best prices of the same intervals; none for who answers to no price.
        interval_h: Length of an interval in hours.
    """
    plugged = there > 0.0
    possible = plugged.copy()
    possible[:, _KNOWN_INTERVALS:] = True
    charge = np.where(possible, sites.ev_charge_kw[:, None], 0.0)
    discharge = np.where(possible, sites.ev_discharge_kw[:, None], 0.0)
    if prices is None:
        return charge, discharge
    efficiency = sites.ev_efficiency[:, None]
    again = _cheapest_later(prices.lowest_buy, plugged)
    certain = _cheapest_later(prices.certain_buy, plugged)
    charge = np.where(prices.lowest_buy[None, :] <= certain, charge, 0.0)
    only_charges = plugged & (sites.ev_discharge_kw[:, None] == 0.0)
    full_kwh = np.where(
        prices.lowest_buy[None, :] < 0.0, sites.ev_capacity_kwh[:, None], vehicles.required_kwh[:, None]
    )
    lacks_kw = np.maximum(full_kwh - vehicles.energy_kwh[:, None], 0.0) / (efficiency * interval_h)
    lacks_kw = np.where(lacks_kw > 0.0, np.maximum(lacks_kw, sites.charger_min_kw[:, None]), 0.0)
    charge = np.where(only_charges, np.minimum(charge, lacks_kw), charge)

    gain = prices.highest_sell[None, :] - sites.ev_wear_per_kwh[:, None]
    spare_kwh = np.maximum(vehicles.energy_kwh - vehicles.required_kwh, 0.0)
    spare_kw = np.where(plugged & (gain > 0.0), (spare_kwh * sites.ev_efficiency)[:, None] / interval_h, 0.0)
    discharge = np.where(gain > again / efficiency**2, discharge, np.minimum(discharge, spare_kw))
    return charge, discharge


def site_requests(
    sites: Sites,
    beliefs: Beliefs,
    demand_kw: np.ndarray,
    vehicle_kw: tuple[np.ndarray, np.ndarray],
    margin: float,
    firm_pv_share: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the export and the import that the sites ask for, each (prosumers, intervals) in kW.

    Args:
        sites: The prosumers' devices.
        beliefs: Of the intervals asked for.
        demand_kw: High quantile of household demand in these intervals, at least zero.
        vehicle_kw: The most that vehicles could charge and discharge, see `vehicle_wishes`.
        margin: How much more sun or demand than foreseen to allow for, as a share.
        firm_pv_share: Share of the forecast sun that import may rely on.
    """
    charge_kw, discharge_kw = vehicle_kw
    sun_kw = beliefs.pv_available_kw
    export = np.minimum(sun_kw * (1.0 + margin), sites.inverter_kw[:, None]) + discharge_kw
    imports = demand_kw * (1.0 + margin) + charge_kw - firm_pv_share * sun_kw
    return np.clip(export, 0.0, sites.export_cap_kw[:, None]), np.clip(imports, 0.0, sites.import_cap_kw[:, None])


def _cheapest_later(price: np.ndarray, plugged: np.ndarray) -> np.ndarray:
    """Return the lowest price at which charging may follow, (prosumers, intervals); infinite if none can.

    A vehicle that is here can charge until it leaves. When one that is away can, nobody knows: at the lowest of all.
    """
    until_departure = np.where(plugged, price[None, :], np.inf)
    from_here = np.minimum.accumulate(until_departure[:, ::-1], axis=1)[:, ::-1]
    later = np.hstack([from_here[:, 1:], np.full((len(plugged), 1), np.inf)])
    return np.where(plugged, later, price.min())
