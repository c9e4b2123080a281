"""One independent random stream per simulator and prosumer, the same whatever else is on the clock."""

import zlib

import numpy as np


def stream(seed: int, simulator: str, prosumer: str = "") -> np.random.Generator:
    """Return the generator of one simulator (and prosumer) in the scenario with this seed.

    Args:
        seed: The scenario's seed, at least zero.
        simulator: The simulator's name, e.g. ``"household"``.
        prosumer: The prosumer's name where each has a stream of its own.
    """
    key = (zlib.crc32(simulator.encode()), zlib.crc32(prosumer.encode()))
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=key))
