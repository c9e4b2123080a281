"""Rows that are longer than their header are refused: pandas would shift every column."""

from pathlib import Path

import pytest

from feederloop.simulators.csv_file import read_csv
from feederloop.simulators.envelope.points import read_points
from feederloop.simulators.errors import InputError


def test_a_value_too_many_in_every_row_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sun.csv"
    file.write_text("time,kw,volts\n0,1.2,230,\n300,1.3,231,\n", encoding="utf-8")
    with pytest.raises(ValueError, match="more values than there are columns"):
        read_csv(file)
    file.write_text("time,kw,volts\n0,1.2,230\n300,1.3,231\n", encoding="utf-8")
    assert read_csv(file, usecols=["kw"])["kw"].tolist() == [1.2, 1.3]


def test_a_table_of_points_says_so(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    header = "connection_point,bus,phase,p_kw,q_kvar,export_cap_kw,import_cap_kw"
    file.write_text(f"{header}\nhome,7,a,0,0,5,5,\n", encoding="utf-8")
    with pytest.raises(InputError, match="rows have more values than there are columns"):
        read_points(file)
