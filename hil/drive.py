"""Time series, recorded or made up, that drive attributes of simulated devices.

Public: `Drive(entry, start_utc)` with `at(time_s) -> dict[attribute, value]`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from feederloop.hil.bench import DeviceEntry, Series
from feederloop.simulators.csv_file import read_csv
from feederloop.simulators.errors import InputError


class Drive:
    """The series of one device; each value holds until the next.

    Args:
        entry: The device, with its series.
        start_utc: What times stamped ISO 8601 are counted from; None where only seconds will do.

    Raises:
        InputError: A file is missing, or not as it has to be.
    """

    def __init__(self, entry: DeviceEntry, start_utc: str | None) -> None:
        self._series = {name: _load(series, start_utc) for name, series in entry.drive.items()}

    def at(self, time_s: float) -> dict[str, float]:
        """Return what each attribute is at a time, seconds since the start; its first value before the first time."""
        found = {}
        for name, (times, values) in self._series.items():
            found[name] = float(values[max(int(np.searchsorted(times, time_s, side="right")) - 1, 0)])
        return found


def _load(series: Series, start_utc: str | None) -> tuple["np.ndarray", "np.ndarray"]:
    path = Path(series.path)
    if not path.is_file():
        raise InputError("there is no such file", file=path, key="path")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    except (ValueError, OSError) as error:
        raise InputError(f"cannot be read ({error})", file=path, key="path") from error
    for column in ("time", series.column):
        if column not in frame:
            allowed = ", ".join(map(str, frame.columns))
            raise InputError("there is no such column", file=path, key="column", value=column, allowed=allowed)
    values = pd.to_numeric(frame[series.column], errors="coerce").to_numpy(dtype=float)
    times = _seconds(frame["time"], path, start_utc)
    if not len(values) or not np.isfinite(values).all() or not (np.diff(times) > 0).all():
        raise InputError("times have to grow, and every row needs a number", file=path, key=series.column)
    return times, values


def _seconds(column: "pd.Series", path: Path, start_utc: str | None) -> "np.ndarray":
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column, dtype=float)
    allowed = "ISO 8601 with its offset from UTC, or seconds since the start"
    try:
        stamps = pd.to_datetime(column, utc=True)
    except (ValueError, TypeError) as error:
        raise InputError("not a time", file=path, key="time", allowed=allowed) from error
    if not _with_offset(column):
        raise InputError(
            "says not how far it is from UTC", file=path, key="time", value=str(column.iloc[0]), allowed=allowed
        )
    start = pd.Timestamp(start_utc) if start_utc is not None else stamps.iloc[0]
    return np.asarray((stamps - start).dt.total_seconds(), dtype=float)


def _with_offset(column: "pd.Series") -> bool:
    """Whether every time says its offset from UTC."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return True
    return not pd.api.types.is_datetime64_any_dtype(column) and bool(
        column.astype(str).str.contains(r"(?:Z|[+-]\d\d:?\d\d)$").all()
    )
