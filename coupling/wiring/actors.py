"""Everything on the clock, by what it is."""

from dataclasses import dataclass, field
from typing import Any

from mosaik.async_scenario import Entity

Entities = dict[str, Entity]
"""Entities of one model by prosumer."""


@dataclass
class Actors:
    """Everything on the clock; what a scheme does without is empty or none.

    Attributes:
        household: Homes.
        forecast: What is believed of them and of their roofs.
        point: Connection points.
        account: Market accounts.
        grid: The network.
        recorder: The recorder's simulator.
        buses: Buses in the grid's lists.
        branches: Branches in them.
        forecast_states: What forecasts say before the first step, by prosumer; empty where they say nothing.
        energy_manager: The prosumers' own optimisers.
        requests: What they ask for before the first step.
        pv: Inverters.
        pv_states: Their states before the first step.
        charger: Chargers.
        ev_states: Their states before the first step.
        fleets: All vehicles, those at simulated chargers and those at devices of a bench.
        limits: Who tells a prosumer its limits: the envelope controller's connection points or constant ones.
        controller: The envelope controller.
        trader: Those who trade locally.
        auction: Where they meet.
        ledger: The market's ledger, which books what the auction took in.
        curtailed: Connection points that the DSO may curtail after the market.
        curtailed_states: Their limits before the first step.
        participant: Those whom an aggregator or a DSO coordinates.
        coordination: Who does that.
        desks: What passes between the run and the devices of a bench.
        clock: The clock on the wall, in real time.
    """

    household: Entities
    forecast: Entities
    point: Entities
    account: Entities
    grid: Entity
    recorder: Any
    buses: list[int]
    branches: list[str]
    forecast_states: dict[str, dict[str, Any]] = field(default_factory=dict)
    energy_manager: Entities = field(default_factory=dict)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    pv: Entities = field(default_factory=dict)
    pv_states: dict[str, dict[str, Any]] = field(default_factory=dict)
    charger: Entities = field(default_factory=dict)
    ev_states: dict[str, dict[str, Any]] = field(default_factory=dict)
    fleets: list[Entity] = field(default_factory=list)
    limits: Entities = field(default_factory=dict)
    controller: Entity | None = None
    trader: Entities = field(default_factory=dict)
    auction: Entity | None = None
    ledger: Entity | None = None
    curtailed: Entities = field(default_factory=dict)
    curtailed_states: dict[str, dict[str, Any]] = field(default_factory=dict)
    participant: Entities = field(default_factory=dict)
    coordination: Entity | None = None
    desks: list[Entity] = field(default_factory=list)
    clock: Entity | None = None
