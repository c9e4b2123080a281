"""How the feeder's main figures went over time, in bounded memory."""

import math
from collections.abc import Mapping

MOST_POINTS = 2000
"""Points kept; of more, every second one is let go, again and again."""

Columns = dict[str, list[float | None]]


class History:
    """Figures by time, each rounded to five digits.

    Args:
        names: What they are called.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._rows: list[tuple[float | None, ...]] = []
        self._every = 1
        self._count = 0

    def add(self, time_s: int, figures: Mapping[str, float]) -> None:
        """Note the figures of a step; those that are missing or not finite are gaps."""
        self._count += 1
        if self._count % self._every:
            return
        self._rows.append((time_s, *(_rounded(figures.get(name)) for name in self._names)))
        if len(self._rows) >= MOST_POINTS:
            self._rows = self._rows[::2]
            self._every *= 2

    def since(self, time_s: float | None) -> Columns:
        """Return by name the figures after a time, all of them without one; `time_s` says when each was."""
        start = len(self._rows)
        while start and (time_s is None or (self._rows[start - 1][0] or 0.0) > time_s):
            start -= 1
        rows = self._rows[start:]
        columns = zip(*rows, strict=True) if rows else ((),) * (1 + len(self._names))
        return {name: list(column) for name, column in zip(("time_s", *self._names), columns, strict=True)}

    @property
    def latest_s(self) -> float | None:
        """Time of the last point."""
        return self._rows[-1][0] if self._rows else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
