import signal
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.errors import InputError
from feederloop.simulators.recorder import tables
from feederloop.simulators.recorder.tables import TableWriter, arrow_schema, read_table

SCHEMA = arrow_schema({"time": "timestamp", "who": "string", "p_kw": "float64", "count": "int64", "on": "bool"})


def rows(first, count):
    numbers = range(first, first + count)
    return [
        pa.array([1000 * n for n in numbers], SCHEMA.field("time").type),
        pa.array([f"home_{n % 7}" for n in numbers]),
        pa.array([n / 3 for n in numbers]),
        pa.array(list(numbers)),
        pa.array([n % 2 == 0 for n in numbers]),
    ]


def written(folder, amounts, flushes=()):
    writer = TableWriter(folder, "t", SCHEMA)
    for i, amount in enumerate(amounts):
        writer.append(rows(sum(amounts[:i]), amount))
        if i in flushes:
            writer.flush()
    return writer


def test_a_finished_table_is_one_file_with_its_schema(tmp_path):
    written(tmp_path, [3, 4], flushes=[0]).close()
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]
    table = read_table(tmp_path, "t")
    assert table.schema.equals(SCHEMA)
    assert table.column("count").to_pylist() == list(range(7))
    assert table.column("time")[6].as_py() == datetime(1970, 1, 1, 0, 0, 6, tzinfo=UTC)


def test_what_was_flushed_is_readable_while_the_run_goes_on(tmp_path):
    writer = written(tmp_path, [3, 4, 5], flushes=[0, 1])
    assert read_table(tmp_path, "t").column("count").to_pylist() == list(range(7))
    writer.close()
    assert read_table(tmp_path, "t").num_rows == 12


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow as pa
from feederloop.simulators.recorder.tables import TableWriter
writer = TableWriter(Path(sys.argv[1]), "t", pa.schema([("count", pa.int64())]))
for rows in (range(30), range(30, 70), range(70, 90)):
    writer.append([pa.array(rows)])
    if rows.stop < 90:
        writer.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_what_it_had_flushed(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert read_table(tmp_path, "t").column("count").to_pylist() == list(range(70))


def test_a_file_that_was_not_finished_is_not_read(tmp_path):
    written(tmp_path, [3], flushes=[0])
    (tmp_path / "t" / "part-00001.unfinished").write_bytes(b"PAR1")
    (tmp_path / "t.unfinished").write_bytes(b"PAR1")
    assert read_table(tmp_path, "t").num_rows == 3


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=8), st.sets(st.integers(0, 7)), st.integers(9, 60))
def test_the_same_rows_give_the_same_bytes_however_they_were_flushed(tmp_path_factory, amounts, flushes, group):
    at_once, in_parts = tmp_path_factory.mktemp("once"), tmp_path_factory.mktemp("parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "GROUP_ROWS", group)
        written(at_once, [sum(amounts)]).close()
        written(in_parts, amounts, flushes).close()
    assert (at_once / "t.parquet").read_bytes() == (in_parts / "t.parquet").read_bytes()
    found = pq.ParquetFile(in_parts / "t.parquet")
    assert found.read().column("count").to_pylist() == list(range(sum(amounts)))
    assert all(found.metadata.row_group(i).num_rows <= group for i in range(found.num_row_groups))


def test_parts_keep_their_order_beyond_five_digits(tmp_path):
    writer = TableWriter(tmp_path, "t", SCHEMA)
    writer._part_count = 99_998
    for i in range(4):
        writer.append(rows(i, 1))
        writer.flush()
    assert read_table(tmp_path, "t").column("count").to_pylist() == [0, 1, 2, 3]


def test_memory_is_bounded_by_flushing_full_buffers(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BUFFER_ROWS", 10)
    written(tmp_path, [6, 6, 6])
    assert read_table(tmp_path, "t").num_rows == 12


def test_a_table_without_rows_is_a_file_with_a_schema(tmp_path):
    writer = written(tmp_path, [0])
    with pytest.raises(InputError, match="no such table"):
        read_table(tmp_path, "t")
    writer.close()
    writer.close()
    assert read_table(tmp_path, "t").schema.equals(SCHEMA)
    assert read_table(tmp_path, "t").num_rows == 0


@pytest.mark.parametrize("finished", [True, False])
def test_results_are_never_written_over(tmp_path, finished):
    writer = written(tmp_path, [2], flushes=[0])
    if finished:
        writer.close()
    with pytest.raises(InputError, match="already holds results"):
        TableWriter(tmp_path, "t", SCHEMA)


def test_an_unknown_type_is_refused():
    with pytest.raises(InputError) as refusal:
        arrow_schema({"p_kw": "float"})
    assert (refusal.value.key, refusal.value.value) == ("p_kw", "float")
