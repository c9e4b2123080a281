"""The clock on the wall, as a simulator that all others follow: a step begins when its time has come, not before.

mosaik's own real-time factor is not used: it only warns when it is late, and blocks the event loop meanwhile. This one
sleeps without holding up anybody, says how late every step began, and ends a run that can no longer keep up. While it
is paused no step begins, and all that follow are later by as long.
"""

import asyncio
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import mosaik_api_v3

from feederloop.coupling.pausing import Pause, open_pause

META: dict[str, Any] = {
    "type": "time-based",
    "models": {"Clock": {"public": True, "params": [], "attrs": ["time_s", "late_s"]}},
}
_CLOSE_S = 0.002
"""The event loop sleeps to within a millisecond; the rest is waited for in small pieces."""
_PAUSED_S, _LONGEST_NAP_S = 0.02, 0.1
"""A clock that is stopped looks for the end of its pause; one that sleeps, for the beginning of one."""


class ClockSimulator(mosaik_api_v3.Simulator):
    """Holds back each step until its time on the wall; put out with it is how late it began, in seconds on the wall."""

    def __init__(self) -> None:
        super().__init__(META)
        self._began: float | None = None
        self._time_s, self._late_s = 0, 0.0

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        step_s: float,
        factor: float = 1.0,
        tolerance_s: float = 0.0,
        pause: str = "",
    ) -> Any:
        """Set the clock.

        Args:
            sid: The simulator's id on the clock.
            time_resolution: Seconds per unit of time.
            step_s: Physical step in units of time.
            factor: Simulated seconds per second on the wall.
            tolerance_s: Lateness on the wall at which the run ends; 0: one physical step.
            pause: Key of the pause by which the clock can be stopped; without, it cannot.
        """
        self._step, self._factor = int(step_s), factor / time_resolution
        self._tolerance_s = tolerance_s or step_s / self._factor
        self._pause = open_pause(pause) if pause else Pause()
        return self.meta

    def create(self, num: int, model: str) -> list[dict[str, Any]]:  # type: ignore[override]
        """Create the one clock."""
        if num != 1:
            raise ValueError(f"there is one clock, not {num}")
        return [{"eid": "Clock", "type": model}]

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> Generator[Any, Any, int]:  # type: ignore[override]
        """Wait until the time of this step has come.

        Raises:
            RuntimeError: It has passed longer ago than the run tolerates.
        """
        if self._began is None:
            self._began = _now() - self._pause.lasted_s - time / self._factor
        while (left := self._left_s(time)) > 0 or self._pause.on:
            nap = left - _CLOSE_S if left > 2 * _CLOSE_S else _PAUSED_S if self._pause.on else 0
            yield asyncio.sleep(min(nap, _LONGEST_NAP_S))
        self._time_s, self._late_s = time, max(-left, 0.0)
        if self._late_s > self._tolerance_s:
            raise RuntimeError(
                f"the run is {self._late_s:.3f} s late, {self._tolerance_s:g} s are tolerated: it cannot keep up with "
                f"{self._factor:g} times real time"
            )
        return time + self._step

    def _left_s(self, time: int) -> float:
        """Seconds until a step is due; while the clock is stopped they do not get fewer."""
        return (self._began or 0.0) + self._pause.lasted_s + time / self._factor - _now()

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
        """Return the time of the step, s, and how late it began, s on the wall."""
        values = {"time_s": self._time_s, "late_s": self._late_s}
        return {eid: {name: values[name] for name in names} for eid, names in outputs.items()}


def _now() -> float:
    return time.monotonic()


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(ClockSimulator())
