"""Sessions: what is drawn, what a user's table may hold."""

import numpy as np
import pandas as pd
import pytest

from feederloop.simulators.errors import InputError
from feederloop.simulators.ev_fleet.sessions import draw_sessions, ev_sessions, unmanaged_target

START = "2016-06-15T11:00:00+00:00"
DAY_S = 86_400


def car(name, **more):
    return {
        "name": name, "ev_capacity_kwh": 50.0, "ev_charge_kw": 7.36, "ev_discharge_kw": 5.0, "ev_efficiency": 0.95,
        "charger_min_kw": 0.0, **more,
    }  # fmt: skip


CARS = [car(f"home {i}") for i in range(40)]


def draw(sites=CARS, *, duration_s=DAY_S, start=START, seed=5, time_zone="Europe/London", draw=ev_sessions, **rules):
    return draw(
        sites, start=start, duration_s=duration_s, time_zone=time_zone, seed=seed, rules={"kind": "drawn", **rules}
    )


def gaps(sessions):
    after = sessions.groupby("prosumer")["departure"].shift()
    return (sessions["arrival"] - after).dropna()


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"days": "weekdays"},
        {"arrival_std_h": 12.0, "departure_std_h": 12.0},
        {"arrival_mean_h": 7.0, "departure_mean_h": 16.0, "arrival_std_h": 3.0},
        {"daily_energy_mean_kwh": 60.0, "daily_energy_sigma": 1.0},
    ],
)
def test_sessions_can_be_lived(rules):
    sessions = draw(duration_s=21 * DAY_S, **rules)
    assert (sessions["departure"] > sessions["arrival"]).all()
    assert (gaps(sessions) >= pd.Timedelta(0)).all()
    assert (sessions["arrival_kwh"] >= 0).all()
    assert (sessions["required_kwh"] <= sessions["capacity_kwh"]).all()
    begin, end = pd.Timestamp(START), pd.Timestamp(START) + pd.Timedelta(days=21)
    assert (sessions["arrival"] >= begin).all()
    assert ((sessions["departure"] > begin) & (sessions["arrival"] < end)).all()


def test_required_energy_can_be_reached():
    weak = [car("a", ev_charge_kw=1.0), car("b", ev_charge_kw=2.3)]
    sessions = draw(weak, duration_s=60 * DAY_S, daily_energy_mean_kwh=20.0)
    hours = (sessions["departure"] - sessions["arrival"]).dt.total_seconds() / 3600
    rating = sessions["prosumer"].map({"a": 1.0, "b": 2.3})
    assert (sessions["required_kwh"] <= sessions["arrival_kwh"] + 0.95 * rating * hours).all()
    assert (sessions["required_kwh"] < 0.8 * 50.0 - 1e-9).any()


def test_drawn_sessions_have_the_stated_distributions():
    drawn = draw(duration_s=100 * DAY_S, draw=draw_sessions)
    arrival = drawn["arrival"].dt.tz_convert("Europe/London")
    departure = drawn["departure"].dt.tz_convert("Europe/London")
    arrival_h = arrival.dt.hour + arrival.dt.minute / 60
    departure_h = departure.dt.hour + departure.dt.minute / 60
    assert arrival_h.mean() == pytest.approx(18.0, abs=0.1)
    assert arrival_h.std() == pytest.approx(1.5, abs=0.1)
    assert departure_h.mean() == pytest.approx(7.5, abs=0.1)
    assert departure_h.std() == pytest.approx(1.0, abs=0.1)
    driven = 0.8 * 50 - drawn["arrival_kwh"]
    assert driven.mean() == pytest.approx(7.0, abs=0.3)
    assert np.log(driven).std() == pytest.approx(0.6, abs=0.05)


def test_on_weekdays_only_a_car_stays_from_friday_to_monday():
    sessions = draw(duration_s=21 * DAY_S, days="weekdays", draw=draw_sessions)
    local = sessions["arrival"].dt.tz_convert("Europe/London")
    assert set(local.dt.day_of_week) == {0, 1, 2, 3, 4}
    friday = sessions[local.dt.day_of_week == 4]
    assert (friday["departure"] - friday["arrival"] > pd.Timedelta(days=2)).all()


def test_at_midnight_cars_are_there_and_have_charged_since_they_came():
    sessions = draw(start="2016-06-15T23:00:00+00:00")
    there = sessions[sessions["arrival"] == pd.Timestamp("2016-06-15T23:00:00+00:00")]
    assert len(there) > 35
    came = draw(start="2016-06-15T23:00:00+00:00", draw=draw_sessions).set_index("prosumer")
    for session in there.itertuples():
        whole = came.loc[session.prosumer]
        whole = whole[whole["departure"] == session.departure].iloc[0]
        hours = (session.arrival - whole["arrival"]).total_seconds() / 3600
        expected = min(whole["required_kwh"], whole["arrival_kwh"] + 0.95 * 7.36 * hours)
        assert session.arrival_kwh == pytest.approx(expected)
    full = draw(start="2016-06-15T23:00:00+00:00", unmanaged_target="full")
    assert full["arrival_kwh"].max() > 0.8 * 50 + 1


def test_same_seed_same_sessions_and_neighbours_do_not_matter():
    first = draw()
    pd.testing.assert_frame_equal(draw(), first)
    alone = draw(CARS[7:8])
    pd.testing.assert_frame_equal(alone, first[first["prosumer"] == "home 7"].reset_index(drop=True))
    longer = draw(duration_s=5 * DAY_S)
    assert len(longer.merge(first, on=list(first.columns))) == len(first)
    assert not draw(seed=6).equals(first)
    assert draw([]).empty


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"arrival_mean": 18}, r"did you mean 'arrival_mean_h'"),
        ({"arrival_mean_h": 25.0}, r"sessions\.arrival_mean_h = 25"),
        ({"departure_mean_h": 18.0}, r"sessions\.departure_mean_h.*not arrival_mean_h"),
        ({"departure_std_h": -1.0}, r"sessions\.departure_std_h"),
        ({"daily_energy_mean_kwh": 0.0}, r"sessions\.daily_energy_mean_kwh"),
        ({"daily_energy_sigma": -0.1}, r"sessions\.daily_energy_sigma"),
        ({"target_soc": 1.1}, r"sessions\.target_soc"),
        ({"lowest_soc": 0.9}, r"sessions\.lowest_soc.*target_soc"),
        ({"reachable_share": 2}, r"sessions\.reachable_share"),
        ({"days": "sundays"}, r"sessions\.days = 'sundays'.*daily, weekdays"),
        ({"kind": "drwn"}, r"sessions\.kind = 'drwn'.*drawn, file"),
        ({"time_zone": "x"}, r"time_zone"),
    ],
)
def test_bad_rules_are_named(rules, message):
    with pytest.raises(InputError, match=message):
        draw(**rules)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ev_capacity_kwh": -40.0}, r"prosumers\.a\.ev_capacity_kwh = -40"),
        ({"ev_charge_kw": 0.0}, r"ev_charge_kw"),
        ({"ev_discharge_kw": -1.0}, r"ev_discharge_kw"),
        ({"ev_efficiency": 1.05}, r"ev_efficiency"),
        ({"charger_min_kw": 8.0}, r"charger_min_kw.*0 to the rating"),
    ],
)
def test_bad_cars_are_named(more, message):
    with pytest.raises(InputError, match=message):
        draw([car("a", **more)])


def test_a_bad_target_is_named():
    with pytest.raises(InputError, match=r"sessions\.unmanaged_target = 'ful'.*required, full"):
        unmanaged_target({"unmanaged_target": "ful"})


TABLE = pd.DataFrame(
    {
        "prosumer": ["home 1", "home 0", "home 1"],
        "arrival": ["2016-06-15T18:00:00+01:00", "2016-06-15T17:30:00+01:00", "2016-06-16T08:00:00+01:00"],
        "departure": ["2016-06-16T07:00:00+01:00", "2016-06-16T06:30:00+01:00", "2016-06-16T10:00:00+01:00"],
        "capacity_kwh": [40.0, 50.0, 40.0],
        "arrival_kwh": [10.0, 20.0, 30.0],
        "required_kwh": [32.0, 45.0, 35.0],
    }
)


def read(frame, tmp_path, **more):
    path = tmp_path / "sessions.csv"
    frame.to_csv(path, index=False)
    rules = {"kind": "file", "path": str(path), **more}
    return ev_sessions(CARS, start=START, duration_s=DAY_S, time_zone="Europe/London", seed=1, rules=rules)


def test_an_own_table_is_read_in_the_order_of_the_street(tmp_path):
    sessions = read(TABLE, tmp_path)
    assert list(sessions["prosumer"]) == ["home 0", "home 1", "home 1"]
    assert sessions["arrival"].iloc[0] == pd.Timestamp("2016-06-15T16:30:00+00:00")
    assert list(sessions["required_kwh"]) == [45.0, 32.0, 35.0]


def test_an_own_table_may_be_in_local_time_and_leave_the_capacity_to_the_car(tmp_path):
    frame = TABLE.drop(columns="capacity_kwh")
    frame[["arrival", "departure"]] = frame[["arrival", "departure"]].map(lambda time: time[:19])
    sessions = read(frame, tmp_path, time_zone="Europe/London")
    pd.testing.assert_frame_equal(
        sessions.drop(columns="capacity_kwh"), read(TABLE, tmp_path).drop(columns="capacity_kwh")
    )
    assert (sessions["capacity_kwh"] == 50.0).all()


def changed(row, column, value):
    frame = TABLE.astype(object)
    frame.loc[row, column] = value
    return frame


BAD_TABLES = {
    "early": (
        changed(1, "departure", "2016-06-15T17:00:00+01:00"),
        r"Row 2 \(home 0\): the car leaves before it comes",
    ),
    "overlap": (changed(2, "arrival", "2016-06-16T06:00:00+01:00"), r"Row 3 \(home 1\): the session overlaps"),
    "capacity": (changed(0, "capacity_kwh", -40.0), r"Row 1 \(home 1\): no such battery.*capacity_kwh = '-40.0'"),
    "large": (changed(0, "capacity_kwh", 60.0), r"no such battery.*ev_capacity_kwh"),
    "unknown": (changed(2, "prosumer", "home 99"), r"Row 3 \(home 99\): no prosumer with an EV"),
    "required": (changed(0, "required_kwh", 41.0), r"Row 1.*column required_kwh = '41.0'.*0 to capacity_kwh"),
    "arrival": (changed(0, "arrival_kwh", -1.0), r"Row 1.*column arrival_kwh"),
    "text": (changed(0, "arrival_kwh", "half"), r"Row 1.*not a number"),
    "empty": (changed(0, "required_kwh", None), r"Row 1.*not a number"),
    "naive": (TABLE.assign(arrival=TABLE["arrival"].str[:19]), r"no time zone is stated.*sessions\.time_zone"),
    "no time": (changed(0, "departure", "soon"), r"Row 1.*departure = 'soon'"),
    "column": (TABLE.rename(columns={"required_kwh": "need_kwh"}), r"no column 'required_kwh'"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_own_tables_are_refused_by_row_and_column(tmp_path, name):
    frame, message = BAD_TABLES[name]
    with pytest.raises(InputError, match=message):
        read(frame, tmp_path)


def test_unknown_options_of_an_own_table_are_named(tmp_path):
    with pytest.raises(InputError, match=r"did you mean 'time_zone'"):
        read(TABLE, tmp_path, timezone="Europe/London")
