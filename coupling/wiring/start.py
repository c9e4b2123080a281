"""Start the simulators that a scheme has, and create their entities."""

from pathlib import Path
from typing import Any

from feederloop.coupling.population import Site
from feederloop.coupling.scenario import Scenario
from feederloop.coupling.watched import WatchedWorld
from feederloop.coupling.wiring.actors import Actors, Entities
from feederloop.coupling.wiring.arrangement import Arrangement
from feederloop.coupling.wiring.held import HeldBench
from feederloop.coupling.wiring.parameters import Parameters

_ROOMS = "feederloop.simulators"
SIMULATORS = {
    "household": f"{_ROOMS}.household.simulator:HouseholdSimulator",
    "forecast": f"{_ROOMS}.forecast.simulator:ForecastSimulator",
    "envelope": f"{_ROOMS}.envelope.simulator:EnvelopeSimulator",
    "static_limits": f"{_ROOMS}.static_limits.simulator:StaticLimitsSimulator",
    "aggregator": f"{_ROOMS}.aggregator.simulator:AggregatorSimulator",
    "curtailment": f"{_ROOMS}.curtailment.simulator:CurtailmentSimulator",
    "transactive": f"{_ROOMS}.transactive.simulator:TransactiveSimulator",
    "energy_manager": f"{_ROOMS}.energy_manager.simulator:EnergyManagerSimulator",
    "matcher": f"{_ROOMS}.matcher.simulator:MatcherSimulator",
    "market": f"{_ROOMS}.market.simulator:MarketSimulator",
    "pv": f"{_ROOMS}.pv.simulator:PvSimulator",
    "ev_fleet": f"{_ROOMS}.ev_fleet.simulator:EvFleetSimulator",
    "grid": f"{_ROOMS}.grid.simulator:GridSimulator",
    "recorder": f"{_ROOMS}.recorder.simulator:RecorderSimulator",
    "bench_inverter": "feederloop.hil.adapters:InverterAdapter",
    "bench_charger": "feederloop.hil.adapters:ChargerAdapter",
    "clock": "feederloop.hil.clock:ClockSimulator",
}


class Starter:
    """Starts simulators with their parameters and creates their entities.

    Args:
        world: The world.
        scenario: The scenario.
        arrangement: What its scheme consists of.
        sites: Its prosumers.
        folder: Where the recorder writes.
        bench: Devices that take simulated ones' places.
    """

    def __init__(
        self,
        world: WatchedWorld,
        scenario: Scenario,
        arrangement: Arrangement,
        sites: list[Site],
        folder: Path,
        bench: HeldBench | None = None,
    ) -> None:
        self._bench = bench
        self._world, self._scenario, self._arrangement, self._folder = world, scenario, arrangement, folder
        self._parameters = Parameters(scenario)
        self._sites = [site.as_dict() for site in sites]
        self._with_pv = [site.as_dict() for site in sites if site.has_pv]
        self._with_ev = [site.as_dict() for site in sites if site.has_ev]

    async def start(self) -> Actors:
        """Start what the scheme needs."""
        actors = await self._everywhere()
        await self._start_devices(actors)
        await self._start_clock(actors)
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
        forecasts = await _create(forecast.SiteForecast, self._sites)
        network = (await grid.Grid.create(1))[0]
        return Actors(
            household=await _create(household.Household, self._sites),
            forecast=forecasts,
            forecast_states=await forecast.call.initial_states() if _knows_before(forecast) else {},
            point=points,
            account=await _create(market.Account, self._sites),
            ledger=(await market.Ledger.create(1))[0],
            grid=network,
            recorder=await self._sim("recorder", start=time.start_utc, step_s=time.step_s, folder=str(self._folder)),
            buses=network.extra_info["buses"],
            branches=network.extra_info["branches"],
        )

    async def _start_devices(self, actors: Actors) -> None:
        told = self._parameters
        plants = {**told.clock, **told.sun, "seed": self._scenario.seed}
        for name, sites in self._held_by("pv", "inverter", self._with_pv).items():
            pv = await self._sim(name, **plants, **self._station(name))
            actors.pv |= await _create(pv.Inverter, sites)
            actors.pv_states |= await pv.call.initial_states()
            await self._add_desk(actors, name, pv)
        vehicles = {**told.clock, **told.drawn, "sessions": self._scenario.room("sessions")}
        for name, sites in self._held_by("ev_fleet", "charger", self._with_ev).items():
            fleet = await self._sim(name, **vehicles, **self._station(name))
            actors.charger |= await _create(fleet.Charger, sites)
            actors.fleets.append((await fleet.Fleet.create(1))[0])
            actors.ev_states |= await fleet.call.initial_states()
            await self._add_desk(actors, name, fleet)

    def _held_by(self, simulated: str, slot: str, sites: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """Return by simulator the sites whose device it holds: the simulated ones, then those of the bench."""
        bench = self._bench
        held = [site for site in sites if bench is not None and bench.holds(site["name"], slot)]
        free = [site for site in sites if site not in held]
        parts = {simulated: free, f"bench_{slot}": held}
        return {name: part for name, part in parts.items() if part}

    def _station(self, name: str) -> dict[str, str]:
        """What a simulator of devices on a bench is told of it."""
        return {"station": self._bench.key} if self._bench is not None and name.startswith("bench_") else {}

    async def _add_desk(self, actors: Actors, name: str, devices: Any) -> None:
        if name.startswith("bench_"):
            actors.desks += await devices.Desk.create(1)

    async def _start_clock(self, actors: Actors) -> None:
        if self._bench is not None and self._bench.clock is not None:
            clock = await self._sim("clock", step_s=self._scenario.time.step_s, **self._bench.clock)
            actors.clock = (await clock.Clock.create(1))[0]

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
        actors.requests = await manager.call.initial_states(actors.forecast_states, actors.ev_states)

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
        scenario, told = self._scenario, self._parameters
        mechanism, options = scenario.matching.mechanism, dict(scenario.matching.options)
        if scenario.scheme == "network_aware_p2p":
            mechanism, options = "network_checked", scenario.room("network_aware_p2p")
            if options.pop("curtail"):
                await self._start_curtailment(actors)
            else:
                options["check_retail"] = False
        matcher = await self._sim(
            "matcher",
            interval_s=scenario.time.interval_s,
            mechanism=mechanism,
            options=options,
            seed=scenario.seed,
            **told.network,
            limits=told.limits(),
        )
        actors.trader = await _create(matcher.Trader, self._sites)
        actors.auction = (await matcher.Auction.create(1))[0]

    async def _start_curtailment(self, actors: Actors) -> None:
        told = self._parameters
        curtailment = await self._sim("curtailment", **told.intervals, **told.network, limits=told.limits())
        actors.curtailed = await _create(curtailment.ConnectionPoint, self._sites)
        actors.curtailed_states = await curtailment.call.initial_states()

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
            if variant == "network_aware":
                options = self._scenario.ev_coordination
                known["limits"] = told.limits(options.voltage_margin_v, options.loading_margin_percent)
                known["curtail_pv"] = options.curtail_pv
            coordinator = await self._sim("aggregator", **known, variant=variant, truth=told.truth())
        actors.participant = await _create(coordinator.Participant, self._sites)
        actors.coordination = (await coordinator.Coordination.create(1))[0]

    async def _sim(self, name: str, **params: Any) -> Any:
        elsewhere = self._scenario.room("simulators").get(name)
        return await self._world.start(elsewhere or {"python": SIMULATORS[name]}, sim_id=name, **params)


async def _create(model: Any, sites: list[dict[str, Any]]) -> Entities:
    entities = await model.create(len(sites), sites=sites)
    return {entity.eid: entity for entity in entities}


def _knows_before(forecast: Any) -> bool:
    """Whether a forecast says something before the first step; a program of the user's own need not."""
    return "initial_states" in forecast.meta.get("extra_methods", [])
