"""Demand finer than its measured intervals: one burst in each interval, on top of what runs all day.

Smart meters average over a quarter of an hour; kettles, ovens and showers do not. Within each interval the standing
demand is flat and the rest is drawn by one burst of constant power, which begins at a random moment and lasts a random
share of the interval, uniform between `SHORTEST_SHARE` and 1, and long enough that it stays within `LARGEST_BURST_KW`
(an electric shower or a full cooker; mean demand above that is drawn evenly). Every interval keeps its energy, demand
is never negative, and because bursts are laid in continuous time, a run in steps of one minute averages to the run in
steps of five.

This is a choice of this project, simple enough to state in a sentence, and not a fitted appliance model.
"""

import numpy as np
from numpy.typing import NDArray

SHORTEST_SHARE = 1 / 3
LARGEST_BURST_KW = 7.4


def uniform_pairs(key: int, first_interval: int, intervals: int) -> NDArray[np.float64]:
    """Return two uniform numbers for each interval, [intervals, 2], the same whenever the run starts.

    A counter-based generator (Philox 4x64, Salmon et al., SC'11) is set to the interval's place; each count of it
    holds the numbers of two intervals.

    Args:
        key: Key of the home's stream.
        first_interval: Number of the first interval since 1970.
        intervals: How many intervals.
    """
    before = first_interval % 2
    generator = np.random.Philox(key=key)
    generator.advance((first_interval - before) // 2)
    return np.random.Generator(generator).random((intervals + before, 2))[before:]


def burst_means(
    mean_kw: NDArray[np.float64],
    standing_kw: NDArray[np.float64],
    uniform: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the mean demand of a home between given edges.

    Args:
        mean_kw: Mean demand of each interval, at least zero [Q].
        standing_kw: The flat part of it, at most `mean_kw` [Q].
        uniform: Uniform numbers, [Q, 2].
        edges: Edges of the steps in intervals since the first one, equally spaced within [0, Q], [T + 1].

    Returns:
        Mean demand of each step in kW, [T].
    """
    last = [
        (0, 1)
    ]  # an edge at the very end lies in an interval of its own, empty, so that longer runs agree to the bit
    mean_kw, standing_kw = np.pad(mean_kw, last), np.pad(standing_kw, last)
    uniform = np.pad(uniform, [*last, (0, 0)])
    burst_kw = mean_kw - standing_kw
    shortest = np.clip(burst_kw / LARGEST_BURST_KW, SHORTEST_SHARE, 1.0)
    share = shortest + (1.0 - shortest) * uniform[:, 0]
    begin = (1.0 - share) * uniform[:, 1]
    whole = edges.astype(np.int64)
    within = edges - whole
    burst_done = np.clip((within - begin[whole]) / share[whole], 0.0, 1.0)
    before = np.concatenate([[0.0], np.cumsum(mean_kw[:-1])])
    drawn = before[whole] + standing_kw[whole] * within + burst_kw[whole] * burst_done
    return np.asarray(np.maximum(np.diff(drawn) / np.diff(edges), 0.0))
