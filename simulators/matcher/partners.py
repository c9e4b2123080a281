"""Who negotiates with whom: a sparse graph between sellers and buyers."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.matcher.orders import FloatArray, IntArray


@dataclass(frozen=True)
class Partners:
    """Pairs of a seller and a buyer who negotiate; arrays are [pairs].

    Args:
        seller: Index of the seller among all traders.
        buyer: Index of the buyer.
    """

    seller: IntArray
    buyer: IntArray

    def __len__(self) -> int:
        return len(self.seller)


def choose_partners(
    sellers: IntArray,
    buyers: IntArray,
    count: int,
    rng: np.random.Generator,
    distance: FloatArray | None = None,
) -> Partners:
    """Let everybody on the longer side choose some partners on the shorter one.

    Without distances, those chosen are drawn such that all on the shorter side are chosen about equally often; as there
    are fewer of them, they get at least as many partners as they would have chosen themselves.

    Args:
        sellers: Indices of those who sell.
        buyers: Indices of those who buy.
        count: How many partners to choose, all where there are no more.
        rng: Draws lots.
        distance: Between all traders, [traders, traders]: the nearest are chosen; who was drawn first breaks ties.
    """
    longer, shorter = (sellers, buyers) if len(sellers) >= len(buyers) else (buyers, sellers)
    longer, shorter = rng.permutation(longer), rng.permutation(shorter)
    count = min(count, len(shorter))
    if distance is None:
        # Steps of equal length round the shorter side, from a start that moves on by one from each to the next.
        step = np.arange(count) * len(shorter) // count
        chosen = (np.arange(len(longer))[:, None] + step) % len(shorter)
    else:
        chosen = np.argsort(distance[np.ix_(longer, shorter)], axis=1, kind="stable")[:, :count]
    one, other = np.repeat(longer, count), shorter[chosen.reshape(-1)]
    return Partners(one, other) if len(sellers) >= len(buyers) else Partners(other, one)
