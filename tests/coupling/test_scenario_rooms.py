"""The scenario's keys, defaults and choices are those of the rooms that they are handed to."""

from dataclasses import fields
from typing import Any, get_args

import pytest

from feederloop.coupling.scenario.dso import Envelope, Settlement
from feederloop.coupling.scenario.fields import Section
from feederloop.coupling.scenario.inputs import (
    DemandTable,
    DrawnSessions,
    EnergyManager,
    Forecast,
    ModelledWeather,
    PriceTable,
    SeriesTable,
    SessionTable,
)
from feederloop.coupling.scenario.people import StatedProsumer
from feederloop.coupling.scenario.schemes import EvCoordination, NetworkAwareP2p, PriceBased
from feederloop.coupling.wiring.arrangement import Coordinator, Manager
from feederloop.simulators.aggregator.simulator import VARIANTS
from feederloop.simulators.energy_manager.settings import MODES, Options
from feederloop.simulators.envelope.allocation import RULES
from feederloop.simulators.ev_fleet import session_file
from feederloop.simulators.ev_fleet.sessions import UNMANAGED_TARGETS, DrawingRules
from feederloop.simulators.forecast.site_forecasts import ForecastQuality
from feederloop.simulators.market.settlement import SettlementRules
from feederloop.simulators.matcher.continuous import ARRIVAL, PRICE, PRIORITY
from feederloop.simulators.matcher.network_check import CHECK, NetworkCheckedAuction
from feederloop.simulators.pv.clear_sky_index import Clouds
from feederloop.simulators.timeseries import SeriesFile, Sign, Unit
from feederloop.simulators.transactive.negotiation import Rules

FILE_OPTIONS = {item.name for item in fields(SeriesFile)} - {"key"}


@pytest.mark.parametrize(
    ("section", "room", "beside"),
    [
        (ModelledWeather(), Clouds(), {"kind", "linke_turbidity", "air_temperature_c"}),
        (DrawnSessions(), DrawingRules(), {"kind", "unmanaged_target"}),
        (Forecast(), ForecastQuality(), set()),
        (EnergyManager(), Options(), set()),
        (PriceBased(), Rules(), {"variant"}),
        (NetworkAwareP2p(), NetworkCheckedAuction(), {"curtail"}),
    ],
)
def test_keys_and_defaults_are_those_of_the_room(section: Section, room: Any, beside: set[str]) -> None:
    stated = {key: value for key, value in section.model_dump().items() if key not in beside}
    known = {item.name: getattr(room, item.name) for item in fields(room)}
    known.pop("mode", None)  # which the scenario's scheme decides
    known.pop("needs_network", None)  # which is no option
    assert stated == known


def test_choices_are_those_of_the_rooms() -> None:
    assert set(get_args(Envelope.model_fields["rule"].annotation)) == set(RULES)
    assert get_args(DrawnSessions.model_fields["unmanaged_target"].annotation) == UNMANAGED_TARGETS
    units, signs = (get_args(SeriesTable.model_fields[name].annotation)[0] for name in ("unit", "sign"))
    assert (units, signs) == (Unit, Sign)


def test_choices_of_schemes_are_those_of_the_rooms() -> None:
    choices = {"arrival": ARRIVAL, "price": PRICE, "rationing": PRIORITY, "check": CHECK}
    for key, known in choices.items():
        assert set(get_args(NetworkAwareP2p.model_fields[key].annotation)) == set(known)
    assert set(get_args(Manager)) == set(MODES)
    assert set(get_args(Coordinator)) == {*VARIANTS, "transactive"}
    assert set(get_args(EvCoordination.model_fields["variant"].annotation)) < set(VARIANTS)


def test_options_of_tables_are_those_of_their_readers() -> None:
    assert set(SeriesTable.model_fields) == FILE_OPTIONS | {"kind"}
    assert set(DemandTable.model_fields) == FILE_OPTIONS | {"kind", "refine"}
    assert set(SessionTable.model_fields) == set(session_file._OPTIONS)
    charges = {"network_charge_per_kwh", "supply_charge_per_day"}
    assert set(PriceTable.model_fields) == FILE_OPTIONS - {"unit", "sign", "column"} | charges | {"kind"}


def test_settlement_prices_are_rules_of_the_market() -> None:
    named = {key.removeprefix("imbalance_") for key in Settlement.model_fields}
    assert named == {item.name for item in fields(SettlementRules)}


def test_stated_prosumers_can_state_everything_about_a_site() -> None:
    from feederloop.coupling.population import Site

    assert set(StatedProsumer.model_fields) == {item.name for item in fields(Site)}
