import json
from pathlib import Path

import pytest
import yaml

from feederloop.hil.profile import (
    Profile,
    load_profile,
    parse_profile,
    profile_names,
    profile_schema,
)
from feederloop.hil.simulated.charger import BidirectionalPhysics, ChargerPhysics
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.faults import Fault
from feederloop.hil.simulated.inverter import InverterPhysics, MeterPhysics, StoragePhysics
from feederloop.hil.sunspec import nominal_places, resolve
from feederloop.simulators.errors import InputError

PHYSICS = (ChargerPhysics, BidirectionalPhysics, InverterPhysics, StoragePhysics, MeterPhysics)
MINIMAL = """
name: box
title: A box
kind: charger
verified: one source
sources: [its manual]
transport: {protocols: [tcp]}
sign: {power: import}
heartbeat: {kind: none}
failsafe: {fallback: unknown}
points:
  - {role: power_total, table: holding, address: 10, type: int32, unit: W}
  - {role: current_limit_set, table: holding, address: 20, type: uint16, unit: A, access: RW}
"""


def test_the_makers_that_are_promised_are_there() -> None:
    names = profile_names()
    assert len(names) >= 15
    for maker in (
        *("alfen", "abb", "keba", "mennekes", "bender", "heidelberg", "webasto", "phoenix_charx", "schneider", "warp"),
        *("wallbox_quasar", "evtec", "sunspec_inverter", "sunspec_der", "sunspec_storage", "sunspec_meter"),
    ):
        assert any(name.startswith(maker) for name in names), maker


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_named_as_its_file_and_states_its_sources(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert all(source.strip() for source in profile.sources)
    assert len(set(profile.sources)) == len(profile.sources)
    if profile.verified == "two sources":
        assert len(profile.sources) >= 2


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_has_points_that_do_not_overlap(name: str) -> None:
    profile = load_profile(name)
    if profile.sunspec:
        profile = resolve(profile, nominal_places(profile))
    taken: dict[tuple[str, int], str] = {}
    for point in profile.points:
        for address in range(point.address, point.address + point.count):
            other = taken.setdefault((point.table, address), point.role)
            assert other == point.role, f"{point.role} and {other} share {point.table} {address}"


@pytest.mark.parametrize("name", profile_names())
def test_every_role_that_a_profile_refers_to_exists_and_can_be_used_so(name: str) -> None:
    profile = load_profile(name)
    if profile.sunspec:
        profile = resolve(profile, nominal_places(profile))
    if profile.control:
        commands = (*profile.control.before, *profile.control.after, *profile.control.release)
        assert profile.point(profile.control.setpoint).writable
        assert all(profile.point(command.role).writable for command in commands)
        for command in commands:
            labels = profile.point(command.role).enum.values()
            assert not labels or command.value in labels
    failsafe = profile.failsafe
    assert all(profile.point(role).writable for role in (failsafe.timeout_set_role, failsafe.value_set_role) if role)
    assert all(profile.point(role).readable for role in (failsafe.timeout_role, failsafe.value_role) if role)
    assert profile.heartbeat.role is None or profile.point(profile.heartbeat.role).writable


@pytest.mark.parametrize("name", [name for name in profile_names() if load_profile(name).kind == "charger"])
def test_no_charger_takes_a_current_between_zero_and_six(name: str) -> None:
    point = load_profile(name).point("current_limit_set")
    assert point.charge_min == 6
    assert point.unit == "A"


@pytest.mark.parametrize("name", profile_names())
def test_a_simulated_device_fits_every_profile(name: str) -> None:
    device = SimulatedDevice(load_profile(name))
    for point in device.profile.points:
        assert device.image.words(point.table, point.address, point.count) is not None


def test_schema_is_a_json_schema_of_the_whole_profile() -> None:
    schema = json.loads(json.dumps(profile_schema()))
    assert set(schema["required"]) >= {"name", "kind", "verified", "sources", "transport", "heartbeat", "failsafe"}
    assert schema["additionalProperties"] is False
    assert "Point" in schema["$defs"]


def test_ones_own_profile_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "box.yaml"
    path.write_text(MINIMAL, encoding="utf-8")
    assert load_profile(path).point("power_total").base_unit == "W"
    assert load_profile(str(path)).kind == "charger"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("verified", "two sources", "two sources are claimed"),
        ("kind", "toaster", "kind"),
        ("colour", "red", "colour"),
        ("sources", [], "sources"),
        ("transport", {"protocols": ["udp"]}, "protocols"),
        ("heartbeat", {"kind": "token", "role": "power_total"}, "role and token belong"),
        ("failsafe", {"fallback": "current", "timeout_role": "nowhere"}, "no point has: nowhere"),
        ("control", {"setpoint": "power_set", "quantity": "signed_power"}, "no point has: power_set"),
        ("points", [{"role": "x", "table": "holding", "address": 70000, "type": "uint16"}], "address"),
        ("points", [{"role": "x", "table": "input", "address": 1, "type": "uint16", "access": "RW"}], "only be read"),
        ("points", [{"role": "x", "table": "coil", "address": 1, "type": "uint16"}], "coils"),
        ("points", [{"role": "x", "table": "holding", "address": 1, "type": "string"}], "words"),
        ("points", [{"role": "x", "table": "holding", "address": 1, "type": "uint16", "unit": "furlong"}], "furlong"),
        (
            "points",
            [{"role": "x", "table": "holding", "address": 1, "type": "int32", "write_function": 6}],
            "function 6",
        ),
        (
            "points",
            [{"role": "x", "table": "holding", "address": n, "type": "int16"} for n in (1, 2)],
            "given twice: x",
        ),
    ],
)
def test_mistakes_name_file_and_key(key: str, value: object, message: str) -> None:
    text = yaml.safe_dump({**yaml.safe_load(MINIMAL), key: value})
    with pytest.raises(InputError, match=r"box\.yaml") as caught:
        parse_profile(text, file="box.yaml")
    assert message in str(caught.value)


def test_unknown_profiles_and_roles_list_what_there_is() -> None:
    with pytest.raises(InputError, match="alfen_ng9xx"):
        load_profile("toaster")
    with pytest.raises(InputError, match="current_limit_set, power_total"):
        parse_profile(MINIMAL, file="box.yaml").point("soc")


def test_connectors_move_the_addresses_that_move() -> None:
    station = load_profile("evtec_bidipro_10")
    first_address = station.point("power_set").address
    second = station.at_connector(2)
    assert second.point("power_set").address == first_address + 100
    assert second.point("failsafe_timeout").address == station.point("failsafe_timeout").address
    two_tables = load_profile("ambibox_ambicharge_home").at_connector(3)
    assert two_tables.point("power_set").address == 3200
    assert two_tables.point("soc").address == 4454
    with pytest.raises(InputError, match="no such connector"):
        load_profile("keba_p30_p40").at_connector(2)


def test_signs_follow_each_device() -> None:
    directions = {
        name: (load_profile(name).direction("power_total"), load_profile(name).direction("power_set"))
        for name in ("wallbox_quasar_1", "evtec_bidipro_10", "ambibox_ambicharge_home", "fermate_fe20", "sunspec_der")
    }
    assert directions == {
        "wallbox_quasar_1": (-1, -1),
        "evtec_bidipro_10": (-1, -1),
        "ambibox_ambicharge_home": (-1, 1),
        "fermate_fe20": (1, 1),
        "sunspec_der": (1, 1),
    }
    assert load_profile("sunspec_meter").direction("power_total") == -1
    assert load_profile("sunspec_der").direction("voltage_l1") == 1


def test_profiles_cannot_be_changed() -> None:
    profile: Profile = load_profile("warp_charger")
    with pytest.raises(ValueError, match="frozen"):
        profile.title = "other"  # type: ignore[misc]


def test_the_reference_names_every_profile_role_attribute_and_fault() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "profiles.md").read_text(encoding="utf-8")
    roles = set()
    for name in profile_names():
        profile = load_profile(name)
        if profile.sunspec:
            profile = resolve(profile, nominal_places(profile))
        roles |= {point.role for point in profile.points if not point.role.endswith("_SF")}
    attributes = {attribute for physics in PHYSICS for attribute in physics.ATTRIBUTES}
    wanted = {*profile_names(), *roles, *attributes, *Fault}
    assert sorted(word for word in wanted if f"`{word}`" not in text) == []


def test_the_example_in_the_reference_is_a_profile() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "profiles.md").read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    assert parse_profile(example, file="reference").point("current_limit_set").charge_min == 6
