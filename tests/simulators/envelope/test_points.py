"""Tables of connection points and envelopes: what is read, and what is refused with which words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feederloop.simulators.envelope.points import read_envelopes, read_points
from feederloop.simulators.errors import InputError

HEADER = "connection_point,bus,phase,p_kw,q_kvar,export_cap_kw,import_cap_kw"
POINTS = f"""{HEADER}
flat 1,4,a,-0.5,-0.1,5,7
flat 2,6,abc,1.25,0.1,10,14
shop,8,c,-2,-0.4,,
"""
TIMED = """interval_start,connection_point,bus,phase,p_kw,q_kvar,export_cap_kw,import_cap_kw,uncertainty_kw
2016-06-15T11:30:00+00:00,shop,8,c,-2,-0.4,,,0.25
2016-06-15T11:30:00Z,flat,4,a,-0.5,-0.1,5,7,
2016-06-15T12:00:00+01:00,flat,4,a,-0.75,-0.2,,,
2016-06-15T12:00:00+01:00,shop,8,c,-3,-0.5,,,0.5
"""


def written(folder: Path, text: str, name: str = "points.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_points_of_one_interval(tmp_path: Path) -> None:
    known = read_points(written(tmp_path, POINTS))
    assert known.starts == ("",)
    assert known.points.to_dict("list") == {
        "name": ["flat 1", "flat 2", "shop"],
        "bus": [4, 6, 8],
        "phase": ["a", "abc", "c"],
    }
    (interval,) = known.intervals
    np.testing.assert_array_equal(interval.p_kw, [-0.5, 1.25, -2.0])
    np.testing.assert_array_equal(interval.active, [True, True, False])
    np.testing.assert_array_equal(interval.export_cap_kw, [5.0, 10.0, 0.0])
    np.testing.assert_array_equal(interval.import_cap_kw, [7.0, 14.0, 0.0])
    np.testing.assert_array_equal(interval.q_low_kvar, known.q_kvar[0])
    np.testing.assert_array_equal(interval.q_high_kvar, [-0.1, 0.1, -0.4])
    np.testing.assert_array_equal(interval.weight, np.ones(3))


def test_intervals_come_by_time_and_points_in_one_order(tmp_path: Path) -> None:
    known = read_points(written(tmp_path, TIMED))
    assert known.starts == ("2016-06-15T12:00:00+01:00", "2016-06-15T11:30:00+00:00")
    assert known.points["name"].tolist() == ["flat", "shop"]
    early, late = known.intervals
    np.testing.assert_array_equal(early.p_kw, [-0.75, -3.0])
    np.testing.assert_array_equal(late.p_kw, [-0.5, -2.0])
    np.testing.assert_array_equal(early.active, [False, False])
    np.testing.assert_array_equal(late.active, [True, False])
    np.testing.assert_array_equal(late.uncertainty_kw, [0.0, 0.25])


def test_a_table_in_memory_reads_like_its_file(tmp_path: Path) -> None:
    from_file = read_points(written(tmp_path, TIMED))
    from_memory = read_points(pd.read_csv(tmp_path / "points.csv"))
    assert from_memory.starts == from_file.starts
    for one, other in zip(from_memory.intervals, from_file.intervals, strict=True):
        for name in one.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_reactive_band_floor_and_weight(tmp_path: Path) -> None:
    text = f"{HEADER},q_low_kvar,q_high_kvar,import_floor_kw,weight\nhome,4,a,-0.5,-0.1,5,7,-0.3,,0.8,2\n"
    (interval,) = read_points(written(tmp_path, text)).intervals
    assert (interval.q_low_kvar[0], interval.q_high_kvar[0]) == (-0.3, -0.1)
    assert (interval.import_floor_kw[0], interval.weight[0]) == (0.8, 2.0)


def test_an_inverter_that_answers_to_its_voltage_does_so_in_every_interval(tmp_path: Path) -> None:
    known = read_points(written(tmp_path, f"{HEADER},volt_var_kva\nhome,4,a,-0.5,-0.1,5,7,6\nshop,8,c,-2,-0.4,,,\n"))
    np.testing.assert_array_equal(known.volt_var_kva, [6.0, 0.0])
    timed = TIMED.replace("uncertainty_kw", "volt_var_kva")
    with pytest.raises(InputError, match=r"differs from the first interval's \[shop.volt_var_kva = '0.25'\]"):
        read_points(written(tmp_path, timed))
    with pytest.raises(InputError, match=r"a rated power is not negative.*\[shop.volt_var_kva = '-0.5'\]"):
        read_points(written(tmp_path, timed.replace("0.25", "-0.5").replace(",,,0.5", ",,,-0.5")))


def test_blank_lines_spaces_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeff" + POINTS.replace("\n", "\n\n").replace(",4,", ", 4 ,"))
    assert read_points(file).points["bus"].tolist() == [4, 6, 8]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("-0.5", "nan", "points.csv:2: is not a finite number [flat 1.p_kw = 'nan']"),
        ("-0.5", "inf", "is not a finite number [flat 1.p_kw"),
        ("-0.5", "", "there is no value [flat 1.p_kw"),
        ("-0.5", "half", "is not a finite number [flat 1.p_kw = 'half']"),
        ("14", "NaN", "is not a finite number [flat 2.import_cap_kw"),
        ("-0.4", "", "there is no value [shop.q_kvar"),
        ("6,abc", "6.5,abc", "points.csv:3: is not a bus [flat 2.bus = '6.5']"),
        ("6,abc", "6,ab", "no such phase [flat 2.phase = 'ab'] (allowed: a, b, c or abc)"),
        ("shop", "flat 1", "points.csv:4: is there twice in one interval [connection_point = 'flat 1']"),
        ("shop", "", "points.csv:4: there is no name [connection_point = '']"),
        ("1.25", "10.5", "the forecast p_kw goes beyond this cap [flat 2.export_cap_kw = '10']"),
        ("-0.5", "-7.5", "the forecast p_kw goes beyond this cap [flat 1.import_cap_kw = '7']"),
        ("5,7", "-5,7", "a cap is not negative [flat 1.export_cap_kw"),
        ("5,7", "5,", "one of the two caps is missing [flat 1.import_cap_kw = '']"),
        ("phase,", "phases,", "unknown column; did you mean phase? [phases]"),
        ("phase,", "where,", "missing column [phase] (allowed: found: connection_point, bus, where"),
        (POINTS[len(HEADER) :], "\n", "the table has no rows"),
        (POINTS, "", "the file is empty"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = written(tmp_path, POINTS.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_points(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("2016-06-15T12:00:00+01:00,shop", "noon,shop", "points.csv:5: is not a time [shop.interval_start = 'noon']"),
        ("2016-06-15T12:00:00+01:00,shop", "2016-06-15T12:00:00,shop", "some times have an offset"),
        ("T12:00:00+01:00,shop,8,c,-3", "T11:30:00Z,shop,8,c,-3", "points.csv:5: is there twice in one interval"),
        ("2016-06-15T12:00:00+01:00,shop,8,c,-3,-0.5,,,0.5\n", "", "the first interval has no such connection point"),
        ("2016-06-15T11:30:00+00:00,shop,8,c,-2,-0.4,,,0.25\n", "", "an interval lacks a connection point"),
        (",shop,8,c,-3", ",shop,9,c,-3", "differs from the first interval's [shop.bus = '8']"),
        (",shop,8,c,-3", ",shop,8,b,-3", "differs from the first interval's [shop.phase = 'c']"),
        (",,,0.5", ",,,-0.5", "an uncertainty is not negative [shop.uncertainty_kw = '-0.5']"),
    ],
)
def test_what_is_refused_of_several_intervals(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TIMED
    with pytest.raises(InputError) as caught:
        read_points(written(tmp_path, TIMED.replace(old, new, 1)))
    assert words in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        read_points(tmp_path / "nowhere.csv")


ENVELOPES = "connection_point,export_limit_kw,import_limit_kw\nflat 2,3,4\nflat 1,1,2\n"


def test_envelopes_of_one_interval(tmp_path: Path) -> None:
    known = read_points(written(tmp_path, POINTS))
    given = read_envelopes(written(tmp_path, ENVELOPES, "envelopes.csv"), known)
    np.testing.assert_array_equal(given.export_limit_kw, [[1.0, 3.0, 0.0]])
    np.testing.assert_array_equal(given.import_limit_kw, [[2.0, 4.0, 0.0]])
    np.testing.assert_array_equal(given.given, [[True, True, False]])


def test_who_has_an_envelope_uses_it_with_or_without_caps(tmp_path: Path) -> None:
    known = read_points(written(tmp_path, POINTS))
    given = read_envelopes(written(tmp_path, ENVELOPES + "shop,0.5,2.5\n", "envelopes.csv"), known)
    np.testing.assert_array_equal(given.given, [[True, True, True]])


def test_envelopes_find_their_interval_however_it_is_written(tmp_path: Path) -> None:
    known = read_points(written(tmp_path, TIMED))
    text = "interval_start,connection_point,export_limit_kw,import_limit_kw\n2016-06-15T11:30:00Z,flat,1,2\n"
    given = read_envelopes(written(tmp_path, text, "envelopes.csv"), known)
    np.testing.assert_array_equal(given.export_limit_kw, [[0.0, 0.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("flat 1", "flat 9", "envelopes.csv:3: no such connection point [connection_point = 'flat 9']"),
        ("flat 1,1,2\n", "", "a connection point with caps has no envelope [connection_point = 'flat 1']"),
        ("flat 1,1,2\n", "flat 1,1,2\nflat 1,1,2\n", "envelopes.csv:4: is there twice in one interval"),
        ("flat 1,1,2", "flat 1,1,-2", "a limit is not negative [flat 1.import_limit_kw = '-2']"),
        ("flat 1,1,2", "flat 1,,2", "there is no value [flat 1.export_limit_kw"),
        ("flat 1,1,2", "flat 1,inf,2", "is not a finite number [flat 1.export_limit_kw = 'inf']"),
    ],
)
def test_which_envelopes_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    known = read_points(written(tmp_path, POINTS))
    with pytest.raises(InputError) as caught:
        read_envelopes(written(tmp_path, ENVELOPES.replace(old, new, 1), "envelopes.csv"), known)
    assert words in str(caught.value)


def test_envelopes_of_another_time_are_refused(tmp_path: Path) -> None:
    known = read_points(written(tmp_path, TIMED))
    with pytest.raises(InputError, match="no such interval"):
        read_envelopes(
            written(tmp_path, "connection_point,export_limit_kw,import_limit_kw\nflat,1,2\n", "e.csv"), known
        )
