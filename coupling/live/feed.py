"""The only thing that the clock's thread ever does for the live page: to hand over a reference."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_STEPS = 512
"""Steps that may wait to be taken; should the page not keep up, the oldest are let go."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was recorded in one step.

    Attributes:
        time_s: Seconds since the run's start.
        wall_s: When it was recorded, monotonic seconds.
        tables: By name the pyarrow record batch written, of the tables that were due.
    """

    time_s: int
    wall_s: float
    tables: Mapping[str, Any]


class Feed:
    """Steps on their way from the clock's thread to that of the page."""

    def __init__(self) -> None:
        self._waiting: deque[Step] = deque(maxlen=MOST_STEPS)

    def put(self, time_s: int, tables: Mapping[str, Any]) -> None:
        """Hand over what was recorded; takes about a microsecond and never waits."""
        self._waiting.append(Step(time_s, time.monotonic(), tables))

    def take(self) -> list[Step]:
        """Return what has come since the last call, oldest first."""
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken
