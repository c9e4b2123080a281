"""Available PV power: sun, roof, clouds, inverter, and a user's own file."""

import numpy as np
import pandas as pd
import pytest
from pvlib import irradiance, location

from feederloop.simulators.errors import InputError
from feederloop.simulators.pv import available
from feederloop.simulators.pv.available import available_power
from feederloop.simulators.pv.clear_sky_index import Clouds, clear_sky_index

PLACE = {"latitude_deg": 52.5, "longitude_deg": -1.9, "altitude_m": 140.0, "time_zone": "Europe/London"}
CLEAR = {"kind": "clear_sky_index", "mean": 1.0, "std": 0.0}
CLOUDY = {"kind": "clear_sky_index", "mean": 0.7, "std": 0.25, "correlation_min": 60.0, "site_share": 0.1}


def plant(name, **more):
    return {
        "name": name, "pv_kwp": 4.0, "pv_tilt_deg": 35.0, "pv_azimuth_deg": 180.0, "inverter_kva": 3.68, **more
    }  # fmt: skip


PLANTS = [plant(f"home {i}", pv_azimuth_deg=90.0 + 22.5 * i) for i in range(9)]


def power(sites=PLANTS, *, weather=CLOUDY, start="2016-06-15T00:00:00+00:00", duration_s=86_400, step_s=300, **more):
    more = {"place": PLACE, "seed": 3, **more}
    return available_power(sites, weather=weather, start=start, duration_s=duration_s, step_s=step_s, **more)


def test_power_is_within_what_the_plant_can():
    result = power()
    assert result.shape == (9, 288)
    assert (result >= 0).all()
    assert (result[:, :30] == 0).all()
    assert result.max() <= 3.68
    assert power(weather=CLEAR, sites=[plant("a", inverter_kva=2.0)]).max() == 2.0


def test_east_comes_before_west_and_south_yields_most():
    clear = power(weather=CLEAR)
    hours = np.arange(288) / 12
    centre = (clear * hours).sum(axis=1) / clear.sum(axis=1)
    assert (np.diff(centre) > 0).all()
    assert 11.9 < centre[4] < 12.4  # noon at 1.9° west is at 12:08 UTC
    assert np.argmax(clear.sum(axis=1)) == 4


def test_clear_sky_agrees_with_pvlib_end_to_end():
    times = pd.date_range("2016-06-15T00:02:30", periods=288, freq="5min", tz="UTC")
    where = location.Location(52.5, -1.9, altitude=140.0)
    sun = where.get_solarposition(times)
    sky = where.get_clearsky(times, solar_position=sun)
    roof = irradiance.get_total_irradiance(
        35, 135, sun["apparent_zenith"], sun["azimuth"], sky["dni"], sky["ghi"], sky["dhi"],
        dni_extra=irradiance.get_extra_radiation(times), model="haydavies", albedo=available.ALBEDO,
    )["poa_global"].to_numpy()  # fmt: skip
    derate = 1 - 0.0037 * (15 + roof * 25 / 800 - 25)
    expected = np.minimum(4.0 * roof / 1000 * derate * 0.86 * 0.96, 3.68)
    np.testing.assert_allclose(power([PLANTS[2]], weather=CLEAR)[0], expected, atol=0.01)


def test_stated_turbidity_and_temperature_are_used():
    clear = power(weather=CLEAR).sum()
    assert power(weather=CLEAR | {"linke_turbidity": [6.0] * 12}).sum() < 0.97 * clear
    assert power(weather=CLEAR | {"air_temperature_c": 30.0}).sum() < 0.96 * clear


def test_same_seed_same_bits_neighbours_do_not_matter_and_longer_runs_agree():
    first = power()
    np.testing.assert_array_equal(power(), first)
    np.testing.assert_array_equal(power(PLANTS[3:5]), first[3:5])
    np.testing.assert_array_equal(power(duration_s=3 * 86_400)[:, :288], first)
    assert not np.array_equal(power(seed=4), first)


def test_a_year_yields_what_british_roofs_yield():
    weather = CLOUDY | {"mean": 0.6}
    year = power([plant("a")], weather=weather, start="2016-01-01T00:00:00+00:00", duration_s=366 * 86_400, step_s=1800)
    assert 850 < year.sum() / 2 / 4.0 < 1100


@pytest.mark.parametrize(("mean", "std"), [(0.8, 0.25), (0.5, 0.3), (0.95, 0.05)])
def test_the_index_has_the_stated_mean_and_spread(mean, std):
    sites = [{"name": "a"}]
    index = clear_sky_index(Clouds(mean, std, correlation_min=5.0), sites, steps=100_000, step_s=300, seed=1)
    assert index.mean() == pytest.approx(mean, abs=0.01)
    assert index.std() == pytest.approx(std, abs=0.01)
    assert index.min() >= 0
    assert index.max() <= 1.1


def test_the_index_forgets_at_the_stated_rate_and_is_shared_in_the_street():
    sites = [{"name": "a"}, {"name": "b"}]
    clouds = Clouds(0.55, 0.15, correlation_min=60.0, site_share=0.2)
    index = clear_sky_index(clouds, sites, steps=200_000, step_s=300, seed=1)
    after_an_hour = np.corrcoef(index[0, :-12], index[0, 12:])[0, 1]
    assert after_an_hour == pytest.approx(np.exp(-1), abs=0.03)
    assert np.corrcoef(index)[0, 1] == pytest.approx(0.8, abs=0.03)
    alone = clear_sky_index(Clouds(0.55, 0.15, site_share=0.0), sites, steps=100, step_s=300, seed=1)
    np.testing.assert_array_equal(alone[0], alone[1])


@pytest.mark.parametrize(
    ("weather", "message"),
    [
        ({"kind": "sunny"}, r"weather\.kind = 'sunny'.*clear_sky_index, file"),
        (CLOUDY | {"means": 0.8}, r"did you mean 'mean'"),
        (CLOUDY | {"mean": 1.2}, r"weather\.mean = 1\.2"),
        (CLOUDY | {"std": 0.6}, r"weather\.std = 0\.6"),
        (CLOUDY | {"correlation_min": 0}, r"weather\.correlation_min = 0"),
        (CLOUDY | {"site_share": 2}, r"weather\.site_share = 2"),
        (CLOUDY | {"linke_turbidity": [3.0]}, r"weather\.linke_turbidity.*12 monthly"),
    ],
)
def test_bad_weather_is_named(weather, message):
    with pytest.raises(InputError, match=message):
        power(weather=weather)


@pytest.mark.parametrize("place", [PLACE | {"latitude_deg": 91.0}, {"latitude_deg": 50.0}])
def test_a_bad_place_is_named(place):
    with pytest.raises(InputError, match=r"place\.(latitude|longitude)_deg"):
        power(place=place)


def own_file(tmp_path, **columns):
    times = pd.date_range("2016-06-15", periods=96, freq="15min", tz="UTC")
    pd.DataFrame({"time": times, **columns}).to_csv(tmp_path / "pv.csv", index=False)
    return {"kind": "file", "path": str(tmp_path / "pv.csv")}


def test_an_own_file_per_prosumer_is_clipped_at_the_inverter(tmp_path):
    curve = 5.0 * np.maximum(np.sin(np.arange(96) / 96 * 2 * np.pi), -0.01)
    sites = [plant("none", pv_kwp=0.0), plant("home 0")]
    result = power(sites, weather=own_file(tmp_path, **{"home 0": curve}))
    assert (result[0] == 0).all()
    np.testing.assert_allclose(result[1], np.repeat(np.clip(curve, 0, 3.68), 3))


def test_an_own_file_per_kwp_serves_all(tmp_path):
    source = own_file(tmp_path, pv_per_kwp=np.full(96, 0.5))
    np.testing.assert_allclose(power([plant("a"), plant("b", pv_kwp=2.0)], weather=source)[:, 0], [2.0, 1.0])
    named = own_file(tmp_path, roof=np.full(96, 0.25)) | {"column": "roof"}
    np.testing.assert_allclose(power([plant("a")], weather=named), 1.0)


def test_an_own_file_with_the_wrong_sign_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"draws power.*home 0.*sign"):
        power([plant("home 0")], weather=own_file(tmp_path, **{"home 0": np.full(96, -1.0)}))
