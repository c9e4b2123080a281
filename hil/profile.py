"""Device profiles: what a Modbus device offers, as data.

Public: `load_profile(name_or_path) -> Profile`, `profile_names() -> list[str]`, `profile_schema() -> dict` (JSON
Schema), and the models `Profile`, `Point`, `TransportFacts`, `Heartbeat`, `Failsafe`, `Control`, `SunSpecModels`,
`Sign`.

A profile states facts of a device and decides nothing: how its registers are laid out, how often it may be asked, which
register takes a set-point and what the device does when nobody talks to it. Values that leave a profile are always in
the base unit of their role (`Point.base_unit`: W, Wh, A, V, s, Hz, %) and signed powers follow feederloop: export is
positive.
"""

from collections.abc import Iterable
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from feederloop.hil.profile_parts import (
    BASE_UNITS,
    WORDS,
    Address,
    Command,
    Control,
    Fact,
    Failsafe,
    Heartbeat,
    Point,
    PointType,
    Sign,
    SunSpecModels,
    Table,
    TransportFacts,
)
from feederloop.simulators.errors import InputError

__all__ = [
    "BASE_UNITS",
    "SIGNED_ROLES",
    "WORDS",
    "Address",
    "Command",
    "Control",
    "Failsafe",
    "Heartbeat",
    "Kind",
    "Point",
    "PointType",
    "Profile",
    "Sign",
    "SunSpecModels",
    "Table",
    "TransportFacts",
    "load_profile",
    "parse_profile",
    "profile_names",
    "profile_schema",
]

Kind = Literal["inverter", "storage", "charger", "bidirectional_charger", "meter"]

SIGNED_ROLES = frozenset({"power_total", "power_l1", "power_l2", "power_l3"})
"""Measured powers whose sign follows `Sign.power`; the signed set-point `power_set` follows `Sign.setpoint`."""


class Profile(Fact):
    """A device as data; see the module. `points` of a SunSpec device are those besides its models."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: str
    kind: Kind
    verified: Literal["two sources", "one source"]
    sources: tuple[str, ...] = Field(min_length=1)
    transport: TransportFacts
    sign: Sign
    control: Control | None = None
    heartbeat: Heartbeat
    failsafe: Failsafe
    sunspec: SunSpecModels | None = None
    notes: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.verified == "two sources" and len(self.sources) < 2:
            raise ValueError("two sources are claimed, fewer are named")
        roles = [point.role for point in self.points]
        twice = sorted({role for role in roles if roles.count(role) > 1})
        if twice:
            raise ValueError(f"roles given twice: {', '.join(twice)}")
        if self.sunspec is None:
            missing = sorted(self._named_roles() - set(roles))
            if missing:
                raise ValueError(f"roles that no point has: {', '.join(missing)}")
        return self

    def _named_roles(self) -> set[str]:
        fail, control = self.failsafe, self.control
        named = {self.heartbeat.role, fail.timeout_role, fail.timeout_set_role, fail.value_role, fail.value_set_role}
        named |= {fail.enable_role, fail.persist_role} | {point.read_back for point in self.points}
        named |= {point.scale_role for point in self.points}
        if control:
            writes = (*control.before, *control.after, *control.release)
            named |= {control.setpoint, control.reversion_role} | {write.role for write in writes}
        return {role for role in named if role}

    @cached_property
    def _by_role(self) -> dict[str, Point]:
        return {point.role: point for point in self.points}

    def point(self, role: str) -> Point:
        """Return the point of a role, or raise an `InputError` that lists the roles there are."""
        if role in self._by_role:
            return self._by_role[role]
        raise InputError(
            f"profile {self.name} has no such point",
            key="role",
            value=role,
            allowed=", ".join(sorted(point.role for point in self.points)) or "none before discovery",
        )

    def has(self, role: str) -> bool:
        """Whether a point of this role exists (for SunSpec devices: after discovery)."""
        return role in self._by_role

    def direction(self, role: str) -> int:
        """Return +1 where the device counts export positive for this role, -1 where import; +1 for unsigned roles."""
        if role in SIGNED_ROLES:
            return 1 if self.sign.power == "export" else -1
        if role == "power_set":
            return 1 if (self.sign.setpoint or self.sign.power) == "export" else -1
        return 1

    def with_points(self, points: Iterable[Point]) -> "Profile":
        """Return this profile with other points."""
        copy = self.model_copy(update={"points": tuple(points)})
        # A copy takes along what was made of the points before.
        copy.__dict__.pop("_by_role", None)
        return copy

    def at_connector(self, connector: int) -> "Profile":
        """Return this profile as it looks for a connector of a station (1 is the first)."""
        stride = self.transport.connector_stride
        if connector < 1 or (connector > 1 and not stride):
            raise InputError(
                f"profile {self.name} has no such connector",
                key="connector",
                value=connector,
                allowed="1" if not stride else "1 and up",
            )
        return self.with_points(
            point.model_copy(update={"address": point.address + (connector - 1) * stride.get(point.table, 0)})
            if point.per_connector
            else point
            for point in self.points
        )


def profile_schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile file."""
    return Profile.model_json_schema()


def profile_names() -> list[str]:
    """Return the names of the profiles that ship with feederloop, sorted."""
    return sorted(path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml"))


def load_profile(name: str | Path) -> Profile:
    """Load a shipped profile by name, or one's own by the path of its YAML file.

    Raises:
        InputError: No such profile, or the file does not fit the schema; says the file, the key, the value and why.
    """
    path: Traversable | Path = _folder() / f"{name}.yaml"
    if isinstance(name, Path) or str(name).endswith((".yaml", ".yml")):
        path = Path(name)
    if not path.is_file():
        raise InputError("no such profile", key="profile", value=str(name), allowed=", ".join(profile_names()))
    return parse_profile(path.read_text(encoding="utf-8"), file=str(path if isinstance(path, Path) else path.name))


def parse_profile(text: str, *, file: str) -> Profile:
    """Build a profile from YAML text; `file` names it in errors."""
    try:
        return Profile.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {error}", file=file) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "profile"
        value = first["input"] if isinstance(first["input"], str | int | float | bool) else None
        raise InputError(first["msg"], file=file, key=key, value=value) from error


def _folder() -> Traversable:
    return files("feederloop.hil.profiles")
