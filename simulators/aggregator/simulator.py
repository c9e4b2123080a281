"""The aggregator on the clock: plans for all devices every interval, and sets them every physical step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import mosaik_api_v3
import pandas as pd

from feederloop.simulators.aggregator.coordinators import (
    Coordinator,
    NetworkAware,
    PerfectForesight,
    Schedule,
    Situation,
    ValleyFiller,
)
from feederloop.simulators.aggregator.dispatch import ChargerDispatch
from feederloop.simulators.aggregator.foresight import Sessions, Truth
from feederloop.simulators.aggregator.network import NetworkRows
from feederloop.simulators.aggregator.received import gathered_lists, gathered_vehicles
from feederloop.simulators.energy_manager.outlook import Vehicles
from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff
from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.errors import InputError
from feederloop.simulators.ev_fleet.sessions import ev_sessions
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import load_network
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.household.demand import household_power
from feederloop.simulators.pv.available import available_power

VARIANTS = ("valley_filling", "network_aware", "perfect_foresight")
_LISTS = ("household_p_kw", "household_q_kvar", "pv_available_kw")
_SCALARS = ("soc_kwh", "plugged", "departure_s", "required_kwh")
_OUT = ("ev_set_kw", "pv_limit_kw", "position_kwh", "traded_kwh", "traded_price_per_kwh")
COORDINATION = "Coordination"

META: dict[str, Any] = {
    "type": "time-based",
    "models": {
        "Participant": {"public": True, "params": ["sites"], "attrs": [*_LISTS, *_SCALARS, *_OUT]},
        COORDINATION: {"public": True, "params": [], "attrs": ["rounds", "messages", "rows", "excess_kw"]},
    },
}


class AggregatorSimulator(mosaik_api_v3.Simulator):
    """Speaks mosaik for a `Coordinator`; a participant per prosumer and one entity for the coordination itself."""

    def __init__(self) -> None:
        super().__init__(META)
        self._names: tuple[str, ...] = ()
        self._coordinator: Coordinator
        self._dispatch: ChargerDispatch
        self._data: dict[str, list[Any]] = {}
        self._report: dict[str, Any] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        variant: str,
        start: str,
        duration_s: int,
        step_s: int,
        interval_s: int,
        horizon: int,
        tariff: Mapping[str, Any],
        network: str,
        feeders: int = 1,
        source_v_pu: float,
        limits: Mapping[str, float],
        options: Mapping[str, Any] | None = None,
        curtail_pv: bool = True,
        truth: Mapping[str, Any] | None = None,
    ) -> Any:
        """Set the aggregator up.

        Args:
            sid: The simulator's id on the clock.
            time_resolution: Seconds per unit of time.
            variant: One of `VARIANTS`.
            start: Start of the run, ISO 8601 with offset.
            duration_s: Length of the run in seconds.
            step_s: Physical step in seconds.
            interval_s: Market interval in seconds.
            horizon: Intervals in every list.
            tariff: As of the energy managers.
            network: Shipped network's name or path of a pandapower JSON file.
            feeders: Copies of the low-voltage network behind the transformer.
            source_v_pu: Voltage of the external grid.
            limits: Fields of the envelope controller's `Limits`.
            options: Fields of the energy managers' `Options`.
            curtail_pv: Whether the network-aware variant may limit inverters.
            truth: What perfect foresight sees: `seed`, `time_zone`, `source`, `place`, `weather` and `sessions`, as
                of the simulators of homes, sun and vehicles.
        """
        if variant not in VARIANTS:
            raise InputError("no such aggregator", key="variant", value=variant, allowed=", ".join(VARIANTS))
        self._variant, self._curtail_pv, self._truth = variant, curtail_pv, dict(truth or {})
        self._run: dict[str, Any] = {"start": start, "duration_s": duration_s, "step_s": step_s}
        self._step_s, self._interval_s, self._horizon = step_s, interval_s, horizon
        self._tariff, self._options = Tariff.from_dict(tariff), Options.from_dict(options)
        self._network = load_network(network, feeders=feeders, source_v_pu=source_v_pu)
        self._limits = Limits(**limits)
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """Create all participants (`sites` are `num` site dictionaries), or the coordination."""
        if model == COORDINATION:
            return [{"eid": COORDINATION, "type": model}]
        if num != len(sites) or self._names:
            raise ValueError(f"all {model} entities are created at once: num is {num}, sites are {len(sites)}")
        devices = Sites.from_dicts(sites)
        self._names = devices.names
        self._coordinator = self._make(devices, sites)
        self._dispatch = ChargerDispatch(devices, self._step_s)
        return [{"eid": name, "type": model} for name in self._names]

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> int:
        """Plan where an interval begins, and set the devices for the physical step that begins at `time`."""
        vehicles = gathered_vehicles(self._names, inputs)
        if time % self._interval_s == 0:
            lists = {attr: gathered_lists(self._names, inputs, attr, self._horizon) for attr in _LISTS}
            situation = Situation(
                time // self._interval_s,
                lists["household_p_kw"],
                lists["household_q_kvar"],
                lists["pv_available_kw"],
                vehicles,
            )
            self._publish(time, vehicles, self._coordinator.schedule(situation))
        self._data["ev_set_kw"] = self._dispatch.step(time, vehicles).tolist()
        return time + self._step_s

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
        """Return set-points of the step, and positions, trades and report of the interval."""
        row = {name: number for number, name in enumerate(self._names)}
        return {
            eid: {attr: self._report[attr] if eid == COORDINATION else self._data[attr][row[eid]] for attr in attrs}
            for eid, attrs in outputs.items()
        }

    def _publish(self, time: int, vehicles: Vehicles, schedule: Schedule) -> None:
        end_s, length_h = float(time + self._interval_s), self._interval_s / 3600.0
        self._dispatch.begin_interval(schedule.ev_kw, vehicles.plugged, end_s, length_h)
        limits = schedule.pv_limit_kw.tolist()
        self._data["pv_limit_kw"] = [None if math.isnan(limit) else limit for limit in limits]
        for attr in ("position_kwh", "traded_kwh", "traded_price_per_kwh"):
            self._data[attr] = getattr(schedule, attr).tolist()
        self._report = {
            "rounds": schedule.rounds,
            # Everybody reports a state and a forecast and is told a schedule.
            "messages": 2 * len(self._names),
            "rows": schedule.rows,
            "excess_kw": float(schedule.excess_kw),
        }

    def _make(self, devices: Sites, sites: Sequence[Mapping[str, Any]]) -> Coordinator:
        common = (devices, self._tariff, self._options, self._horizon, float(self._interval_s))
        if self._variant == "valley_filling":
            return ValleyFiller(*common)
        points = pd.DataFrame([{key: site[key] for key in ("name", "bus", "phase")} for site in sites])
        power_flow = PowerFlow(Feeder.from_network(self._network, points))
        network = NetworkRows(power_flow, self._limits)
        if self._variant == "network_aware":
            return NetworkAware(*common, network, self._curtail_pv)
        foreseen = self._foreseen(devices, sites)
        return PerfectForesight(devices, self._whole_run(), self._options, float(self._interval_s), network, *foreseen)

    def _whole_run(self) -> Tariff:
        """Return the prices of the run's own intervals."""
        count, tariff = self._run["duration_s"] // self._interval_s, self._tariff
        return Tariff(tariff.retail_per_kwh[:count], tariff.feed_in_per_kwh[:count], tariff.network_charge_per_kwh)

    def _foreseen(self, devices: Sites, sites: Sequence[Mapping[str, Any]]) -> tuple[Truth, Sessions]:
        """Return what will be, made as the simulators of homes, sun and vehicles make it."""
        truth, run = self._truth, self._run
        drawn: dict[str, Any] = {"seed": truth["seed"]}
        home = household_power(sites, **run, **drawn, source=truth["source"], time_zone=truth["time_zone"])
        sun = available_power(sites, **run, **drawn, place=truth["place"], weather=truth["weather"])
        shape = (len(sites), run["duration_s"] // self._interval_s, -1)
        means = [power.reshape(shape).mean(axis=2) for power in (home.p_kw, home.q_kvar, sun)]
        with_ev = [site for site in sites if site.get("ev_capacity_kwh", 0.0) > 0]
        clock: dict[str, Any] = {"start": run["start"], "duration_s": run["duration_s"]}
        table = ev_sessions(with_ev, **clock, **drawn, time_zone=truth["time_zone"], rules=truth["sessions"])
        return Truth(*means), Sessions.of(table, devices.names, **run, interval_s=self._interval_s)


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(AggregatorSimulator(), "feederloop aggregator")
