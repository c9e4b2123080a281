"""What each prosumer's devices do in every physical step: hold the envelope, then the position.

In order of priority:

1. The envelope. What the household draws in this step is known, what the sun does is not. The inverter's limit leaves
   exactly the room to the export limit that household and vehicle leave; charging never draws more than the import
   limit leaves without the sun (but for the share that may be relied on); a vehicle that may discharge does so where
   the household alone exceeds the limit. A household above the limit without such a vehicle is a breach nobody can
   help, and is counted at the meter.
2. The driver. Where the energy required at departure could otherwise no longer be reached, the vehicle charges at full
   power, and it never discharges below what can still be made good.
3. The position. The vehicle makes up for what household and sun leave of the interval's position, spread over the
   time that remains, so that errors early in an interval are evened out later. The sun is used first, then the battery.
4. A charger with a smallest power is switched on at that power or off, whichever is closer; what that misses is
   carried over within the interval.

The sun is curtailed below the envelope only where feeding in costs money.
"""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.energy_manager.outlook import Beliefs, Vehicles, charging_room
from feederloop.simulators.energy_manager.settings import Sites

#: Share of the room for charging in later intervals that the guard counts on: limits and demand may still change.
_TRUST_IN_LATER = 0.9


@dataclass(frozen=True, eq=False)
class Commitment:
    """What holds in the current interval; arrays of shape (prosumers,).

    Attributes:
        position_kwh: Energy to be exported in the interval.
        import_limit_kw: Envelope towards import.
        export_limit_kw: Envelope towards export.
        later_charge_kwh: Energy that can still be stored after this interval, until departure.
        curtail_to_position: Whether feeding in beyond the position costs the prosumer money.
        end_s: End of the interval on the clock.
    """

    position_kwh: np.ndarray
    import_limit_kw: np.ndarray
    export_limit_kw: np.ndarray
    later_charge_kwh: np.ndarray
    curtail_to_position: np.ndarray
    end_s: float


@dataclass(frozen=True, eq=False)
class SetPoints:
    """What the devices are told for a step; arrays of shape (prosumers,).

    Attributes:
        ev_kw: Power of the vehicle, discharging positive.
        pv_limit_kw: What the inverter may feed in at most.
    """

    ev_kw: np.ndarray
    pv_limit_kw: np.ndarray


def later_charge_kwh(
    sites: Sites, beliefs: Beliefs, vehicles: Vehicles, starts_s: np.ndarray, interval_s: float, firm_pv_share: float
) -> np.ndarray:
    """Return the energy that the envelopes ahead leave for charging until departure, shape (prosumers,).

    Args:
        sites: The prosumers' devices.
        beliefs: Of the intervals ahead.
        vehicles: As last heard of.
        starts_s: Start of each of these intervals on the clock, shape (intervals,).
        interval_s: Length of an interval.
        firm_pv_share: Share of the forecast sun that charging may rely on.
    """
    power = charging_room(sites, beliefs, firm_pv_share) * vehicles.share_plugged(starts_s, interval_s)
    end_s = float(starts_s[-1]) + interval_s
    beyond_h = np.where(vehicles.plugged, np.maximum(vehicles.departure_s - end_s, 0.0), 0.0) / 3600.0
    drawn_kwh = power.sum(axis=1) * interval_s / 3600.0 + sites.ev_charge_kw * beyond_h
    energy: np.ndarray = _TRUST_IN_LATER * sites.ev_efficiency * drawn_kwh
    return energy


class Controller:
    """The local controllers of all prosumers.

    Args:
        sites: The prosumers' devices.
        step_s: Physical step in seconds.
        firm_pv_share: Share of the PV power last measured that charging may rely on.
    """

    def __init__(self, sites: Sites, step_s: float, firm_pv_share: float) -> None:
        self._sites, self._step_s, self._firm_pv_share = sites, step_s, firm_pv_share
        self._commitment: Commitment | None = None
        self._exported_kwh = np.zeros(len(sites))
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def commit(self, commitment: Commitment) -> None:
        """Take over what holds in the interval that begins."""
        self._commitment = commitment
        self._exported_kwh = np.zeros(len(self._sites))
        self._before = None

    def step(
        self, now_s: float, household_kw: np.ndarray, pv_available_kw: np.ndarray, vehicles: Vehicles
    ) -> SetPoints:
        """Return the set-points for the step that begins.

        Args:
            now_s: Time on the clock.
            household_kw: Household power in this step, export positive, shape (prosumers,).
            pv_available_kw: What the sun allowed in the previous step, shape (prosumers,).
            vehicles: The vehicles at the beginning of the step.
        """
        assert self._commitment is not None, "commit to an interval first"
        commitment = self._commitment
        self._book(pv_available_kw)
        target = (commitment.position_kwh - self._exported_kwh) * 3600.0 / (commitment.end_s - now_s)
        wanted = target - household_kw - pv_available_kw
        asked, moves = self._vehicle(now_s, wanted, household_kw, pv_available_kw, vehicles)
        # A vehicle that leaves within the step stops charging before the step ends: then nothing absorbs its share.
        stays = vehicles.departure_s >= now_s + self._step_s
        absorbed = np.where(stays, moves, np.maximum(moves, 0.0))
        limit = np.maximum(commitment.export_limit_kw - household_kw - absorbed, 0.0)
        to_position = np.minimum(limit, np.maximum(target - household_kw - moves, 0.0))
        limit = np.where(commitment.curtail_to_position, to_position, limit)
        self._before = (household_kw + moves, limit)
        return SetPoints(asked, limit)

    def _book(self, pv_available_kw: np.ndarray) -> None:
        """Add what was exported in the step before, now that its sun is known."""
        if self._before is not None:
            without_sun_kw, limit_kw = self._before
            exported_kw = without_sun_kw + np.minimum(pv_available_kw, limit_kw)
            self._exported_kwh = self._exported_kwh + exported_kw * self._step_s / 3600.0

    def _vehicle(
        self, now_s: float, wanted_kw: np.ndarray, household_kw: np.ndarray, pv_kw: np.ndarray, vehicles: Vehicles
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the power nearest to what is wanted that envelope, battery and driver allow.

        Returns:
            What the charger is told, and what the battery makes of it: one that is all but full takes less than the
            charger's smallest power over a step.
        """
        sites, commitment, step_h = self._sites, self._commitment, self._step_s / 3600.0
        assert commitment is not None
        battery_in = np.maximum(sites.ev_capacity_kwh - vehicles.energy_kwh, 0.0) / (sites.ev_efficiency * step_h)
        battery_out = np.maximum(vehicles.energy_kwh, 0.0) * sites.ev_efficiency / step_h
        room_in = commitment.import_limit_kw + household_kw + self._firm_pv_share * pv_kw
        room_out = commitment.export_limit_kw - household_kw - pv_kw
        charge = np.clip(room_in, 0.0, sites.ev_charge_kw)
        discharge = np.clip(room_out, 0.0, np.minimum(sites.ev_discharge_kw, battery_out))
        rescue = np.minimum(np.maximum(-room_in, 0.0), np.minimum(sites.ev_discharge_kw, battery_out))

        floor_kwh = vehicles.required_kwh - self._still_stored_kwh(now_s, charge, vehicles)
        spare_kw = (vehicles.energy_kwh - floor_kwh) * sites.ev_efficiency / step_h
        late = vehicles.energy_kwh < floor_kwh
        highest = np.where(late, -charge, np.clip(spare_kw, 0.0, discharge))
        power = self._switched(np.clip(wanted_kw, -charge, highest), -charge, highest)
        least = np.minimum(sites.charger_min_kw, sites.ev_discharge_kw)
        rescue = np.where((rescue > 0) & (rescue < least), least, rescue)
        rescue = np.where(rescue > commitment.export_limit_kw - household_kw, 0.0, rescue)
        power = np.where(rescue > 0, np.maximum(power, rescue), power)
        here = vehicles.plugged & (vehicles.departure_s > now_s)
        asked = np.where(here, power, 0.0) + 0.0  # no negative zero
        return asked, np.clip(asked, -battery_in, battery_out)

    def _still_stored_kwh(self, now_s: float, charge_kw: np.ndarray, vehicles: Vehicles) -> np.ndarray:
        """Return the energy that can be stored from the next step until departure."""
        assert self._commitment is not None
        ends_s = np.minimum(self._commitment.end_s, vehicles.departure_s)
        rest_h = np.maximum(ends_s - now_s - self._step_s, 0.0) / 3600.0
        stored: np.ndarray = self._sites.ev_efficiency * charge_kw * rest_h + self._commitment.later_charge_kwh
        return stored

    def _switched(self, power_kw: np.ndarray, lowest_kw: np.ndarray, highest_kw: np.ndarray) -> np.ndarray:
        """Move powers below the charger's smallest to that or to nothing, whichever is nearer and allowed."""
        least = self._sites.charger_min_kw
        on = np.copysign(least, power_kw)
        allowed = (on >= lowest_kw) & (on <= highest_kw)
        near = np.where(allowed & (np.abs(power_kw) >= 0.5 * least), on, 0.0)
        return np.where((np.abs(power_kw) >= least) | (power_kw == 0.0), power_kw, near)
