import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feederloop.hil.codec import Codec, raw_to_words, words_to_raw
from feederloop.hil.profile import Point, Profile, load_profile, parse_profile
from feederloop.hil.reading import Quality
from feederloop.simulators.errors import InputError


def _profile(order: str = "high_first", power: str = "export", setpoint: str = "export") -> Profile:
    return parse_profile(
        f"""
name: box
title: A box
kind: bidirectional_charger
verified: one source
sources: [none]
transport: {{protocols: [tcp], word_order: {order}}}
sign: {{power: {power}, setpoint: {setpoint}}}
heartbeat: {{kind: none}}
failsafe: {{fallback: unknown}}
""",
        file="box.yaml",
    )


def _point(**facts: object) -> Point:
    return Point.model_validate({"role": "x", "table": "holding", "address": 0, "type": "uint16", **facts})


# Registers written out by hand, as the Modbus and IEEE 754 documents have them.
@pytest.mark.parametrize(
    ("kind", "high_first", "number"),
    [
        ("uint16", (0xFFFE,), 65534),
        ("int16", (0xFFFE,), -2),
        ("uint32", (0x0001, 0x0000), 65536),
        ("int32", (0xFFFF, 0x8000), -32768),
        ("uint64", (0x0000, 0x0001, 0x0000, 0x0000), 2**32),
        ("int64", (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF), -1),
        ("float32", (0x3F80, 0x0000), 1.0),
        ("float32", (0xC2F6, 0xE979), -123.45600128173828),
        ("float64", (0x400C, 0x0000, 0x0000, 0x0000), 3.5),
    ],
)
def test_numbers_in_both_word_orders(kind: str, high_first: tuple[int, ...], number: float) -> None:
    assert words_to_raw(kind, high_first) == number
    assert words_to_raw(kind, high_first[::-1], "low_first") == number
    assert raw_to_words(kind, number, len(high_first)) == high_first
    assert raw_to_words(kind, number, len(high_first), "low_first") == high_first[::-1]


def test_texts_keep_their_order_and_end_at_a_zero() -> None:
    codec = Codec(_profile("low_first"))
    point = _point(type="string", words=4)
    assert codec.decode(point, (0x416C, 0x6665, 0x6E00, 0x5858)).value == "Alfen"
    assert codec.encode(point, "Alfen") == (0x416C, 0x6665, 0x6E00, 0)
    assert codec.decode(point, (0, 0, 0, 0)).quality is Quality.BAD


@pytest.mark.parametrize(("char", "word"), [("high", 0x4300), ("low", 0x0043)])
def test_single_characters_stand_in_either_byte(char: str, word: int) -> None:
    point = _point(type="char16", char=char, enum={"B": "B", "C": "C"})
    codec = Codec(_profile())
    assert codec.decode(point, (word,)).value == "C"
    assert codec.encode(point, "C") == (word,)


def test_scale_and_unit_give_base_units() -> None:
    codec = Codec(_profile())
    assert codec.decode(_point(scale=0.1, unit="V"), (2305,)).value == 230.5
    assert codec.decode(_point(type="float32", unit="kW"), (0x4036, 0x6666)).value == pytest.approx(2850, rel=1e-6)
    assert codec.decode(_point(unit="ms"), (15000,)).value == 15
    assert codec.encode(_point(unit="ms", access="RW"), 15) == (15000,)
    assert codec.encode(_point(scale=0.001, unit="A"), 6.5) == (6500,)


@given(exponent=st.integers(-4, 3), raw=st.integers(0, 0xFFFF))
def test_scale_factors_are_powers_of_ten(exponent: int, raw: int) -> None:
    codec, point = Codec(_profile()), _point(scale_role="1.A_SF")
    value = codec.decode(point, (raw,), exponent=exponent).value
    assert value == pytest.approx(raw * 10.0**exponent)
    assert value is not None
    assert codec.encode(point, value, exponent=exponent) == (raw,)


@given(st.data())
def test_what_is_encoded_is_decoded(data: st.DataObject) -> None:
    kind, (low, high) = data.draw(
        st.sampled_from(
            [("int16", (-(2**15), 2**15 - 1)), ("uint32", (0, 2**32 - 1)), ("int64", (-(2**63), 2**63 - 1))]
        )
    )
    codec = Codec(_profile(data.draw(st.sampled_from(["high_first", "low_first"]))))
    point = _point(type=kind)
    value = data.draw(st.integers(low, high))
    assert codec.decode(point, codec.encode(point, value)).value == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_pass_unchanged(value: float) -> None:
    codec, point = Codec(_profile("low_first")), _point(type="float32")
    assert codec.decode(point, codec.encode(point, value)).value == value


@pytest.mark.parametrize(
    ("facts", "words", "reason"),
    [
        ({"type": "float32"}, (0x7FC0, 0), "not a number"),
        ({"type": "float32"}, (0x7F80, 0), "not a number"),
        ({"bad_values": [0xFFFF]}, (0xFFFF,), "missing"),
        ({"type": "int16", "bad_values": [0x8000]}, (0x8000,), "missing"),
        ({"type": "uint32", "bad_values": [0xFFFFFFFF]}, (0xFFFF, 0xFFFF), "missing"),
        ({"enum": {1: "A", 2: "B"}}, (3,), "unknown code 3"),
        ({"min": 0, "max": 100}, (101,), "outside 0..100"),
        ({"type": "uint32"}, (1,), "1 registers instead of 2"),
        ({}, (), "0 registers instead of 1"),
    ],
)
def test_what_cannot_be_trusted_is_bad_and_says_why(
    facts: dict[str, object], words: tuple[int, ...], reason: str
) -> None:
    reading = Codec(_profile()).decode(_point(**facts), words, time=3.0)
    assert (reading.value, reading.quality, reading.time, reading.raw) == (None, Quality.BAD, 3.0, words)
    assert reason in reading.reason


def test_bad_values_are_recognised_in_either_word_order() -> None:
    point = _point(type="uint32", bad_values=[0x80000000])
    assert not Codec(_profile("low_first")).decode(point, (0, 0x8000)).good
    assert Codec(_profile("high_first")).decode(point, (0, 0x8000)).value == 0x8000


def test_fields_inside_a_register() -> None:
    point = _point(type="uint32", shift=8, mask=0x7F, enum={0: "A", 4: "C"})
    assert Codec(_profile()).decode(point, (0x1234, 0x8455)).value == "C"


def test_signed_roles_come_out_export_positive() -> None:
    power = _point(role="power_total", type="int16", unit="W")
    setpoint = _point(role="power_set", type="int16", unit="W", access="RW", min=-7400, max=3000)
    importer = Codec(_profile(power="import", setpoint="import"))
    assert importer.decode(power, (7000,)).value == -7000
    assert importer.encode(setpoint, -2500) == (2500,)
    assert Codec(_profile()).encode(setpoint, -2500) == (0x10000 - 2500,)
    # Limits are in the device's own sign: it discharges with 7400 W and charges with 3000 W.
    assert importer.encode(setpoint, 7400) == (0x10000 - 7400,)
    with pytest.raises(InputError, match=r"-7400\.\.3000 W"):
        importer.encode(setpoint, -7400)


@pytest.mark.parametrize("value", [0, 6, 16.5, 32])
def test_currents_that_chargers_take(value: float) -> None:
    profile = load_profile("keba_p30_p40")
    assert Codec(profile).encode(profile.point("current_limit_set"), value) == (round(value * 1000),)


@pytest.mark.parametrize("value", [0.1, 5.999, -1, 64, math.nan, math.inf, "much"])
def test_currents_that_no_charger_takes(value: float) -> None:
    profile = load_profile("keba_p30_p40")
    with pytest.raises(InputError, match="current_limit_set"):
        Codec(profile).encode(profile.point("current_limit_set"), value)


def test_labels_are_written_by_name() -> None:
    profile = load_profile("wallbox_quasar_1")
    codec = Codec(profile)
    assert codec.encode(profile.point("control_owner"), "remote") == (1,)
    with pytest.raises(InputError, match="user, remote"):
        codec.encode(profile.point("control_owner"), "nobody")


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="what fits uint16"):
        Codec(_profile()).encode(_point(access="RW"), 70000)
    with pytest.raises(OverflowError):
        raw_to_words("string", "too long", 2)


@given(st.binary(min_size=8, max_size=8))
def test_any_registers_decode_without_an_error(data: bytes) -> None:
    words = struct.unpack(">4H", data)
    codec = Codec(_profile())
    for kind in ("uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "char16"):
        point = _point(type=kind)
        reading = codec.decode(point, words[: point.count])
        assert reading.good == (reading.value is not None)
