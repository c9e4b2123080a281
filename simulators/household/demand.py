"""What homes draw: from SimBench's profiles or from a user's own series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators import timeseries
from feederloop.simulators.errors import InputError
from feederloop.simulators.household import profiles, refinement

KEY = "household.source"
_BEYOND_FUSE = 3.0  # a fuse bears three times its rating for seconds, not for a time step
_DAY_S = 86_400


@dataclass(frozen=True)
class HouseholdPower:
    """Power of homes, export positive, so that demand is negative.

    Attributes:
        p_kw: Active power [n, T].
        q_kvar: Reactive power [n, T]; lagging, so of the sign of `p_kw`.
    """

    p_kw: NDArray[np.float64]
    q_kvar: NDArray[np.float64]


def household_power(
    sites: Sequence[Mapping[str, Any]],
    *,
    start: str,
    duration_s: int,
    step_s: int,
    seed: int,
    source: Mapping[str, Any],
    time_zone: str,
    beyond: timeseries.Beyond = "error",
) -> HouseholdPower:
    """Return what homes draw in each physical step.

    The values depend on the seed, the site and the time alone: a longer or earlier run agrees with a shorter one.

    Args:
        sites: Site dictionaries: `name`, `annual_kwh`, `profile`, `power_factor`.
        start: Start of the run, ISO 8601 with offset.
        duration_s: Length of the run in seconds.
        step_s: Physical step in seconds; T = duration_s / step_s, rounded up.
        seed: The scenario's seed.
        source: `{"kind": "simbench"}` or `{"kind": "file", "path": ..., "refine": "hold" | "stochastic"}` with the
            options of `timeseries.series_file`. A file is taken as it is: `annual_kwh` does not scale it.
        time_zone: IANA zone by whose clock people live.
        beyond: What a file is past its end (see `timeseries.cover`).

    Raises:
        InputError: A source or site that cannot be.
    """
    profiles.check_sites(sites)
    start_s = timeseries.utc_seconds(start)
    steps = -(-duration_s // step_s)
    if _kind(source) == "simbench":
        demand = _simbench_demand(sites, start_s, steps, step_s, seed, time_zone)
    else:
        demand = _file_demand(sites, start_s, steps, step_s, seed, source, beyond)
    tangent = np.array([[np.tan(np.arccos(site["power_factor"]))] for site in sites]).reshape(-1, 1)
    return HouseholdPower(p_kw=-demand, q_kvar=-demand * tangent)


def days_of_history(sites: Sequence[Mapping[str, Any]], *, start: str, source: Mapping[str, Any], days: int) -> int:
    """Return how many whole days before the run's start the source knows, at most `days`."""
    if _kind(source) == "simbench":
        return days
    series = _read_file(sites, source)
    return int(np.clip((timeseries.utc_seconds(start) - series.start_s) // _DAY_S, 0, days))


def _kind(source: Mapping[str, Any]) -> str:
    """Return the source's kind after checking its keys."""
    kind = source.get("kind")
    if kind not in ("simbench", "file"):
        raise InputError("Unknown source of demand.", key=f"{KEY}.kind", value=kind, allowed="simbench, file")
    if kind == "simbench":
        timeseries.check_keys(source, ("kind",), key=KEY)
    return str(kind)


def _simbench_demand(
    sites: Sequence[Mapping[str, Any]], start_s: int, steps: int, step_s: int, seed: int, time_zone: str
) -> NDArray[np.float64]:
    """Return demand in kW from the shipped profiles, [n, T]."""
    quarter_s = profiles.QUARTER_S
    first = start_s // quarter_s
    edges = (start_s % quarter_s + step_s * np.arange(steps + 1)) / quarter_s
    quarters = int(np.ceil(edges[-1]))
    wall = profiles.wall_quarters(first, quarters, time_zone)
    demand = np.empty((len(sites), steps))
    for row, site in enumerate(sites):
        habit = profiles.draw_habit(site, seed)
        mean_kw, standing_kw = profiles.quarter_hour_demand(site, habit, wall)
        uniform = refinement.uniform_pairs(habit.burst_key, first, quarters)
        demand[row] = refinement.burst_means(mean_kw, standing_kw, uniform, edges)
    return demand


def _read_file(sites: Sequence[Mapping[str, Any]], source: Mapping[str, Any]) -> timeseries.Series:
    """Read a user's demand and check that it is demand."""
    file = timeseries.series_file(source, key=KEY, sign="import", extra=("refine",))
    names = [site["name"] for site in sites]
    series = timeseries.read_series(file, names)
    if (series.p_kw > 0).any():
        row, column = np.unravel_index(int(np.argmax(series.p_kw > 0)), series.p_kw.shape)
        raise InputError(
            f"Row {int(column) + 1}: {names[int(row)]} generates; a household only draws.", file=file.path, key=KEY,
            value=float(series.p_kw[row, column]), allowed="demand; PV belongs in `weather`; `sign` turns the values",
        )  # fmt: skip
    most = np.array([float(site.get("import_cap_kw", np.inf)) * _BEYOND_FUSE for site in sites])[:, None]
    if (-series.p_kw > most).any():
        row, column = np.unravel_index(int(np.argmax(-series.p_kw > most)), series.p_kw.shape)
        raise InputError(
            f"Row {int(column) + 1}: {names[int(row)]} draws far more than its fuse lets through; is this in watts?",
            file=file.path, key=KEY, value=float(-series.p_kw[row, column]),
            allowed=f"at most {most[row, 0]:g} kW; `unit` says what the values are in",
        )  # fmt: skip
    return series


def _file_demand(
    sites: Sequence[Mapping[str, Any]],
    start_s: int,
    steps: int,
    step_s: int,
    seed: int,
    source: Mapping[str, Any],
    beyond: timeseries.Beyond,
) -> NDArray[np.float64]:
    """Return demand in kW from a user's file, [n, T]."""
    refine = source.get("refine") or "hold"
    if refine not in ("hold", "stochastic"):
        raise InputError("Unknown refinement.", key=f"{KEY}.refine", value=refine, allowed="hold, stochastic")
    duration_s = steps * step_s
    whole = _read_file(sites, source)
    series = timeseries.cover(whole, start_s=start_s, end_s=start_s + duration_s, key=KEY, beyond=beyond)
    if refine == "hold":
        return -timeseries.resample(series, start_s=start_s, duration_s=duration_s, step_s=step_s)
    interval_s = series.interval_s
    skipped = (start_s - series.start_s) // interval_s
    first_s = series.start_s + skipped * interval_s
    edges = (start_s - first_s + step_s * np.arange(steps + 1)) / interval_s
    needed = slice(skipped, skipped + int(np.ceil(edges[-1])))
    demand = np.empty((len(sites), steps))
    for row, site in enumerate(sites):
        mean_kw = -series.p_kw[row, needed]
        standing_kw = np.minimum(mean_kw, np.quantile(-whole.p_kw[row], profiles.STANDING_QUANTILE))
        key = profiles.draw_habit(site, seed).burst_key
        uniform = refinement.uniform_pairs(key, first_s // interval_s, len(mean_kw))
        demand[row] = refinement.burst_means(mean_kw, standing_kw, uniform, edges)
    return demand
