"""A run's tables as questions asked of their files: only what is asked for is read, and folded where it is much.

DuckDB reads the Parquet files in place. It is locked to the run's folder and to reading; whatever a browser sends is a
value in one of the questions below, never a part of one: names of tables and columns are those that the files have.
"""

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb

from feederloop.coupling.results import Run
from feederloop.simulators.errors import InputError
from feederloop.simulators.recorder.parts import part_files

Columns = dict[str, list[Any]]
Span = tuple[float, float]
"""Seconds since 1970 UTC: from (included) and to (not included)."""

STAMPS = ("time", "interval_start", "arrival")
MOST_ROWS = 500
_BATCH_ROWS = 50_000


class Store:
    """Asks questions of the tables of a run, finished or not.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        folder = run.folder.resolve()
        self._folder = folder
        self._duck = duckdb.connect()
        for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
            self._duck.execute(f"SET {setting} = false")
        self._duck.execute("SET TimeZone = 'UTC'")
        self._duck.execute(f"SET allowed_directories = [{_quoted(f'{folder}/', mark=chr(39))}]")
        self._duck.execute("SET enable_external_access = false")
        self._duck.execute("SET lock_configuration = true")
        self._columns: dict[tuple[str, ...], dict[str, str]] = {}

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table with their SQL types; none where there is no such table or it is damaged."""
        if table not in self.run.tables:
            return {}
        files = self._files(table)
        if tuple(files) not in self._columns:
            try:
                rows = self._ask("DESCRIBE SELECT * FROM read_parquet(?, union_by_name = true)", [files]).fetchall()
            except duckdb.Error:
                return {}
            self._columns[tuple(files)] = {name: kind for name, kind, *_ in rows}
        return self._columns[tuple(files)]

    def rows(self, table: str) -> int:
        """Return how many rows a table has; none can be read of one that is damaged."""
        return 0 if not self.columns(table) else int(self._select("count(*)", table).fetchall()[0][0])

    def stamp(self, table: str) -> str | None:
        """Return the column that says when a row was, where there is one."""
        columns = self.columns(table)
        return next((name for name in STAMPS if name in columns), None)

    def span(self, tables: Sequence[str]) -> Span | None:
        """Return the first and the last time in some tables, seconds since 1970; None where there is none."""
        ends = []
        for table in tables:
            if "time" in self.columns(table):
                ends += self._select(f"{_seconds('min(time)')}, {_seconds('max(time)')}", table).fetchall()
        known = [end for end in ends if end[0] is not None]
        return (min(end[0] for end in known), max(end[1] for end in known)) if known else None

    def folded(
        self, table: str, shown: Mapping[str, str], span: Span, fold_s: float, where: Mapping[str, Any] | None = None
    ) -> Columns:
        """Return aggregates of a table by equal stretches of time.

        Args:
            table: The table.
            shown: By name what to show of each stretch, in SQL of our own; what needs columns that the table lacks is
                left out.
            span: Which part of the run.
            fold_s: Length of a stretch, s.
            where: Values that columns must have.

        Returns:
            A list by name, `at` with the start of each stretch, seconds since 1970; empty without the table.
        """
        stamp = self.stamp(table)
        known = self._within(table, shown)
        if stamp is None or not known:
            return {"at": []}
        start, fold = span[0], fold_s
        stretch = f"CAST(floor(({_seconds(stamp)} - {start!r}) / {fold!r}) AS BIGINT)"
        what = ", ".join(f"{sql} AS {_quoted(name)}" for name, sql in known.items())
        found = self._select(f"{stretch} AS stretch, {what}", table, span, where, "GROUP BY ALL ORDER BY stretch")
        columns = list(zip(*found.fetchall(), strict=True)) or [()] * (1 + len(known))
        at = [start + fold * number for number in columns[0]]
        return {"at": at, **{name: _plain(values) for name, values in zip(known, columns[1:], strict=True)}}

    def moment(self, table: str, key: str, columns: Sequence[str], at: float) -> dict[Any, list[Any]]:
        """Return by key the columns of the rows of one moment; columns that there are not are gaps."""
        there, stamp = self.columns(table), self.stamp(table)
        if key not in there or stamp is None:
            return {}
        what = ", ".join(_quoted(name) if name in there else "NULL" for name in columns)
        found = self._select(f"{_quoted(key)}, {what}", table, (at, at + 0.5)).fetchall()
        return {row[0]: _plain(row[1:]) for row in found}

    def records(self, table: str, columns: Sequence[str], *, distinct: bool = False) -> list[dict[str, Any]]:
        """Return the rows of a small table by column, each once or as often as it is there; of columns there are."""
        there = [name for name in columns if name in self.columns(table)]
        if not there:
            return []
        what = f"{'DISTINCT ' if distinct else ''}{', '.join(map(_quoted, there))}"
        found = self._select(what, table).fetchall()
        return [dict(zip(there, _plain(row), strict=True)) for row in found]

    def page(self, table: str, span: Span | None, where: Mapping[str, Any], offset: int, limit: int) -> dict[str, Any]:
        """Return some rows of a table as they are, times as ISO 8601."""
        self._check(table)
        span = span if self.stamp(table) else None
        found = self._select("*", table, span, where, "LIMIT ? OFFSET ?", [min(limit, MOST_ROWS), offset])
        rows = [[_cell(value) for value in row] for row in found.fetchall()]
        total = int(self._select("count(*)", table, span, where).fetchall()[0][0])
        return {"columns": list(self.columns(table)), "rows": rows, "total": total}

    def csv(self, table: str, span: Span | None, where: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield a table as CSV; text that a spreadsheet would take for a formula is marked as text."""
        import pyarrow as pa
        import pyarrow.csv

        self._check(table)
        columns = self.columns(table)
        what = ", ".join(_safe_text(name) if kind == "VARCHAR" else _quoted(name) for name, kind in columns.items())
        question, values = self._question(what, table, span if self.stamp(table) else None, where)
        reader = self._duck.cursor().sql(question, params=values).to_arrow_reader(_BATCH_ROWS)
        header = True
        for batch in reader:
            text = BytesIO()
            options = pa.csv.WriteOptions(include_header=header)
            pa.csv.write_csv(pa.Table.from_batches([batch]), text, options)
            header = False
            yield text.getvalue()
        if header:
            yield (",".join(columns) + "\n").encode()

    # --- questions ---

    def _check(self, table: str) -> None:
        if table not in self.run.tables:
            allowed = ", ".join(self.run.tables) or "none: the run has written no table"
            raise InputError("there is no such table", key="table", value=table, allowed=allowed)
        if not self.columns(table):
            raise InputError("this table is damaged and cannot be read", key="table", value=table)

    def _within(self, table: str, shown: Mapping[str, str]) -> dict[str, str]:
        """Leave out what needs columns that are not there; in our SQL columns stand in double quotes."""
        there = self.columns(table)
        return {name: sql for name, sql in shown.items() if set(sql.split('"')[1::2]) <= there.keys()}

    def _select(
        self,
        what: str,
        table: str,
        span: Span | None = None,
        where: Mapping[str, Any] | None = None,
        more: str = "",
        values: Sequence[Any] = (),
    ) -> Any:
        question, given = self._question(what, table, span, where)
        return self._ask(f"{question} {more}", [*given, *values])

    def _question(
        self, what: str, table: str, span: Span | None = None, where: Mapping[str, Any] | None = None
    ) -> tuple[str, list[Any]]:
        conditions, given = [], []
        if span is not None:
            stamp = self.stamp(table)
            conditions += [f"{stamp} >= to_timestamp(?)", f"{stamp} < to_timestamp(?)"]
            given += [float(end) for end in span]
        for name, value in (where or {}).items():
            if name in self.columns(table):
                conditions.append(f"{_quoted(name)} = ?")
                given.append(value)
        which = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {what} FROM read_parquet(?, union_by_name = true) {which}", [self._files(table), *given]

    def _ask(self, question: str, values: list[Any]) -> Any:
        return self._duck.cursor().execute(question, values)

    def _files(self, table: str) -> list[str]:
        whole = self._folder / f"{table}.parquet"
        files = [whole] if whole.exists() else part_files(self._folder / table)
        return [str(Path(file)) for file in files]


def _seconds(stamp: str) -> str:
    """Seconds since 1970 of a time, whatever its resolution."""
    return f"epoch_ms(CAST({stamp} AS TIMESTAMPTZ)) / 1000"


def _quoted(name: str, mark: str = '"') -> str:
    return mark + name.replace(mark, 2 * mark) + mark


def _safe_text(name: str) -> str:
    column = _quoted(name)
    return f"CASE WHEN regexp_matches({column}, '^[=+@\\t\\r-]') THEN '''' || {column} ELSE {column} END AS {column}"


def _plain(values: Sequence[Any]) -> list[Any]:
    """Numbers that JSON knows; others are gaps."""
    return [None if isinstance(value, float) and value - value != 0 else value for value in values]


def _cell(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return None if isinstance(value, float) and value - value != 0 else value
