"""Profiles of chargers against a second source: what evcc, which drives them in many homes, asks and understands.

Facts only (registers, functions, factors), read in its charger/*.go in 2026; the SunSpec profiles are held against
pysunspec2 elsewhere. Powers are export positive here, and import positive there.
"""

import struct
from typing import Any

import pytest

from feederloop.hil.codec import Codec
from feederloop.hil.profile import load_profile
from feederloop.hil.transport import ModbusTransport


def be(kind: str, value: float) -> tuple[int, ...]:
    """Registers, the high one first, as encoding/binary.BigEndian has them."""
    data = struct.pack(f">{kind}", value)
    return struct.unpack(f">{len(data) // 2}H", data)


def swapped(kind: str, value: float) -> tuple[int, ...]:
    """Registers, the low one first, as mbmd's RTU...Swapped functions have them."""
    return be(kind, value)[::-1]


READS = [
    ("abb_terra_ac", "power_total", "holding", 0x401C, be("I", 7360), -7360),
    ("abb_terra_ac", "current_l1", "holding", 0x4010, be("I", 16000), 16),
    ("abb_terra_ac", "voltage_l1", "holding", 0x4016, be("I", 2301), 230.1),
    ("abb_terra_ac", "energy_session", "holding", 0x401E, be("I", 1500), 1500),
    ("abb_terra_ac", "status", "holding", 0x400C, (0, 0x8400), "C"),
    ("alfen_ng9xx", "power_total", "holding", 344, be("f", 7360.0), -7360),
    ("alfen_ng9xx", "current_l1", "holding", 320, be("f", 16.0), 16),
    ("alfen_ng9xx", "voltage_l1", "holding", 306, be("f", 230.5), 230.5),
    ("alfen_ng9xx", "energy_total", "holding", 374, be("d", 1500.0), 1500),
    ("keba_p30_p40", "power_total", "holding", 1020, be("I", 7_360_000), -7360),
    ("keba_p30_p40", "current_l3", "holding", 1012, be("I", 16000), 16),
    ("keba_p30_p40", "voltage_l1", "holding", 1040, be("I", 230), 230),
    ("keba_p30_p40", "energy_total", "holding", 1036, be("I", 15000), 1500),
    ("keba_p30_p40", "charging_state", "holding", 1000, be("I", 3), "charging"),
    ("keba_p30_p40", "failsafe_timeout", "holding", 1602, be("I", 60), 60),
    ("heidelberg_energy_control", "power_total", "input", 14, (7360,), -7360),
    ("heidelberg_energy_control", "current_l2", "input", 7, (160,), 16),
    ("heidelberg_energy_control", "voltage_l3", "input", 12, (230,), 230),
    ("heidelberg_energy_control", "energy_total", "input", 17, be("I", 1500), 1500),
    ("heidelberg_energy_control", "status", "input", 5, (7,), "C"),
    ("heidelberg_energy_control", "failsafe_timeout", "holding", 257, (15000,), 15),
    ("phoenix_charx", "power_total", "holding", 1244, be("i", 7_360_000), -7360),
    ("phoenix_charx", "current_l1", "holding", 1238, be("i", 16000), 16),
    ("phoenix_charx", "voltage_l1", "holding", 1232, be("i", 230_500), 230.5),
    ("phoenix_charx", "energy_total", "holding", 1250, be("q", 1500), 1500),
    ("phoenix_charx", "status", "holding", 1299, (0x4332,), "C"),
    ("webasto_next", "power_total", "holding", 1020, be("I", 7360), -7360),
    ("webasto_next", "current_l2", "holding", 1010, (16000,), 16),
    ("webasto_next", "energy_total", "holding", 1036, be("I", 1500), 1500),
    ("webasto_next", "failsafe_timeout", "holding", 2002, (60,), 60),
    ("vestel_evc04", "power_total", "input", 1020, be("I", 7360), -7360),
    ("vestel_evc04", "current_l2", "input", 1010, (16000,), 16),
    ("vestel_evc04", "voltage_l1", "input", 1014, (230,), 230),
    ("vestel_evc04", "energy_total", "input", 1036, be("I", 15), 1500),
    ("vestel_evc04", "charging_state", "input", 1001, (1,), "charging"),
    ("mennekes_hcc3", "power_total", "input", 0x30F, swapped("I", 73600), -73600),
    ("mennekes_hcc3", "energy_session", "input", 0x30D, swapped("I", 150_000), 150_000),
    ("mennekes_hcc3", "status", "input", 0x302, (5,), "C"),
    ("mennekes_amtron_compact_2s", "power_total", "holding", 0x512, be("f", 7360.0), -7360),
    ("mennekes_amtron_compact_2s", "current_l1", "holding", 0x500, be("f", 16.0), 16),
    ("mennekes_amtron_compact_2s", "voltage_l1", "holding", 0x506, be("f", 230.5), 230.5),
    ("mennekes_amtron_compact_2s", "energy_total", "holding", 0x1000, be("f", 1.5), 1500),
    ("mennekes_amtron_compact_2s", "status", "holding", 0x100, (5,), "C"),
    ("phoenix_em_cp_pp_eth", "power_total", "input", 120, swapped("I", 736), -7360),
    ("phoenix_em_cp_pp_eth", "current_l3", "input", 118, swapped("I", 16000), 16),
    ("phoenix_em_cp_pp_eth", "energy_total", "input", 128, swapped("I", 150), 1500),
    ("phoenix_em_cp_pp_eth", "status", "input", 100, (0x0043,), "C"),
    ("bender_cc612", "power_total", "holding", 220, be("I", 7360), -7360),
    ("bender_cc612", "power_total", "holding", 220, (0xFFFF, 0xFFFF), None),
    ("bender_cc612", "current_l1", "holding", 212, be("I", 16000), 16),
    ("bender_cc612", "voltage_l1", "holding", 222, be("I", 230), 230),
    ("bender_cc612", "energy_total", "holding", 218, be("I", 1500), 1500),
    ("bender_cc612", "status", "holding", 122, (4,), "C"),
    ("ambibox_ambicharge_home", "power_total", "input", 4018, be("i", 7360), -7360),
    ("ambibox_ambicharge_home", "current_l1", "input", 4004, be("f", 16.0), 16),
    ("ambibox_ambicharge_home", "soc", "input", 4054, be("f", 55.0), 55),
]
"""Profile, role, table, address and registers on the wire, and what they mean in base units."""

WRITES = [
    ("abb_terra_ac", "current_limit_set", 10, 16, 0x4100, be("I", 10000)),
    ("alfen_ng9xx", "current_limit_set", 10, 16, 1210, be("f", 10.0)),
    ("keba_p30_p40", "current_limit_set", 10, 6, 5004, (10000,)),
    ("keba_p30_p40", "enable", "enable", 6, 5014, (1,)),
    ("keba_p30_p40", "failsafe_timeout_set", 60, 6, 5018, (60,)),
    ("heidelberg_energy_control", "current_limit_set", 10, 16, 261, (100,)),
    ("heidelberg_energy_control", "standby_control", "disabled", 16, 258, (4,)),
    ("phoenix_charx", "current_limit_set", 10, 16, 1301, (10,)),
    ("webasto_next", "current_limit_set", 10, None, 5004, (10,)),
    ("webasto_next", "heartbeat", 1, 6, 6000, (1,)),
    ("vestel_evc04", "current_limit_set", 10, 6, 5004, (10,)),
    ("vestel_evc04", "heartbeat", 1, 6, 6000, (1,)),
    ("mennekes_hcc3", "current_limit_set", 10, 6, 0x400, (10,)),
    ("mennekes_amtron_compact_2s", "current_limit_set", 10, 16, 0x302, be("f", 10.0)),
    ("mennekes_amtron_compact_2s", "heartbeat", 0x55AA, 6, 0xD00, (0x55AA,)),
    ("mennekes_amtron_compact_2s", "enable", "released", 6, 0xD05, (1,)),
    ("phoenix_em_cp_pp_eth", "current_limit_set", 10, 6, 300, (10,)),
    ("phoenix_em_cp_pp_eth", "enable", True, 5, 400, (1,)),
    ("bender_cc612", "current_limit_set", 10, 16, 1000, (10,)),
    ("ambibox_ambicharge_home", "power_set", -3000, 16, 3000, be("i", -3000)),
]
"""Profile, role, value, and the function (None: evcc uses 16 where the maker's guide has 6), address and registers."""


@pytest.mark.parametrize(("name", "role", "table", "address", "words", "value"), READS)
def test_what_evcc_reads_we_understand_as_it_does(
    name: str, role: str, table: str, address: int, words: tuple[int, ...], value: Any
) -> None:
    profile = load_profile(name)
    point = profile.point(role)
    assert (point.table, point.address, point.count) == (table, address, len(words))
    found = Codec(profile).decode(point, words).value
    assert found == (pytest.approx(value) if isinstance(value, int | float) else value)


@pytest.mark.parametrize(("name", "role", "value", "function", "address", "words"), WRITES)
def test_what_evcc_writes_we_write_as_it_does(
    name: str, role: str, value: Any, function: int | None, address: int, words: tuple[int, ...]
) -> None:
    profile = load_profile(name)
    point = profile.point(role)
    assert (point.address, point.count) == (address, len(words))
    assert Codec(profile).encode(point, value) == words
    chosen = ModbusTransport.function_for(_Shape(profile), point)
    assert function in (None, chosen)


class _Shape:
    """The part of a transport that chooses functions."""

    def __init__(self, profile: Any) -> None:
        self._profile = profile
