"""Customers whom no new envelope reaches: how often, for how long."""

import numpy as np

from feederloop.simulators.envelope.box import Bools
from feederloop.simulators.randomness import stream


class Outages:
    """Draws, interval by interval, who is out of reach when envelopes are published.

    Each customer is a two-state Markov chain with a random stream of its own.

    Args:
        names: The customers.
        seed: The scenario's seed.
        share: Long-run share of time that a customer is out of reach, at least 0 and below 1.
        mean_intervals: How many intervals an outage lasts on average, at least 1.
    """

    def __init__(self, names: list[str], *, seed: int, share: float = 0.0, mean_intervals: float = 4.0) -> None:
        self._streams = [stream(seed, "envelope_outage", name) for name in names] if share > 0 else []
        self._end = 1.0 / max(mean_intervals, 1.0)
        self._begin = min(self._end * share / (1.0 - share), 1.0)
        self._offline: Bools = np.zeros(len(names), dtype=bool)

    def advance(self) -> Bools:
        """[customers] Return who is out of reach in the next interval."""
        if self._streams:
            drawn = np.array([generator.random() for generator in self._streams])
            self._offline = np.where(self._offline, drawn >= self._end, drawn < self._begin)
        return self._offline.copy()
