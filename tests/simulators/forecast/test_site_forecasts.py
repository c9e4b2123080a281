"""Forecasts: right when they should be, wrong by as much as stated, and blind to the future."""

import numpy as np
import pandas as pd
import pytest

from feederloop.simulators.errors import InputError
from feederloop.simulators.forecast.error import NOWCAST_SHARE, ErrorProcess, own_innovations, shared_innovations
from feederloop.simulators.forecast.inflexible import daily_quantiles
from feederloop.simulators.forecast.site_forecasts import SiteForecasts
from feederloop.simulators.household.demand import household_power
from feederloop.simulators.pv.available import available_power

START = "2016-06-15T11:00:00+00:00"
PLACE = {"latitude_deg": 52.5, "longitude_deg": -1.9, "altitude_m": 140.0}
WEATHER = {"kind": "clear_sky_index", "mean": 0.7, "std": 0.25}
SITES = [
    {
        "name": f"home {i}", "annual_kwh": 3500.0, "profile": "H0-A", "power_factor": 0.95, "pv_kwp": 4.0 * (i % 2),
        "pv_tilt_deg": 35.0, "pv_azimuth_deg": 180.0, "inverter_kva": 3.68,
    }
    for i in range(6)
]  # fmt: skip
OPTIONS = {
    "start": START, "duration_s": 86_400, "step_s": 300, "interval_s": 1800, "horizon": 48, "seed": 2,
    "time_zone": "Europe/London", "place": PLACE, "source": {"kind": "simbench"}, "weather": WEATHER,
}  # fmt: skip
PERFECT = {"load_error_std": 0.0, "pv_error_std": 0.0}
IMPERFECT = {"load_error_std": 0.2, "pv_error_std": 0.15, "correlation": 0.8, "demand_quantile": 0.95}


def forecasts(forecast=IMPERFECT, sites=SITES, **more):
    return SiteForecasts(sites, forecast=forecast, **(OPTIONS | more))


def truth(duration_s=3 * 86_400):
    run = {"start": START, "duration_s": duration_s, "step_s": 300, "seed": 2}
    home = household_power(SITES, source={"kind": "simbench"}, time_zone="Europe/London", **run)
    sun = available_power(SITES, place=PLACE, weather=WEATHER, **run)
    return [power.reshape(6, -1, 6).mean(axis=2) for power in (home.p_kw, home.q_kvar, sun)]


def test_without_error_the_forecast_is_the_truth():
    load, reactive, sun = truth()
    model = forecasts(PERFECT)
    for interval in (0, 17, 47, 48):
        issue = model.issue(interval)
        window = slice(interval, interval + 48)
        np.testing.assert_allclose(issue.household_p_kw, load[:, window], atol=1e-12)
        np.testing.assert_allclose(issue.household_q_kvar, reactive[:, window], atol=1e-12)
        np.testing.assert_allclose(issue.pv_available_kw, sun[:, window], atol=1e-12)


def test_with_error_signs_and_limits_hold():
    issue = forecasts(IMPERFECT | {"load_error_std": 1.0, "pv_error_std": 1.0}).issue(3)
    assert issue.household_p_kw.shape == (6, 48)
    assert (issue.household_p_kw <= 0).all()
    assert (issue.household_p_low_kw <= issue.household_p_kw).all()
    assert (issue.household_q_kvar <= 0).all()
    assert (issue.pv_available_kw >= 0).all()
    assert (issue.pv_available_kw <= 3.68).all()
    assert (issue.pv_available_kw[::2] == 0).all()


def test_same_seed_same_forecasts_and_neighbours_do_not_matter():
    first, again, alone = forecasts().issue(5), forecasts().issue(5), forecasts(sites=SITES[3:4]).issue(5)
    for name in ("household_p_kw", "household_p_low_kw", "household_q_kvar", "pv_available_kw"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        np.testing.assert_allclose(getattr(first, name)[3:4], getattr(alone, name), atol=1e-12)
    assert not np.array_equal(first.household_p_kw, forecasts(seed=3).issue(5).household_p_kw)


def process(std=0.2, correlation=0.8, homes=4000, intervals=80):
    names = [str(i) for i in range(homes)]
    return ErrorProcess(own_innovations(names, "load", intervals + 1, 1), std=std, correlation=correlation)


def test_errors_grow_with_lead_time_to_the_stated_spread():
    std, correlation = 0.2, 0.8
    errors = process(std, correlation).issued(10, 40)
    lead = np.arange(40)
    unknown = NOWCAST_SHARE**2 * correlation ** (2 * lead) * (1 - correlation**2)
    expected = std * np.sqrt(1 - correlation ** (2 * lead) + unknown)
    np.testing.assert_allclose(errors.std(axis=0), expected, rtol=0.05)
    assert errors[:, 0].std() < 0.2 * std
    assert errors[:, -1].std() == pytest.approx(std, rel=0.05)
    np.testing.assert_allclose(errors.mean(axis=0), 0.0, atol=0.015)
    assert np.corrcoef(errors[:, 30], errors[:, 31])[0, 1] == pytest.approx(correlation, abs=0.03)


def test_successive_issues_revise_each_other():
    model = process()
    earlier, later = model.issued(10, 20)[:, 1:], model.issued(11, 19)
    near = [np.corrcoef(earlier[:, lead], later[:, lead])[0, 1] for lead in (1, 5, 15)]
    assert near[0] > 0.5
    assert near[-1] > 0.99


def test_the_sun_errs_alike_over_the_street():
    names = [str(i) for i in range(2)]
    news = shared_innovations(names, "pv", 50_000, 1, own_share=0.1)
    assert np.corrcoef(news)[0, 1] == pytest.approx(0.9, abs=0.01)
    assert news.std() == pytest.approx(1.0, abs=0.02)


def test_the_demand_quantile_covers_what_it_says():
    model = forecasts(PERFECT, sites=[{**SITES[0], "name": f"home {i}"} for i in range(60)])
    low = model.issue(0).household_p_low_kw
    run = household_power(
        [{**SITES[0], "name": f"home {i}"} for i in range(60)], start=START, duration_s=86_400, step_s=300, seed=2,
        source={"kind": "simbench"}, time_zone="Europe/London",
    )  # fmt: skip
    exceeded = (run.p_kw < np.repeat(low, 6, axis=1) - 1e-9).mean()
    assert 0.005 < exceeded < 0.08


def test_the_demand_quantile_does_not_see_the_future(tmp_path):
    def issued(after):
        demand = np.concatenate([np.tile(np.linspace(0.1, 2.0, 96), 3), np.full(2 * 96, after)])
        times = pd.date_range("2016-06-12T11:00:00+00:00", periods=len(demand), freq="15min")
        pd.DataFrame({"time": times, "home 0": demand}).to_parquet(tmp_path / "load.parquet")
        source = {"kind": "file", "path": str(tmp_path / "load.parquet")}
        model = forecasts(PERFECT, SITES[:1], source=source, duration_s=2 * 86_400)
        return [model.issue(interval).household_p_low_kw[0] for interval in (0, 48)]

    calm, wild = issued(0.0), issued(0.05)
    np.testing.assert_array_equal(calm[0], wild[0])
    np.testing.assert_allclose(calm[0], -np.linspace(0.1, 2.0, 96)[1::2])
    lively = issued(5.0)
    assert (lively[1] == -5.0).all()


def test_quantiles_use_earlier_days_only():
    demand = np.arange(4.0)[None, :, None] + np.zeros((1, 4, 6))
    estimates = daily_quantiles(demand.reshape(1, -1), history_days=2, days=2, slots=3, quantile=1.0)
    assert [float(estimate[0, 0]) for estimate in estimates] == [1.0, 2.0]
    assert daily_quantiles(demand.reshape(1, -1), history_days=0, days=4, slots=3, quantile=1.0)[0] is None


def own_file(tmp_path, days):
    times = pd.date_range("2016-06-15T11:00:00+00:00", periods=days * 96, freq="15min")
    pd.DataFrame({"time": times, "home 0": 1.0 + np.arange(days * 96) // 96}).to_parquet(tmp_path / "load.parquet")
    return {"kind": "file", "path": str(tmp_path / "load.parquet")}


def test_a_file_that_ends_with_the_run_is_taken_to_repeat_and_one_without_history_is_widened(tmp_path):
    model = forecasts(PERFECT | {"load_error_std": 0.0}, SITES[:1], source=own_file(tmp_path, 1))
    np.testing.assert_array_equal(model.issue(47).household_p_kw, -np.ones((1, 48)))
    model = forecasts(IMPERFECT, SITES[:1], source=own_file(tmp_path, 1))
    issue = model.issue(0)
    np.testing.assert_allclose(issue.household_p_low_kw, issue.household_p_kw * (1 + 0.2 * 1.6448536))


@pytest.mark.parametrize(
    ("forecast", "message"),
    [
        ({"load_error": 0.1}, r"did you mean 'load_error_std'"),
        ({"load_error_std": -0.1}, r"forecast\.load_error_std = -0\.1"),
        ({"pv_error_std": 3.0}, r"forecast\.pv_error_std"),
        ({"correlation": 1.0}, r"forecast\.correlation"),
        ({"pv_site_share": 1.5}, r"forecast\.pv_site_share"),
        ({"demand_quantile": 0.2}, r"forecast\.demand_quantile"),
    ],
)
def test_bad_parameters_are_named(forecast, message):
    with pytest.raises(InputError, match=message):
        forecasts(forecast)


@pytest.mark.parametrize("interval_s", [400, 25_200])
def test_intervals_have_to_fit_step_and_day(interval_s):
    with pytest.raises(InputError, match="interval_s"):
        forecasts(interval_s=interval_s)
