"""Tables of connection points and of envelopes, as a user brings them: read, checked, and turned into intervals."""

import difflib
import math
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from feederloop.simulators.csv_file import read_csv
from feederloop.simulators.envelope.box import Bools, Interval
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Floats, Ints
from feederloop.simulators.grid.networks import PHASES

POINT_COLUMNS = ("connection_point", "bus", "phase", "p_kw", "q_kvar", "export_cap_kw", "import_cap_kw")
OPTIONAL_COLUMNS = (
    "interval_start", "uncertainty_kw", "q_low_kvar", "q_high_kvar", "volt_var_kva", "import_floor_kw", "weight"
)  # fmt: skip
ENVELOPE_COLUMNS = ("interval_start", "connection_point", "export_limit_kw", "import_limit_kw")


@dataclass(frozen=True)
class KnownPoints:
    """Connection points, and what is known of them interval by interval.

    Attributes:
        points: Columns `name`, `bus` and `phase`, a row per connection point.
        starts: Start of every interval as the table writes it; one empty text where the table has none.
        intervals: What is known, in the order of `starts`; arrays in the order of `points`.
        q_kvar: Each [points]: forecast reactive power.
        volt_var_kva: [points] Rated power of inverters that supply reactive power by their voltage, besides `q_kvar`.
    """

    points: pd.DataFrame
    starts: tuple[str, ...]
    intervals: tuple[Interval, ...]
    q_kvar: tuple[Floats, ...]
    volt_var_kva: Floats


@dataclass(frozen=True)
class GivenEnvelopes:
    """Somebody's envelopes for known connection points, a list entry per interval.

    Attributes:
        export_limit_kw: Each [points]; zero where there is no envelope.
        import_limit_kw: Each [points].
        given: Each [points]: who has an envelope.
        withheld: Intervals for which there is none: all limits are left empty, as `envelopes.csv` has it.
    """

    export_limit_kw: tuple[Floats, ...]
    import_limit_kw: tuple[Floats, ...]
    given: tuple[Bools, ...]
    withheld: tuple[bool, ...]


def read_points(source: Path | str | pd.DataFrame) -> KnownPoints:
    """Read connection points and their forecasts.

    Args:
        source: A CSV file or a table with the columns of `POINT_COLUMNS` and, if wanted, of `OPTIONAL_COLUMNS`. Power
            is positive for export. A connection point without caps is passive: it stays at its forecast, give or take
            `uncertainty_kw`. Reactive power stays at `q_kvar` or between `q_low_kvar` and `q_high_kvar`; what an
            inverter of `volt_var_kva` supplies by its voltage comes on top.

    Raises:
        InputError: A missing column, a value that is no number, a repeated or a missing row, a forecast beyond its cap.
    """
    table = _Table.read(source, POINT_COLUMNS, (*POINT_COLUMNS, *OPTIONAL_COLUMNS))
    grid = _in_order(table)
    p_kw, q_kvar = table.numbers("p_kw"), table.numbers("q_kvar")
    export_cap_kw, import_cap_kw = table.numbers("export_cap_kw", np.nan), table.numbers("import_cap_kw", np.nan)
    passive = np.isnan(export_cap_kw) & np.isnan(import_cap_kw)
    for column, cap_kw, used_kw in (
        ("export_cap_kw", export_cap_kw, p_kw),
        ("import_cap_kw", import_cap_kw, -p_kw),
    ):
        both = "a number of 0 or more in both cap columns, or nothing in both for a passive customer"
        table.refuse(np.isnan(cap_kw) & ~passive, column, "one of the two caps is missing", both)
        table.refuse(cap_kw < 0, column, "a cap is not negative", "0 or more")
        table.refuse(used_kw > cap_kw, column, "the forecast p_kw goes beyond this cap", "at least the forecast")
    uncertainty_kw = table.numbers("uncertainty_kw", 0.0)
    table.refuse(uncertainty_kw < 0, "uncertainty_kw", "an uncertainty is not negative", "0 or more")
    floor_kw = table.numbers("import_floor_kw", 0.0)
    table.refuse((floor_kw < 0) | (floor_kw > import_cap_kw), "import_floor_kw", "is not below the cap", "0 to the cap")
    weight = table.numbers("weight", 1.0)
    table.refuse(weight < 0, "weight", "a claim is not negative", "0 or more")
    q_low_kvar, q_high_kvar = table.numbers("q_low_kvar", np.nan), table.numbers("q_high_kvar", np.nan)
    table.refuse(q_low_kvar > q_kvar, "q_low_kvar", "the forecast q_kvar lies below it", "at most q_kvar")
    table.refuse(q_high_kvar < q_kvar, "q_high_kvar", "the forecast q_kvar lies above it", "at least q_kvar")
    intervals = [
        Interval(
            p_kw=p_kw[rows],
            q_low_kvar=np.where(np.isnan(q_low_kvar), q_kvar, q_low_kvar)[rows],
            q_high_kvar=np.where(np.isnan(q_high_kvar), q_kvar, q_high_kvar)[rows],
            active=~passive[rows],
            export_cap_kw=np.where(passive, 0.0, export_cap_kw)[rows],
            import_cap_kw=np.where(passive, 0.0, import_cap_kw)[rows],
            import_floor_kw=np.where(passive, 0.0, floor_kw)[rows],
            uncertainty_kw=np.where(passive, uncertainty_kw, 0.0)[rows],
            weight=weight[rows],
        )
        for rows in grid
    ]
    volt_var_kva = table.numbers("volt_var_kva", 0.0)
    table.refuse(volt_var_kva < 0, "volt_var_kva", "a rated power is not negative", "0 or more")
    for rows in grid:
        _refuse_changed(table, "volt_var_kva", volt_var_kva, rows, grid[0])
    first = table.texts.iloc[grid[0]]
    points = pd.DataFrame(
        {
            "name": first["connection_point"].to_numpy(dtype=object),
            "bus": table.numbers("bus")[grid[0]].astype(np.int64),
            "phase": first["phase"].to_numpy(dtype=object),
        }
    )
    forecast_kvar = tuple(q_kvar[rows] for rows in grid)
    return KnownPoints(points, _starts(table, grid), tuple(intervals), forecast_kvar, volt_var_kva[grid[0]])


def read_envelopes(source: Path | str | pd.DataFrame, known: KnownPoints) -> GivenEnvelopes:
    """Read envelopes for known connection points.

    Args:
        source: A CSV file or a table with the columns of `ENVELOPE_COLUMNS`; `interval_start` may be missing where the
            connection points have one interval.
        known: The connection points. Every one with caps needs an envelope; a passive one that has an envelope is taken
            to use it. An interval whose limits are all empty has no envelopes.

    Raises:
        InputError: A missing column, envelope or interval, an unknown connection point, a limit that is no number or
            below zero.
    """
    table = _Table.read(source, ENVELOPE_COLUMNS[1:], ENVELOPE_COLUMNS)
    starts, names = _moments(table), table.texts["connection_point"].to_numpy(dtype=object)
    place = pd.Index(known.points["name"]).get_indexer(names)
    table.refuse(place < 0, "connection_point", "no such connection point", "those of the connection points' table")
    number_of = {_moment(start): number for number, start in enumerate(known.starts)}
    at = np.array([number_of.get(start, -1) for start in starts], dtype=np.int64)
    if len(known.starts) == 1 and (not any(starts) or not known.starts[0]) and len(set(starts)) <= 1:
        at = np.zeros(len(starts), dtype=np.int64)
    table.refuse(at < 0, "interval_start", "no such interval", "those of the connection points' table")
    _refuse_repeated(table, at, names)
    columns = ENVELOPE_COLUMNS[2:]
    filled = (table.texts[[*columns]] != "").any(axis=1).to_numpy()
    withheld = np.isin(np.arange(len(known.starts)), at) & ~np.isin(np.arange(len(known.starts)), at[filled])
    stated = ~withheld[at]
    table, at, place = _Table(table.texts[stated], table.file), at[stated], place[stated]
    limits = []
    for column in columns:
        limit_kw = table.numbers(column)
        table.refuse(limit_kw < 0, column, "a limit is not negative", "0 or more; -import <= p_kw <= export")
        full = np.zeros((len(known.starts), len(known.points)))
        full[at, place] = limit_kw
        limits.append(full)
    given = np.zeros(full.shape, dtype=bool)
    given[at, place] = True
    for number, interval in enumerate(known.intervals):
        if (lacking := interval.active & ~given[number] & ~withheld[number]).any():
            name = known.points["name"].iloc[int(np.flatnonzero(lacking)[0])]
            when = f" in the interval {known.starts[number]}" if known.starts[number] else ""
            raise InputError(
                f"a connection point with caps has no envelope{when}",
                file=table.file, key="connection_point", value=str(name), allowed="an envelope for everyone with caps",
            )  # fmt: skip
    return GivenEnvelopes(tuple(limits[0]), tuple(limits[1]), tuple(given), tuple(withheld.tolist()))


@dataclass
class _Table:
    """A table of texts that knows which line of which file each row is from."""

    texts: pd.DataFrame
    file: str | None
    read_numbers: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def read(cls, source: Path | str | pd.DataFrame, needed: tuple[str, ...], known: tuple[str, ...]) -> "_Table":
        if isinstance(source, pd.DataFrame):
            texts, file = source.reset_index(drop=True).astype(object).where(source.notna().to_numpy(), ""), None
            texts = texts.map(str)
        else:
            texts, file = _csv(Path(source)), str(source)
        texts.columns = texts.columns.map(lambda name: str(name).strip())
        texts = texts.apply(lambda column: column.str.strip())
        for name in texts.columns.difference(known):
            if near := difflib.get_close_matches(name, known, n=1, cutoff=0.8):
                raise InputError(f"unknown column; did you mean {near[0]}?", file=file, key=name)
        if missing := [name for name in needed if name not in texts]:
            found = ", ".join(texts.columns) or "none"
            raise InputError("missing column", file=file, key=", ".join(missing), allowed=f"found: {found}")
        if repeated := texts.columns[texts.columns.duplicated()].tolist():
            raise InputError("the column is there twice", file=file, key=repeated[0])
        texts = texts[(texts != "").any(axis=1)]
        if texts.empty:
            raise InputError("the table has no rows", file=file)
        return cls(texts, file)

    def numbers(self, column: str, empty: float | None = None) -> Floats:
        """[rows] Finite numbers; `empty` stands for an empty cell or a missing column."""
        if column not in self.read_numbers:
            self.read_numbers[column] = self._numbers(column, empty)
        return self.read_numbers[column]

    def _numbers(self, column: str, empty: float | None) -> Floats:
        if column not in self.texts:
            return np.full(len(self.texts), np.nan if empty is None else empty)
        texts = self.texts[column].to_numpy(dtype=object)
        if empty is None:
            self.refuse(texts == "", column, "there is no value", "a number")
        values = np.array([(np.nan if empty is None else empty) if text == "" else _number(text) for text in texts])
        self.refuse((texts != "") & ~np.isfinite(values), column, "is not a finite number", "a number")
        return values

    def refuse(self, bad: Bools, column: str, message: str, allowed: str | None = None) -> None:
        """Raise an error about the first bad row, if there is one."""
        if (rows := np.flatnonzero(bad)).size:
            self.fail(rows, column, message, allowed)

    def fail(self, rows: Ints, column: str, message: str, allowed: str | None) -> NoReturn:
        row = self.texts.iloc[int(rows[0])]
        line = int(self.texts.index[rows[0]]) + (0 if self.file is None else 2)
        more = f" (and in {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        whose = row["connection_point"]
        raise InputError(
            f"{message}{more}",
            file=f"row {line}" if self.file is None else f"{self.file}:{line}",
            key=column if column == "connection_point" or not whose else f"{whose}.{column}",
            value=row.get(column),
            allowed=allowed,
        )


def _csv(path: Path) -> pd.DataFrame:
    try:
        return read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("no such file", file=path) from error
    except pd.errors.EmptyDataError as error:
        raise InputError("the file is empty", file=path) from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise InputError(f"not a readable CSV file ({error})", file=path, allowed="comma-separated UTF-8") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _in_order(table: _Table) -> list[Ints]:
    """Return the table's rows of every interval, intervals by time, rows in the first interval's order of points.

    Raises:
        InputError: An interval that lacks a point or has it twice, a point that moves.
    """
    names = table.texts["connection_point"].to_numpy(dtype=object)
    table.refuse(names == "", "connection_point", "there is no name")
    bus = table.numbers("bus")
    table.refuse((bus != np.floor(bus)) | (bus < 0), "bus", "is not a bus", "an index of the network's bus table")
    phases = table.texts["phase"].to_numpy(dtype=object)
    table.refuse(~np.isin(phases, (*PHASES, "abc")), "phase", "no such phase", "a, b, c or abc")
    moments = _moments(table)
    _refuse_repeated(table, moments, names)
    order = sorted(set(moments), key=lambda moment: moment or datetime.min)
    first = np.flatnonzero(moments == order[0])
    index = pd.Index(names[first])
    grid = []
    for moment in order:
        rows = np.flatnonzero(moments == moment)
        place = index.get_indexer(names[rows])
        strange = rows[place < 0]
        if strange.size:
            table.fail(strange, "connection_point", "the first interval has no such connection point", None)
        if len(rows) < len(index):
            lacking = index.difference(names[rows])[0]
            raise InputError(
                "an interval lacks a connection point that another one has",
                file=table.file, key=f"{lacking}.interval_start", value=table.texts["interval_start"].iloc[rows[0]],
            )  # fmt: skip
        rows = rows[np.argsort(place)]
        for column, values in (("bus", bus), ("phase", phases)):
            _refuse_changed(table, column, values, rows, first)
        grid.append(rows)
    return grid


def _refuse_changed(table: _Table, column: str, values: np.ndarray, rows: Ints, first: Ints) -> None:
    moved = rows[values[rows] != values[first]]
    if moved.size:
        table.fail(moved, column, "differs from the first interval's", None)


def _refuse_repeated(table: _Table, interval: np.ndarray, names: np.ndarray) -> None:
    repeated = pd.DataFrame({"interval": interval, "name": names}).duplicated().to_numpy()
    table.refuse(repeated, "connection_point", "is there twice in one interval", "one row per interval")


def _moments(table: _Table) -> np.ndarray:
    """[rows] Start of each row's interval, None where the table has no times."""
    none = np.full(len(table.texts), None, dtype=object)
    if "interval_start" not in table.texts or not (table.texts["interval_start"] != "").any():
        return none
    texts = table.texts["interval_start"].to_numpy(dtype=object)
    parsed = {text: _moment(text) for text in set(texts)}
    moments = np.array([parsed[text] for text in texts], dtype=object)
    table.refuse(moments == None, "interval_start", "is not a time", "ISO 8601, such as 2016-06-15T11:00:00+00:00")  # noqa: E711
    has_offset = np.array([moment.tzinfo is not None for moment in moments])
    table.refuse(has_offset != has_offset[0], "interval_start", "some times have an offset from UTC, some have none")
    return moments


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _starts(table: _Table, grid: list[Ints]) -> tuple[str, ...]:
    if "interval_start" not in table.texts:
        return ("",)
    texts = table.texts["interval_start"].to_numpy(dtype=object)
    return tuple(str(texts[rows.min()]) for rows in grid)
