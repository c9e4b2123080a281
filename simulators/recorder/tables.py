"""Parquet tables that grow while a run goes on and survive if it is killed.

A Parquet file is readable only once it is closed. What has been flushed therefore lies in small closed files,
`<name>/part-00000.parquet` and so on, which become one `<name>.parquet` when the run ends; whoever reads takes either.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feederloop.simulators.errors import InputError
from feederloop.simulators.recorder.parts import part_files

TYPES: dict[str, Any] = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "timestamp": pa.timestamp("ms", tz="UTC"),
}
"""The types that a column may have."""

BUFFER_ROWS = 200_000
"""A table is flushed at this many rows at the latest, so that memory stays bounded whatever the step."""

GROUP_ROWS = 131_072
"""Rows per row group of a finished table, whatever the flushes were."""


def arrow_schema(columns: Mapping[str, str]) -> Any:
    """Return the pyarrow schema of columns given as name: type (see `TYPES`).

    Raises:
        InputError: A type is unknown.
    """
    for name, kind in columns.items():
        if kind not in TYPES:
            raise InputError("Unknown type of column.", key=name, value=kind, allowed=", ".join(TYPES))
    return pa.schema([(name, TYPES[kind]) for name, kind in columns.items()])


class TableWriter:
    """Writes one table, part by part, and joins the parts at the end.

    The same rows give the same bytes, however they were flushed.

    Args:
        folder: Where the table goes; made where it does not exist.
        name: The table's name.
        schema: Its pyarrow schema.

    Raises:
        InputError: The folder already holds this table.
    """

    def __init__(self, folder: Path, name: str, schema: Any) -> None:
        self._file, self._parts = folder / f"{name}.parquet", folder / name
        if self._file.exists() or self._parts.exists():
            raise InputError(
                "The folder already holds results of a run.", file=folder, key=name, allowed="a folder without them"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._schema = schema
        self._batches: list[Any] = []
        self._rows = 0
        self._part_count = 0
        self._closed = False

    def append(self, columns: list[Any]) -> Any:
        """Add rows; return them as a pyarrow record batch.

        Args:
            columns: One pyarrow array per column of the schema, of equal length.
        """
        batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        if batch.num_rows:
            self._batches.append(batch)
            self._rows += batch.num_rows
        if self._rows >= BUFFER_ROWS:
            self.flush()
        return batch

    def flush(self) -> None:
        """Put what has been added on disk, where it is readable from now on."""
        if self._batches:
            self._parts.mkdir(exist_ok=True)
            table = pa.Table.from_batches(self._batches, schema=self._schema)
            _write(self._parts / f"part-{self._part_count:05}.parquet", self._schema, iter([table]))
            self._part_count += 1
            self._batches, self._rows = [], 0

    def close(self) -> None:
        """Flush and join all parts into one file; a table without rows becomes a file without rows."""
        if self._closed:
            return
        self.flush()
        _write(self._file, self._schema, _regrouped(part_files(self._parts), self._schema))
        if self._parts.exists():
            shutil.rmtree(self._parts)
        self._closed = True


def read_table(folder: Path | str, name: str) -> Any:
    """Read a table of a run, finished or not, as a pyarrow table.

    Args:
        folder: The run's folder.
        name: The table's name.

    Raises:
        InputError: The folder has no such table.
    """
    whole = Path(folder) / f"{name}.parquet"
    files = [whole] if whole.exists() else part_files(Path(folder) / name)
    if not files:
        raise InputError("There is no such table in this folder.", file=folder, key=name)
    return pa.concat_tables([pq.ParquetFile(file).read() for file in files])


def _regrouped(files: list[Path], schema: Any) -> Iterator[Any]:
    """Yield the rows of all files in tables of `GROUP_ROWS`, holding little more than one in memory."""
    waiting = schema.empty_table()
    for file in files:
        waiting = pa.concat_tables([waiting, pq.ParquetFile(file).read()])
        while waiting.num_rows >= GROUP_ROWS:
            yield waiting.slice(0, GROUP_ROWS)
            waiting = waiting.slice(GROUP_ROWS)
    yield waiting


def _write(file: Path, schema: Any, tables: Iterator[Any]) -> None:
    """Write a file that is either whole or not there."""
    # Measured values hardly repeat, so that a dictionary of them only costs time.
    repeating = [field.name for field in schema if field.type != pa.float64()]
    unfinished = file.with_suffix(".unfinished")
    with pq.ParquetWriter(unfinished, schema, compression="zstd", use_dictionary=repeating) as writer:
        for table in tables:
            writer.write_table(table.combine_chunks(), row_group_size=GROUP_ROWS)
    unfinished.replace(file)
