"""A run's tables as arrays with named axes: pandas frames of one column, xarray datasets of all of them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feederloop.coupling.columns import TABLES, TIMES, meaning_of, unit_of
from feederloop.simulators.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

PHASES = ("a", "b", "c")
_PER_PHASE = re.compile(r"(v|loading)_([abc])_(v|percent)")


def keys_of(name: str, frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns that are the axes of a table.

    Raises:
        InputError: Its rows are a list, or it lacks an axis, as another version's table may.
    """
    keys = TABLES[name].keys if name in TABLES else ()
    if not keys or not set(keys) <= set(frame.columns):
        arrays = ", ".join(table for table, content in TABLES.items() if content.keys)
        message = "This table is a list of rows without axes; `table` gives it as it is."
        raise InputError(message, key="table", value=name, allowed=arrays)
    return keys


def wide(name: str, frame: pd.DataFrame, column: str, time_zone: str) -> pd.DataFrame:
    """Return one column of a table over time.

    Args:
        name: Name of the table.
        frame: The table.
        column: The column.
        time_zone: IANA name of the zone of the index.

    Returns:
        [times, members] Indexed by time with this time zone, a column per prosumer, bus or branch; a single one for
        tables that have no other axis than time. Unit and meaning are in `attrs`.

    Raises:
        InputError: The table has no such column, or no time.
    """
    keys = keys_of(name, frame)
    values = [each for each in frame.columns if each not in keys]
    if column not in values:
        raise InputError(f"No such column in the table {name}.", key="column", value=column, allowed=", ".join(values))
    if keys[0] not in TIMES:
        raise InputError("This table has no time.", key="table", value=name)
    axes = _Axes.of(frame, keys)
    names = axes.members[1].rename(keys[1]) if len(keys) > 1 else pd.Index([column])
    times = pd.DatetimeIndex(axes.members[0], name=keys[0]).tz_convert(time_zone)
    result = pd.DataFrame(axes.filled(frame[column]).reshape(len(times), len(names)), times, names)
    result.attrs = attributes(name, column)
    return result


def dataset(name: str, frame: pd.DataFrame, attrs: Mapping[str, Any]) -> "xr.Dataset":
    """Return a table as labelled arrays.

    Args:
        name: Name of the table.
        frame: The table.
        attrs: What is to be said of the whole.

    Returns:
        A variable per column over the table's axes; voltages and loadings that have a column per phase become one
        variable with the axis `phase`. Times are UTC without a zone, as numpy's are. Units and meanings are in `attrs`.

    Raises:
        ImportError: xarray is not installed.
        InputError: The table's rows are a list.
    """
    try:
        import xarray as xr
    except ImportError as error:
        raise ImportError(
            "Datasets need xarray, which is not installed: pip install 'feederloop[xarray]'. "
            "`table` and `series` give pandas frames without it."
        ) from error
    keys = keys_of(name, frame)
    axes = _Axes.of(frame, keys)
    arrays = {column: axes.filled(frame[column]) for column in frame.columns if column not in keys}
    variables: dict[str, Any] = {}
    for column, values in arrays.items():
        by_phase = _PER_PHASE.fullmatch(column)
        if by_phase is None:
            variables[column] = (keys, values, attributes(name, column))
            continue
        quantity, _, unit = by_phase.groups()
        joint = f"{quantity}_{unit}"
        if joint not in variables:
            each = [arrays.get(f"{quantity}_{phase}_{unit}", np.full(axes.shape, np.nan)) for phase in PHASES]
            told = {
                "units": unit_of(column),
                "long_name": meaning_of(name, column).replace(f" of phase {by_phase[2]}", ""),
            }
            variables[joint] = ((*keys, "phase"), np.stack(each, axis=-1), told)
    coordinates: dict[str, Any] = {
        key: (key, _without_zone(axis) if key in TIMES else axis, {"long_name": meaning_of(name, key)})
        for key, axis in zip(keys, axes.members, strict=True)
    }
    if any("phase" in variable[0] for variable in variables.values()):
        coordinates["phase"] = list(PHASES)
    return xr.Dataset(variables, coordinates, dict(attrs))


def attributes(name: str, column: str) -> dict[str, str]:
    """Return unit and meaning of a column, by the names that plots of xarray look for."""
    told = {"units": unit_of(column), "long_name": meaning_of(name, column)}
    return {key: text for key, text in told.items() if text}


@dataclass(frozen=True)
class _Axes:
    """Where on the axes of a table its rows lie.

    Attributes:
        members: What is on each axis: times in their order, others in that of the rows.
        cells: [rows] Place of each row among all combinations of members.
        whole: Whether each combination has a row.
    """

    members: tuple[pd.Index, ...]
    cells: NDArray[np.intp]
    whole: bool

    @classmethod
    def of(cls, frame: pd.DataFrame, keys: tuple[str, ...]) -> "_Axes":
        found = [pd.factorize(frame[key], sort=key in TIMES) for key in keys]
        shape = tuple(len(members) for _, members in found)
        cells = (
            np.ravel_multi_index(tuple(places for places, _ in found), shape) if len(frame) else np.empty(0, np.intp)
        )
        whole = bool((np.bincount(cells, minlength=math.prod(shape)) > 0).all())
        return cls(tuple(pd.Index(members) for _, members in found), cells, whole)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(map(len, self.members))

    def filled(self, values: "pd.Series[Any]") -> NDArray[Any]:
        """Return values by axes; where there is no row, they are missing."""
        data = values.to_numpy()
        if self.whole:
            result = np.empty(math.prod(self.shape), data.dtype)
        elif data.dtype.kind in "biuf":
            result = np.full(math.prod(self.shape), np.nan)
        else:
            result = np.full(math.prod(self.shape), None, object)
        result[self.cells] = data
        return result.reshape(self.shape)


def _without_zone(times: pd.Index) -> pd.Index:
    return pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None).as_unit("ns")
