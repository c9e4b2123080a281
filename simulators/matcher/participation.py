"""Who was blocked how often, and who loses patience."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.matcher.clearing import Blocking
from feederloop.simulators.matcher.orders import FloatArray, IntArray


@dataclass
class BlockRecord:
    """What the DSO's refusals did to each trader over a run; arrays are [traders].

    Attributes:
        attempts: Trades that each was party to and the DSO was asked about, those with the retailer included.
        blocks: How many of these it refused.
        refused_kwh: What each could not trade in the end because of that, sales and purchases added up.
        run: In how many intervals in a row each was blocked, up to the last in which it took part.
        longest_run: The most it ever was.
    """

    attempts: IntArray
    blocks: IntArray
    refused_kwh: FloatArray
    run: IntArray = field(init=False)
    longest_run: IntArray = field(init=False)

    def __post_init__(self) -> None:
        self.run, self.longest_run = np.zeros_like(self.blocks), np.zeros_like(self.blocks)

    @classmethod
    def empty(cls, traders: int) -> "BlockRecord":
        """Return the record of traders who have not traded yet."""
        nothing = np.zeros(traders, dtype=np.int64)
        return cls(nothing.copy(), nothing.copy(), np.zeros(traders))

    def willing(self, decay: float, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Draw who offers: everybody with the probability (1 - decay)^run, [traders].

        An interval without an offer leaves the run as it is, so that who has given up tries again now and then.

        Args:
            decay: Share of willingness that each further interval with a block takes, 0 to 1.
            rng: Draws lots, one per trader whatever their records.
        """
        drawn: NDArray[np.bool_] = rng.random(len(self.run)) < (1.0 - decay) ** self.run
        return drawn

    def note(self, blocking: Blocking, took_part: NDArray[np.bool_]) -> None:
        """Add an interval.

        Args:
            blocking: What was refused.
            took_part: Who had an order in the book, [traders].
        """
        blocks = blocking.blocks
        self.attempts += blocking.attempts
        self.refused_kwh += np.abs(blocking.blocked_kwh)
        if blocking.retail is not None:
            self.attempts += blocking.retail.attempts
            self.refused_kwh += np.abs(blocking.retail.refused_kwh)
            blocks = blocks + blocking.retail.blocks
        self.blocks += blocks
        self.run = np.where(took_part, np.where(blocks > 0, self.run + 1, 0), self.run)
        self.longest_run = np.maximum(self.longest_run, self.run)
