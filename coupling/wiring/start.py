"""Start the simulators that a scheme has, and create their entities."""

from pathlib import Path
from typing import Any

from feederloop.coupling.population import Site
from feederloop.coupling.scenario import Scenario
from feederloop.coupling.watched import WatchedWorld
from feederloop.coupling.wiring.actors import Actors, Entities
from feederloop.coupling.wiring.arrangement import Arrangement
from feederloop.coupling.wiring.parameters import Parameters

_ROOMS = "feederloop.simulators"
SIMULATORS = {
    "household": f"{_ROOMS}.household.simulator:HouseholdSimulator",
    "forecast": f"{_ROOMS}.forecast.simulator:ForecastSimulator",
    "envelope": f"{_ROOMS}.envelope.simulator:EnvelopeSimulator",
    "static_limits": f"{_ROOMS}.static_limits.simulator:StaticLimitsSimulator",
    "aggregator": f"{_ROOMS}.aggregator.simulator:AggregatorSimulator",
    "transactive": f"{_ROOMS}.transactive.simulator:TransactiveSimulator",
    "energy_manager": f"{_ROOMS}.energy_manager.simulator:EnergyManagerSimulator",
    "matcher": f"{_ROOMS}.matcher.simulator:MatcherSimulator",
    "market": f"{_ROOMS}.market.simulator:MarketSimulator",
    "pv": f"{_ROOMS}.pv.simulator:PvSimulator",
    "ev_fleet": f"{_ROOMS}.ev_fleet.simulator:EvFleetSimulator",
    "grid": f"{_ROOMS}.grid.simulator:GridSimulator",
    "recorder": f"{_ROOMS}.recorder.simulator:RecorderSimulator",
}


class Starter:
    """Starts simulators with their parameters and creates their entities.

    Args:
        world: The world.
        scenario: The scenario.
        arrangement: What its scheme consists of.
        sites: Its prosumers.
        folder: Where the recorder writes.
    """

    def __init__(
        self, world: WatchedWorld, scenario: Scenario, arrangement: Arrangement, sites: list[Site], folder: Path
    ) -> None:
        self._world, self._scenario, self._arrangement, self._folder = world, scenario, arrangement, folder
        self._parameters = Parameters(scenario)
        self._sites = [site.as_dict() for site in sites]
        self._with_pv = [site.as_dict() for site in sites if site.has_pv]
        self._with_ev = [site.as_dict() for site in sites if site.has_ev]

    async def start(self) -> Actors:
        """Start what the scheme needs."""
        actors = await self._everywhere()
        await self._start_devices(actors)
        if self._arrangement.manager is not None:
            await self._start_managers(actors)
        if self._arrangement.limits is not None:
            await self._start_limits(actors)
        if self._arrangement.matcher is not None:
            await self._start_matcher(actors)
        if self._arrangement.coordinator is not None:
            await self._start_coordinator(actors)
        return actors

    async def _everywhere(self) -> Actors:
        """Start homes, forecasts, grid, accounts and recorder."""
        told, time = self._parameters, self._scenario.time
        household = await self._sim("household", **told.clock, **told.drawn, source=told.source)
        forecast = await self._sim(
            "forecast", **told.clock, **told.intervals, **told.drawn, **told.sun, source=told.source,
            forecast=self._scenario.room("forecast"),
        )  # fmt: skip
        grid = await self._sim("grid", step_s=time.step_s, **told.network)
        market = await self._sim(
            "market", **told.clock, interval_s=time.interval_s, time_zone=time.time_zone, **told.settlement()
        )
        points = await _create(grid.ConnectionPoint, self._sites)
        network = (await grid.Grid.create(1))[0]
        return Actors(
            household=await _create(household.Household, self._sites),
            forecast=await _create(forecast.SiteForecast, self._sites),
            point=points,
            account=await _create(market.Account, self._sites),
            grid=network,
            recorder=await self._sim("recorder", start=time.start_utc, step_s=time.step_s, folder=str(self._folder)),
            buses=network.extra_info["buses"],
            branches=network.extra_info["branches"],
        )

    async def _start_devices(self, actors: Actors) -> None:
        told = self._parameters
        if self._with_pv:
            pv = await self._sim("pv", **told.clock, **told.sun, **told.inverters, seed=self._scenario.seed)
            actors.pv = await _create(pv.Inverter, self._with_pv)
            actors.pv_states = await pv.call.initial_states()
        if self._with_ev:
            fleet = await self._sim("ev_fleet", **told.clock, **told.drawn, sessions=self._scenario.room("sessions"))
            actors.charger = await _create(fleet.Charger, self._with_ev)
            actors.fleet = (await fleet.Fleet.create(1))[0]
            actors.ev_states = await fleet.call.initial_states()

    async def _start_managers(self, actors: Actors) -> None:
        time = self._scenario.time
        manager = await self._sim(
            "energy_manager",
            **self._parameters.intervals,
            start=time.start_utc,
            step_s=time.step_s,
            time_zone=time.time_zone,
            tariff=self._parameters.prices(),
            options={**self._scenario.room("energy_manager"), "mode": self._arrangement.manager},
        )
        actors.energy_manager = await _create(manager.EnergyManager, self._sites)
        actors.requests = await manager.call.initial_states()

    async def _start_limits(self, actors: Actors) -> None:
        if self._arrangement.limits == "static":
            options = self._scenario.static_limits
            powers = {"export_kw": options.export_kw, "import_kw": options.import_kw}
            static = await self._sim("static_limits", **self._parameters.intervals, **powers)
            actors.limits = await _create(static.ConnectionPoint, self._sites)
            return
        envelope = await self._sim("envelope", **self._parameters.intervals, **self._parameters.envelope())
        actors.limits = await _create(envelope.ConnectionPoint, self._sites)
        actors.controller = (await envelope.Controller.create(1))[0]

    async def _start_matcher(self, actors: Actors) -> None:
        matching = self._scenario.matching
        matcher = await self._sim(
            "matcher",
            interval_s=self._scenario.time.interval_s,
            mechanism=matching.mechanism,
            options=dict(matching.options),
            seed=self._scenario.seed,
        )
        actors.trader = await _create(matcher.Trader, self._sites)
        actors.auction = (await matcher.Auction.create(1))[0]

    async def _start_coordinator(self, actors: Actors) -> None:
        told, variant = self._parameters, self._arrangement.coordinator
        known = {
            **told.clock,
            **told.intervals,
            **told.network,
            "tariff": told.prices(),
            "limits": told.limits(),
            "options": self._scenario.room("energy_manager"),
        }
        if variant == "transactive":
            coordinator = await self._sim("transactive", **known, rules=self._scenario.room("price_based"))
        else:
            more = {"curtail_pv": self._scenario.ev_coordination.curtail_pv, "truth": told.truth()}
            coordinator = await self._sim("aggregator", **known, **more, variant=variant)
        actors.participant = await _create(coordinator.Participant, self._sites)
        actors.coordination = (await coordinator.Coordination.create(1))[0]

    async def _sim(self, name: str, **params: Any) -> Any:
        elsewhere = self._scenario.room("simulators").get(name)
        return await self._world.start(elsewhere or {"python": SIMULATORS[name]}, sim_id=name, **params)


async def _create(model: Any, sites: list[dict[str, Any]]) -> Entities:
    entities = await model.create(len(sites), sites=sites)
    return {entity.eid: entity for entity in entities}
