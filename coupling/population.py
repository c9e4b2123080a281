"""Draw who lives at the connection points, with which devices.

Every attribute of every prosumer has a random stream of its own, and shares are met exactly by ranking prosumers by a
drawn number. So a higher share of PV adds roofs to those that were there and leaves every vehicle as it was.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from feederloop.coupling.scenario.model import Scenario
from feederloop.coupling.scenario.people import NOMINAL_V, AnnualDemand, StatedProsumer, Vehicles
from feederloop.coupling.scenario.problems import Problem, ScenarioError
from feederloop.simulators.randomness import stream

if TYPE_CHECKING:
    import pandas as pd

THREE_PHASE = "abc"


@dataclass(frozen=True, slots=True)
class Site:
    """A prosumer: connection point, home and devices.

    Attributes:
        name: Unique; the id of the prosumer's entity in every simulator.
        bus: Bus of the connection point, pandapower index.
        phase: `a`, `b`, `c` or `abc`.
        annual_kwh: Electricity used in a year without PV and EV.
        profile: Name of the load profile; empty for one that the household simulator draws.
        power_factor: Of the home, lagging.
        pv_kwp: Peak power of the modules, 0 for none.
        pv_tilt_deg: From horizontal.
        pv_azimuth_deg: Clockwise from north, 180 is south.
        inverter_kva: Apparent power of the inverter.
        volt_var_kva: The same if it supplies reactive power by its voltage in the grid's simulator, 0 if it does not.
        ev_capacity_kwh: Usable battery, 0 for no EV.
        ev_charge_kw: Rating of the charger.
        ev_discharge_kw: Discharging power, 0 for none.
        ev_efficiency: Of charging and of discharging, each.
        ev_wear_per_kwh: Money per discharged kWh.
        charger_min_kw: Power below which the charger is off, 0 for continuous.
        import_cap_kw: Highest import: the fuse.
        export_cap_kw: Highest export that is agreed with the DSO.
    """

    name: str
    bus: int
    phase: str
    annual_kwh: float
    profile: str
    power_factor: float
    pv_kwp: float
    pv_tilt_deg: float
    pv_azimuth_deg: float
    inverter_kva: float
    volt_var_kva: float
    ev_capacity_kwh: float
    ev_charge_kw: float
    ev_discharge_kw: float
    ev_efficiency: float
    ev_wear_per_kwh: float
    charger_min_kw: float
    import_cap_kw: float
    export_cap_kw: float

    @property
    def has_pv(self) -> bool:
        """Whether there is an inverter."""
        return self.pv_kwp > 0

    @property
    def has_ev(self) -> bool:
        """Whether there is a charger."""
        return self.ev_capacity_kwh > 0

    def as_dict(self) -> dict[str, Any]:
        """Return the dictionary that simulators take."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Point:
    """A connection point and who, if anybody was stated, lives there."""

    name: str
    bus: int
    phase: str
    stated: StatedProsumer | None = None


@dataclass(frozen=True, slots=True)
class _Devices:
    """Names of the prosumers who have a device."""

    pv: frozenset[str]
    ev: frozenset[str]
    v2g: frozenset[str]
    three_phase: frozenset[str]


def draw_population(scenario: Scenario, connection_points: "pd.DataFrame") -> list[Site]:
    """Return the prosumers of a scenario, in the order of the connection points or of the stated list.

    Args:
        scenario: Says who is drawn, or states them.
        connection_points: Columns `name`, `bus` and `phase`, one row per connection point of the network.

    Raises:
        ScenarioError: More prosumers than connection points, or stated ones that do not fit the points.
    """
    free = _points(connection_points)
    stated = scenario.prosumers.list
    points = _drawn_points(scenario, free) if stated is None else _stated_points(scenario, stated, free)
    devices = _devices(scenario, points)
    return [_site(scenario, point, devices) for point in points]


def _points(table: "pd.DataFrame") -> list[_Point]:
    """Return the connection points under names that can be entity ids."""
    names = [re.sub(r"[^A-Za-z0-9_-]+", "_", str(name)).strip("_-") for name in table["name"]]
    if len(set(names)) < len(names) or "" in names:
        width = max(2, len(str(len(names))))
        names = [f"home_{number:0{width}d}" for number in range(1, len(names) + 1)]
    rows = zip(names, table["bus"], table["phase"], strict=True)
    return [_Point(name, int(bus), str(phase)) for name, bus, phase in rows]


def _drawn_points(scenario: Scenario, free: list[_Point]) -> list[_Point]:
    count = scenario.prosumers.count
    if count is None:
        return free
    _refuse_crowd(scenario, count, len(free), ("prosumers", "count"))
    chosen = _chosen(scenario.seed, "connection_point", [point.name for point in free], count)
    return [point for point in free if point.name in chosen]


def _refuse_crowd(scenario: Scenario, count: int, available: int, path: tuple[str, str]) -> None:
    if count > available:
        message = f"more prosumers ({count}) than connection points ({available})"
        allowed = f"at most {available}, or a larger network (grid.network, grid.feeders)"
        raise ScenarioError([scenario.problem(message, path, allowed=allowed, value=count)])


def _stated_points(scenario: Scenario, stated: Sequence[StatedProsumer], free: list[_Point]) -> list[_Point]:
    """Place the stated prosumers: where they say, the others on the points that are left."""
    _refuse_crowd(scenario, sum(entry.bus is None for entry in stated), len(free), ("prosumers", "list"))
    problems: list[Problem] = []
    placed = [_own_point(scenario, index, entry, free, problems) for index, entry in enumerate(stated)]
    taken = {(point.bus, point.phase) for point in placed if point is not None}
    left = [point for point in free if (point.bus, point.phase) not in taken]
    waiting = sum(entry.bus is None for entry in stated)
    if not problems:
        _refuse_crowd(scenario, waiting, len(left), ("prosumers", "list"))
    if problems:
        raise ScenarioError(problems)
    rest = iter(left)
    points = [point or _renamed(next(rest), entry) for point, entry in zip(placed, stated, strict=True)]
    for index, point in enumerate(points):
        if point.name in {other.name for other in points[:index]}:
            path = ("prosumers", "list", index, "name")
            problems.append(scenario.problem("is the name of another prosumer", path, value=point.name))
    if problems:
        raise ScenarioError(problems)
    return points


def _own_point(
    scenario: Scenario, index: int, entry: StatedProsumer, free: list[_Point], problems: list[Problem]
) -> _Point | None:
    """Return the connection point that a stated prosumer names, None where it names no bus."""
    if entry.bus is None:
        return None
    at_bus = [point for point in free if point.bus == entry.bus]
    phase = entry.phase or (at_bus[0].phase if at_bus else None)
    if phase is None:
        path = ("prosumers", "list", index, "phase")
        message = f"is missing: the network has no connection point at bus {entry.bus} to take it from"
        problems.append(scenario.problem(message, path, allowed="a, b, c or abc"))
        return None
    own = next((point for point in at_bus if point.phase == phase), None)
    return _renamed(own or _Point(f"bus_{entry.bus}_{phase}", entry.bus, phase), entry)


def _renamed(point: _Point, entry: StatedProsumer) -> _Point:
    return _Point(entry.name or point.name, point.bus, point.phase, entry)


def _devices(scenario: Scenario, points: Sequence[_Point]) -> _Devices:
    """Choose who has PV, an EV, a charger that discharges, and one on three phases."""
    seed, prosumers = scenario.seed, scenario.prosumers
    if prosumers.list is not None:
        pv = frozenset(point.name for point in points if point.stated and point.stated.pv_kwp > 0)
        ev = frozenset(point.name for point in points if point.stated and point.stated.ev_capacity_kwh > 0)
        fixed = {point.name for point in points if point.stated and point.stated.phase is not None}
    else:
        names = [point.name for point in points]
        pv = _chosen(seed, "pv", names, round(prosumers.pv.share * len(names)))
        ev = _chosen(seed, "ev", names, round(prosumers.ev.share * len(names)))
        fixed = set()
    with_ev = [point.name for point in points if point.name in ev]
    v2g = _chosen(seed, "v2g", with_ev, round(prosumers.ev.v2g_share * len(with_ev)))
    three = {point.name for point in points if point.phase == THREE_PHASE}
    more = round(prosumers.ev.three_phase_share * len(with_ev)) - len(three & ev)
    candidates = [name for name in with_ev if name not in three and name not in fixed]
    return _Devices(pv, ev, v2g, frozenset(three) | _chosen(seed, "three_phase", candidates, more))


def _chosen(seed: int, purpose: str, names: Iterable[str], count: int) -> frozenset[str]:
    """Return `count` of the names, those whose drawn number is lowest."""
    ranked = sorted(names, key=lambda name: (stream(seed, f"population.{purpose}", name).random(), name))
    return frozenset(ranked[: max(0, count)])


def _site(scenario: Scenario, point: _Point, devices: _Devices) -> Site:
    prosumers = scenario.prosumers
    stated = point.stated or StatedProsumer()
    phase = THREE_PHASE if point.name in devices.three_phase else point.phase
    draw = _draws(scenario.seed, point.name)
    annual_kwh = _or(stated.annual_kwh, lambda: _annual_kwh(prosumers.annual_kwh, draw("annual_kwh", (0.0, 1.0))))
    return Site(
        name=point.name,
        bus=point.bus,
        phase=phase,
        annual_kwh=annual_kwh,
        profile=stated.profile or "",
        power_factor=_or(stated.power_factor, lambda: scenario.household.power_factor),
        **_roof(scenario, stated, point.name in devices.pv, draw),
        **_vehicle(prosumers.ev, stated, point.name, phase, devices, draw),
        import_cap_kw=_or(stated.import_cap_kw, lambda: prosumers.fuse_import_kw * len(phase)),
        export_cap_kw=_or(stated.export_cap_kw, lambda: prosumers.export_cap_kw * len(phase)),
    )


def _roof(scenario: Scenario, stated: StatedProsumer, has_pv: bool, draw: "_Draw") -> dict[str, float]:
    pv = scenario.prosumers.pv
    if not has_pv:
        return {"pv_kwp": 0.0, "pv_tilt_deg": 0.0, "pv_azimuth_deg": 180.0, "inverter_kva": 0.0, "volt_var_kva": 0.0}
    kwp = stated.pv_kwp or draw("pv_kwp", pv.kwp)
    inverter_kva = _or(stated.inverter_kva, lambda: kwp * pv.inverter_ratio)
    return {
        "pv_kwp": kwp,
        "pv_tilt_deg": _or(stated.pv_tilt_deg, lambda: draw("pv_tilt_deg", pv.tilt_deg)),
        "pv_azimuth_deg": _or(stated.pv_azimuth_deg, lambda: draw("pv_azimuth_deg", pv.azimuth_deg)),
        "inverter_kva": inverter_kva,
        "volt_var_kva": _or(stated.volt_var_kva, lambda: inverter_kva if pv.volt_var else 0.0),
    }


def _vehicle(
    ev: Vehicles, stated: StatedProsumer, name: str, phase: str, devices: _Devices, draw: "_Draw"
) -> dict[str, float]:
    keys = ("ev_capacity_kwh", "ev_charge_kw", "ev_discharge_kw", "ev_efficiency", "ev_wear_per_kwh", "charger_min_kw")
    if name not in devices.ev:
        return dict.fromkeys(keys, 0.0) | {"ev_efficiency": ev.efficiency}
    ratings = ev.charge_kw.three_phase if phase == THREE_PHASE else ev.charge_kw.one_phase
    rank = int(draw("ev_charge_kw", (0.0, 1.0)) * len(ratings))
    can_discharge = name in devices.v2g
    values = (
        stated.ev_capacity_kwh or draw("ev_capacity_kwh", ev.capacity_kwh),
        _or(stated.ev_charge_kw, lambda: ratings[min(rank, len(ratings) - 1)]),
        _or(stated.ev_discharge_kw, lambda: draw("ev_discharge_kw", ev.discharge_kw) if can_discharge else 0.0),
        _or(stated.ev_efficiency, lambda: ev.efficiency),
        _or(stated.ev_wear_per_kwh, lambda: draw("ev_wear_per_kwh", ev.wear_per_kwh)),
        _or(stated.charger_min_kw, lambda: ev.charger_min_a * NOMINAL_V * len(phase) / 1000),
    )
    return dict(zip(keys, values, strict=True))


_Draw = Callable[[str, tuple[float, float]], float]


def _draws(seed: int, name: str) -> _Draw:
    """Return a prosumer's uniform draws, each attribute from its own stream."""

    def draw(attribute: str, span: tuple[float, float]) -> float:
        return float(span[0] + (span[1] - span[0]) * stream(seed, f"population.{attribute}", name).random())

    return draw


def _annual_kwh(demand: AnnualDemand, share: float) -> float:
    """Return the lognormal quantile at a share of the probability between both limits."""
    low, high = demand.limits
    if demand.spread == 0 or low == high:
        return min(max(demand.median, low), high)
    normal = NormalDist(math.log(demand.median), demand.spread)
    below, above = normal.cdf(math.log(low)), normal.cdf(math.log(high))
    return min(max(math.exp(normal.inv_cdf(below + share * (above - below))), low), high)


def _or(stated: float | None, drawn: Callable[[], float]) -> float:
    return drawn() if stated is None else stated
