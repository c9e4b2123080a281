"""Charging sessions: when each car is plugged in, with what it comes and what it needs when it leaves.

Drawn sessions follow a car that leaves home in the morning and returns in the evening of every driving day. Times of
arrival and departure are normal by the clock on the wall, cut off so that sessions neither overlap nor vanish; the
energy driven in a day is lognormal. A car comes home with its target less the day's driving, and requires the target
again, or what its charger reaches in `reachable_share` of the session where that is less.

A car that is plugged in when the run starts has until then charged as cars do without management: at full rating since
its arrival. Its session begins with the run, with the energy it then has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feederloop.simulators import timeseries
from feederloop.simulators.errors import InputError
from feederloop.simulators.ev_fleet.chargers import Chargers
from feederloop.simulators.ev_fleet.session_file import read_sessions
from feederloop.simulators.randomness import stream

KEY = "sessions"
UNMANAGED_TARGETS = ("required", "full")
_WEEK_DAYS = 7
_DAY_S = 86_400
_THURSDAY = 3  # 1 January 1970, counted from Monday


@dataclass(frozen=True)
class DrawingRules:
    """Distributions that sessions are drawn from.

    Attributes:
        arrival_mean_h: Mean time of arrival, hours after midnight by the clock on the wall.
        arrival_std_h: Its standard deviation in hours.
        departure_mean_h: Mean time of departure; before that of arrival: the next morning.
        departure_std_h: Its standard deviation in hours.
        daily_energy_mean_kwh: Mean of the energy driven in a day (from the battery).
        daily_energy_sigma: Standard deviation of its logarithm.
        target_soc: State of charge that is required at departure, share of capacity.
        lowest_soc: State of charge below which nobody comes home, share of capacity.
        reachable_share: Share of a session in which the required energy has to be reachable at full rating.
        days: `daily`, or `weekdays`: on Saturday and Sunday the car stays where it is.
    """

    arrival_mean_h: float = 18.0
    arrival_std_h: float = 1.5
    departure_mean_h: float = 7.5
    departure_std_h: float = 1.0
    daily_energy_mean_kwh: float = 7.0
    daily_energy_sigma: float = 0.6
    target_soc: float = 0.8
    lowest_soc: float = 0.1
    reachable_share: float = 0.9
    days: str = "daily"

    def __post_init__(self) -> None:
        hours, share = "hours, 0 to 24", "0 to 1"
        checks = {
            "arrival_mean_h": (0 <= self.arrival_mean_h < 24, hours),
            "arrival_std_h": (0 <= self.arrival_std_h <= 24, hours),
            "departure_mean_h": (
                0 <= self.departure_mean_h < 24 and self.at_home_h > 0,
                f"{hours}, not arrival_mean_h",
            ),
            "departure_std_h": (0 <= self.departure_std_h <= 24, hours),
            "daily_energy_mean_kwh": (0 < self.daily_energy_mean_kwh < np.inf, "kWh, above 0"),
            "daily_energy_sigma": (0 <= self.daily_energy_sigma <= 3, "0 to 3"),
            "target_soc": (0 < self.target_soc <= 1, "above 0, at most 1"),
            "lowest_soc": (0 <= self.lowest_soc <= self.target_soc, "0 to target_soc"),
            "reachable_share": (0 <= self.reachable_share <= 1, share),
            "days": (self.days in ("daily", "weekdays"), "daily, weekdays"),
        }
        for name, (fits, allowed) in checks.items():
            if not fits:
                raise InputError("No such rule.", key=f"{KEY}.{name}", value=getattr(self, name), allowed=allowed)

    @property
    def at_home_h(self) -> float:
        """Hours from the mean arrival to the mean departure."""
        return (self.departure_mean_h - self.arrival_mean_h) % 24

    def driving(self, days: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell for civil days since 1970 on which of them the car is driven."""
        return np.asarray((days + _THURSDAY) % 7 < (5 if self.days == "weekdays" else 7))


def unmanaged_target(rules: Mapping[str, Any]) -> str:
    """Return up to what a car charges when nobody manages it: `required` (the default) or `full`."""
    target = rules.get("unmanaged_target") or "required"
    if target not in UNMANAGED_TARGETS:
        allowed = ", ".join(UNMANAGED_TARGETS)
        raise InputError("Unknown target.", key=f"{KEY}.unmanaged_target", value=target, allowed=allowed)
    return str(target)


def ev_sessions(
    sites: Sequence[Mapping[str, Any]],
    *,
    start: str,
    duration_s: int,
    time_zone: str,
    seed: int,
    rules: Mapping[str, Any],
) -> pd.DataFrame:
    """Return the sessions of a run, drawn or from a user's table.

    Args:
        sites: Site dictionaries of prosumers with an EV (see `Chargers.of`).
        start: Start of the run, ISO 8601 with offset.
        duration_s: Length of the run in seconds.
        time_zone: IANA zone by whose clock people live.
        seed: The scenario's seed.
        rules: `{"kind": "drawn", ...}` with the attributes of `DrawingRules`, or `{"kind": "file", "path": ...,
            "time_zone": ...}` (see `session_file`); both may hold `unmanaged_target`.

    Returns:
        A row per session that overlaps the run, by prosumer and time: `prosumer`, `arrival`, `departure` (UTC),
        `capacity_kwh`, `arrival_kwh`, `required_kwh`.

    Raises:
        InputError: A rule or table that cannot be.
    """
    kind = rules.get("kind", "drawn")
    if kind == "file":
        sessions = read_sessions(rules, sites, key=KEY)
    elif kind == "drawn":
        sessions = draw_sessions(
            sites, start=start, duration_s=duration_s, time_zone=time_zone, seed=seed, rules=rules
        )  # fmt: skip
    else:
        raise InputError("Unknown kind of sessions.", key=f"{KEY}.kind", value=kind, allowed="drawn, file")
    return _within_run(sessions, Chargers.of(sites), start, duration_s, unmanaged_target(rules))


def draw_sessions(
    sites: Sequence[Mapping[str, Any]],
    *,
    start: str,
    duration_s: int,
    time_zone: str,
    seed: int,
    rules: Mapping[str, Any],
) -> pd.DataFrame:
    """Draw whole sessions from a week before the run to its end; arguments and columns as of `ev_sessions`."""
    known = [item.name for item in fields(DrawingRules)]
    timeseries.check_keys(rules, ("kind", "unmanaged_target", *known), key=KEY)
    drawing = DrawingRules(**{name: rules[name] for name in known if rules.get(name) is not None})
    chargers = Chargers.of(sites)
    first = timeseries.utc_seconds(start) // _DAY_S - _WEEK_DAYS
    days = np.arange(first, first + 2 * _WEEK_DAYS + -(-duration_s // _DAY_S) + 1, dtype=np.int64)
    draws = [stream(seed, "ev_fleet", name).standard_normal((len(days), 3)) for name in chargers.names]
    normal = np.array(draws).reshape(len(draws), len(days), 3)
    arrival, departure = _times(drawing, days, normal, time_zone)
    number = arrival.shape[1]
    driven_kwh = _driven_energy(drawing, normal)[:, drawing.driving(days)][:, :number]
    capacity = chargers.capacity_kwh[:, None]
    target = drawing.target_soc * capacity
    arrival_kwh = np.maximum(target - driven_kwh, drawing.lowest_soc * capacity)
    hours = drawing.reachable_share * (departure - arrival) / 3600
    required_kwh = np.minimum(target, arrival_kwh + hours * (chargers.charge_kw * chargers.efficiency)[:, None])
    return pd.DataFrame(
        {
            "prosumer": np.repeat(chargers.names, number),
            "arrival": pd.to_datetime(arrival.ravel(), unit="s", utc=True),
            "departure": pd.to_datetime(departure.ravel(), unit="s", utc=True),
            "capacity_kwh": np.repeat(chargers.capacity_kwh, number),
            "arrival_kwh": arrival_kwh.ravel(),
            "required_kwh": required_kwh.ravel(),
        }
    )


def _times(
    drawing: DrawingRules, days: NDArray[np.int64], normal: NDArray[np.float64], time_zone: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return arrival and departure of each session, seconds since 1970 UTC, [n, S]."""
    widest = 0.45 * min(drawing.at_home_h, 24 - drawing.at_home_h)
    arrival_h = drawing.arrival_mean_h + np.clip(drawing.arrival_std_h * normal[:, :, 0], -widest, widest)
    departure_h = drawing.departure_mean_h + np.clip(drawing.departure_std_h * normal[:, :, 1], -widest, widest)
    driven = np.flatnonzero(drawing.driving(days))
    overnight = drawing.departure_mean_h < drawing.arrival_mean_h
    comes, leaves = (driven[:-1], driven[1:]) if overnight else (driven, driven)
    wall = [
        _DAY_S * days[index] + np.round(3600 * hours[:, index]).astype(np.int64)
        for index, hours in ((comes, arrival_h), (leaves, departure_h))
    ]
    arrival, departure = (_utc(item, time_zone) for item in wall)
    return arrival, departure


def _utc(wall_s: NDArray[np.int64], time_zone: str) -> NDArray[np.int64]:
    """Return seconds since 1970 by the clock on the wall as seconds since 1970 UTC."""
    times = pd.DatetimeIndex(wall_s.ravel().astype("datetime64[s]"))
    try:
        local = times.tz_localize(time_zone, nonexistent="shift_forward", ambiguous=np.ones(len(times), dtype=bool))
    except (KeyError, OSError, ValueError) as error:
        message, allowed = "Unknown time zone.", "an IANA name such as Europe/London"
        raise InputError(message, key="time_zone", value=time_zone, allowed=allowed) from error
    seconds = local.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    return np.asarray(seconds.reshape(wall_s.shape))


def _driven_energy(drawing: DrawingRules, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the energy driven on each day, lognormal with the stated mean, [n, D]."""
    sigma = drawing.daily_energy_sigma
    return np.asarray(np.exp(np.log(drawing.daily_energy_mean_kwh) - sigma**2 / 2 + sigma * normal[:, :, 2]))


def _within_run(sessions: pd.DataFrame, chargers: Chargers, start: str, duration_s: int, target: str) -> pd.DataFrame:
    """Keep what overlaps the run; cars that are there at its start have charged unmanaged until then."""
    begin = pd.Timestamp(timeseries.utc_seconds(start), unit="s", tz="UTC")
    end = begin + pd.Timedelta(seconds=duration_s)
    kept = sessions[(sessions["departure"] > begin) & (sessions["arrival"] < end)].reset_index(drop=True)
    row = kept["prosumer"].map({name: row for row, name in enumerate(chargers.names)}).to_numpy(dtype=np.int64)
    hours = np.maximum((begin - kept["arrival"]).dt.total_seconds().to_numpy() / 3600, 0.0)
    aim = kept["required_kwh" if target == "required" else "capacity_kwh"].to_numpy()
    charged = kept["arrival_kwh"].to_numpy() + hours * (chargers.charge_kw * chargers.efficiency)[row]
    kept["arrival_kwh"] = np.maximum(np.minimum(charged, aim), kept["arrival_kwh"].to_numpy())
    kept["arrival"] = kept["arrival"].where(kept["arrival"] > begin, begin)
    return kept.iloc[np.lexsort((kept["arrival"].to_numpy(), row))].reset_index(drop=True)
