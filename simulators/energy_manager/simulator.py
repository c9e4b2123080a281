"""The energy managers on the clock."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import mosaik_api_v3
import numpy as np
import pandas as pd

from feederloop.simulators.energy_manager.holder import PositionHolder
from feederloop.simulators.energy_manager.manager import EnergyManagers, TariffManagers
from feederloop.simulators.energy_manager.offer import Clock
from feederloop.simulators.energy_manager.outlook import Beliefs, Vehicles
from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff
from feederloop.simulators.energy_manager.unmanaged import LimitedSites, UnmanagedSites
from feederloop.simulators.energy_manager.wishes import PriceRange, charging_need, site_requests, vehicle_wishes
from feederloop.simulators.errors import InputError

_LISTS_IN = (
    "household_p_kw",
    "household_p_low_kw",
    "household_q_kvar",
    "pv_available_kw",
    "export_limit_kw",
    "import_limit_kw",
)
_SCALARS_IN = (
    "household_p_kw_now",
    "soc_kwh",
    "plugged",
    "departure_s",
    "required_kwh",
    "pv_available_kw_now",
    "traded_kwh",
    "traded_price_per_kwh",
    "assigned_kwh",
    "price_adder_per_kwh",
)
_OUT = (
    "ev_set_kw",
    "pv_limit_kw",
    "curve_price_per_kwh",
    "curve_kwh",
    "position_kwh",
    "export_request_kw",
    "import_request_kw",
    "import_need_kw",
)

_KINDS: dict[str, type[PositionHolder] | type[UnmanagedSites]] = {
    "optimise": EnergyManagers,
    "tariff": TariffManagers,
    "directed": PositionHolder,
    "limited": LimitedSites,
    "unmanaged": UnmanagedSites,
}

META: dict[str, Any] = {
    "type": "time-based",
    "extra_methods": ["initial_states"],
    "models": {
        "EnergyManager": {"public": True, "params": ["sites"], "attrs": [*_LISTS_IN, *_SCALARS_IN, *_OUT]},
    },
}


class EnergyManagerSimulator(mosaik_api_v3.Simulator):
    """Speaks mosaik for `EnergyManagers`; plans at the start of every interval, acts in every physical step.

    Where an edge is missing, its natural absence is assumed: no vehicle, no sun, no trade, and the site's caps as
    limits. Unmanaged sites put out None for `ev_set_kw` and `pv_limit_kw`: nobody sets these devices.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._names: tuple[str, ...] = ()
        self._sites: Sites
        self._managers: PositionHolder | UnmanagedSites
        self._beliefs: Beliefs
        self._demand_kw: np.ndarray
        self._data: dict[str, list[Any]] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        step_s: int,
        interval_s: int,
        horizon: int,
        start: str,
        time_zone: str,
        tariff: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Set the managers up.

        Args:
            sid: The simulator's id on the clock.
            time_resolution: Seconds per unit of time.
            step_s: Physical step in seconds.
            interval_s: Market interval in seconds.
            horizon: Intervals in every list.
            start: Start of the scenario, ISO 8601 UTC.
            time_zone: The prosumers' time zone, by which a time of day recurs.
            tariff: `retail_per_kwh` and `feed_in_per_kwh`, a value per interval of the run and a horizon beyond, and
                the scalar `network_charge_per_kwh`.
            options: Fields of `settings.Options`.
        """
        self._tariff, self._options = Tariff.from_dict(tariff), Options.from_dict(options)
        slots = _slots(start, time_zone, interval_s, len(self._tariff.retail_per_kwh))
        self._clock = Clock(step_s, interval_s, horizon, slots)
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Create all managers; `sites` are `num` site dictionaries."""
        if num != len(sites) or self._names:
            raise ValueError(f"all {model} entities are created at once: num is {num}, sites are {len(sites)}")
        self._sites = Sites.from_dicts(sites)
        self._names = self._sites.names
        self._managers = _KINDS[self._options.mode](self._sites, self._clock, self._tariff, self._options)
        return [{"eid": name, "type": model} for name in self._names]

    def initial_states(
        self,
        forecasts: Mapping[str, Mapping[str, Any]] | None = None,
        vehicles: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> dict[str, dict[str, list[float]]]:
        """Return the requests for the run's first horizon, for the edge that carries the previous step's value.

        Args:
            forecasts: What the forecast knows before the first step, by prosumer; without it the requests are what
                ratings and fuse allow.
            vehicles: States of the vehicles before the first step, by prosumer who has one.
        """
        sites, horizon = self._sites, self._clock.horizon
        if not forecasts:
            export = np.minimum(sites.inverter_kw + sites.ev_discharge_kw, sites.export_cap_kw)
            columns = {
                "export_request_kw": [[limit] * horizon for limit in export.tolist()],
                "import_request_kw": [[limit] * horizon for limit in sites.import_cap_kw.tolist()],
                "import_need_kw": [[0.0] * horizon for _ in self._names],
            }
        else:
            told = {name: {**forecasts.get(name, {}), **(vehicles or {}).get(name, {})} for name in self._names}
            beliefs, demand_kw = self._believed(told)
            columns = self._requests(0, beliefs, demand_kw, self._heard_of(told))
        return {name: {attr: rows[number] for attr, rows in columns.items()} for number, name in enumerate(self._names)}

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> int:
        """Plan where an interval begins, and set the devices for the physical step that begins at `time`."""
        received = {name: _single(name, inputs.get(name, {})) for name in self._names}
        vehicles = self._heard_of(received)
        if time % self._clock.interval_s == 0:
            self._begin_interval(time, received, vehicles)
        self._request(time, vehicles)
        nothing = np.zeros(len(self._names))
        household = self._scalars(received, "household_p_kw_now", nothing)
        points = self._managers.step(time, household, self._scalars(received, "pv_available_kw_now", nothing), vehicles)
        self._data["ev_set_kw"] = _or_none(points.ev_kw)
        self._data["pv_limit_kw"] = _or_none(points.pv_limit_kw)
        return time + self._clock.step_s

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
        """Return set-points of the step, and position, curve and requests of the interval."""
        row = {name: number for number, name in enumerate(self._names)}
        data: dict[str, dict[str, Any]] = {}
        for eid, names in outputs.items():
            values = {name: self._data[name][row[eid]] for name in names}
            data[eid] = {name: list(value) if isinstance(value, list) else value for name, value in values.items()}
        return data

    def _begin_interval(self, time: int, received: Mapping[str, Mapping[str, Any]], vehicles: Vehicles) -> None:
        """Let the managers plan and keep what they publish."""
        self._beliefs, self._demand_kw = self._believed(received)
        nothing = np.zeros(len(self._names))
        directed = self._options.mode == "directed"
        attrs = ("assigned_kwh", "price_adder_per_kwh") if directed else ("traded_kwh", "traded_price_per_kwh")
        told = tuple(self._scalars(received, attr, nothing) for attr in attrs)
        offer = self._managers.begin_interval(time, self._beliefs, vehicles, (told[0], told[1]))
        self._data["position_kwh"] = offer.position_kwh.tolist()
        self._data["curve_price_per_kwh"] = [offer.curve_price_per_kwh.tolist()] * len(self._names)
        self._data["curve_kwh"] = offer.curve_kwh.tolist()

    def _heard_of(self, received: Mapping[str, Mapping[str, Any]]) -> Vehicles:
        """Return the vehicles as the managers are told of them."""
        nothing = np.zeros(len(self._names))
        return Vehicles(
            energy_kwh=self._scalars(received, "soc_kwh", nothing),
            plugged=self._scalars(received, "plugged", nothing) > 0,
            departure_s=self._scalars(received, "departure_s", nothing),
            required_kwh=self._scalars(received, "required_kwh", nothing),
        )

    def _believed(self, received: Mapping[str, Mapping[str, Any]]) -> tuple[Beliefs, np.ndarray]:
        """Return the beliefs of a horizon and the high quantile of demand in it, shape (prosumers, horizon)."""
        shape = (len(self._names), self._clock.horizon)
        import_cap_kw, export_cap_kw = (
            np.broadcast_to(cap[:, None], shape) for cap in (self._sites.import_cap_kw, self._sites.export_cap_kw)
        )
        household = self._lists(received, "household_p_kw", np.zeros(shape))
        low = np.minimum(self._lists(received, "household_p_low_kw", household), household)
        beliefs = Beliefs(
            household_kw=household,
            pv_available_kw=self._lists(received, "pv_available_kw", np.zeros(shape)),
            import_limit_kw=self._lists(received, "import_limit_kw", import_cap_kw),
            export_limit_kw=self._lists(received, "export_limit_kw", export_cap_kw),
        )
        return beliefs, np.maximum(-low, 0.0)

    def _request(self, time: int, vehicles: Vehicles) -> None:
        """Ask for the ranges that the sites could use; every step, so that a vehicle counts as soon as it is there.

        The lists begin with the next interval, because the envelope controller reads them when that has become the
        current one. Without a forecast for the last interval, that of the one before stands for it.
        """
        horizon = self._clock.horizon
        interval = time // self._clock.interval_s + 1
        ahead = [*range(1, horizon), horizon - 1]
        beliefs = Beliefs(*(getattr(self._beliefs, field.name)[:, ahead] for field in fields(Beliefs)))
        self._data |= self._requests(interval, beliefs, self._demand_kw[:, ahead], vehicles)

    def _requests(
        self, interval: int, beliefs: Beliefs, demand_kw: np.ndarray, vehicles: Vehicles
    ) -> dict[str, list[list[float]]]:
        """Return the requests for a horizon that begins with an interval; all arguments are of that horizon."""
        sites, options, length_s, horizon = self._sites, self._options, self._clock.interval_s, self._clock.horizon
        starts_s = length_s * np.arange(interval, interval + horizon, dtype=float)
        there = vehicles.share_plugged(starts_s, length_s)
        window = slice(interval, interval + horizon)
        local = options.mode == "optimise"
        prices = PriceRange.of(self._tariff, window, local=local) if local or options.mode == "tariff" else None
        need = charging_need(sites, vehicles, there, float(starts_s[0]))
        charge, discharge = vehicle_wishes(sites, vehicles, there, prices, length_s / 3600.0)
        wishes = (np.maximum(charge, need), discharge)
        export, imports = site_requests(
            sites, beliefs, demand_kw, wishes, options.request_margin, options.firm_pv_share
        )  # fmt: skip
        return {
            "export_request_kw": export.tolist(),
            "import_request_kw": imports.tolist(),
            "import_need_kw": need.tolist(),
        }

    def _scalars(self, received: Mapping[str, Mapping[str, Any]], attr: str, absent: np.ndarray) -> np.ndarray:
        """Gather an attribute of all prosumers, shape (prosumers,)."""
        values = [received[name].get(attr) for name in self._names]
        return np.array([given if value is None else value for value, given in zip(values, absent, strict=True)], float)

    def _lists(self, received: Mapping[str, Mapping[str, Any]], attr: str, absent: np.ndarray) -> np.ndarray:
        """Gather a list of all prosumers, shape (prosumers, horizon)."""
        rows = []
        for name, given in zip(self._names, absent, strict=True):
            value = received[name].get(attr)
            if value is not None and len(value) != self._clock.horizon:
                allowed = f"{self._clock.horizon} values"
                raise InputError(
                    "list does not cover the horizon", key=f"{name}.{attr}", value=len(value), allowed=allowed
                )
            rows.append(given if value is None else value)
        return np.array(rows, dtype=float)


def _single(name: str, inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a manager is told, attribute by attribute; each has one source."""
    for attr, sources in inputs.items():
        if len(sources) > 1:
            raise InputError("told by several", key=f"{name}.{attr}", value=sorted(sources), allowed="one source")
    return {attr: next(iter(sources.values())) for attr, sources in inputs.items() if sources}


def _or_none(values: np.ndarray) -> list[float | None]:
    """Return floats, with None in the place of NaN."""
    return [None if math.isnan(value) else value for value in values.tolist()]


def _slots(start: str, time_zone: str, interval_s: int, count: int) -> tuple[int, ...]:
    """Return which local time of day each interval has, counted in intervals from midnight."""
    local = pd.date_range(start, periods=max(count, 1), freq=f"{interval_s}s").tz_convert(time_zone)
    seconds = local.hour * 3600 + local.minute * 60 + local.second
    return tuple((seconds // interval_s).tolist())


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(EnergyManagerSimulator(), "feederloop energy managers")
