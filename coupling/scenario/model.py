"""The scenario: everything that a run depends on, as one frozen model."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, model_validator

from feederloop.coupling.scenario.document import EXTENDS, Document, KeyPath
from feederloop.coupling.scenario.dso import Envelope, Matching, Settlement
from feederloop.coupling.scenario.fields import Count, EmptyIsDefault, Section, Text, misfit, quantity, section, setting
from feederloop.coupling.scenario.inputs import (
    DrawnSessions,
    EnergyManager,
    Forecast,
    Household,
    ModelledWeather,
    Sessions,
    Tariff,
    TimeOfUse,
    Weather,
)
from feederloop.coupling.scenario.network import Grid, Limits
from feederloop.coupling.scenario.people import NAME_PATTERN, Prosumers
from feederloop.coupling.scenario.problems import Absent, Problem
from feederloop.coupling.scenario.running import Record, Run, Simulators
from feederloop.coupling.scenario.schemes import (
    SCHEME_DESCRIPTION,
    EvCoordination,
    NetworkAwareP2p,
    PriceBased,
    Scheme,
    StaticLimits,
)
from feederloop.coupling.scenario.when_and_where import Place, Time


class Scenario(Section):
    """A run of feederloop: when, where, who, under which rules."""

    name: Text = setting(..., "Short name, by default that of the file", pattern=NAME_PATTERN)
    title: Text = setting("", "One line that says what the scenario shows")
    description: Text = setting("", "What it is about, in some sentences")
    scheme: Scheme = setting("doe_lem", SCHEME_DESCRIPTION)
    seed: Count = quantity(1, "1", "Seed of everything that is drawn", ge=0)
    time: Annotated[Time, EmptyIsDefault] = section(Time, "When, and the two periods that divide time")
    place: Annotated[Place, EmptyIsDefault] = section(Place, "Where")
    grid: Annotated[Grid, EmptyIsDefault] = section(Grid, "The network and its source")
    limits: Annotated[Limits, EmptyIsDefault] = section(Limits, "What the network has to keep")
    prosumers: Annotated[Prosumers, EmptyIsDefault] = section(Prosumers, "Who lives there, with which devices")
    household: Annotated[Household, EmptyIsDefault] = section(Household, "What homes draw besides their EV")
    weather: Weather = section(ModelledWeather, "The sun")
    sessions: Sessions = section(DrawnSessions, "When EVs are there and what they need")
    tariff: Tariff = section(TimeOfUse, "What the retailer charges and pays")
    forecast: Annotated[Forecast, EmptyIsDefault] = section(Forecast, "How well load and sun are known in advance")
    energy_manager: Annotated[EnergyManager, EmptyIsDefault] = section(EnergyManager, "The prosumers' own optimisers")
    envelope: Annotated[Envelope, EmptyIsDefault] = section(Envelope, "The DSO's controller")
    matching: Annotated[Matching, EmptyIsDefault] = section(Matching, "How offers are paired")
    static_limits: Annotated[StaticLimits, EmptyIsDefault] = section(StaticLimits, "Of the scheme static_limits")
    ev_coordination: Annotated[EvCoordination, EmptyIsDefault] = section(
        EvCoordination, "Of the scheme ev_coordination"
    )
    price_based: Annotated[PriceBased, EmptyIsDefault] = section(PriceBased, "Of the scheme price_based")
    network_aware_p2p: Annotated[NetworkAwareP2p, EmptyIsDefault] = section(
        NetworkAwareP2p, "Of the scheme network_aware_p2p, whose order book takes the place of the section matching"
    )
    settlement: Annotated[Settlement, EmptyIsDefault] = section(Settlement, "What deviations cost")
    record: Annotated[Record, EmptyIsDefault] = section(Record, "Which large tables are written")
    run: Annotated[Run, EmptyIsDefault] = section(Run, "Bounds on the run")
    simulators: Annotated[Simulators, EmptyIsDefault] = section(Simulators, "Simulators in other processes")

    _document: Document = PrivateAttr(default_factory=lambda: Document({}))

    @model_validator(mode="after")
    def _margin_leaves_room(self) -> "Scenario":
        low, high = self.limits.voltage_range_v
        margins = {name: getattr(self, name).voltage_margin_v for name in ("envelope", "ev_coordination")}
        for name, margin_v in margins.items():
            if low + 2 * margin_v >= high:
                allowed = f"less than {(high - low) / 2:g} V, half the distance of the limits"
                key = f"{name}.voltage_margin_v"
                raise misfit("leaves no room between the voltage limits", key=key, allowed=allowed)
        loading = min(self.limits.line_loading_percent, self.limits.transformer_loading_percent)
        if self.ev_coordination.loading_margin_percent >= loading:
            key, allowed = "ev_coordination.loading_margin_percent", f"less than the loading limit, {loading:g} %"
            raise misfit("leaves no loading", key=key, allowed=allowed)
        return self

    @property
    def file(self) -> Path | None:
        """The file it was read from; None for a scenario made in Python."""
        return self._document.file

    def problem(self, message: str, path: KeyPath, **details: Any) -> Problem:
        """Return a problem with one of this scenario's keys, with the place where it was read.

        Args:
            message: What is wrong.
            path: The key's path.
            **details: `allowed`, `nearest` and `value` of the problem; the value is looked up where not given.
        """
        place = self._document.place(path)
        value = self.value_at(path)
        details.setdefault("value", Absent.VALUE if isinstance(value, Section | tuple) or value is None else value)
        key = ".".join(str(part) for part in path)
        return Problem(message, key=key, file=place.file, line=place.line, **details)

    def value_at(self, path: KeyPath) -> Any:
        """Return the value at a key path, `Absent.VALUE` where there is none."""
        value: Any = self
        for part in path:
            if isinstance(value, Section):
                value = getattr(value, str(part), Absent.VALUE)
            elif isinstance(value, dict):
                value = value.get(part, Absent.VALUE)
            elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return Absent.VALUE
        return value

    def has(self, path: KeyPath) -> bool:
        """Tell whether there is such a key."""
        return self.value_at(path) is not Absent.VALUE

    def room(self, *path: str) -> dict[str, Any]:
        """Return a section as the plain dictionary that simulators take, without keys that are not set."""
        value = self.value_at(path)
        data: dict[str, Any] = value.model_dump(mode="json", by_alias=True, exclude_none=True)
        return data

    def resolved(self) -> dict[str, Any]:
        """Return plain data with every default filled in, which as YAML gives the same run."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@cache
def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files."""
    schema = Scenario.model_json_schema()
    extends = Field(description="Another scenario file, relative to this one, whose keys hold unless they are here")
    described = {"type": "string", "description": extends.description, "examples": ["european_lv_doe_lem.yaml"]}
    schema["properties"] = {EXTENDS: described, **schema["properties"]}
    schema["required"] = []
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "feederloop scenario"}
