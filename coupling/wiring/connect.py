"""Connect the actors of a scheme: which attribute of whom goes to whom.

The order within a step and the edges that carry the previous step's value are those of the architecture page.
"""

from typing import Any

from mosaik.async_scenario import Entity

from feederloop.coupling.watched import WatchedWorld
from feederloop.coupling.wiring.actors import Actors
from feederloop.coupling.wiring.arrangement import Arrangement

_FORECASTS = ("household_p_kw", "household_p_low_kw", "household_q_kvar", "pv_available_kw")
_VEHICLE = ("soc_kwh", "plugged", "departure_s", "required_kwh")
_LIMITS = ("export_limit_kw", "import_limit_kw")
_REQUESTS = ("export_request_kw", "import_request_kw", "import_need_kw")


def connect(world: WatchedWorld, arrangement: Arrangement, actors: Actors) -> None:
    """Connect the actors with each other."""
    _connect_plants(world, actors)
    if actors.energy_manager:
        _connect_managers(world, actors)
    if actors.limits:
        _connect_limits(world, actors)
    if actors.trader:
        _connect_market(world, arrangement, actors)
    if actors.participant:
        _connect_coordination(world, actors)
        if arrangement.aggregated:
            _connect_aggregator(world, actors)
        else:
            _connect_posted_prices(world, actors)


def _connect_plants(world: WatchedWorld, actors: Actors) -> None:
    """What homes, roofs and chargers do meets at the connection point, whose meter the market reads."""
    for name, point in actors.point.items():
        for source in (actors.household, actors.pv, actors.charger):
            if name in source:
                world.connect(source[name], point, "p_kw", "q_kvar")
        previous(world, point, actors.account[name], {"meter_kwh": 0.0}, {"meter_kwh": "meter_kwh"})
        if name in actors.pv:
            previous(world, point, actors.pv[name], {"v_v": float("nan")}, {"v_v": "v_v"})


def _connect_managers(world: WatchedWorld, actors: Actors) -> None:
    """Energy managers know home, forecast and devices, set the devices and tell the market their position."""
    for name, manager in actors.energy_manager.items():
        world.connect(actors.household[name], manager, ("p_kw", "household_p_kw_now"))
        world.connect(actors.forecast[name], manager, *_FORECASTS)
        world.connect(manager, actors.account[name], "position_kwh")
    for name, plant in actors.pv.items():
        manager = actors.energy_manager[name]
        world.connect(manager, plant, ("pv_limit_kw", "p_limit_kw"))
        previous(world, plant, manager, actors.pv_states[name], {"available_kw": "pv_available_kw_now"})
    for name, charger in actors.charger.items():
        manager = actors.energy_manager[name]
        world.connect(manager, charger, ("ev_set_kw", "p_set_kw"))
        previous(world, charger, manager, actors.ev_states[name], {attr: attr for attr in _VEHICLE})


def _connect_limits(world: WatchedWorld, actors: Actors) -> None:
    """Limits reach the energy managers and the market; a controller is told forecasts and requests."""
    for name, limits in actors.limits.items():
        manager = actors.energy_manager[name]
        world.connect(limits, manager, *_LIMITS)
        world.connect(limits, actors.account[name], *_LIMITS)
        if actors.controller is not None:
            world.connect(actors.forecast[name], limits, "household_p_kw", "household_p_low_kw", "household_q_kvar")
            previous(world, manager, limits, actors.requests[name], {attr: attr for attr in _REQUESTS})


def _connect_market(world: WatchedWorld, arrangement: Arrangement, actors: Actors) -> None:
    """Energy managers offer curves, and are told in the next step what was traded.

    Whoever asks the network about trades has to know what flows there anyway.
    """
    for name, trader in actors.trader.items():
        manager, forecast = actors.energy_manager[name], actors.forecast[name]
        trade = {"traded_kwh": 0.0, "traded_price_per_kwh": float("nan")}
        world.connect(manager, trader, "curve_price_per_kwh", "curve_kwh")
        if arrangement.matcher == "network_checked":
            world.connect(forecast, trader, "household_p_kw", "household_q_kvar")
        world.connect(trader, actors.account[name], *trade)
        previous(world, trader, manager, trade, {attr: attr for attr in trade})
        if name in actors.curtailed:
            point = actors.curtailed[name]
            world.connect(forecast, point, "household_p_kw", "household_q_kvar")
            world.connect(manager, point, "curve_kwh")
            world.connect(trader, point, "traded_kwh", "refused_kwh")
            previous(world, point, manager, actors.curtailed_states[name], {attr: attr for attr in _LIMITS})
    if actors.auction is not None and actors.ledger is not None:
        world.connect(actors.auction, actors.ledger, "surplus_money", "fee_money")


def _connect_coordination(world: WatchedWorld, actors: Actors) -> None:
    """Whoever coordinates is told forecasts and vehicles."""
    for name, participant in actors.participant.items():
        world.connect(actors.forecast[name], participant, "household_p_kw", "household_q_kvar", "pv_available_kw")
        if name in actors.charger:
            state = {attr: attr for attr in _VEHICLE}
            previous(world, actors.charger[name], participant, actors.ev_states[name], state)


def _connect_aggregator(world: WatchedWorld, actors: Actors) -> None:
    """An aggregator sets chargers and inverters itself, and tells the market what it planned."""
    for name, participant in actors.participant.items():
        world.connect(participant, actors.account[name], "position_kwh", "traded_kwh", "traded_price_per_kwh")
        if name in actors.charger:
            world.connect(participant, actors.charger[name], ("ev_set_kw", "p_set_kw"))
        if name in actors.pv:
            world.connect(participant, actors.pv[name], ("pv_limit_kw", "p_limit_kw"))


def _connect_posted_prices(world: WatchedWorld, actors: Actors) -> None:
    """Energy managers keep to what they answered to the last prices."""
    for name, participant in actors.participant.items():
        world.connect(participant, actors.energy_manager[name], "assigned_kwh", "price_adder_per_kwh")


def previous(
    world: WatchedWorld, source: Entity, target: Entity, initial: dict[str, Any], attrs: dict[str, str]
) -> None:
    """Connect by an edge that carries the previous step's value, and before the first step the initial one."""
    data = {attr: initial[attr] for attr in attrs}
    world.connect(source, target, *attrs.items(), time_shifted=True, initial_data=data)
