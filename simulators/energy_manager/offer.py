"""What every kind of manager publishes at the start of an interval."""

from dataclasses import dataclass

import numpy as np

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
