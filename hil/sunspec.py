"""SunSpec: where the points of a device's models lie, found on the device and laid out by the published definitions.

Public: `model_layout(model_id) -> ModelLayout`, `resolve(profile, places) -> Profile` (its points filled in with
absolute addresses), `nominal_places(profile) -> tuple[ModelPlace, ...]` (one model after the other from the first base
address), `find_base`/`walk` (discovery, given a function that reads holding registers).

The definitions are data files that ship inside pysunspec2 (Apache-2.0); nothing of its code is used. Its own search
looks in the working folder first, so that a stray file there could move a register: here they are read from the
package only.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from feederloop.hil.profile import BASE_UNITS, Point, PointType, Profile
from feederloop.hil.sunspec_roles import ROLES
from feederloop.simulators.errors import InputError

MARKER = (0x5375, 0x6E53)
"""The two registers "SunS" that open a SunSpec map."""
END_MODEL = 0xFFFF

ReadHolding = Callable[[int, int], Awaitable[Sequence[int] | None]]
"""Reads `count` holding registers at an address; None when the device refuses or does not answer."""

_TYPES: Mapping[str, PointType] = {
    "int16": "int16",
    "uint16": "uint16",
    "count": "uint16",
    "acc16": "uint16",
    "enum16": "uint16",
    "bitfield16": "uint16",
    "sunssf": "int16",
    "int32": "int32",
    "uint32": "uint32",
    "acc32": "uint32",
    "enum32": "uint32",
    "bitfield32": "uint32",
    "int64": "int64",
    "uint64": "uint64",
    "acc64": "uint64",
    "float32": "float32",
    "float64": "float64",
    "string": "string",
}
_MISSING: Mapping[str, int] = {
    "int16": 0x8000,
    "uint16": 0xFFFF,
    "count": 0xFFFF,
    "enum16": 0xFFFF,
    "bitfield16": 0xFFFF,
    "sunssf": 0x8000,
    "int32": 0x80000000,
    "uint32": 0xFFFFFFFF,
    "enum32": 0xFFFFFFFF,
    "bitfield32": 0xFFFFFFFF,
    "int64": 0x8000000000000000,
    "uint64": 0xFFFFFFFFFFFFFFFF,
    "float32": 0x7FC00000,
    "float64": 0x7FF8000000000000,
}
"""What a type holds where the device does not implement the point; accumulators hold 0 and cannot be told from 0."""

_UNITS: Mapping[str, str] = {"Secs": "s", "Pct": "%", "WH": "Wh", "Var": "var", "C": "degC"}


@dataclass(frozen=True, slots=True)
class LayoutPoint:
    """A point as its model's definition lays it out; `offset` counts from the model's id register."""

    name: str
    offset: int
    words: int
    kind: str
    scale_factor: str | int | None
    unit: str | None
    writable: bool
    symbols: Mapping[int, str]

    @property
    def missing(self) -> int | None:
        """The register value that means "not implemented", where the type has one."""
        return _MISSING.get(self.kind)


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """The fixed part of a model. `length` is what its L register says: registers after id and length."""

    model_id: int
    points: tuple[LayoutPoint, ...]

    @property
    def length(self) -> int:
        """Registers after the id and the length."""
        return sum(point.words for point in self.points) - 2


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """Where a model lies on a device: its id, the address of its id register and its length register's content."""

    model_id: int
    address: int
    length: int


@cache
def model_layout(model_id: int) -> ModelLayout:
    """Return the layout of a model.

    Points of groups that occur once are named `Group.Point`; groups that repeat are left out.

    Raises:
        InputError: No definition of that model ships.
    """
    source = files("sunspec2") / "models" / "json" / f"model_{model_id}.json"
    if not source.is_file():
        raise InputError("no SunSpec definition ships for this model", key="model", value=model_id)
    group = json.loads(source.read_text(encoding="utf-8"))["group"]
    points: list[LayoutPoint] = []
    _lay_out(group, "", points)
    return ModelLayout(model_id, tuple(points))


def _lay_out(group: Mapping[str, Any], prefix: str, points: list[LayoutPoint]) -> None:
    for point in group["points"]:
        symbols = {int(symbol["value"]): str(symbol["name"]).lower() for symbol in point.get("symbols", ())}
        points.append(
            LayoutPoint(
                name=prefix + point["name"],
                offset=points[-1].offset + points[-1].words if points else 0,
                words=int(point.get("size", 1)),
                kind=point["type"],
                scale_factor=point.get("sf"),
                # One definition has a blank before its unit.
                unit=point["units"].strip() if "units" in point else None,
                writable=point.get("access", "R") == "RW",
                symbols=symbols,
            )
        )
    for inner in group.get("groups", ()):
        if inner.get("count", 1) == 1:
            _lay_out(inner, f"{prefix}{inner['name']}.", points)


def nominal_places(profile: Profile, base: int | None = None) -> tuple[ModelPlace, ...]:
    """Return where the models would lie one after the other from `base` (the profile's first base without it)."""
    if profile.sunspec is None:
        raise InputError("not a SunSpec profile", key="profile", value=profile.name)
    address = (profile.sunspec.bases[0] if base is None else base) + len(MARKER)
    places = []
    for model_id in profile.sunspec.models:
        length = model_layout(model_id).length
        places.append(ModelPlace(model_id, address, length))
        address += length + 2
    return tuple(places)


def resolve(profile: Profile, places: Iterable[ModelPlace]) -> Profile:
    """Return the profile with the points of its models at the addresses where they lie.

    Each scale factor is a point of its own, with the role `<model>.<name>`, e.g. `103.W_SF`.

    Raises:
        InputError: A model of the profile is not on the device.
    """
    if profile.sunspec is None:
        return profile
    found: dict[int, ModelPlace] = {}
    for place in places:
        found.setdefault(place.model_id, place)
    missing = [model for model in profile.sunspec.models if model not in found]
    if missing:
        raise InputError(
            "the device lacks SunSpec models of its profile",
            file=profile.name,
            key="sunspec.models",
            value=missing,
            allowed=f"on the device: {', '.join(str(model) for model in found)}",
        )
    points: dict[str, Point] = {point.role: point for point in profile.points}
    for model_id in profile.sunspec.models:
        place = found[model_id]
        layout = {point.name: point for point in model_layout(model_id).points if point.offset < place.length + 2}
        for name, role in ROLES.get(model_id, {}).items():
            item = layout.get(name)
            # A device may cut a model short; a point without its scale factor says nothing.
            whole = item is not None and (not isinstance(item.scale_factor, str) or item.scale_factor in layout)
            if whole and role not in points:
                for point in _points(model_id, place.address, role, layout[name], layout):
                    points.setdefault(point.role, point)
    return profile.with_points(points.values())


def _points(
    model_id: int, address: int, role: str, item: LayoutPoint, layout: Mapping[str, LayoutPoint]
) -> Iterable[Point]:
    unit = None
    if item.unit:
        unit = "%" if item.unit.startswith("%") else _UNITS.get(item.unit, item.unit)
        unit = unit if unit in BASE_UNITS else None
    factor = item.scale_factor
    scale_role = f"{model_id}.{factor}" if isinstance(factor, str) else None
    yield Point(
        role=role,
        table="holding",
        address=address + item.offset,
        type=_TYPES[item.kind],
        words=item.words if item.kind == "string" else None,
        scale=10.0**factor if isinstance(factor, int) else 1.0,
        scale_role=scale_role,
        unit=unit,
        access="RW" if item.writable else "R",
        enum={code: label for code, label in item.symbols.items() if item.kind.startswith("enum")},
        bad_values=() if item.missing is None else (item.missing,),
    )
    if scale_role and isinstance(factor, str):
        source = layout[factor]
        yield Point(
            role=scale_role,
            table="holding",
            address=address + source.offset,
            type="int16",
            min=-10,
            max=10,
            bad_values=(_MISSING["sunssf"],),
        )


async def find_base(read: ReadHolding, bases: Sequence[int]) -> int | None:
    """Return the first base address that holds the marker, or None."""
    for base in bases:
        words = await read(base, len(MARKER))
        if words is not None and tuple(words) == MARKER:
            return base
    return None


async def walk(read: ReadHolding, base: int, *, most: int = 64) -> tuple[ModelPlace, ...]:
    """Return the models of a device from its base address on, up to its end marker or the first silence.

    Args:
        read: Reads holding registers.
        base: Address of the marker.
        most: Models to follow at most, so that a map that never ends is left.
    """
    places: list[ModelPlace] = []
    address = base + len(MARKER)
    while len(places) < most and address <= 0xFFFF:
        identity = await read(address, 1)
        if not identity or identity[0] == END_MODEL:
            break
        # Length by itself: some devices offer none behind the end marker.
        length = await read(address + 1, 1) if address < 0xFFFF else None
        if not length:
            break
        places.append(ModelPlace(identity[0], address, length[0]))
        address += length[0] + 2
    return tuple(places)
