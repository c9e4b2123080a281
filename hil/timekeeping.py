"""Clocks that devices live by: the one on the wall, the same running faster, or one that is pushed.

Public: `WallClock(factor=1)`, `PushedClock()`, both callable: seconds, never running backwards.
"""

import time


class WallClock:
    """The clock on the wall, running `factor` times as fast."""

    def __init__(self, factor: float = 1.0) -> None:
        self.rate = factor
        self._start = time.monotonic()

    def __call__(self) -> float:
        """Return the time, seconds."""
        return (time.monotonic() - self._start) * self.rate


class PushedClock:
    """A clock that moves when it is told to, so that hours pass in the blink of an eye."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self._now

    def push(self, seconds: float) -> None:
        """Let seconds pass."""
        self._now += seconds
