"""Quarter-hour demand of homes from SimBench's household profiles, each home with habits of its own.

The profiles (see data/README.md) are laid out by the clock on the wall. Six shapes for a whole street would make its
peaks coincide, so that every home draws, from its own random stream,

- its profile, where the site states none: one of `HOME_PROFILES`;
- a shift by whole weeks, at most `MAX_SHIFT_WEEKS` either way, which keeps weekdays and stays within the season;
- a shift of its whole day by at most `MAX_SHIFT_QUARTERS` quarter-hours either way.

A date is given the day of 2016 with the same weekday that is nearest to it in the calendar; the year wraps around by
364 days, so that weekdays hold there too.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feederloop.simulators.errors import InputError
from feederloop.simulators.randomness import stream

PROFILES = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-H", "H0-L")
HOME_PROFILES = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-L")
MAX_SHIFT_WEEKS = 4
MAX_SHIFT_QUARTERS = 3
QUARTER_S = 900
STANDING_QUANTILE = 0.1
_EXTRACT = Path(__file__).with_name("data") / "simbench_households.parquet"
_MONTH_START_2016 = np.cumsum([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30])
_FRIDAY, _THURSDAY = 4, 3  # 1 January 2016 and 1 January 1970, counted from Monday


@dataclass(frozen=True)
class Habit:
    """What sets one home apart from the others.

    Attributes:
        profile: One of `PROFILES`.
        shift_days: Whole weeks by which its year is shifted, in days.
        shift_quarters: Quarter-hours by which its day is shifted.
        burst_key: Key of its stream of bursts (see `refinement`).
    """

    profile: str
    shift_days: int
    shift_quarters: int
    burst_key: int


def draw_habit(site: Mapping[str, Any], seed: int) -> Habit:
    """Draw a home's habits; the same for a seed and a name, whoever else lives in the street.

    Args:
        site: Site dictionary: `name`, and optionally `profile` (one of `PROFILES`; empty: drawn).
        seed: The scenario's seed.

    Raises:
        InputError: There is no such profile.
    """
    random = stream(seed, "household", site["name"])
    drawn = HOME_PROFILES[int(random.integers(len(HOME_PROFILES)))]
    shift_days = 7 * int(random.integers(-MAX_SHIFT_WEEKS, MAX_SHIFT_WEEKS + 1))
    shift_quarters = int(random.integers(-MAX_SHIFT_QUARTERS, MAX_SHIFT_QUARTERS + 1))
    profile = site.get("profile") or drawn
    if profile not in PROFILES:
        key = f"prosumers.{site['name']}.profile"
        raise InputError("Unknown household profile.", key=key, value=profile, allowed=", ".join(PROFILES))
    return Habit(profile, shift_days, shift_quarters, int(random.integers(2**63)))


@functools.cache
def load_profiles() -> dict[str, NDArray[np.float64]]:
    """Return each profile as a share of its own peak, [366 days, 96 quarter-hours] of 2016 by the clock on the wall."""
    table = pd.read_parquet(_EXTRACT)
    return {name: table[name].to_numpy(dtype=np.float64).reshape(366, 96) for name in PROFILES}


def day_of_2016(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for civil days since 1970, the day of 2016 (from 0) nearest in the calendar with the same weekday.

    The result may lie up to three days outside 2016; `wrap_year` brings it back.
    """
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    in_month = (dates - months.astype("datetime64[D]")).astype(np.int64)
    same_date = _MONTH_START_2016[months.astype(np.int64) % 12] + in_month
    late = (days + _THURSDAY) % 7 - (same_date + _FRIDAY) % 7
    return np.asarray(same_date + (late + 3) % 7 - 3)


def wrap_year(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bring days of 2016 that lie before or after the year back into it by whole weeks (364 days)."""
    return np.where(days < 0, days + 364, np.where(days > 365, days - 364, days))


def quarter_hour_demand(
    site: Mapping[str, Any], habit: Habit, wall_quarters: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a home's mean demand of quarter-hours, and the standing part of it.

    Scaled so that the home's shifted 2016 sums to the site's `annual_kwh`.

    Args:
        site: Site dictionary: `annual_kwh`.
        habit: The home's habits.
        wall_quarters: Quarter-hours since 1970 by the clock on the wall [Q].

    Returns:
        Demand and standing demand (what runs all day: at most the day's 10 % quantile), both in kW, [Q].
    """
    shape = load_profiles()[habit.profile]
    shifted = wall_quarters + habit.shift_quarters
    source_day = wrap_year(day_of_2016(shifted // 96) + habit.shift_days)
    year = wrap_year(np.arange(366) + habit.shift_days)
    peak_kw = site["annual_kwh"] / (shape.sum(axis=1)[year].sum() * QUARTER_S / 3600)
    demand = shape[source_day, shifted % 96]
    standing = np.minimum(demand, np.quantile(shape, STANDING_QUANTILE, axis=1)[source_day])
    return peak_kw * demand, peak_kw * standing


def wall_quarters(first_quarter: int, quarters: int, time_zone: str) -> NDArray[np.int64]:
    """Return quarter-hours since 1970 UTC as quarter-hours by the clock on the wall of a time zone.

    Args:
        first_quarter: First quarter-hour since 1970 UTC.
        quarters: Number of quarter-hours Q.
        time_zone: IANA name.

    Raises:
        InputError: There is no such time zone.
    """
    seconds = QUARTER_S * (first_quarter + np.arange(quarters, dtype=np.int64))
    utc = pd.DatetimeIndex(seconds.astype("datetime64[s]")).tz_localize("UTC")
    try:
        wall = utc.tz_convert(time_zone).tz_localize(None)
    except (KeyError, OSError, ValueError) as error:
        message, allowed = "Unknown time zone.", "an IANA name such as Europe/London"
        raise InputError(message, key="time_zone", value=time_zone, allowed=allowed) from error
    return np.asarray(wall.to_numpy().astype("datetime64[s]").astype(np.int64) // QUARTER_S)


def check_sites(sites: Sequence[Mapping[str, Any]]) -> None:
    """Raise `InputError` where a home's yearly energy or power factor cannot be."""
    for site in sites:
        if not 0 <= site.get("annual_kwh", 0.0) < np.inf:
            key = f"prosumers.{site['name']}.annual_kwh"
            raise InputError("No yearly demand.", key=key, value=site["annual_kwh"], allowed="kWh, at least 0")
        if not 0 < site["power_factor"] <= 1:
            key = f"prosumers.{site['name']}.power_factor"
            raise InputError("No power factor.", key=key, value=site["power_factor"], allowed="above 0, at most 1")
