"""What a plan knows about the intervals ahead, put into the data of the planning problem."""

from dataclasses import dataclass, fields

import numpy as np

from feederloop.simulators.energy_manager.model import INTERVAL_DATA, SCALAR_DATA
from feederloop.simulators.energy_manager.settings import Sites
from feederloop.simulators.errors import InputError

#: Keeps a free discharge from being tied with standing still.
_LEAST_WEAR_PER_KWH = 1e-5


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Forecasts and limits from some interval on; arrays of shape (prosumers, intervals), in kW.

    Attributes:
        household_kw: Household power, export positive, hence at most zero.
        pv_available_kw: What the sun allows.
        import_limit_kw: Envelope towards import, at least zero.
        export_limit_kw: Envelope towards export, at least zero.
    """

    household_kw: np.ndarray
    pv_available_kw: np.ndarray
    import_limit_kw: np.ndarray
    export_limit_kw: np.ndarray

    def between(self, first: int, last: int) -> "Beliefs":
        """Return the intervals from first up to but without last."""
        return Beliefs(*(getattr(self, field.name)[:, first:last] for field in fields(self)))

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse values that are not finite, and negative sun or limits.

        Raises:
            InputError: Names the first prosumer concerned.
        """
        for field in fields(self):
            values = getattr(self, field.name)
            wrong = ~np.isfinite(values) if field.name == "household_kw" else ~((values >= 0) & np.isfinite(values))
            if wrong.any():
                prosumer, interval = (int(i) for i in np.argwhere(wrong)[0])
                key, value = f"{names[prosumer]}.{field.name}[{interval}]", float(values[prosumer, interval])
                raise InputError("value out of range", key=key, value=value, allowed="finite; limits and sun from 0")


@dataclass(frozen=True, eq=False)
class Vehicles:
    """The vehicles as last heard of; arrays of shape (prosumers,).

    Attributes:
        energy_kwh: Energy in the battery.
        plugged: Whether it is connected.
        departure_s: When it leaves, in seconds on the clock; any value where not plugged.
        required_kwh: Energy its driver needs at departure; any value where not plugged.
    """

    energy_kwh: np.ndarray
    plugged: np.ndarray
    departure_s: np.ndarray
    required_kwh: np.ndarray

    def share_plugged(self, starts_s: np.ndarray, length_s: float) -> np.ndarray:
        """Return the share of each period in which a vehicle now plugged is still there, shape (prosumers, periods)."""
        share = np.clip((self.departure_s[:, None] - starts_s[None, :]) / length_s, 0.0, 1.0)
        return np.where(self.plugged[:, None], share, 0.0)


@dataclass(frozen=True, eq=False)
class Outlook:
    """The data of the planning problem for all prosumers; names as in `model.INTERVAL_DATA` and `SCALAR_DATA`.

    Interval data have shape (prosumers, intervals), the others (prosumers,).
    """

    household_kw: np.ndarray
    pv_available_kw: np.ndarray
    import_limit_kw: np.ndarray
    export_limit_kw: np.ndarray
    charge_limit_kw: np.ndarray
    discharge_limit_kw: np.ndarray
    buy_price_per_kwh: np.ndarray
    sell_price_per_kwh: np.ndarray
    wear_per_kwh: np.ndarray
    initial_kwh: np.ndarray
    target_kwh: np.ndarray
    capacity_kwh: np.ndarray

    def of(self, prosumers: np.ndarray) -> "Outlook":
        """Return the outlook of some prosumers, given by their positions."""
        return Outlook(*(getattr(self, field.name)[prosumers] for field in fields(self)))

    def data(self) -> np.ndarray:
        """Return the data as one array (prosumers, data) in the order of the compiled problem."""
        scalars = [getattr(self, name)[:, None] for name in SCALAR_DATA]
        return np.hstack([*(getattr(self, name) for name in INTERVAL_DATA), *scalars])


def look_ahead(
    sites: Sites,
    beliefs: Beliefs,
    vehicles: Vehicles,
    prices: tuple[np.ndarray, np.ndarray],
    feed_in_per_kwh: np.ndarray,
    starts_s: np.ndarray,
    interval_s: float,
    curtailment_per_kwh: float,
    firm_pv_share: float,
) -> Outlook:
    """Put together what a plan needs.

    Sessions that have not begun are unknown and not planned. Charging is planned no higher than the controller will
    let it be, which holds the import limit with only a share of the sun.

    Args:
        sites: The prosumers' devices.
        beliefs: Of the planned intervals.
        vehicles: As expected at the start of the first planned interval.
        prices: What buying costs and selling earns, each of shape (prosumers, intervals).
        feed_in_per_kwh: Lowest price at which energy can be sold, shape (intervals,).
        starts_s: Start of each planned interval on the clock, shape (intervals,).
        interval_s: Length of an interval.
        curtailment_per_kwh: Penalty on unused sun.
        firm_pv_share: Share of the sun that charging may rely on.
    """
    beliefs.check(sites.names)
    shape = beliefs.household_kw.shape
    here = vehicles.share_plugged(starts_s, interval_s)
    return Outlook(
        household_kw=beliefs.household_kw,
        pv_available_kw=beliefs.pv_available_kw,
        import_limit_kw=beliefs.import_limit_kw,
        # A user's household series may feed in; what nobody can curtail is let through and counted at the meter.
        export_limit_kw=np.maximum(beliefs.export_limit_kw, beliefs.household_kw),
        charge_limit_kw=charging_room(sites, beliefs, firm_pv_share) * here,
        discharge_limit_kw=sites.ev_discharge_kw[:, None] * here,
        buy_price_per_kwh=np.broadcast_to(prices[0], shape),
        sell_price_per_kwh=np.broadcast_to(prices[1], shape),
        wear_per_kwh=_wear(sites, feed_in_per_kwh, curtailment_per_kwh, here),
        initial_kwh=np.clip(vehicles.energy_kwh, 0.0, sites.ev_capacity_kwh),
        target_kwh=_target(sites, vehicles, float(starts_s[0]), float(starts_s[-1]) + interval_s),
        capacity_kwh=sites.ev_capacity_kwh,
    )


def charging_room(sites: Sites, beliefs: Beliefs, firm_pv_share: float) -> np.ndarray:
    """Return the power the import limit leaves for charging, shape (prosumers, intervals) in kW.

    Room below the charger's smallest power is none.
    """
    room = beliefs.import_limit_kw + beliefs.household_kw + firm_pv_share * beliefs.pv_available_kw
    power = np.clip(room, 0.0, sites.ev_charge_kw[:, None])
    return np.where(power < sites.charger_min_kw[:, None], 0.0, power)


def _wear(sites: Sites, feed_in_per_kwh: np.ndarray, curtailment_per_kwh: float, here: np.ndarray) -> np.ndarray:
    """Return the wear per discharged kWh, raised to where charging and discharging at once never pays.

    Discharging d while charging d/η² leaves the battery as it is and consumes d·(1/η² - 1); discharging d while
    charging d makes room for as much in an interval to come. Either earns at most the highest price of getting rid of
    energy from now on while the vehicle is there: the negative of the feed-in price, or the penalty on unused sun.
    """
    burnt = 1.0 / sites.ev_efficiency**2 - 1.0
    riddance = np.where(here > 0.0, np.maximum(-feed_in_per_kwh, curtailment_per_kwh), curtailment_per_kwh)
    to_come = np.maximum.accumulate(riddance[:, ::-1], axis=1)[:, ::-1]
    least = burnt[:, None] * to_come + _LEAST_WEAR_PER_KWH
    wear: np.ndarray = np.maximum(sites.ev_wear_per_kwh[:, None], least)
    return wear


def _target(sites: Sites, vehicles: Vehicles, begin_s: float, end_s: float) -> np.ndarray:
    """Return the energy asked for at the horizon's end.

    A vehicle that leaves within the horizon needs what its driver requires. One that leaves later needs a share of the
    way there in proportion to time, and at least what makes the rest reachable, so that charging is not put off for
    ever.
    """
    leaves_later = vehicles.departure_s > end_s
    span_s = np.where(leaves_later, vehicles.departure_s - begin_s, 1.0)
    share = np.where(leaves_later, (end_s - begin_s) / span_s, 1.0)
    energy = np.clip(vehicles.energy_kwh, 0.0, sites.ev_capacity_kwh)
    in_proportion = energy + (vehicles.required_kwh - energy) * share
    later_h = np.where(leaves_later, vehicles.departure_s - end_s, 0.0) / 3600.0
    reachable = vehicles.required_kwh - sites.ev_efficiency * sites.ev_charge_kw * later_h
    target = np.where(leaves_later, np.maximum(in_proportion, reachable), vehicles.required_kwh)
    present = vehicles.plugged & (vehicles.departure_s > begin_s)
    return np.where(present, np.clip(target, 0.0, sites.ev_capacity_kwh), 0.0)
