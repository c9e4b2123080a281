"""A user's own power series, CSV or Parquet: read, checked and brought to the physical step.

A file has one time column, which stamps the start of each interval, and one column per prosumer (or one named column
for all). Nothing is guessed and nothing is filled: whatever would have to be, is an `InputError` that names file,
column and row.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feederloop.simulators.csv_file import read_csv
from feederloop.simulators.errors import InputError

Unit = Literal["kW", "W", "kWh"]
Sign = Literal["import", "export"]
Beyond = Literal["error", "repeat_day"]
_OFFSET = r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_DAY_S = 86_400


@dataclass(frozen=True)
class SeriesFile:
    """Where a series is and how it is to be read.

    Attributes:
        path: CSV (`.csv`, also compressed) or Parquet (`.parquet`, `.pq`) file.
        key: Key path in the scenario, for messages.
        time_column: Name of the column with the interval starts.
        time_zone: IANA zone of naive times; `None` when the times carry an offset.
        unit: `kW`, `W` or `kWh` (energy of each interval).
        sign: What a positive value is: `import` (consumption) or `export` (generation).
        columns: Column per prosumer where it is not the prosumer's name.
        column: One column that serves every prosumer.
    """

    path: Path
    key: str
    time_column: str = "time"
    time_zone: str | None = None
    unit: Unit = "kW"
    sign: Sign = "import"
    columns: Mapping[str, str] = field(default_factory=dict)
    column: str | None = None


@dataclass(frozen=True)
class Series:
    """Mean power over the equal intervals of a file.

    Attributes:
        p_kw: Mean power of each interval, export positive [n, R].
        start_s: Start of the first interval, seconds since 1970 UTC.
        interval_s: Length of an interval in seconds.
        path: The file it came from, for messages.
    """

    p_kw: NDArray[np.float64]
    start_s: int
    interval_s: int
    path: Path

    @property
    def end_s(self) -> int:
        """End of the last interval, seconds since 1970 UTC."""
        return self.start_s + int(self.p_kw.shape[1]) * self.interval_s


def utc_seconds(time: str, *, key: str = "start") -> int:
    """Return an ISO 8601 time with offset as whole seconds since 1970 UTC.

    Raises:
        InputError: The text is no such time, or states no offset.
    """
    allowed = "ISO 8601 with offset, such as 2016-06-15T11:00:00+00:00"
    try:
        moment = datetime.fromisoformat(time)
    except (TypeError, ValueError) as error:
        raise InputError("Not a time.", key=key, value=time, allowed=allowed) from error
    if moment.tzinfo is None:
        raise InputError("The time states no offset.", key=key, value=time, allowed=allowed)
    return int(moment.timestamp())


def iso_utc(seconds: float) -> str:
    """Return seconds since 1970 UTC as ISO 8601 text with offset."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def check_keys(given: Iterable[str], allowed: Sequence[str], *, key: str) -> None:
    """Raise `InputError` for the first unknown key, naming the nearest known one."""
    for name in given:
        if name not in allowed:
            hint = _nearest(str(name), allowed)
            raise InputError(f"Unknown key{hint}.", key=f"{key}.{name}", allowed=", ".join(allowed))


def series_file(source: Mapping[str, Any], *, key: str, sign: Sign = "import", extra: Sequence[str] = ()) -> SeriesFile:
    """Read the options of a `{"kind": "file", ...}` dictionary.

    Args:
        source: `path` and optionally `time_column`, `time_zone`, `unit`, `sign`, `columns`, `column`.
        key: Key path of the dictionary in the scenario, for messages.
        sign: What a positive value is, where the dictionary does not say.
        extra: Further keys that the caller reads himself.

    Raises:
        InputError: Unknown key, missing path, or a value that is not allowed.
    """
    known = ("path", "time_column", "time_zone", "unit", "sign", "columns", "column")
    check_keys(source, ("kind", *known, *extra), key=key)
    if not source.get("path"):
        raise InputError("The path of the file is missing.", key=f"{key}.path", allowed="a CSV or Parquet file")
    options = {name: source[name] for name in known if source.get(name) is not None}
    options["path"] = Path(options["path"])
    for name, choices in (("unit", get_args(Unit)), ("sign", get_args(Sign))):
        if name in options and options[name] not in choices:
            raise InputError(f"Unknown {name}.", key=f"{key}.{name}", value=options[name], allowed=", ".join(choices))
    if "columns" in options and not isinstance(options["columns"], Mapping):
        raise InputError("Not a mapping of prosumer to column.", key=f"{key}.columns", value=options["columns"])
    return SeriesFile(key=key, **{"sign": sign, **options})


def column_names(file: SeriesFile) -> list[str]:
    """Return the names of the file's columns (a Parquet file's index included).

    Raises:
        InputError: The file is missing or cannot be read.
    """
    if not file.path.is_file():
        raise InputError("No such file.", file=file.path, key=f"{file.key}.path", allowed="a CSV or Parquet file")
    try:
        if file.path.suffix in (".parquet", ".pq"):
            return [str(name) for name in pq.read_schema(file.path).names]
        return [str(name) for name in pd.read_csv(file.path, nrows=0).columns]
    except (ValueError, OSError) as error:
        raise InputError(f"Cannot be read: {error}.", file=file.path, key=f"{file.key}.path") from error


def read_table(file: SeriesFile, columns: Sequence[str]) -> pd.DataFrame:
    """Read the named columns of a CSV or Parquet file, naming the nearest where one is missing.

    Raises:
        InputError: The file is missing, cannot be read, is empty, or lacks a column.
    """
    present = column_names(file)
    for name in columns:
        if name not in present:
            message = f"The file has no column {name!r}{_nearest(name, present)}."
            raise InputError(message, file=file.path, key=file.key, allowed="columns " + ", ".join(present[:20]))
    wanted = list(dict.fromkeys(columns))
    try:
        if file.path.suffix in (".parquet", ".pq"):
            table = pq.read_table(file.path, columns=wanted).to_pandas()
            table = table.reset_index() if set(wanted) - set(table.columns) else table
        else:
            table = read_csv(file.path, usecols=wanted)
    except (ValueError, OSError) as error:
        raise InputError(f"Cannot be read: {error}.", file=file.path, key=f"{file.key}.path") from error
    if table.empty:
        raise InputError("The file has no rows.", file=file.path, key=f"{file.key}.path")
    return table[wanted]


def read_times(column: pd.Series, file: SeriesFile) -> pd.DatetimeIndex:
    """Return a column's times in UTC.

    Args:
        column: ISO 8601 texts or timestamps.
        file: Its options; `time_zone` says where naive times are from.

    Raises:
        InputError: A time cannot be read, is missing, is naive although no zone is stated, carries an offset although
            one is stated, or does not exist in the stated zone.
    """
    name = str(column.name)
    if column.isna().any():
        raise _row_error("The time is missing", column, int(np.argmax(column.isna())), file)
    if not pd.api.types.is_datetime64_any_dtype(column):
        text = column.astype(str).str.strip()
        aware = text.str.contains(_OFFSET, regex=True) & text.str.contains(":")
        if aware.any() and not aware.all():
            raise _row_error("This time has no offset, others have", column, int(np.argmin(aware)), file)
        times = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=bool(aware.any()))
        if times.isna().any():
            raise _row_error("Not an ISO 8601 time", column, int(np.argmax(times.isna())), file)
        column = times
    index = pd.DatetimeIndex(column)
    if index.tz is not None and file.time_zone is not None:
        raise InputError(
            "The times carry an offset and a time zone is stated as well.", file=file.path, key=f"{file.key}.time_zone",
            value=file.time_zone, allowed="no time_zone when the times have an offset",
        )  # fmt: skip
    return index.tz_convert("UTC") if index.tz is not None else _localise(index, name, file)


def _localise(index: pd.DatetimeIndex, column: str, file: SeriesFile) -> pd.DatetimeIndex:
    """Place naive times in the stated zone; the repeated hour of autumn is told apart by its order."""
    if file.time_zone is None:
        raise InputError(
            f"Row 1: the time has no offset and no time zone is stated [{column}].", file=file.path,
            key=f"{file.key}.time_zone", value=str(index[0]), allowed="times with offset, or a time_zone such as UTC",
        )  # fmt: skip
    try:
        return index.tz_localize(file.time_zone, ambiguous="infer").tz_convert("UTC")
    except Exception as error:  # pandas 2 lets errors of pytz through, which have no common base
        raise InputError(
            f"The times do not fit the stated time zone: {error}.", file=file.path, key=f"{file.key}.time_zone",
            value=file.time_zone, allowed="the IANA zone in which the times were written",
        ) from error  # fmt: skip


def read_series(file: SeriesFile, prosumers: Sequence[str]) -> Series:
    """Read the mean power of each prosumer at the file's own interval.

    Args:
        file: The file and how to read it.
        prosumers: Names, in the order of the result's rows.

    Returns:
        Power, export positive, [len(prosumers), R].

    Raises:
        InputError: See the module; names the file, the column and the first row at fault.
    """
    columns = [file.column or file.columns.get(name, name) for name in prosumers]
    table = read_table(file, [file.time_column, *columns])
    times = read_times(table[file.time_column], file)
    interval_s = _check_regular(times, table[file.time_column], file)
    scale = {"kW": 1.0, "W": 1e-3, "kWh": 3600.0 / interval_s}[file.unit]
    values = {name: _numbers(table[name], table[file.time_column], file) for name in dict.fromkeys(columns)}
    p_kw = np.stack([values[name] for name in columns]) if columns else np.empty((0, len(times)))
    return Series(p_kw * (scale if file.sign == "export" else -scale), int(times[0].timestamp()), interval_s, file.path)


def _check_regular(times: pd.DatetimeIndex, stamps: pd.Series, file: SeriesFile) -> int:
    """Return the interval in seconds; raise where times are not sorted, unique and equally spaced."""
    regular = "sorted times at equal steps, without gap"
    if len(times) < 2:
        raise InputError("One row is no series.", file=file.path, key=file.key, allowed="at least two rows")
    steps_s: NDArray[np.float64] = np.diff(times.as_unit("ns").asi8) / 1e9
    lengths, counts = np.unique(steps_s, return_counts=True)
    usual_s = float(lengths[np.argmax(counts)])
    if (steps_s <= 0).any():
        row = int(np.argmax(steps_s <= 0)) + 1
        what = "The time is the same as in the row before" if steps_s[row - 1] == 0 else "The times are not sorted"
        raise _row_error(what, stamps, row, file, regular)
    if (steps_s != usual_s).any():
        row = int(np.argmax(steps_s != usual_s)) + 1
        wide = steps_s[row - 1] > usual_s
        what = "A gap before this row" if wide and steps_s[row - 1] % usual_s == 0 else "Irregular step before this row"
        raise _row_error(f"{what}: {steps_s[row - 1]:g} s instead of {usual_s:g} s", stamps, row, file, regular)
    if usual_s != int(usual_s):
        raise InputError("The step is no whole number of seconds.", file=file.path, key=file.key, value=usual_s)
    return int(usual_s)


def _numbers(column: pd.Series, stamps: pd.Series, file: SeriesFile) -> NDArray[np.float64]:
    """Return a column as finite floats."""
    values: NDArray[np.float64] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        time = stamps.iloc[row]
        raise InputError(
            f"Row {row + 1} ({time}): not a number in column {column.name!r}.", file=file.path, key=file.key,
            value=str(column.iloc[row]), allowed="a finite number in every row",
        )  # fmt: skip
    return values


def _row_error(
    message: str, column: pd.Series, row: int, file: SeriesFile, allowed: str = "ISO 8601 times in every row"
) -> InputError:
    """Return the error for a time, with the row counted from 1 below the header."""
    key, value = f"{file.key}, column {column.name}", str(column.iloc[row])
    return InputError(f"Row {row + 1}: {message}.", file=file.path, key=key, value=value, allowed=allowed)


def _nearest(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean ...?` for the most similar name, or nothing."""
    match = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def cover(series: Series, *, start_s: int, end_s: int, key: str, beyond: Beyond = "error") -> Series:
    """Return the series after checking that it spans a run.

    Args:
        series: What was read.
        start_s: Start of the run, seconds since 1970 UTC.
        end_s: End of the run (or of a horizon after it), seconds since 1970 UTC.
        key: Key path in the scenario, for messages.
        beyond: `error`, or `repeat_day`: past the end of the file the last day (or what there is of it) is repeated,
            as a forecaster would who knows no more.

    Raises:
        InputError: The file does not cover the run.
    """
    if series.start_s <= start_s and series.end_s >= end_s:
        return series
    if series.start_s <= start_s < series.end_s and beyond == "repeat_day":
        period = max(1, min(series.p_kw.shape[1], _DAY_S // series.interval_s))
        missing = -(-(end_s - series.end_s) // series.interval_s)
        tail = series.p_kw[:, -period:][:, np.arange(missing) % period]
        return Series(np.hstack([series.p_kw, tail]), series.start_s, series.interval_s, series.path)
    raise InputError(
        "The file does not cover the run.", file=series.path, key=key,
        value=f"{iso_utc(series.start_s)} to {iso_utc(series.end_s)}",
        allowed=f"{iso_utc(start_s)} to {iso_utc(end_s)}",
    )  # fmt: skip


def resample(series: Series, *, start_s: int, duration_s: int, step_s: int) -> NDArray[np.float64]:
    """Return the mean power over each physical step, [n, T].

    Finer data are averaged and coarser data held, so that every stretch of time keeps its energy.

    Args:
        series: What was read; spans the run (see `cover`).
        start_s: Start of the run, seconds since 1970 UTC.
        duration_s: Length of the run in seconds.
        step_s: Physical step in seconds; T = duration_s / step_s, rounded up.
    """
    steps = -(-duration_s // step_s)
    offset_s = start_s - series.start_s
    if offset_s % series.interval_s == 0 and series.interval_s % step_s == 0:
        columns = (offset_s + step_s * np.arange(steps)) // series.interval_s
        return np.asarray(series.p_kw[:, columns])
    energy = np.concatenate([np.zeros((len(series.p_kw), 1)), np.cumsum(series.p_kw, axis=1)], axis=1)
    edges = (offset_s + step_s * np.arange(steps + 1)) / series.interval_s
    whole = np.minimum(edges.astype(np.int64), series.p_kw.shape[1] - 1)
    at_edges = energy[:, whole] + (edges - whole) * series.p_kw[:, whole]
    return np.asarray(np.diff(at_edges, axis=1) * (series.interval_s / step_s))
