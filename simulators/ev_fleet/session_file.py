"""A user's own table of charging sessions, CSV or Parquet.

Columns: `prosumer`, `arrival`, `departure` (ISO 8601 with offset, or naive with a stated `time_zone`), `arrival_kwh`,
`required_kwh`, and optionally `capacity_kwh` (otherwise the car's). Nothing is mended: what cannot be is an
`InputError` that names file, row and column.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feederloop.simulators import timeseries
from feederloop.simulators.errors import InputError

COLUMNS = ("prosumer", "arrival", "departure", "capacity_kwh", "arrival_kwh", "required_kwh")
_OPTIONS = ("kind", "path", "time_zone", "unmanaged_target")


def read_sessions(source: Mapping[str, Any], sites: Sequence[Mapping[str, Any]], *, key: str) -> pd.DataFrame:
    """Read and check a table of sessions.

    Args:
        source: `path`, and `time_zone` where the times carry no offset.
        sites: Site dictionaries of the prosumers with an EV: `name`, `ev_capacity_kwh`.
        key: Key path of the source in the scenario, for messages.

    Returns:
        The table with the columns `COLUMNS`, times in UTC, in the order of the file.

    Raises:
        InputError: See the module.
    """
    timeseries.check_keys(source, _OPTIONS, key=key)
    file = timeseries.series_file({name: source[name] for name in source if name != "unmanaged_target"}, key=key)
    has_capacity = "capacity_kwh" in timeseries.column_names(file)
    table = timeseries.read_table(file, [name for name in COLUMNS if has_capacity or name != "capacity_kwh"])
    table["prosumer"] = table["prosumer"].astype(str)
    capacity = {site["name"]: float(site["ev_capacity_kwh"]) for site in sites}
    unknown = ~table["prosumer"].isin(list(capacity))
    _refuse(unknown, table, "prosumer", file, "no prosumer with an EV", ", ".join(list(capacity)[:20]))
    if not has_capacity:
        table["capacity_kwh"] = table["prosumer"].map(capacity)
    for name in ("capacity_kwh", "arrival_kwh", "required_kwh"):
        numbers = pd.to_numeric(table[name], errors="coerce")
        _refuse(~np.isfinite(numbers), table, name, file, "not a number", "a finite number in every row")
        table[name] = numbers.astype(np.float64)
    for name in ("arrival", "departure"):
        table[name] = timeseries.read_times(table[name], file)
    _check_rows(table, file, table["prosumer"].map(capacity))
    return table[list(COLUMNS)]


def _check_rows(table: pd.DataFrame, file: timeseries.SeriesFile, largest_kwh: pd.Series) -> None:
    """Raise for energies that no battery holds and for times that cannot follow each other."""
    capacity = table["capacity_kwh"]
    car = "above 0, at most the car's ev_capacity_kwh"
    _refuse((capacity <= 0) | (capacity > largest_kwh), table, "capacity_kwh", file, "no such battery", car)
    for name in ("arrival_kwh", "required_kwh"):
        outside = (table[name] < 0) | (table[name] > capacity)
        _refuse(outside, table, name, file, "more or less than the battery holds", "0 to capacity_kwh")
    early = table["departure"] <= table["arrival"]
    _refuse(early, table, "departure", file, "the car leaves before it comes", "a time after arrival")
    ordered = table.sort_values(["prosumer", "arrival"], kind="stable")
    before = ordered.groupby("prosumer")["departure"].shift()
    overlap = (ordered["arrival"] < before).reindex(table.index)
    _refuse(overlap, table, "arrival", file, "the session overlaps the prosumer's previous one", "a time not before it")


def _refuse(
    wrong: pd.Series, table: pd.DataFrame, column: str, file: timeseries.SeriesFile, message: str, allowed: str
) -> None:
    """Raise for the first wrong row, counted from 1 below the header."""
    bad: NDArray[np.bool_] = wrong.to_numpy(dtype=bool)
    if bad.any():
        row = int(np.argmax(bad))
        who = table["prosumer"].iloc[row]
        raise InputError(
            f"Row {row + 1} ({who}): {message}.", file=file.path, key=f"{file.key}, column {column}",
            value=str(table[column].iloc[row]), allowed=allowed,
        )  # fmt: skip
