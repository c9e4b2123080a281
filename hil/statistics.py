"""What a device's part in a run amounted to, for the report at its end.

Public: `DeviceStatistics`.
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class DeviceStatistics:
    """Counts of one device.

    Attributes:
        cycles: Times that it answered.
        good: Times that its power was good.
        failures: Times that it did not answer.
        outages: Times that it was lost after it had answered, or never came.
        longest_outage_s: The longest of them, device time.
        writes: Writes that it took.
        keep_alives: Those of them that were signs of life.
        refused: Writes that it refused or did not answer.
        disobeyed: Times that it began to disobey.
        latencies_s: Time of its last readings, seconds on the wall.
    """

    cycles: int = 0
    good: int = 0
    failures: int = 0
    outages: int = 0
    longest_outage_s: float = 0.0
    writes: int = 0
    keep_alives: int = 0
    refused: int = 0
    disobeyed: int = 0
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=5000))
    _lost_at: float | None = None

    def answered(self, latency_s: float, *, good: bool, now: float) -> None:
        """Note an answer."""
        self.cycles += 1
        self.good += good
        self.latencies_s.append(latency_s)
        self._close_outage(now)
        self._lost_at = None

    def failed(self, now: float) -> None:
        """Note that there was none."""
        self.failures += 1
        if self._lost_at is None:
            self._lost_at = now
            self.outages += 1
        self._close_outage(now)

    @property
    def mean_latency_ms(self) -> float:
        """Mean time of a reading, ms."""
        return 1000 * sum(self.latencies_s) / len(self.latencies_s) if self.latencies_s else 0.0

    @property
    def worst_latency_ms(self) -> float:
        """Time of a reading that 99 of 100 keep, ms."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] if ordered else 0.0

    def _close_outage(self, now: float) -> None:
        if self._lost_at is not None:
            self.longest_outage_s = max(self.longest_outage_s, now - self._lost_at)
