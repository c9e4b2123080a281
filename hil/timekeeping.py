"""Clocks that devices live by: the one on the wall, the same running faster, one that is pushed, or a recorded one.

Public: `WallClock(factor=1)`, `PushedClock()`, `RecordedClock(rate=1)`, all `DeviceClock`.
"""

import time
from typing import Protocol


class DeviceClock(Protocol):
    """The time that a device lives by, seconds, never running backwards."""

    def __call__(self) -> float:
        """Return the time now."""
        ...

    def at(self, moment: float) -> float:
        """Return the time that it was at the moment of a reading (`Reading.time`)."""
        ...


class WallClock:
    """The clock on the wall, running `factor` times as fast."""

    def __init__(self, factor: float = 1.0) -> None:
        self.rate = factor
        self._start = time.monotonic()

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self.at(time.monotonic())

    def at(self, moment: float) -> float:
        """Return the time at a moment of `time.monotonic()`."""
        return (moment - self._start) * self.rate


class PushedClock:
    """A clock that moves when it is told to, so that hours pass in the blink of an eye."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self._now

    def at(self, moment: float) -> float:
        """Return the time, which stood still since whatever moment."""
        return self._now

    def push(self, seconds: float) -> None:
        """Let seconds pass."""
        self._now += seconds


class RecordedClock:
    """The clock of a device that was recorded: put to each time that it showed, while readings keep their own.

    Attributes:
        rate: How fast it ran, device time per time on the wall.
    """

    def __init__(self, rate: float = 1.0) -> None:
        self.rate = rate
        self._now = 0.0

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self._now

    def at(self, moment: float) -> float:
        """Return the moment itself: recorded readings bear device time."""
        return moment

    def put(self, time_s: float) -> None:
        """Go to a recorded time."""
        self._now = max(self._now, time_s)
