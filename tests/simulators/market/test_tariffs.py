import numpy as np
import pandas as pd
import pytest

from feederloop.simulators.errors import InputError
from feederloop.simulators.market.tariffs import expand_tariff

BANDS = [
    {"from": "00:00", "to": "07:00", "per_kwh": 0.15},
    {"from": "07:00", "to": "16:00", "per_kwh": 0.25},
    {"from": "16:00", "to": "20:00", "per_kwh": 0.50},
    {"from": "20:00", "to": "24:00", "per_kwh": 0.25},
]
TARIFF = {
    "kind": "time_of_use",
    "bands": BANDS,
    "feed_in_per_kwh": 0.06,
    "network_charge_per_kwh": 0.02,
    "supply_charge_per_day": 1.1,
}


def expand(tariff=TARIFF, start="2016-01-15T00:00:00+00:00", zone="Europe/London", interval_s=1800, count=48, **more):
    return expand_tariff(tariff, start=start, time_zone=zone, interval_s=interval_s, count=count, **more)


def bands(*spans):
    return TARIFF | {"bands": [{"from": a, "to": b, "per_kwh": p} for a, b, p in spans]}


def test_bands_become_a_price_per_interval():
    tariff = expand()
    expected = [0.15] * 14 + [0.25] * 18 + [0.5] * 8 + [0.25] * 8
    assert tariff.retail_per_kwh.tolist() == expected
    assert tariff.feed_in_per_kwh.tolist() == [0.06] * 48
    assert (tariff.network_charge_per_kwh, tariff.supply_charge_per_day) == (0.02, 1.1)


def test_bands_mean_local_wall_time_in_summer():
    tariff = expand(start="2016-06-15T00:00:00+00:00")
    assert tariff.retail_per_kwh.tolist() == [0.15] * 12 + [0.25] * 18 + [0.5] * 8 + [0.25] * 8 + [0.15] * 2


@pytest.mark.parametrize(
    ("start", "count", "night"),
    [("2016-03-27T00:00:00+00:00", 46, 12), ("2016-10-29T23:00:00+00:00", 50, 16)],
    ids=["spring: 23 hours", "autumn: 25 hours"],
)
def test_on_the_days_the_clock_changes_the_night_is_an_hour_shorter_or_longer(start, count, night):
    retail = expand(start=start, count=count + 2).retail_per_kwh
    assert retail.tolist() == [0.15] * night + [0.25] * 18 + [0.5] * 8 + [0.25] * 8 + [0.15] * 2


def test_a_band_may_go_over_midnight():
    tariff = expand(bands(("07:00", "22:30", 0.3), ("22:30", "07:00", 0.1)))
    assert tariff.retail_per_kwh.tolist() == [0.1] * 14 + [0.3] * 31 + [0.1] * 3


def test_one_band_may_last_all_day_and_end_at_midnight_written_either_way():
    assert set(expand(bands(("00:00", "24:00", 0.3))).retail_per_kwh) == {0.3}
    two = expand(bands(("00:00", "12:00", 0.3), ("12:00", "00:00", 0.2))).retail_per_kwh
    assert two.tolist() == [0.3] * 24 + [0.2] * 24


def test_an_interval_in_which_the_price_changes_has_the_mean():
    retail = expand(bands(("00:00", "00:45", 0.1), ("00:45", "24:00", 0.3)), count=3).retail_per_kwh
    np.testing.assert_allclose(retail, [0.1, 0.2, 0.3])


def test_times_that_yaml_has_read_in_base_60_are_understood():
    assert expand(bands(("00:00", 960, 0.3), (960, 1440, 0.2))).retail_per_kwh[31:33].tolist() == [0.3, 0.2]


@pytest.mark.parametrize(
    ("tariff", "key"),
    [
        (bands(("00:00", "07:00", 0.2), ("08:00", "24:00", 0.2)), "tariff.bands"),
        (bands(("00:00", "07:00", 0.2), ("06:00", "24:00", 0.2)), "tariff.bands"),
        (bands(("01:00", "24:00", 0.2)), "tariff.bands"),
        (bands(("00:00", "23:00", 0.2)), "tariff.bands"),
        (bands(("22:00", "07:00", 0.2), ("07:00", "23:00", 0.2)), "tariff.bands"),
        (bands(("00:00", "00:00", 0.2)), "tariff.bands[0]"),
        (bands(("00:00", "24:30", 0.2)), "tariff.bands[0].to"),
        (bands(("0:7", "24:00", 0.2)), "tariff.bands[0].from"),
        (bands((None, "24:00", 0.2)), "tariff.bands[0].from"),
        (bands(("00:00", "24:00", "0.2")), "tariff.bands[0].per_kwh"),
        (bands(("00:00", "24:00", float("nan"))), "tariff.bands[0].per_kwh"),
        (TARIFF | {"bands": []}, "tariff.bands"),
        (TARIFF | {"bands": "cheap"}, "tariff.bands"),
        (TARIFF | {"bands": [0.2]}, "tariff.bands[0]"),
        (TARIFF | {"bands": [BANDS[0] | {"price": 3}]}, "tariff.bands[0].price"),
        (TARIFF | {"feed_in": 0.1}, "tariff.feed_in"),
        (TARIFF | {"kind": "flat"}, "tariff.kind"),
        (TARIFF | {"feed_in_per_kwh": None}, "tariff.feed_in_per_kwh"),
        (TARIFF | {"network_charge_per_kwh": -0.01}, "tariff.network_charge_per_kwh"),
        (TARIFF | {"supply_charge_per_day": True}, "tariff.supply_charge_per_day"),
        (TARIFF | {"feed_in_per_kwh": 0.14}, "tariff.feed_in_per_kwh"),
    ],
)
def test_a_tariff_that_does_not_fit_is_refused_by_its_key(tariff, key):
    with pytest.raises(InputError) as refusal:
        expand(tariff)
    assert refusal.value.key == key


def test_the_refusal_of_a_gap_says_where_it_is():
    with pytest.raises(InputError, match="gap at 07:00 to 08:00"):
        expand(bands(("00:00", "07:00", 0.2), ("08:00", "24:00", 0.2)))


def test_feed_in_may_reach_retail_less_the_network_charge():
    assert expand(TARIFF | {"feed_in_per_kwh": 0.13}).feed_in_per_kwh[0] == 0.13


def test_an_unknown_zone_is_refused():
    with pytest.raises(InputError) as refusal:
        expand(zone="Europe/Londn")
    assert refusal.value.key == "time_zone"


@pytest.fixture
def table():
    times = pd.date_range("2016-01-15T00:00", periods=48, freq="30min", tz="UTC")
    retail = np.linspace(0.2, 0.4, 48).round(4)
    return pd.DataFrame({"time": times, "retail_per_kwh": retail, "feed_in_per_kwh": (retail - 0.1).round(4)})


def from_file(path, table, **more):
    table.to_csv(path, index=False)
    return {"kind": "file", "path": str(path), "network_charge_per_kwh": 0.02, **more}


def test_a_file_is_read_as_it_is_written(tmp_path, table):
    tariff = expand(from_file(tmp_path / "own.csv", table, supply_charge_per_day=0.9))
    assert tariff.retail_per_kwh.tolist() == table.retail_per_kwh.tolist()
    assert tariff.feed_in_per_kwh.tolist() == table.feed_in_per_kwh.tolist()
    assert (tariff.network_charge_per_kwh, tariff.supply_charge_per_day) == (0.02, 0.9)


def test_a_files_columns_may_have_other_names(tmp_path, table):
    renamed = table.rename(columns={"retail_per_kwh": "buy"})
    tariff = expand(from_file(tmp_path / "own.csv", renamed, columns={"retail_per_kwh": "buy"}))
    assert tariff.retail_per_kwh.tolist() == table.retail_per_kwh.tolist()


def test_hourly_prices_hold_for_each_half_hour_and_the_last_day_for_the_next_if_asked(tmp_path, table):
    hourly = from_file(tmp_path / "own.csv", table.iloc[::2])
    assert expand(hourly).retail_per_kwh.tolist() == np.repeat(table.retail_per_kwh[::2], 2).tolist()
    longer = expand(hourly, count=96, beyond="repeat_day").retail_per_kwh
    assert longer[48:].tolist() == longer[:48].tolist()
    with pytest.raises(InputError, match="does not cover"):
        expand(hourly, count=49)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(index=7), "gap"),
        (lambda t: t.assign(retail_per_kwh=t.retail_per_kwh.where(t.index != 5)), "not a number"),
        (lambda t: t.assign(time=t.time.dt.tz_localize(None)), "no time zone"),
        (lambda t: t.iloc[4:], "does not cover"),
        (lambda t: t.rename(columns={"feed_in_per_kwh": "feed_in"}), "no column 'feed_in_per_kwh'"),
        (lambda t: t.assign(feed_in_per_kwh=t.feed_in_per_kwh + 0.09 * (t.index == 3)), "01:30:00"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, table, spoil, message):
    with pytest.raises(InputError, match=message):
        expand(from_file(tmp_path / "own.csv", spoil(table)))


@pytest.mark.parametrize("option", [{"unit": "kWh"}, {"sign": "import"}, {"column": "x"}, {"columns": {"price": "x"}}])
def test_options_of_power_series_do_not_apply_to_prices(tmp_path, table, option):
    with pytest.raises(InputError):
        expand(from_file(tmp_path / "own.csv", table, **option))
