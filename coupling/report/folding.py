"""Fold the steps of a run into the fewer points that are drawn."""

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Fold = Literal["mean", "min", "max", "last"]

_FOLDS: dict[Fold, Callable[..., Any]] = {"mean": np.nanmean, "min": np.nanmin, "max": np.nanmax}


def folded(values: FloatArray, stride: int, how: Fold) -> FloatArray:
    """Fold every so many steps into a point.

    Args:
        values: Values by step, [steps] or [steps, n].
        stride: Steps of a point; the last may have fewer.
        how: What stands for a point's steps; `last` is for states.

    Returns:
        [points] or [points, n]; NaN where none of a point's steps has a value.
    """
    steps = len(values)
    points = -(-steps // stride)
    if how == "last":
        ends = np.minimum(np.arange(1, points + 1) * stride, steps) - 1
        picked: FloatArray = values[ends]
        return picked
    padded = np.concatenate([values, np.full((points * stride - steps, *values.shape[1:]), np.nan)])
    return quietly(_FOLDS[how], padded.reshape(points, stride, *values.shape[1:]), axis=1)


def quietly(reduce: Callable[..., Any], values: FloatArray, axis: int) -> FloatArray:
    """Reduce by a NaN-aware function; where there is nothing but NaN the result is NaN and no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        reduced: FloatArray = reduce(values, axis=axis)
    return reduced
