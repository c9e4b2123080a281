"""Forecasts on the shared clock: what is believed of homes and roofs, every market interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import mosaik_api_v3

from feederloop.simulators.forecast.site_forecasts import SiteForecasts

LISTS = ("household_p_kw", "household_p_low_kw", "household_q_kvar", "pv_available_kw")
META: dict[str, Any] = {
    "type": "time-based",
    "extra_methods": ["initial_states"],
    "models": {"SiteForecast": {"public": True, "params": ["sites"], "attrs": ["time_s", *LISTS]}},
}


class ForecastSimulator(mosaik_api_v3.Simulator):
    """Speaks mosaik for `SiteForecasts`; steps every market interval."""

    def __init__(self) -> None:
        super().__init__(META)
        self._options: dict[str, Any] = {}
        self._interval_s = 0
        self._rows: dict[str, int] = {}
        self._forecasts: SiteForecasts
        self._lists: dict[str, list[list[float]]] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
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
    ) -> Any:
        """Take the run's time and what homes, roofs and forecasts are made from; arguments as of `SiteForecasts`."""
        self._interval_s = interval_s
        self._options = {
            "start": start, "duration_s": duration_s, "step_s": step_s, "interval_s": interval_s, "horizon": horizon,
            "seed": seed, "time_zone": time_zone, "place": place, "source": source, "weather": weather,
            "forecast": forecast,
        }  # fmt: skip
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Create the forecasts of all prosumers; `sites` are `num` site dictionaries."""
        if num != len(sites) or self._rows:
            raise ValueError(f"all {model} entities are created at once: num is {num}, sites are {len(sites)}")
        self._forecasts = SiteForecasts(sites, **self._options)
        self._rows = {site["name"]: row for row, site in enumerate(sites)}
        return [{"eid": site["name"], "type": model} for site in sites]

    def initial_states(self) -> dict[str, dict[str, list[float]]]:
        """Return the first forecast, for who has to say before the first step what it wants in it."""
        issue = self._forecasts.issue(0)
        lists = {name: getattr(issue, name).tolist() for name in LISTS}
        return {eid: {name: list(lists[name][row]) for name in LISTS} for eid, row in self._rows.items()}

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> int:
        """Issue the forecast of the market interval that begins at `time`."""
        issue = self._forecasts.issue(time // self._interval_s)
        self._lists = {name: getattr(issue, name).tolist() for name in LISTS}
        return time + self._interval_s

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, list[float]]]:
        """Return the forecast lists, each beginning with the current interval."""
        return {
            eid: {name: list(self._lists[name][self._rows[eid]]) for name in names} for eid, names in outputs.items()
        }


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(ForecastSimulator())
