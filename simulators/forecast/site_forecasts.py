"""What is believed of homes and roofs before it happens: truth, seen through an error that grows with lead time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from feederloop.simulators import timeseries
from feederloop.simulators.errors import InputError
from feederloop.simulators.forecast.error import ErrorProcess, own_innovations, shared_innovations
from feederloop.simulators.forecast.inflexible import HISTORY_DAYS, daily_quantiles
from feederloop.simulators.household.demand import days_of_history, household_power
from feederloop.simulators.pv.available import available_power

KEY = "forecast"
_DAY_S = 86_400


@dataclass(frozen=True)
class ForecastQuality:
    """How well load and sun are known in advance.

    Attributes:
        load_error_std: Relative standard deviation of a home's forecast far ahead; each home has its own error.
        pv_error_std: The same for PV; the street shares the error but for `pv_site_share`.
        correlation: Correlation of the error in successive market intervals.
        pv_site_share: Share of the variance of the PV error that is each house's own.
        demand_quantile: Quantile of inflexible demand that `household_p_low_kw` states.
    """

    load_error_std: float = 0.2
    pv_error_std: float = 0.15
    correlation: float = 0.8
    pv_site_share: float = 0.1
    demand_quantile: float = 0.95

    def __post_init__(self) -> None:
        checks = {
            "load_error_std": (0 <= self.load_error_std <= 2, "0 to 2"),
            "pv_error_std": (0 <= self.pv_error_std <= 2, "0 to 2"),
            "correlation": (0 <= self.correlation < 1, "at least 0, below 1"),
            "pv_site_share": (0 <= self.pv_site_share <= 1, "0 to 1"),
            "demand_quantile": (0.5 <= self.demand_quantile <= 1, "0.5 to 1"),
        }
        for name, (fits, allowed) in checks.items():
            if not fits:
                raise InputError("No such forecast.", key=f"{KEY}.{name}", value=getattr(self, name), allowed=allowed)

    @classmethod
    def of(cls, forecast: Mapping[str, Any]) -> "ForecastQuality":
        """Take the parameters that a dictionary states and leave the others at their defaults."""
        known = [item.name for item in fields(cls)]
        timeseries.check_keys(forecast, known, key=KEY)
        return cls(**{name: forecast[name] for name in known if forecast.get(name) is not None})


@dataclass(frozen=True)
class Issue:
    """A forecast for the current interval and those that follow, all [n, horizon], export positive.

    Attributes:
        household_p_kw: Mean power of each home.
        household_p_low_kw: Power that the home's demand exceeds with the stated small probability only.
        household_q_kvar: Mean reactive power of each home.
        pv_available_kw: Mean available PV power, at least zero.
    """

    household_p_kw: NDArray[np.float64]
    household_p_low_kw: NDArray[np.float64]
    household_q_kvar: NDArray[np.float64]
    pv_available_kw: NDArray[np.float64]


class SiteForecasts:
    """The forecasts of a run.

    The truth is rebuilt with the models of the household and PV simulators, for the run and a horizon behind it, and
    averaged over market intervals; past the end of a user's file its last day is taken to repeat.

    `household_p_low_kw` is the home's demand quantile of earlier days (see `inflexible`), or the forecast itself where
    that is lower. For the first day of a source that knows nothing before the run, the forecast is widened by the
    quantile of its own error instead, which leaves out how lively demand is within an interval.

    Args:
        sites: Site dictionaries, as of `household_power` and `available_power`; `pv_kwp` is 0 where there is none.
        start: Start of the run, ISO 8601 with offset.
        duration_s: Length of the run in seconds.
        step_s: Physical step in seconds.
        interval_s: Market interval in seconds, a multiple of the step that divides the day.
        horizon: Intervals of a forecast.
        seed: The scenario's seed.
        time_zone: IANA zone by whose clock people live.
        place: As of `available_power`.
        source: As of `household_power`.
        weather: As of `available_power`.
        forecast: The attributes of `ForecastQuality`; what is left out is at its default.

    Raises:
        InputError: A parameter or source that cannot be.
    """

    def __init__(
        self,
        sites: Sequence[Mapping[str, Any]],
        *,
        start: str,
        duration_s: int,
        step_s: int,
        interval_s: int,
        horizon: int,
        seed: int,
        time_zone: str,
        place: Mapping[str, Any],
        source: Mapping[str, Any],
        weather: Mapping[str, Any],
        forecast: Mapping[str, Any],
    ) -> None:
        if interval_s % step_s or _DAY_S % interval_s:
            allowed = f"a multiple of the step ({step_s} s) that divides the day"
            raise InputError("No such market interval.", key="interval_s", value=interval_s, allowed=allowed)
        self._quality = ForecastQuality.of(forecast)
        self._horizon, self._slots = horizon, _DAY_S // interval_s
        intervals = -(-duration_s // interval_s) + 1 + horizon
        known: dict[str, Any] = {"step_s": step_s, "seed": seed, "source": source, "time_zone": time_zone}
        truth = household_power(
            sites, start=start, duration_s=intervals * interval_s, beyond="repeat_day", **known
        )  # fmt: skip
        sun = available_power(
            sites, place=place, start=start, duration_s=intervals * interval_s, step_s=step_s, seed=seed,
            weather=weather, beyond="repeat_day",
        )  # fmt: skip
        per_interval = interval_s // step_s
        self._load_kw = _means(truth.p_kw, per_interval)
        self._pv_kw = _means(sun, per_interval)
        power_factor = np.array([float(site["power_factor"]) for site in sites]).reshape(-1, 1)
        self._tangent = np.tan(np.arccos(power_factor))
        self._inverter_kva = np.array([float(site.get("inverter_kva") or 0.0) for site in sites]).reshape(-1, 1)
        self._set_errors([str(site["name"]) for site in sites], intervals, seed)
        self._quantiles = self._demand_quantiles(sites, start, -(-duration_s // _DAY_S) + 1, truth.p_kw, known)

    def _set_errors(self, names: Sequence[str], intervals: int, seed: int) -> None:
        """Draw the errors of load and PV."""
        quality, count = self._quality, intervals + 1
        load, share = own_innovations(names, "load", count, seed), quality.pv_site_share
        sun = shared_innovations(names, "pv", count, seed, own_share=share)
        self._load_error = ErrorProcess(load, std=quality.load_error_std, correlation=quality.correlation)
        self._pv_error = ErrorProcess(sun, std=quality.pv_error_std, correlation=quality.correlation)

    def _demand_quantiles(
        self,
        sites: Sequence[Mapping[str, Any]],
        start: str,
        days: int,
        truth_kw: NDArray[np.float64],
        known: Mapping[str, Any],
    ) -> list[NDArray[np.float64] | None]:
        """Estimate each day's demand quantile from the days before it."""
        history_days = days_of_history(sites, start=start, source=known["source"], days=HISTORY_DAYS)
        per_day = _DAY_S // int(known["step_s"])
        realised = truth_kw[:, : (days - 1) * per_day]
        # the run's last day is in no estimate; where the truth ends within it, it is filled up to whole days
        blank = np.zeros((len(sites), days * per_day - realised.shape[1]))
        parts = [realised, blank]
        if history_days:
            begin = timeseries.iso_utc(timeseries.utc_seconds(start) - history_days * _DAY_S)
            parts.insert(0, household_power(sites, start=begin, duration_s=history_days * _DAY_S, **known).p_kw)
        return daily_quantiles(
            -np.hstack(parts), history_days=history_days, days=days, slots=self._slots,
            quantile=self._quality.demand_quantile,
        )  # fmt: skip

    def issue(self, interval: int) -> Issue:
        """Return the forecast that is issued at the start of an interval (counted from the run's start)."""
        window = slice(interval, interval + self._horizon)
        load_factor = np.maximum(1.0 + self._load_error.issued(interval, self._horizon), 0.0)
        pv_factor = np.maximum(1.0 + self._pv_error.issued(interval, self._horizon), 0.0)
        load_kw = self._load_kw[:, window] * load_factor
        pv_kw = np.minimum(self._pv_kw[:, window] * pv_factor, self._inverter_kva)
        return Issue(load_kw, self._low(interval, load_kw), load_kw * self._tangent, pv_kw)

    def _low(self, interval: int, load_kw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the low quantile of household power, never above the forecast."""
        estimate = self._quantiles[interval // self._slots]
        if estimate is None:
            widening = float(ndtri(min(self._quality.demand_quantile, 0.9999))) * self._quality.load_error_std
            return np.asarray(load_kw * (1.0 + widening))
        slots = (interval + np.arange(self._horizon)) % self._slots
        return np.asarray(np.minimum(-estimate[:, slots], load_kw))


def _means(power: NDArray[np.float64], per_interval: int) -> NDArray[np.float64]:
    """Average power over market intervals."""
    return np.asarray(power.reshape(len(power), power.shape[1] // per_interval, per_interval).mean(axis=2))
