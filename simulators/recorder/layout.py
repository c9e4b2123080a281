"""How what arrives from other simulators becomes the rows of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import pyarrow as pa

from feederloop.simulators.errors import InputError
from feederloop.simulators.recorder.tables import TYPES, arrow_schema
from feederloop.simulators.timeseries import check_keys

KINDS = ("per_entity", "per_list", "rows")

Received = Mapping[str, Mapping[str, Any]]
"""What a table is sent in a step: {column: {full id of the source: value}}."""


@dataclass(frozen=True)
class TableSpec:
    """What a table looks like and when it is written.

    Args:
        name: The table's name.
        kind: ``"per_entity"``: a row per source entity, each column sent as one value per entity (of a list, which is
            an outlook over the horizon, the first value is kept, the one that holds now). ``"per_list"``: a row per
            list element, each column sent as one list. ``"rows"``: one list of rows, each in the order of the columns.
        columns: The columns that are sent, name: type (`float64`, `int64`, `bool`, `string` or `timestamp`).
        rows: What the rows stand for, in their order: ids of entities, or names or numbers of list elements.
        index_column: The column that says which row is which. Without it, ``"per_entity"`` has one row per time, sent
            by whichever entities; ``"rows"`` has none, ``"per_list"`` needs it.
        time_column: The column of the time stamp; none for a table without.
        every_s: Rows are written at multiples of this time.
        stamp_offset_s: What is added to the time to get the stamp, such as minus one interval for what has just ended.
        first_s: Rows stamped before this time are not written.
        until_s: Rows stamped at this time or later are not written.

    Raises:
        InputError: A kind or type is unknown, or the parts do not go together.
    """

    name: str
    kind: str
    columns: Mapping[str, str]
    rows: Sequence[str | int] = field(default=())
    index_column: str | None = None
    time_column: str | None = "time"
    every_s: int = 1
    stamp_offset_s: int = 0
    first_s: int = 0
    until_s: int | None = None

    def __post_init__(self) -> None:
        where = f"table {self.name}"
        if self.kind not in KINDS:
            raise InputError("Unknown kind of table.", key=f"{where}.kind", value=self.kind, allowed=", ".join(KINDS))
        if self.every_s <= 0:
            raise InputError("Not a period.", key=f"{where}.every_s", value=self.every_s, allowed="1 s and more")
        misplaced = {"per_entity": False, "per_list": self.index_column is None, "rows": self.index_column is not None}
        if misplaced[self.kind] or (self.rows and self.index_column is None):
            raise InputError(
                "The rows and the column that tells them apart do not go together with the kind of table.",
                key=f"{where}.index_column",
                value=self.index_column,
            )
        if len(set(self.rows)) != len(self.rows):
            raise InputError("Two rows have one name.", key=f"{where}.rows")
        arrow_schema(self.columns)

    @property
    def _numbered(self) -> bool:
        return bool(self.rows) and all(isinstance(row, int) for row in self.rows)

    @property
    def all_columns(self) -> dict[str, str]:
        """The table's columns, those of time and row included, name: type."""
        before = {self.time_column: "timestamp"} if self.time_column else {}
        if self.index_column:
            before[self.index_column] = "int64" if self._numbered else "string"
        return before | dict(self.columns)

    def stamp_s(self, time_s: int) -> int | None:
        """Return the stamp of the rows written at a time, none if none are."""
        stamp_s = time_s + self.stamp_offset_s
        beyond = stamp_s < self.first_s or (self.until_s is not None and stamp_s >= self.until_s)
        never = self.index_column is not None and not self.rows
        return None if beyond or never or time_s % self.every_s else stamp_s


def table_spec(spec: Mapping[str, Any]) -> TableSpec:
    """Read a specification that came as a dictionary.

    Raises:
        InputError: A key is unknown or missing, or see `TableSpec`.
    """
    known = [entry.name for entry in fields(TableSpec)]
    check_keys(spec, known, key="spec")
    for name in ("name", "kind", "columns"):
        if name not in spec:
            raise InputError("The specification of a table lacks a key.", key=f"spec.{name}", allowed=", ".join(known))
    return TableSpec(**spec)


class Layout:
    """Turns what a table is sent into pyarrow columns.

    Args:
        spec: The table.
        start_ms: Start of the run, milliseconds since 1970 UTC.
    """

    def __init__(self, spec: TableSpec, start_ms: int) -> None:
        self._spec, self._start_ms = spec, start_ms
        self._row_of_source: dict[str, int] = {}
        self._row_of_name = {str(name): i for i, name in enumerate(spec.rows)}
        self._index = []
        if spec.index_column:
            self._index = [pa.array(list(spec.rows), TYPES[spec.all_columns[spec.index_column]])]

    def columns(self, stamp_s: int, received: Received) -> list[Any]:
        """Return one array per column of the table.

        Args:
            stamp_s: The rows' time stamp, seconds since the start of the run.
            received: What was sent.

        Raises:
            InputError: Something was sent that the table has no place for, or a list is not of the table's length.
        """
        if not received:
            raise self._error("The table is sent nothing; is it connected?")
        if self._spec.kind == "rows":
            values = self._from_rows(received)
        else:
            for name in received:
                if name not in self._spec.columns:
                    raise self._error("The table has no such column", name, allowed=", ".join(self._spec.columns))
            gather = self._from_entities if self._spec.kind == "per_entity" else self._from_list
            values = [gather(name, received.get(name, {})) for name in self._spec.columns]
        data = [self._array(kind, column) for kind, column in zip(self._spec.columns.values(), values, strict=True)]
        return [*self._stamps(stamp_s, len(data[0])), *self._index, *data]

    def _stamps(self, stamp_s: int, count: int) -> list[Any]:
        if self._spec.time_column is None:
            return []
        return [pa.repeat(pa.scalar(self._start_ms + 1000 * stamp_s, TYPES["timestamp"]), count)]

    def _array(self, kind: str, values: Sequence[Any]) -> Any:
        if kind == "timestamp":
            values = [self._milliseconds(value) for value in values]
        # from_pandas: what is not a number is absent.
        return pa.array(values, TYPES[kind], from_pandas=True)

    def _milliseconds(self, value: float | str | None) -> int | None:
        """Return seconds since the start of the run, or an ISO 8601 time, as milliseconds since 1970 UTC."""
        if isinstance(value, str):
            return round(datetime.fromisoformat(value).timestamp() * 1000)
        return None if value is None else self._start_ms + round(1000 * value)

    def _from_entities(self, name: str, sent: Mapping[str, Any]) -> list[Any]:
        column: list[Any] = [None] * max(1, len(self._spec.rows))
        for source, value in sent.items():
            column[self._row(source, name)] = value[0] if isinstance(value, list) and value else value
        if len({self._row_of_source[source] for source in sent}) != len(sent):
            raise self._error("Two sources send the same value", name, value=sorted(sent))
        return column

    def _row(self, source: str, name: str) -> int:
        """Return the row of the source with this full id, `simulator.entity`."""
        if source not in self._row_of_source:
            entity = source.partition(".")[2]
            if self._spec.rows and entity not in self._row_of_name:
                raise self._error("The table has no row for this source", name, value=source)
            self._row_of_source[source] = self._row_of_name.get(entity, 0)
        return self._row_of_source[source]

    def _from_list(self, name: str, sent: Mapping[str, Any]) -> list[Any]:
        length = len(self._spec.rows)
        if not sent:
            return [None] * length
        values = self._only(name, sent)
        if values is None:
            return [None] * length
        if len(values) != length:
            raise self._error("The list is not as long as the table has rows", name, len(values), f"{length} values")
        return list(values)

    def _from_rows(self, received: Received) -> list[Sequence[Any]]:
        if len(received) != 1:
            raise self._error("The rows are sent as one attribute", value=sorted(received))
        name, sent = next(iter(received.items()))
        rows = [row for source in sorted(sent) for row in sent[source] or ()]
        width = len(self._spec.columns)
        for row in rows:
            if len(row) != width:
                raise self._error("A row does not fit the columns", name, row, ", ".join(self._spec.columns))
        return list(zip(*rows, strict=True)) if rows else [()] * width

    def _only(self, name: str, sent: Mapping[str, Any]) -> Any:
        if len(sent) != 1:
            raise self._error("One source at most may send this", name, value=sorted(sent))
        return next(iter(sent.values()))

    def _error(
        self, message: str, column: str | None = None, value: object = None, allowed: str | None = None
    ) -> InputError:
        key = f"table {self._spec.name}" + (f".{column}" if column else "")
        return InputError(f"{message}.", key=key, value=value, allowed=allowed)
