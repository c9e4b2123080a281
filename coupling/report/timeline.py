"""The time axis of a report: which steps are drawn, folded where there are too many, and in which local time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

# The viewer, which folds by questions of its own, does without numpy.
if TYPE_CHECKING:
    from feederloop.coupling.report.folding import FloatArray, Fold

NUMBERS_LIMIT = 400_000
"""Numbers that the prosumers' series may have together: about a megabyte of page."""
SERIES_PER_PROSUMER = 8
POINTS_LIMIT = 2000
"""Points of a line; more cannot be told apart on any screen."""


@dataclass(frozen=True)
class Timeline:
    """Equal steps from the start of a run.

    Attributes:
        start: UTC start of the first step.
        step_s: Length of a physical step.
        steps: Number of steps that there are results of.
        interval_s: Length of a market interval.
        zone: The scenario's time zone.
        stride: Steps that are folded into one drawn point.
    """

    start: datetime
    step_s: int
    steps: int
    interval_s: int
    zone: ZoneInfo
    stride: int = 1

    @property
    def points(self) -> int:
        """Number of drawn points."""
        return -(-self.steps // self.stride)

    def fold(self, values: "FloatArray", how: "Fold") -> "FloatArray":
        """Fold steps into points.

        Args:
            values: Values by step, [steps] or [steps, n].
            how: What stands for a point's steps; `last` is for states.

        Returns:
            [points] or [points, n]; NaN where none of a point's steps has a value.
        """
        if self.stride == 1:
            return values
        from feederloop.coupling.report.folding import folded

        return folded(values, self.stride, how)

    def local(self, time: datetime) -> str:
        """A UTC time as the scenario's wall shows it, such as `Wed 15 June 2016, 12:00`."""
        wall = time.astimezone(self.zone)
        return f"{wall:%a} {wall.day} {wall:%B %Y, %H:%M}"

    def at(self, step: int) -> datetime:
        """UTC start of a step."""
        return self.start + timedelta(seconds=step * self.step_s)

    def as_dict(self) -> dict[str, Any]:
        """What the page needs to draw the axis; offsets are `[from UTC second, seconds east of UTC]`."""
        return {
            "start_s": int(self.start.timestamp()),
            "step_s": self.step_s * self.stride,
            "points": self.points,
            "interval_s": self.interval_s,
            "zone": str(self.zone),
            "offsets": self._offsets(),
        }

    def _offsets(self) -> list[list[int]]:
        first = int(self.start.timestamp())
        last = first + self.steps * self.step_s
        offsets: list[list[int]] = []
        # Wherever clocks change, they do so on a quarter of an hour.
        for second in [first, *range(first - first % 900 + 900, last + 1, 900)]:
            offset = datetime.fromtimestamp(second, UTC).astimezone(self.zone).utcoffset() or timedelta()
            if not offsets or offsets[-1][1] != int(offset.total_seconds()):
                offsets.append([second, int(offset.total_seconds())])
        return offsets


def stride_for(steps: int, steps_per_interval: int, prosumers: int) -> int:
    """Return how many steps to fold into a point, so that points and market intervals stay aligned."""
    most = min(POINTS_LIMIT, max(48, NUMBERS_LIMIT // (SERIES_PER_PROSUMER * max(prosumers, 1))))
    stride = 1
    while steps > most * stride:
        stride += 1
        while steps_per_interval % stride and stride % steps_per_interval:
            stride += 1
    return stride
