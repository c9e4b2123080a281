"""Forecast errors: an autoregressive process that a forecaster gets to know as time goes by.

The relative error of a forecast made for good is an AR(1) process X over market intervals with the stated standard
deviation and correlation. Whoever issues at interval k has seen X up to k-1 and most of what is new in k, and expects X
to decay from there. What remains is the error of his forecast for k + l, whose variance is

    std² (1 - r^2l) + (share r^l)² std² (1 - r²),    r: correlation, share: `NOWCAST_SHARE`

nearly none for the current interval, the stated one far ahead. Forecasts issued one after the other revise each other,
as real ones do, instead of being drawn anew.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from feederloop.simulators.randomness import stream

NOWCAST_SHARE = 0.25
"""Share of the current interval's innovation that is still unknown when its forecast is issued."""


class ErrorProcess:
    """Relative forecast errors of several series.

    Args:
        innovations: Standard normal numbers, [n, K + 1]; the first column is the state before the run.
        std: Standard deviation of the error far ahead.
        correlation: Correlation of X in successive intervals, at least 0, below 1.
    """

    def __init__(self, innovations: NDArray[np.float64], *, std: float, correlation: float) -> None:
        scale = np.full(innovations.shape[1], std * np.sqrt(1 - correlation**2))
        scale[:1] = std
        self._news = innovations * scale
        self._process = np.asarray(lfilter([1.0], [1.0, -correlation], self._news, axis=1))
        self._correlation = correlation

    def issued(self, interval: int, horizon: int) -> NDArray[np.float64]:
        """Return the errors of the forecast issued at an interval for it and those that follow, [n, horizon]."""
        column = interval + 1
        known = self._process[:, column] - NOWCAST_SHARE * self._news[:, column]
        decay = self._correlation ** np.arange(horizon)
        return np.asarray(self._process[:, column : column + horizon] - known[:, None] * decay)


def own_innovations(names: Sequence[str], what: str, count: int, seed: int) -> NDArray[np.float64]:
    """Return innovations of each prosumer's own, [n, count]."""
    draws = [stream(seed, f"forecast {what}", name).standard_normal(count) for name in names]
    return np.array(draws).reshape(len(draws), count)


def shared_innovations(
    names: Sequence[str], what: str, count: int, seed: int, *, own_share: float
) -> NDArray[np.float64]:
    """Return innovations that a street shares but for a share of their variance, [n, count]."""
    street = stream(seed, f"forecast {what}").standard_normal(count)
    own = own_innovations(names, what, count, seed)
    return np.asarray(np.sqrt(1 - own_share) * street + np.sqrt(own_share) * own)
