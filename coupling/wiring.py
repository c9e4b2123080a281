"""Start the simulators of a scenario and connect them: the whole data flow in one place.

The order within a step and the edges that carry the previous step's value are those of the architecture page.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaik.async_scenario import Entity

from feederloop.coupling.population import Site, draw_population
from feederloop.coupling.scenario import Scenario
from feederloop.coupling.tables import prosumer_table, record
from feederloop.coupling.watched import WatchedWorld
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.market.tariffs import expand_tariff

Entities = dict[str, Entity]
"""Entities of one model by prosumer."""

SIMULATORS = {
    "household": "feederloop.simulators.household.simulator:HouseholdSimulator",
    "forecast": "feederloop.simulators.forecast.simulator:ForecastSimulator",
    "envelope": "feederloop.simulators.envelope.simulator:EnvelopeSimulator",
    "energy_manager": "feederloop.simulators.energy_manager.simulator:EnergyManagerSimulator",
    "matcher": "feederloop.simulators.matcher.simulator:MatcherSimulator",
    "market": "feederloop.simulators.market.simulator:MarketSimulator",
    "pv": "feederloop.simulators.pv.simulator:PvSimulator",
    "ev_fleet": "feederloop.simulators.ev_fleet.simulator:EvFleetSimulator",
    "grid": "feederloop.simulators.grid.simulator:GridSimulator",
    "recorder": "feederloop.simulators.recorder.simulator:RecorderSimulator",
}


@dataclass
class Actors:
    """Everything on the clock; what a scheme does without is empty or none."""

    household: Entities
    forecast: Entities
    energy_manager: Entities
    pv: Entities
    charger: Entities
    point: Entities
    account: Entities
    envelope: Entities
    trader: Entities
    grid: Entity
    fleet: Entity | None
    auction: Entity | None
    controller: Entity | None
    recorder: Any
    buses: list[int]
    branches: list[str]
    ev_states: dict[str, dict[str, Any]]
    pv_states: dict[str, dict[str, Any]]
    requests: dict[str, dict[str, Any]]


async def build(world: WatchedWorld, scenario: Scenario, folder: Path) -> None:
    """Start and connect all simulators of the scenario.

    Args:
        world: An empty world.
        scenario: A valid scenario.
        folder: Where the recorder writes.
    """
    sites = draw_population(
        scenario, connection_points(load_network(scenario.grid.network, feeders=scenario.grid.feeders))
    )
    prosumer_table(folder, sites)
    actors = await _Starter(world, scenario, sites, folder).start()
    connect(world, actors)
    await record(world, scenario, actors)


class _Starter:
    """Starts simulators with their parameters and creates their entities.

    Args:
        world: The world.
        scenario: The scenario.
        sites: Its prosumers.
        folder: Where the recorder writes.
    """

    def __init__(self, world: WatchedWorld, scenario: Scenario, sites: list[Site], folder: Path) -> None:
        self._world, self._scenario, self._folder = world, scenario, folder
        self._sites = [site.as_dict() for site in sites]
        self._with_pv = [site.as_dict() for site in sites if site.has_pv]
        self._with_ev = [site.as_dict() for site in sites if site.has_ev]

    async def start(self) -> Actors:
        """Start what the scheme needs."""
        scenario, time = self._scenario, self._scenario.time
        clock = {"start": time.start_utc, "step_s": time.step_s, "duration_s": time.duration_s}
        intervals = {"interval_s": time.interval_s, "horizon": time.horizon_intervals}
        drawn = {"seed": scenario.seed, "time_zone": time.time_zone}
        sun = {"place": scenario.room("place"), "weather": scenario.room("weather")}
        source = scenario.room("household", "source")
        network = {
            "network": scenario.grid.network,
            "feeders": scenario.grid.feeders,
            "source_v_pu": scenario.grid.source_v_pu,
        }
        with_market = scenario.scheme == "doe_lem"
        household = await self._sim("household", **clock, **drawn, source=source)
        forecast = await self._sim(
            "forecast", **clock, **intervals, **drawn, **sun, source=source, forecast=scenario.room("forecast")
        )
        manager = await self._sim(
            "energy_manager",
            **intervals,
            start=time.start_utc,
            step_s=time.step_s,
            time_zone=time.time_zone,
            tariff=self._prices(),
            options={**scenario.room("energy_manager"), "mode": "optimise" if with_market else "unmanaged"},
        )
        pv = await self._sim("pv", **clock, **sun, seed=scenario.seed) if self._with_pv else None
        fleet = (
            await self._sim("ev_fleet", **clock, **drawn, sessions=scenario.room("sessions")) if self._with_ev else None
        )
        grid = await self._sim("grid", step_s=time.step_s, **network)
        market = await self._sim(
            "market",
            **clock,
            interval_s=time.interval_s,
            time_zone=time.time_zone,
            tariff=scenario.room("tariff"),
            kappa_per_kwh=scenario.settlement.imbalance_kappa_per_kwh,
            breach_price_per_kwh=scenario.settlement.breach_price_per_kwh,
        )
        envelope = await self._sim("envelope", **intervals, **network, **self._dso()) if with_market else None
        matcher = None
        if with_market:
            matcher = await self._sim(
                "matcher",
                interval_s=time.interval_s,
                mechanism=scenario.matching.mechanism,
                options=dict(scenario.matching.options),
                seed=scenario.seed,
            )
        points = await _create(grid.ConnectionPoint, self._sites)
        network_entity = (await grid.Grid.create(1))[0]
        if envelope is not None:
            envelopes = await _create(envelope.ConnectionPoint, self._sites)
        return Actors(
            household=await _create(household.Household, self._sites),
            forecast=await _create(forecast.SiteForecast, self._sites),
            energy_manager=await _create(manager.EnergyManager, self._sites),
            pv=await _create(pv.Inverter, self._with_pv) if pv is not None else {},
            charger=await _create(fleet.Charger, self._with_ev) if fleet is not None else {},
            point=points,
            account=await _create(market.Account, self._sites),
            envelope=envelopes if envelope is not None else {},
            trader=await _create(matcher.Trader, self._sites) if matcher is not None else {},
            grid=network_entity,
            fleet=(await fleet.Fleet.create(1))[0] if fleet is not None else None,
            auction=(await matcher.Auction.create(1))[0] if matcher is not None else None,
            controller=(await envelope.Controller.create(1))[0] if envelope is not None else None,
            recorder=await self._sim("recorder", start=time.start_utc, step_s=time.step_s, folder=str(self._folder)),
            buses=network_entity.extra_info["buses"],
            branches=network_entity.extra_info["branches"],
            ev_states=await fleet.call.initial_states() if fleet is not None else {},
            requests=await manager.call.initial_states(),
            pv_states=await pv.call.initial_states() if pv is not None else {},
        )

    async def _sim(self, name: str, **params: Any) -> Any:
        elsewhere = self._scenario.room("simulators").get(name)
        return await self._world.start(elsewhere or {"python": SIMULATORS[name]}, sim_id=name, **params)

    def _prices(self) -> dict[str, Any]:
        """Retail and feed-in prices over the run and a horizon beyond, as the energy managers know them."""
        time = self._scenario.time
        tariff = expand_tariff(
            self._scenario.room("tariff"),
            start=time.start_utc,
            time_zone=time.time_zone,
            interval_s=time.interval_s,
            count=time.intervals + time.horizon_intervals + 1,
            beyond="repeat_day",
        )
        return {
            "retail_per_kwh": tariff.retail_per_kwh.tolist(),
            "feed_in_per_kwh": tariff.feed_in_per_kwh.tolist(),
            "network_charge_per_kwh": tariff.network_charge_per_kwh,
        }

    def _dso(self) -> dict[str, Any]:
        limits, envelope = self._scenario.limits, self._scenario.envelope
        low, high = limits.voltage_range_v
        return {
            "limits": {
                "v_min_v": low,
                "v_max_v": high,
                "line_loading_percent": limits.line_loading_percent,
                "transformer_loading_percent": limits.transformer_loading_percent,
                "vuf_percent": envelope.vuf_percent,
            },
            "default_export_kw": envelope.default_export_kw,
            "default_import_kw": envelope.default_import_kw,
            "energy_aware": envelope.energy_aware,
            "outage_share": envelope.outage_share,
            "outage_intervals": envelope.outage_intervals,
            "seed": self._scenario.seed,
            "options": {
                "rule": envelope.rule,
                "safety": envelope.safety,
                "alpha": envelope.alpha,
                "export_weight": envelope.export_weight,
                "import_weight": envelope.import_weight,
                "margin_v": envelope.voltage_margin_v,
            },
        }


async def _create(model: Any, sites: list[dict[str, Any]]) -> Entities:
    entities = await model.create(len(sites), sites=sites)
    return {entity.eid: entity for entity in entities}


def connect(world: WatchedWorld, actors: Actors) -> None:
    """Connect the actors with each other."""
    for name, manager in actors.energy_manager.items():
        world.connect(actors.household[name], manager, ("p_kw", "household_p_kw_now"))
        world.connect(
            actors.forecast[name],
            manager,
            "household_p_kw",
            "household_p_low_kw",
            "household_q_kvar",
            "pv_available_kw",
        )
        world.connect(manager, actors.account[name], "position_kwh")
        world.connect(actors.household[name], actors.point[name], "p_kw", "q_kvar")
        world.connect(
            actors.point[name], actors.account[name], "meter_kwh", time_shifted=True, initial_data={"meter_kwh": 0.0}
        )
    for name, plant in actors.pv.items():
        manager = actors.energy_manager[name]
        world.connect(manager, plant, ("pv_limit_kw", "p_limit_kw"))
        world.connect(plant, actors.point[name], "p_kw", "q_kvar")
        _previous(world, plant, manager, actors.pv_states[name], {"available_kw": "pv_available_kw_now"})
    for name, charger in actors.charger.items():
        manager = actors.energy_manager[name]
        world.connect(manager, charger, ("ev_set_kw", "p_set_kw"))
        world.connect(charger, actors.point[name], "p_kw", "q_kvar")
        state = {attr: attr for attr in ("soc_kwh", "plugged", "departure_s", "required_kwh")}
        _previous(world, charger, manager, actors.ev_states[name], state)
    _connect_envelopes(world, actors)
    for name, trader in actors.trader.items():
        manager = actors.energy_manager[name]
        trade = {"traded_kwh": 0.0, "traded_price_per_kwh": float("nan")}
        world.connect(manager, trader, "curve_price_per_kwh", "curve_kwh")
        world.connect(trader, actors.account[name], *trade)
        _previous(world, trader, manager, trade, {attr: attr for attr in trade})


def _connect_envelopes(world: WatchedWorld, actors: Actors) -> None:
    """Connect the DSO's controller: forecasts and requests in, limits out."""
    for name, envelope in actors.envelope.items():
        manager = actors.energy_manager[name]
        world.connect(actors.forecast[name], envelope, "household_p_kw", "household_p_low_kw", "household_q_kvar")
        limits = ("export_limit_kw", "import_limit_kw")
        world.connect(envelope, manager, *limits)
        world.connect(envelope, actors.account[name], *limits)
        requests = ("export_request_kw", "import_request_kw", "import_need_kw")
        _previous(world, manager, envelope, actors.requests[name], {attr: attr for attr in requests})


def _previous(
    world: WatchedWorld, source: Entity, target: Entity, initial: dict[str, Any], attrs: dict[str, str]
) -> None:
    """Connect by an edge that carries the previous step's value, and before the first step the initial one."""
    data = {attr: initial[attr] for attr in attrs}
    world.connect(source, target, *attrs.items(), time_shifted=True, initial_data=data)
