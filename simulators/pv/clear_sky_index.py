"""Clouds: a clear-sky index that wanders, common to the street with a small part of each house's own.

A stationary Gaussian process with exponential correlation in time (AR(1) at the physical step) is mapped to a beta
distribution on [0, `LARGEST_INDEX`] of stated mean and standard deviation. Gaussian autoregression behind a
probability-integral transform is the method of V. A. Graham and K. G. T. Hollands, "A method to generate synthetic
hourly solar radiation globally", Solar Energy 44(6), 1990; the beta marginal, the correlation time and the split
between street and house are assumptions of the scenario.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import betaincinv, ndtr

from feederloop.simulators.errors import InputError
from feederloop.simulators.randomness import stream

LARGEST_INDEX = 1.1
"""Edges of clouds focus the sun: five-minute means exceed the clear sky by about a tenth."""
_KEY = "weather"
_TABLE = np.linspace(-5.0, 5.0, 2001)


@dataclass(frozen=True)
class Clouds:
    """Parameters of the clear-sky index.

    Attributes:
        mean: Mean, above 0 and below `LARGEST_INDEX`; 0.8 is a fair summer day, a British year has about 0.6 (with
            which a south roof in Birmingham yields some 970 kWh per kWp).
        std: Standard deviation; 0 for a constant index.
        correlation_min: Time in minutes after which the Gaussian process' correlation has fallen to 1/e.
        site_share: Share of the Gaussian process' variance that is each house's own, 0 to 1.
    """

    mean: float = 0.8
    std: float = 0.25
    correlation_min: float = 60.0
    site_share: float = 0.05

    def __post_init__(self) -> None:
        largest_std = np.sqrt(max(0.0, self.mean * (LARGEST_INDEX - self.mean)))
        checks = {
            "mean": (0 < self.mean < LARGEST_INDEX, f"above 0, below {LARGEST_INDEX}"),
            "std": (0 <= self.std < largest_std, f"at least 0, below {largest_std:.3g} for this mean"),
            "correlation_min": (0 < self.correlation_min < np.inf, "minutes, above 0"),
            "site_share": (0 <= self.site_share <= 1, "0 to 1"),
        }
        for name, (fits, allowed) in checks.items():
            if not fits:
                value = getattr(self, name)
                raise InputError("No such clouds.", key=f"{_KEY}.{name}", value=value, allowed=allowed)

    @classmethod
    def of(cls, weather: Mapping[str, Any]) -> "Clouds":
        """Take the parameters that a weather dictionary states and leave the others at their defaults."""
        return cls(**{item.name: weather[item.name] for item in fields(cls) if weather.get(item.name) is not None})


def clear_sky_index(
    clouds: Clouds, sites: Sequence[Mapping[str, Any]], *, steps: int, step_s: int, seed: int
) -> NDArray[np.float64]:
    """Return the clear-sky index over each house, [n, steps].

    A longer run with the same start begins with the same values.

    Args:
        clouds: Parameters.
        sites: Site dictionaries: `name`.
        steps: Number of physical steps.
        step_s: Physical step in seconds.
        seed: The scenario's seed.
    """
    if clouds.std == 0:
        return np.full((len(sites), steps), clouds.mean)
    if clouds.site_share == 0:
        common = _index(clouds, _autoregression(stream(seed, "pv"), steps, step_s, clouds))
        return np.tile(common, (len(sites), 1))
    street = np.sqrt(1 - clouds.site_share) * _autoregression(stream(seed, "pv"), steps, step_s, clouds)
    index = np.empty((len(sites), steps))
    for row, site in enumerate(sites):
        own = _autoregression(stream(seed, "pv", site["name"]), steps, step_s, clouds)
        index[row] = _index(clouds, street + np.sqrt(clouds.site_share) * own)
    return index


def _autoregression(random: np.random.Generator, steps: int, step_s: int, clouds: Clouds) -> NDArray[np.float64]:
    """Return a stationary Gaussian AR(1) process of variance 1."""
    phi = np.exp(-step_s / (60 * clouds.correlation_min))
    noise = random.standard_normal(steps) * np.sqrt(1 - phi**2)
    noise[:1] /= np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))


def _index(clouds: Clouds, gaussian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map a standard Gaussian process to the beta distribution, by a table of its quantiles."""
    mean, variance = clouds.mean / LARGEST_INDEX, (clouds.std / LARGEST_INDEX) ** 2
    size = mean * (1 - mean) / variance - 1
    quantiles = LARGEST_INDEX * betaincinv(mean * size, (1 - mean) * size, ndtr(_TABLE))
    return np.asarray(np.interp(gaussian, _TABLE, quantiles))
