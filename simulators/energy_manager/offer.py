"""What every kind of manager publishes at the start of an interval."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.energy_manager.outlook import Beliefs
from feederloop.simulators.energy_manager.settings import Sites
from feederloop.simulators.errors import InputError


@dataclass(frozen=True)
class Clock:
    """The periods of the scenario.

    Attributes:
        step_s: Physical step in seconds.
        interval_s: Market interval in seconds, a multiple of the step.
        horizon: Intervals in every list, from the current one on.
        slot_of_interval: Which time of day each interval of the clock has, as a number from 0.
    """

    step_s: int
    interval_s: int
    horizon: int
    slot_of_interval: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.step_s <= 0 or self.interval_s <= 0 or self.interval_s % self.step_s:
            raise InputError("interval does not fit", key="interval_s", value=self.interval_s, allowed="n x step_s")
        if self.horizon < 2:
            raise InputError("horizon too short", key="horizon", value=self.horizon, allowed="at least 2")


@dataclass(frozen=True, eq=False)
class Offer:
    """What the managers publish at the start of interval k; arrays of shape (prosumers, …).

    Attributes:
        position_kwh: Position taken for k, export positive.
        curve_price_per_kwh: Local prices, ascending, shape (points,).
        curve_kwh: Position for k+1 at each of them, never falling.
    """

    position_kwh: np.ndarray
    curve_price_per_kwh: np.ndarray
    curve_kwh: np.ndarray


def charging_need(
    sites: Sites,
    energy_kwh: np.ndarray,
    required_kwh: np.ndarray,
    departure_s: np.ndarray,
    share_plugged: np.ndarray,
    from_s: float,
) -> np.ndarray:
    """Return the even charging power that brings every vehicle to what its driver needs, (prosumers, horizon) in kW.

    Args:
        sites: The prosumers' devices.
        energy_kwh: In the batteries now.
        required_kwh: At departure.
        departure_s: When they leave, in seconds on the clock.
        share_plugged: Share of each interval in which they are there, (prosumers, horizon).
        from_s: Start of the first interval.
    """
    missing_kwh = np.maximum(required_kwh - energy_kwh, 0.0) / sites.ev_efficiency
    hours = np.maximum((departure_s - from_s) / 3600.0, 1e-9)
    rate_kw = np.minimum(missing_kwh / hours, sites.ev_charge_kw)
    need: np.ndarray = rate_kw[:, None] * share_plugged
    return need


def site_requests(
    sites: Sites, beliefs: Beliefs, demand_kw: np.ndarray, connected: np.ndarray, margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the sites could physically export and import in k+1, …, k+H, each (prosumers, horizon) in kW.

    The lists begin with k+1 because the envelope controller reads them when k+1 has become the current interval.
    Without a forecast for k+H, its value is that of k+H-1.

    Args:
        sites: The prosumers' devices.
        beliefs: Of k, …, k+H-1.
        demand_kw: High quantile of household demand in the same intervals, at least zero.
        connected: Whether a vehicle now connected will still be there in k+1, k+2, …, shape (prosumers, m). The charger
            of later intervals counts anyway, as a vehicle may come until then.
        margin: How much more sun than forecast to allow for, as a share.
    """
    horizon = beliefs.household_kw.shape[1]
    ahead = [*range(1, horizon), horizon - 1]
    sun = np.minimum(beliefs.pv_available_kw[:, ahead] * (1.0 + margin), sites.inverter_kw[:, None])
    counts = np.ones((len(sites), horizon), dtype=bool)
    known = min(connected.shape[1], horizon)
    counts[:, :known] = connected[:, :known]
    export = sun + np.where(counts, sites.ev_discharge_kw[:, None], 0.0)
    imports = demand_kw[:, ahead] + np.where(counts, sites.ev_charge_kw[:, None], 0.0)
    return np.clip(export, 0.0, sites.export_cap_kw[:, None]), np.clip(imports, 0.0, sites.import_cap_kw[:, None])
