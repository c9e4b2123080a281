"""AC power that photovoltaic plants could feed in: clear sky, clouds, roof, temperature and inverter.

- Sun: pvlib's solar position in the middle of each step and the Ineichen-Perez clear sky (R. Perez et al., "A new
  operational model for satellite-derived irradiances", Solar Energy 73(5), 2002) with monthly Linke turbidity, either
  stated (`linke_turbidity`, twelve numbers) or from the SoDa climatology that comes with pvlib.
- Clouds: the clear-sky index (see `clear_sky_index`) scales beam and diffuse alike.
- Roof: Hay-Davies sky diffuse, isotropic ground reflection with albedo 0.2.
- Module: rated power is linear in irradiance and falls with cell temperature, by Ross' law: air temperature plus
  (NOCT - 20 °C) per 800 W/m².
- Losses of 14 % and inverter efficiency of 96 % are those of PVWatts (A. P. Dobos, "PVWatts Version 5 Manual", NREL,
  2014); the inverter clips at its apparent power.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pvlib import atmosphere, clearsky, irradiance, solarposition

from feederloop.simulators import timeseries
from feederloop.simulators.errors import InputError
from feederloop.simulators.pv.clear_sky_index import Clouds, clear_sky_index

KEY = "weather"
PER_KWP = "pv_per_kwp"
ALBEDO = 0.2
AIR_TEMPERATURE_C = 15.0
NOCT_C = 45.0
TEMPERATURE_COEFFICIENT_PER_K = -0.0037
SYSTEM_LOSSES = 0.14
INVERTER_EFFICIENCY = 0.96
NEGATIVE_SHARE_TOLERATED = 0.02
"""Share of rated power that a measured plant may draw at night before its sign is doubted."""
BEYOND_RATING = 2.0
"""Clouds' edges lift a plant above its rating for moments; twice of it is not sun but another unit."""
_BLOCK = 2_000_000


@dataclass(frozen=True)
class _Sky:
    """Clear sky and sun in each step: zenith and azimuth in degrees, irradiances in W/m², all [T]."""

    zenith: NDArray[np.float64]
    azimuth: NDArray[np.float64]
    ghi: NDArray[np.float64]
    dni: NDArray[np.float64]
    dhi: NDArray[np.float64]
    dni_extra: NDArray[np.float64]


def available_power(
    sites: Sequence[Mapping[str, Any]],
    *,
    place: Mapping[str, Any],
    start: str,
    duration_s: int,
    step_s: int,
    seed: int,
    weather: Mapping[str, Any],
    beyond: timeseries.Beyond = "error",
) -> NDArray[np.float64]:
    """Return the AC power available to each plant in each step, in kW, at least zero, [n, T].

    Args:
        sites: Site dictionaries: `name`, `pv_kwp` (0 for none), `pv_tilt_deg`, `pv_azimuth_deg` (180 is south),
            `inverter_kva`.
        place: `latitude_deg`, `longitude_deg` (east positive), `altitude_m`.
        start: Start of the run, ISO 8601 with offset.
        duration_s: Length of the run in seconds; a longer run begins with the same values.
        step_s: Physical step in seconds; T = duration_s / step_s, rounded up.
        seed: The scenario's seed.
        weather: `{"kind": "clear_sky_index", ...}` with the parameters of `Clouds` and optionally `linke_turbidity`
            (12 monthly values) and `air_temperature_c` (default 15), or `{"kind": "file", "path": ...}` with the
            options of `timeseries.series_file`: kW per prosumer, or kW per kWp for all in the column `pv_per_kwp`.
        beyond: What a file is past its end (see `timeseries.cover`).

    Raises:
        InputError: A place, weather or file that cannot be.
    """
    steps = -(-duration_s // step_s)
    start_s = timeseries.utc_seconds(start)
    kind = weather.get("kind")
    if kind == "file":
        return _from_file(sites, start_s, steps, step_s, weather, beyond)
    if kind != "clear_sky_index":
        allowed = "clear_sky_index, file"
        raise InputError("Unknown kind of weather.", key=f"{KEY}.kind", value=kind, allowed=allowed)
    known = ("kind", "mean", "std", "correlation_min", "site_share", "linke_turbidity", "air_temperature_c")
    timeseries.check_keys(weather, known, key=KEY)
    index = clear_sky_index(Clouds.of(weather), sites, steps=steps, step_s=step_s, seed=seed)
    sky = _clear_sky(place, start_s, steps, step_s, weather.get("linke_turbidity"))
    air_c = weather.get("air_temperature_c")
    air_c = AIR_TEMPERATURE_C if air_c is None else float(air_c)
    power = np.empty_like(index)
    rows = max(1, _BLOCK // max(1, steps))  # bounds the memory of the intermediate arrays
    for first in range(0, len(sites), rows):
        block = slice(first, first + rows)
        power[block] = _ac_power(sites[block], sky, index[block], air_c)
    return power


def _clear_sky(
    place: Mapping[str, Any], start_s: int, steps: int, step_s: int, turbidity: Sequence[float] | None
) -> _Sky:
    """Return sun and clear sky in the middle of each step."""
    latitude, longitude, altitude = _coordinates(place)
    middle = 1000 * start_s + 1000 * step_s * np.arange(steps, dtype=np.int64) + 500 * step_s
    times = pd.DatetimeIndex(middle.astype("datetime64[ms]")).tz_localize("UTC")
    sun = solarposition.get_solarposition(times, latitude, longitude, altitude=altitude, method="ephemeris")
    zenith = sun["apparent_zenith"].to_numpy()
    if turbidity is None:
        linke = clearsky.lookup_linke_turbidity(times, latitude, longitude).to_numpy()
    elif len(turbidity) == 12 and min(turbidity) >= 1:
        linke = np.asarray(turbidity, dtype=np.float64)[times.month.to_numpy() - 1]
    else:
        key, allowed = f"{KEY}.linke_turbidity", "12 monthly values, each at least 1"
        raise InputError("No Linke turbidity.", key=key, value=list(turbidity), allowed=allowed)
    extra = irradiance.get_extra_radiation(times).to_numpy()
    airmass = atmosphere.get_relative_airmass(zenith)
    airmass = atmosphere.get_absolute_airmass(airmass, atmosphere.alt2pres(altitude))
    with np.errstate(divide="ignore", invalid="ignore"):  # pvlib divides by the irradiance of the night
        clear = clearsky.ineichen(zenith, airmass, linke, altitude=altitude, dni_extra=extra)
    ghi, dni, dhi = (np.nan_to_num(clear[name]) for name in ("ghi", "dni", "dhi"))
    return _Sky(zenith, sun["azimuth"].to_numpy(), ghi, dni, dhi, extra)


def _coordinates(place: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return latitude, longitude and altitude after checking that they are on the Earth."""
    limits = {"latitude_deg": (-90, 90), "longitude_deg": (-180, 180), "altitude_m": (-430, 9000)}
    for name, (low, high) in limits.items():
        value = place.get(name, 0.0 if name == "altitude_m" else None)
        if value is None or not low <= value <= high:
            raise InputError("No such place.", key=f"place.{name}", value=value, allowed=f"{low} to {high}")
    return float(place["latitude_deg"]), float(place["longitude_deg"]), float(place.get("altitude_m", 0.0))


def _column(sites: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    """Return a quantity of the plants, [n, 1]; sites without PV may leave it out."""
    return np.array([float(site.get(name) or 0.0) for site in sites]).reshape(-1, 1)


def _ac_power(
    sites: Sequence[Mapping[str, Any]], sky: _Sky, index: NDArray[np.float64], air_c: float
) -> NDArray[np.float64]:
    """Return the AC power of plants in kW, [n, T]."""
    tilt, azimuth = _column(sites, "pv_tilt_deg"), _column(sites, "pv_azimuth_deg")
    incidence = irradiance.aoi_projection(tilt, azimuth, sky.zenith, sky.azimuth)
    beam = sky.dni * np.maximum(incidence, 0.0)
    diffuse = irradiance.haydavies(
        tilt, azimuth, sky.dhi, sky.dni, sky.dni_extra, solar_zenith=sky.zenith, solar_azimuth=sky.azimuth
    )
    ground = sky.ghi * ALBEDO * (1 - np.cos(np.radians(tilt))) / 2
    on_roof = np.maximum(index * (beam + diffuse + ground), 0.0)
    cell_c = air_c + on_roof * ((NOCT_C - 20.0) / 800.0)
    derate = 1.0 + TEMPERATURE_COEFFICIENT_PER_K * (cell_c - 25.0)
    dc_kw = _column(sites, "pv_kwp") * on_roof / 1000.0 * np.maximum(derate, 0.0)
    ac_kw = dc_kw * (1.0 - SYSTEM_LOSSES) * INVERTER_EFFICIENCY
    return np.asarray(np.minimum(ac_kw, _column(sites, "inverter_kva")))


def _from_file(
    sites: Sequence[Mapping[str, Any]],
    start_s: int,
    steps: int,
    step_s: int,
    weather: Mapping[str, Any],
    beyond: timeseries.Beyond,
) -> NDArray[np.float64]:
    """Return the power of a user's file: kW per prosumer, or kW per kWp for all."""
    file = timeseries.series_file(weather, key=KEY, sign="export")
    owners = [row for row, site in enumerate(sites) if (site.get("pv_kwp") or 0.0) > 0]
    per_kwp = file.column or (PER_KWP if PER_KWP in timeseries.column_names(file) else None)
    columns = [per_kwp or file.columns.get(sites[row]["name"], sites[row]["name"]) for row in owners]
    series = timeseries.read_series(file, columns)
    series = timeseries.cover(series, start_s=start_s, end_s=start_s + steps * step_s, key=KEY, beyond=beyond)
    power = timeseries.resample(series, start_s=start_s, duration_s=steps * step_s, step_s=step_s)
    rated = np.array([sites[row]["pv_kwp"] for row in owners]).reshape(-1, 1)
    power = power * rated if per_kwp else power
    if (power < -NEGATIVE_SHARE_TOLERATED * rated).any():
        row = int(np.argmax((power < -NEGATIVE_SHARE_TOLERATED * rated).any(axis=1)))
        raise InputError(
            "A plant draws power.", file=file.path, key=f"{KEY}, column {columns[row]}",
            value=float(power[row].min()), allowed="generation, positive; `sign: import` turns the values",
        )  # fmt: skip
    if (power > BEYOND_RATING * rated).any():
        row = int(np.argmax((power > BEYOND_RATING * rated).any(axis=1)))
        raise InputError(
            f"{sites[owners[row]]['name']} generates far more than its modules can; is this in watts?",
            file=file.path, key=f"{KEY}, column {columns[row]}", value=float(power[row].max()),
            allowed=f"at most {BEYOND_RATING:g} times its pv_kwp; `unit` says what the values are in",
        )  # fmt: skip
    available = np.zeros((len(sites), steps))
    available[owners] = np.clip(power, 0.0, _column([sites[row] for row in owners], "inverter_kva"))
    return available
