"""Which tables a run leaves behind and from which simulators their columns come."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mosaik.async_scenario import Entity

from feederloop.coupling.population import Site
from feederloop.coupling.scenario import Scenario
from feederloop.coupling.watched import WatchedWorld
from feederloop.simulators.market.simulator import SETTLEMENT_COLUMNS

if TYPE_CHECKING:
    from feederloop.coupling.wiring.actors import Actors

FLOAT = "float64"
SESSION_COLUMNS = {
    "prosumer": "string",
    "arrival": "timestamp",
    "departure": "timestamp",
    "capacity_kwh": FLOAT,
    "arrival_kwh": FLOAT,
    "required_kwh": FLOAT,
    "departure_kwh": FLOAT,
    "not_served_kwh": FLOAT,
}
CERTIFICATE_COLUMNS = {
    "certified": "bool",
    "v_max_v": FLOAT,
    "v_min_v": FLOAT,
    "loading_max_percent": FLOAT,
    "total_export_kw": FLOAT,
    "total_import_kw": FLOAT,
    "floor_cut": "bool",
    "proof_cost_kw": FLOAT,
}
COORDINATION_COLUMNS = {"rounds": "int64", "messages": "int64", "rows": "int64", "excess_kw": FLOAT}
BLOCKING_COLUMNS = {
    "attempts": "int64",
    "blocks": "int64",
    "blocked_kwh": FLOAT,
    "retail_attempts": "int64",
    "retail_blocks": "int64",
    "refused_kwh": FLOAT,
    "blocked_by": "string",
}
CURTAILMENT_COLUMNS = {"curtailed_kwh": FLOAT, "curtailed_by": "string"}
MARKET_COLUMNS = {
    **dict.fromkeys(("price_per_kwh", "volume_kwh", "offered_kwh", "wanted_kwh"), FLOAT),
    "rounds": "int64",
    "messages": "int64",
    "residual_kwh": FLOAT,
    "residual_per_kwh": FLOAT,
    "fell_back": "bool",
}
ORDER_COLUMNS = {
    "prosumer": "string",
    "side": "string",
    "price_per_kwh": FLOAT,
    "kwh": FLOAT,
    "matched_kwh": FLOAT,
}


def prosumer_table(folder: Path, sites: list[Site]) -> None:
    """Write who lives where with which devices."""
    table = pd.DataFrame([site.as_dict() for site in sites]).rename(columns={"name": "prosumer"})
    table.to_parquet(folder / "prosumer.parquet", index=False)


async def record(world: WatchedWorld, scenario: Scenario, actors: "Actors") -> None:
    """Connect everything that is recorded to the recorder."""
    await _Tables(world, scenario, actors).connect()


class _Tables:
    def __init__(self, world: WatchedWorld, scenario: Scenario, actors: "Actors") -> None:
        self._world, self._scenario, self._actors = world, scenario, actors
        self._names = list(actors.household)

    async def connect(self) -> None:
        await self._physics()
        await self._network()
        await self._market()
        await self._bench()

    async def _physics(self) -> None:
        actors = self._actors
        columns = (
            "p_kw", "q_kvar", "v_v", "household_p_kw", "pv_p_kw", "pv_available_kw", "ev_p_kw", "export_limit_kw",
            "import_limit_kw",
        )  # fmt: skip
        points = await self._per_prosumer("connection_point", columns)
        self._send(actors.point, points, "p_kw", "q_kvar", "v_v")
        self._send(actors.household, points, ("p_kw", "household_p_kw"))
        self._send(actors.pv, points, ("p_kw", "pv_p_kw"), ("available_kw", "pv_available_kw"))
        self._send(actors.charger, points, ("p_kw", "ev_p_kw"))
        self._send(actors.limits, points, "export_limit_kw", "import_limit_kw")
        if actors.charger:
            state = {"p_kw": FLOAT, "soc_kwh": FLOAT, "plugged": "bool"}
            cars = await self._table("ev", "per_entity", state, rows=list(actors.charger), index_column="prosumer")
            self._send(actors.charger, cars, *state)
        if actors.fleets:
            sessions = await self._table("ev_session", "rows", SESSION_COLUMNS, time_column=None)
            for fleet in actors.fleets:
                self._world.connect(fleet, sessions, "sessions_ended")

    async def _network(self) -> None:
        actors, record = self._actors, self._scenario.record
        grid = await self._table(
            "grid", "per_entity", {"losses_kw": FLOAT, "p_source_kw": FLOAT, "iterations": "int64"}
        )
        self._world.connect(actors.grid, grid, "losses_kw", "p_source_kw", "iterations")
        for name, wanted, index, rows, columns in (
            ("grid_bus", record.grid_bus, "bus", actors.buses, ("v_a_v", "v_b_v", "v_c_v", "vuf_percent")),
            (
                "grid_branch",
                record.grid_branch,
                "branch",
                actors.branches,
                ("loading_a_percent", "loading_b_percent", "loading_c_percent"),
            ),
        ):
            if wanted == "all":
                table = await self._table(
                    name, "per_list", dict.fromkeys(columns, FLOAT), rows=rows, index_column=index
                )
                self._world.connect(actors.grid, table, *columns)

    async def _market(self) -> None:
        actors, interval_s = self._actors, self._scenario.time.interval_s
        settled = {"time_column": "interval_start", "every_s": interval_s, "stamp_offset_s": -interval_s}
        traded = settled | {"stamp_offset_s": interval_s}
        settlement = await self._per_prosumer("settlement", SETTLEMENT_COLUMNS, **settled)
        self._send(actors.account, settlement, *SETTLEMENT_COLUMNS)
        if actors.limits:
            band = () if actors.controller is None else ("q_low_kvar", "q_high_kvar")
            limits = ("export_limit_kw", "import_limit_kw", *band)
            envelope = await self._per_prosumer("envelope", limits, **(settled | {"stamp_offset_s": 0}))
            self._send(actors.limits, envelope, *limits)
        if actors.controller is not None:
            in_force = settled | {"stamp_offset_s": 0}
            proof = await self._table("certificate", "per_entity", CERTIFICATE_COLUMNS, **in_force)
            self._world.connect(actors.controller, proof, *CERTIFICATE_COLUMNS)
        if actors.coordination is not None:
            began = settled | {"stamp_offset_s": 0}
            coordination = await self._table("coordination", "per_entity", COORDINATION_COLUMNS, **began)
            self._world.connect(actors.coordination, coordination, *COORDINATION_COLUMNS)
            if actors.energy_manager:
                posted = await self._per_prosumer("posted_price", ("price_adder_per_kwh", "assigned_kwh"), **began)
                self._send(actors.participant, posted, "price_adder_per_kwh", "assigned_kwh")
        who = {"rows": self._names, "index_column": "prosumer"}
        if actors.curtailed:
            curtailment = await self._table("curtailment", "per_entity", CURTAILMENT_COLUMNS, **who, **traded)
            self._send(actors.curtailed, curtailment, *CURTAILMENT_COLUMNS)
        if actors.auction is not None:
            trades = await self._per_prosumer("trades", ("traded_kwh", "price_per_kwh"), **traded)
            self._send(actors.trader, trades, "traded_kwh", ("traded_price_per_kwh", "price_per_kwh"))
            mechanism = self._scenario.matching.mechanism
            if self._scenario.scheme == "network_aware_p2p" or mechanism == "network_checked":
                blocks = await self._table("blocking", "per_entity", BLOCKING_COLUMNS, **who, **traded)
                self._send(actors.trader, blocks, *BLOCKING_COLUMNS)
            orders = await self._table("orders", "rows", ORDER_COLUMNS, **traded)
            self._world.connect(actors.auction, orders, "orders")
            market = await self._table("market", "per_entity", MARKET_COLUMNS, **traded)
            self._world.connect(actors.auction, market, *MARKET_COLUMNS)

    async def _bench(self) -> None:
        actors = self._actors
        if actors.desks:
            from feederloop.hil.adapters import IO_COLUMNS

            exchanged = await self._table("device_io", "rows", IO_COLUMNS)
            for desk in actors.desks:
                self._world.connect(desk, exchanged, "device_io")
        if actors.clock is not None:
            clock = await self._table("clock", "per_entity", {"late_s": FLOAT})
            self._world.connect(actors.clock, clock, "late_s")

    async def _per_prosumer(self, name: str, columns: tuple[str, ...], **more: Any) -> Entity:
        kinds = dict.fromkeys(columns, FLOAT)
        return await self._table(name, "per_entity", kinds, rows=self._names, index_column="prosumer", **more)

    async def _table(self, name: str, kind: str, columns: dict[str, str], **more: Any) -> Entity:
        spec = {"name": name, "kind": kind, "columns": columns, "until_s": self._scenario.time.duration_s, **more}
        entity: Entity = (await self._actors.recorder.Table.create(1, spec=spec))[0]
        return entity

    def _send(self, sources: dict[str, Entity], table: Entity, *attrs: Any) -> None:
        for source in sources.values():
            self._world.connect(source, table, *attrs)
