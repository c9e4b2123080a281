"""What managers of every kind do with a position: hand it to the local controllers, which hold it step by step."""

import numpy as np

from feederloop.simulators.energy_manager.controller import Commitment, Controller, SetPoints, later_charge_kwh
from feederloop.simulators.energy_manager.offer import Clock, Offer
from feederloop.simulators.energy_manager.outlook import Beliefs, Vehicles
from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff


class PositionHolder:
    """Holds the positions that somebody else has chosen.

    Args:
        sites: The prosumers' devices.
        clock: Periods.
        tariff: Prices over the whole run and a horizon beyond.
        options: How the managers decide.
    """

    def __init__(self, sites: Sites, clock: Clock, tariff: Tariff, options: Options) -> None:
        self._sites, self._clock, self._tariff, self._options = sites, clock, tariff, options
        self._controller = Controller(sites, clock.step_s, options.firm_pv_share)

    def begin_interval(
        self, now_s: int, beliefs: Beliefs, vehicles: Vehicles, told: tuple[np.ndarray, np.ndarray]
    ) -> Offer:
        """Take the position that is assigned for the interval that begins, and offer nothing.

        Args:
            now_s: Start of the interval on the clock.
            beliefs: Of the intervals from the current one on, shape (prosumers, horizon).
            vehicles: The vehicles now.
            told: The position for this interval in kWh, export positive; and what feeding in a kWh costs beside what
                the tariff says.
        """
        self._commit(now_s // self._clock.interval_s, told[0], beliefs, vehicles, adder_per_kwh=told[1])
        return self._offer_nothing(told[0])

    def step(self, now_s: int, household_kw: np.ndarray, pv_available_kw: np.ndarray, vehicles: Vehicles) -> SetPoints:
        """Return the set-points of the physical step that begins; see `controller.Controller.step`."""
        return self._controller.step(now_s, household_kw, pv_available_kw, vehicles)

    @property
    def _interval_h(self) -> float:
        return self._clock.interval_s / 3600.0

    def _starts_s(self, interval: int, count: int) -> np.ndarray:
        """Return when intervals begin on the clock."""
        starts: np.ndarray = self._clock.interval_s * np.arange(interval, interval + count, dtype=float)
        return starts

    def _offer_nothing(self, position_kwh: np.ndarray) -> Offer:
        return Offer(position_kwh, np.empty(0), np.empty((len(self._sites), 0)))

    def _commit(
        self,
        interval: int,
        position_kwh: np.ndarray,
        beliefs: Beliefs,
        vehicles: Vehicles,
        adder_per_kwh: np.ndarray | float = 0.0,
    ) -> None:
        """Hand the interval over to the controller."""
        later = beliefs.between(1, self._clock.horizon)
        starts_s = self._starts_s(interval + 1, self._clock.horizon - 1)
        later_kwh = later_charge_kwh(
            self._sites, later, vehicles, starts_s, self._clock.interval_s, self._options.firm_pv_share
        )
        earns = np.full(len(self._sites), self._tariff.feed_in_per_kwh[interval]) - adder_per_kwh
        end_s = float(starts_s[0])
        self._controller.commit(
            Commitment(
                position_kwh,
                beliefs.import_limit_kw[:, 0],
                beliefs.export_limit_kw[:, 0],
                later_kwh,
                earns < -self._options.curtailment_penalty_per_kwh,
                end_s,
            )
        )
