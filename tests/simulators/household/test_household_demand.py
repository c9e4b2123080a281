"""What homes draw: energy, sign, habits, bursts, and a user's own file."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.simulators.errors import InputError
from feederloop.simulators.household import profiles, refinement
from feederloop.simulators.household.demand import days_of_history, household_power

START = "2016-06-15T00:00:00+00:00"


def home(name, **more):
    return {"name": name, "annual_kwh": 3500.0, "profile": "H0-A", "power_factor": 0.95, **more}


HOMES = [home(f"home {i}", profile="") for i in range(12)]


def power(sites=HOMES, *, start=START, duration_s=86_400, step_s=300, seed=7, source=None, **more):
    source = source or {"kind": "simbench"}
    more = {"time_zone": "Europe/London", **more}
    return household_power(
        sites, start=start, duration_s=duration_s, step_s=step_s, seed=seed, source=source, **more
    )  # fmt: skip


def test_demand_is_negative_and_lags():
    result = power()
    assert result.p_kw.shape == result.q_kvar.shape == (12, 288)
    assert (result.p_kw <= 0).all()
    assert result.p_kw.min() > -10
    np.testing.assert_allclose(result.q_kvar, result.p_kw * np.tan(np.arccos(0.95)))


def test_a_year_sums_to_the_yearly_energy():
    year = power(HOMES[:3], start="2016-01-01T00:00:00+00:00", duration_s=366 * 86_400, step_s=3600, time_zone="UTC")
    np.testing.assert_allclose(-year.p_kw.sum(axis=1), 3500.0, rtol=2e-3)


def test_the_year_wraps_around_and_keeps_weekdays():
    days = (np.datetime64("2015-06-01") + np.arange(1200)).astype("datetime64[D]").astype(np.int64)
    source = profiles.day_of_2016(days)
    assert ((days + 3) % 7 == (source + 4) % 7).all()
    assert source.min() >= -3
    assert source.max() <= 368
    wrapped = profiles.wrap_year(source)
    assert wrapped.min() >= 0
    assert wrapped.max() <= 365
    assert ((days + 3) % 7 == (wrapped + 4) % 7).all()
    in_2016 = days[(days >= 16_801) & (days < 16_801 + 366)]
    np.testing.assert_array_equal(profiles.day_of_2016(in_2016), np.arange(366))


def test_same_seed_same_bits_and_neighbours_do_not_matter():
    first, again = power(), power()
    np.testing.assert_array_equal(first.p_kw, again.p_kw)
    np.testing.assert_array_equal(power(HOMES[3:5]).p_kw, first.p_kw[3:5])
    assert (power(seed=8).p_kw != first.p_kw).mean() > 0.5


def test_longer_and_earlier_runs_agree():
    day = power().p_kw
    np.testing.assert_array_equal(power(duration_s=3 * 86_400).p_kw[:, :288], day)
    earlier = power(start="2016-06-10T00:00:00+00:00", duration_s=6 * 86_400).p_kw
    np.testing.assert_allclose(earlier[:, -288:], day, atol=1e-12)


@pytest.mark.parametrize(("fine_s", "coarse_s"), [(60, 300), (300, 900), (300, 1800), (150, 600)])
def test_finer_steps_average_to_coarser_ones(fine_s, coarse_s):
    fine = power(start="2016-06-15T00:07:00+00:00", duration_s=7200, step_s=fine_s).p_kw
    coarse = power(start="2016-06-15T00:07:00+00:00", duration_s=7200, step_s=coarse_s).p_kw
    np.testing.assert_allclose(fine.reshape(12, -1, coarse_s // fine_s).mean(axis=2), coarse, atol=1e-10)


def test_homes_are_not_copies_of_each_other():
    correlation = np.corrcoef(power([home(f"home {i}") for i in range(12)], duration_s=7 * 86_400).p_kw)
    assert correlation[~np.eye(12, dtype=bool)].max() < 0.95


def test_bursts_make_five_minutes_livelier_than_quarter_hours():
    fine, coarse = power(duration_s=7 * 86_400), power(duration_s=7 * 86_400, step_s=900)
    assert fine.p_kw.std() > 1.1 * coarse.p_kw.std()


def test_the_clock_on_the_wall_decides():
    london, berlin = (
        power(time_zone="Europe/London"),
        power(start="2016-06-14T23:00:00+00:00", time_zone="Europe/Berlin"),
    )
    np.testing.assert_allclose(
        london.p_kw.reshape(12, -1, 3).mean(axis=2), berlin.p_kw.reshape(12, -1, 3).mean(axis=2), atol=1e-12
    )


@settings(max_examples=50)
@given(
    mean=st.lists(st.floats(0, 15), min_size=4, max_size=4),
    standing=st.floats(0, 1),
    uniform=st.lists(st.floats(0, 1), min_size=8, max_size=8),
    steps=st.sampled_from([1, 3, 5, 15]),
)
def test_every_interval_keeps_its_energy(mean, standing, uniform, steps):
    mean = np.array(mean)
    uniform = np.array(uniform).reshape(4, 2)
    fine = refinement.burst_means(mean, standing * mean, uniform, np.arange(4 * steps + 1) / steps)
    np.testing.assert_allclose(fine.reshape(4, steps).mean(axis=1), mean, atol=1e-9)
    assert (fine >= 0).all()
    bound = np.maximum(mean, np.minimum(3 * mean, standing * mean + refinement.LARGEST_BURST_KW))
    assert (fine.reshape(4, steps) <= bound[:, None] + 1e-9).all()


def test_random_numbers_are_found_by_their_place():
    whole = refinement.uniform_pairs(5, 100, 50)
    np.testing.assert_array_equal(refinement.uniform_pairs(5, 117, 10), whole[17:27])
    np.testing.assert_array_equal(refinement.uniform_pairs(5, 118, 10), whole[18:28])


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (home("a", profile="H0-Z"), r"Unknown household profile.*prosumers\.a\.profile.*H0-Z.*H0-A, H0-B"),
        (home("a", annual_kwh=-1.0), r"prosumers\.a\.annual_kwh = -1"),
        (home("a", annual_kwh=float("nan")), r"annual_kwh"),
        (home("a", power_factor=0.0), r"power_factor"),
        (home("a", power_factor=1.2), r"power_factor"),
    ],
)
def test_bad_homes_are_named(site, message):
    with pytest.raises(InputError, match=message):
        power([site])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"kind": "simbnch"}, r"household\.source\.kind = 'simbnch'.*simbench, file"),
        ({"kind": "simbench", "path": "x"}, r"Unknown key.*household\.source\.path"),
        ({"kind": "file", "path": "x.csv", "refine": "yes"}, r"household\.source\.refine.*hold, stochastic"),
        ({"kind": "file", "path": "x.csv", "refin": "hold"}, r"did you mean 'refine'"),
    ],
)
def test_bad_sources_are_named(source, message):
    with pytest.raises(InputError, match=message):
        power(source=source)


def test_an_unknown_time_zone_is_named():
    with pytest.raises(InputError, match=r"time_zone = 'Europe/Lundon'"):
        power(time_zone="Europe/Lundon")


def own_file(tmp_path, days=2, start="2016-06-14", demand=None):
    times = pd.date_range(start, periods=days * 96, freq="15min", tz="UTC")
    demand = np.abs(np.sin(np.arange(len(times)))) if demand is None else demand
    pd.DataFrame({"time": times, "home 0": demand}).to_parquet(tmp_path / "load.parquet")
    return {"kind": "file", "path": str(tmp_path / "load.parquet")}


@pytest.mark.parametrize("refine", ["hold", "stochastic"])
def test_an_own_file_is_taken_as_it_is(tmp_path, refine):
    source = own_file(tmp_path) | {"refine": refine}
    result = power(HOMES[:1], source=source).p_kw.reshape(-1, 3)
    expected = -np.abs(np.sin(np.arange(192)))[96:]
    np.testing.assert_allclose(result.mean(axis=1), expected, atol=1e-12)
    assert (result.std(axis=1).max() > 0.1) == (refine == "stochastic")


def test_an_own_file_has_to_cover_the_run_and_hold_demand(tmp_path):
    source = own_file(tmp_path)
    with pytest.raises(InputError, match="does not cover the run"):
        power(HOMES[:1], source=source, duration_s=2 * 86_400)
    longer = power(HOMES[:1], source=source, duration_s=2 * 86_400, beyond="repeat_day").p_kw
    np.testing.assert_array_equal(longer[:, 288:], longer[:, :288])
    with pytest.raises(InputError, match=r"Row 1: home 0 generates"):
        power(HOMES[:1], source=own_file(tmp_path, demand=-1.0))


def test_history_is_what_the_source_knows(tmp_path):
    assert days_of_history(HOMES, start=START, source={"kind": "simbench"}, days=28) == 28
    source = own_file(tmp_path, days=5, start="2016-06-12")
    assert days_of_history(HOMES[:1], start=START, source=source, days=28) == 3
    assert days_of_history(HOMES[:1], start="2016-06-01T00:00:00+00:00", source=source, days=28) == 0
