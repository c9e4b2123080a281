"""A bench on the clock: its devices are told the envelope that their supervisor holds set-points against.

The devices themselves are simulators with the same entities as simulated ones, so that everything else is wired alike.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from mosaik.async_scenario import Entity

from feederloop.coupling.watched import WatchedWorld
from feederloop.coupling.wiring.actors import Actors
from feederloop.coupling.wiring.connect import previous
from feederloop.simulators.errors import InputError

TIME = "time_s"


class HeldBench(Protocol):
    """Devices that take simulated ones' places."""

    @property
    def key(self) -> str:
        """By which its simulators find it."""
        ...

    @property
    def clock(self) -> Mapping[str, Any] | None:
        """Parameters of the clock on the wall; None for a run that does not wait for it."""
        ...

    def holds(self, prosumer: str, slot: str) -> bool:
        """Whether it fills a prosumer's slot (`inverter` or `charger`)."""
        ...


def connect_bench(world: WatchedWorld, actors: Actors, bench: HeldBench) -> None:
    """Connect limits, neighbours behind the same meter, and the clock.

    Raises:
        InputError: A simulator that begins the step cannot be held back by the clock.
    """
    for name in actors.point:
        inverter = actors.pv.get(name) if bench.holds(name, "inverter") else None
        charger = actors.charger.get(name) if bench.holds(name, "charger") else None
        for device in (inverter, charger):
            if device is not None:
                _connect_limits(world, actors, name, device)
        if inverter is not None and name in actors.charger:
            _connect_other(world, actors.charger[name], inverter, actors.ev_states[name])
        if charger is not None and name in actors.pv:
            _connect_other(world, actors.pv[name], charger, actors.pv_states[name])
    if actors.clock is not None:
        for first in (actors.household, actors.forecast):
            for entity in first.values():
                if TIME not in entity.model_mock.input_attrs:
                    message = f"simulators that begin a step need an input {TIME} in real time"
                    raise InputError(message, key="simulators", value=entity.sid)
                world.connect(actors.clock, entity, TIME)


def _connect_limits(world: WatchedWorld, actors: Actors, name: str, device: Entity) -> None:
    """Without limits there is no envelope to hold against, and what others do does not matter."""
    if name in actors.limits:
        world.connect(actors.limits[name], device, "export_limit_kw", "import_limit_kw")
        world.connect(actors.household[name], device, ("p_kw", "others_p_kw"))


def _connect_other(world: WatchedWorld, other: Entity, device: Entity, state: dict[str, Any]) -> None:
    """What the other device behind the meter did in the step before."""
    previous(world, other, device, {"p_kw": state["p_kw"]}, {"p_kw": "others_p_kw"})
