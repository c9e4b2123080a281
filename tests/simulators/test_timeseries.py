"""A user's own series: what is read, what is refused and that resampling keeps the energy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feederloop.simulators import timeseries
from feederloop.simulators.errors import InputError

START_S = timeseries.utc_seconds("2016-06-15T00:00:00+00:00")


def table(rows=8, freq="15min", **columns):
    times = pd.date_range("2016-06-15T00:00:00+00:00", periods=rows, freq=freq)
    columns = columns or {"home 1": np.arange(rows, dtype=float), "home 2": np.ones(rows)}
    return pd.DataFrame({"time": [t.isoformat() for t in times], **columns})


def options(path, **more):
    return timeseries.series_file({"kind": "file", "path": str(path), **more}, key="household.source")


def read(frame, tmp_path, prosumers=("home 1",), **more):
    path = tmp_path / "load.csv"
    frame.to_csv(path, index=False)
    return timeseries.read_series(options(path, **more), list(prosumers))


def test_a_csv_is_read_in_utc_with_demand_as_import(tmp_path):
    series = read(table(), tmp_path, ["home 2", "home 1"])
    assert (series.start_s, series.interval_s) == (START_S, 900)
    np.testing.assert_array_equal(series.p_kw, [-np.ones(8), -np.arange(8)])


def test_parquet_with_times_as_index_reads_like_csv(tmp_path):
    frame = table()
    frame["time"] = pd.to_datetime(frame["time"])
    frame.set_index("time").to_parquet(tmp_path / "load.parquet")
    series = timeseries.read_series(options(tmp_path / "load.parquet"), ["home 1"])
    np.testing.assert_array_equal(series.p_kw, read(table(), tmp_path).p_kw)


@pytest.mark.parametrize(("unit", "factor"), [("kW", 1.0), ("W", 1e-3), ("kWh", 4.0)])
def test_units(tmp_path, unit, factor):
    series = read(table(), tmp_path, unit=unit, sign="export")
    np.testing.assert_allclose(series.p_kw[0], factor * np.arange(8))


def test_columns_can_be_mapped_or_shared(tmp_path):
    mapped = read(table(), tmp_path, ["a", "home 2"], columns={"a": "home 1"}, sign="export")
    np.testing.assert_array_equal(mapped.p_kw[0], np.arange(8))
    shared = read(table(), tmp_path, ["a", "b"], column="home 1", sign="export")
    np.testing.assert_array_equal(shared.p_kw, [np.arange(8), np.arange(8)])


@pytest.mark.parametrize(("day", "hours"), [("2016-03-27", 23), ("2016-10-30", 25)])
def test_local_times_across_the_clock_change(tmp_path, day, hours):
    times = pd.date_range(day, pd.Timestamp(day) + pd.Timedelta("1D"), freq="15min", tz="Europe/London")[:-1]
    frame = pd.DataFrame({"time": times.strftime("%Y-%m-%d %H:%M"), "home 1": 1.0})
    series = read(frame, tmp_path, time_zone="Europe/London")
    assert series.end_s - series.start_s == hours * 3600


def naive():
    frame = table()
    frame["time"] = frame["time"].str.slice(0, 19)
    return frame


def with_cell(row, column, value):
    frame = table().astype(object)
    frame.loc[row, column] = value
    return frame


DUPLICATE = pd.concat([table().iloc[:4], table().iloc[3:]])
BAD_TABLES = {
    "gap": (table().drop(index=3), {}, r"Row 4: A gap before this row: 1800 s instead of 900 s"),
    "irregular": (with_cell(7, "time", "2016-06-15T01:46:00+00:00"), {}, r"Row 8: Irregular step"),
    "duplicate": (DUPLICATE, {}, r"Row 5: The time is the same as in the row before"),
    "unsorted": (table().iloc[[0, 1, 3, 2, 4, 5, 6, 7]], {}, r"Row 4: The times are not sorted"),
    "naive": (naive(), {}, r"no time zone is stated.*household\.source\.time_zone"),
    "both": (table(), {"time_zone": "Europe/London"}, r"carry an offset and a time zone is stated"),
    "no such zone": (naive(), {"time_zone": "Europe/Lundon"}, r"do not fit the stated time zone.*Lundon"),
    "mixed": (with_cell(2, "time", "2016-06-15T00:30:00"), {}, r"Row 3: This time has no offset, others have"),
    "no time": (with_cell(1, "time", "yesterday 10:00+00:00"), {}, r"Row 2: Not an ISO 8601 time"),
    "empty time": (with_cell(1, "time", None), {}, r"Row 2: The time is missing"),
    "nan": (with_cell(5, "home 1", None), {}, r"Row 6 \(2016-06-15T01:15:00.*not a number in column 'home 1'"),
    "text": (with_cell(5, "home 1", "n/a"), {}, r"Row 6.*not a number"),
    "infinite": (with_cell(5, "home 1", "inf"), {}, r"Row 6.*not a number"),
    "column": (table(**{"hom 1": np.ones(8)}), {}, r"no column 'home 1'; did you mean 'hom 1'\?"),
    "one row": (table(rows=1), {}, r"One row is no series"),
    "no rows": (table().iloc[:0], {}, r"no rows"),
    "unknown key": (table(), {"unti": "kW"}, r"Unknown key; did you mean 'unit'\?.*household\.source\.unti"),
    "unknown unit": (table(), {"unit": "MW"}, r"Unknown unit.*household\.source\.unit = 'MW'.*kW, W, kWh"),
    "unknown sign": (table(), {"sign": "load"}, r"Unknown sign.*import, export"),
    "columns": (table(), {"columns": "home 1"}, r"Not a mapping"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables_are_refused_by_row_and_key(tmp_path, name):
    frame, more, message = BAD_TABLES[name]
    with pytest.raises(InputError, match=message):
        read(frame, tmp_path, **more)


def test_a_time_that_does_not_exist_is_refused(tmp_path):
    frame = table()
    frame["time"] = pd.date_range("2016-03-27T00:30:00", periods=8, freq="15min").strftime("%Y-%m-%d %H:%M")
    with pytest.raises(InputError, match="do not fit the stated time zone"):
        read(frame, tmp_path, time_zone="Europe/London")


def test_a_missing_and_an_unreadable_file_are_named(tmp_path):
    with pytest.raises(InputError, match=r"load\.csv: No such file.*household\.source\.path"):
        timeseries.read_series(options(tmp_path / "load.csv"), ["home 1"])
    (tmp_path / "load.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"load\.parquet: Cannot be read"):
        timeseries.read_series(options(tmp_path / "load.parquet"), ["home 1"])
    with pytest.raises(InputError, match="path of the file is missing"):
        options("")


def test_a_run_outside_the_file_is_refused(tmp_path):
    series = read(table(), tmp_path)
    with pytest.raises(InputError, match=r"does not cover the run.*01:00:00\+00:00 to 2016-06-15T03:00:00"):
        timeseries.cover(series, start_s=START_S + 3600, end_s=START_S + 3 * 3600, key="household.source")
    with pytest.raises(InputError, match="does not cover the run"):
        timeseries.cover(series, start_s=START_S - 900, end_s=START_S + 900, key="k", beyond="repeat_day")


def test_past_the_end_the_last_day_is_repeated_where_that_is_wanted():
    series = timeseries.Series(np.arange(72.0)[None], START_S, 3600, Path("load.csv"))
    longer = timeseries.cover(series, start_s=START_S, end_s=START_S + 130 * 3600, key="k", beyond="repeat_day")
    np.testing.assert_array_equal(
        longer.p_kw[0, 72:], np.concatenate([np.arange(48.0, 72), np.arange(48.0, 72), np.arange(48.0, 58)])
    )


@pytest.mark.parametrize("bad", ["2016-06-15T00:00:00", "noon", None])
def test_a_start_without_offset_is_refused(bad):
    with pytest.raises(InputError):
        timeseries.utc_seconds(bad)


@given(
    p_kw=st.lists(st.floats(-20, 20), min_size=12, max_size=12),
    interval_s=st.sampled_from([60, 300, 900, 1800]),
    step_s=st.sampled_from([60, 120, 300, 600, 900, 3600]),
    offset_s=st.integers(0, 900),
)
def test_resampling_is_the_mean_over_each_step(p_kw, interval_s, step_s, offset_s):
    series = timeseries.Series(np.array([p_kw]), START_S, interval_s, Path("load.csv"))
    steps = (12 * interval_s - offset_s) // step_s
    if steps < 1:
        return
    result = timeseries.resample(series, start_s=START_S + offset_s, duration_s=steps * step_s, step_s=step_s)
    every_second = np.repeat(series.p_kw[0], interval_s)[offset_s : offset_s + steps * step_s]
    np.testing.assert_allclose(result[0], every_second.reshape(steps, step_s).mean(axis=1), atol=1e-9)
