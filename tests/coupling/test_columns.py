"""What is said of the tables of a run is what is in them."""

import re
from pathlib import Path

import pytest

from feederloop.coupling import tables
from feederloop.coupling.columns import KEYS, TABLES, meaning_of, unit_of
from feederloop.hil.adapters import IO_COLUMNS
from feederloop.simulators.market.simulator import SETTLEMENT_COLUMNS

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "explanation" / "architecture.md"


def stated_in_the_architecture() -> dict[str, set[str]]:
    text = ARCHITECTURE.read_text(encoding="utf-8").partition("## What a run leaves behind")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", text, flags=re.MULTILINE)
    return {name: set(re.findall(r"`([a-z_]+)`", columns)) for name, columns in rows}


def test_the_architecture_and_the_reference_state_the_same_tables():
    stated = stated_in_the_architecture()
    assert stated.keys() == TABLES.keys()
    for name, columns in stated.items():
        assert {each for each in columns if not meaning_of(name, each)} == set(), name


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("ev_session", tables.SESSION_COLUMNS),
        ("certificate", tables.CERTIFICATE_COLUMNS),
        ("coordination", tables.COORDINATION_COLUMNS),
        ("blocking", tables.BLOCKING_COLUMNS),
        ("curtailment", tables.CURTAILMENT_COLUMNS),
        ("market", tables.MARKET_COLUMNS),
        ("orders", tables.ORDER_COLUMNS),
        ("settlement", SETTLEMENT_COLUMNS),
        ("device_io", IO_COLUMNS),
    ],
)
def test_what_is_recorded_is_described(name, recorded):
    assert set(recorded) - set(KEYS) == set(TABLES[name].columns)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("p_kw", "kW"),
        ("loading_a_percent", "%"),
        ("price_per_kwh", "1/kWh"),
        ("v_v", "V"),
        ("export_limit_kwh_per_day", "kWh/d"),
        ("kwh", "kWh"),
        ("rounds", ""),
        ("soc_kwh", "kWh"),
        ("plugged", ""),
    ],
)
def test_a_name_ends_with_its_unit(name, unit):
    assert unit_of(name) == unit
