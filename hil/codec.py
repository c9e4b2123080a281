"""Registers to values and back.

Public: `Codec(profile)` with `decode(point, words, *, exponent=0, time=0.0) -> Reading` and
`encode(point, value, *, exponent=0) -> tuple[int, ...]`; `words_to_raw`, `raw_to_words` for the bare numbers.

Values are in base units with feederloop's sign (see `feederloop.hil.profile`). What a device marks as missing, what is
no number, what its enum does not know and what lies outside a point's limits comes back as None with quality bad.
"""

import math
import struct
from collections.abc import Sequence
from typing import Literal

from feederloop.hil.profile import Point, Profile
from feederloop.hil.reading import Quality, Reading, Value
from feederloop.simulators.errors import InputError

WordOrder = Literal["high_first", "low_first"]
_FORMATS = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "uint64": ">Q",
    "int64": ">q",
    "float32": ">f",
    "float64": ">d",
}


def words_to_raw(kind: str, words: Sequence[int], order: WordOrder = "high_first") -> int | float | str | bool:
    """Return the bare number, text or bit that registers hold; bytes within a register are always high first.

    Args:
        kind: A `Point.type`.
        words: Registers, 0..65535 each (for bool: one 0 or 1).
        order: Which register of a number comes first; texts are never reordered.
    """
    if kind == "bool":
        return bool(words[0])
    if kind in ("string", "char16"):
        data = struct.pack(f">{len(words)}H", *words)
        return data.split(b"\0", 1)[0].decode("latin-1").strip()
    ordered = words if order == "high_first" else words[::-1]
    data = struct.pack(f">{len(words)}H", *ordered)
    number: int | float = struct.unpack(_FORMATS[kind], data)[0]
    return number


def raw_to_words(
    kind: str, raw: int | float | str | bool, count: int, order: WordOrder = "high_first"
) -> tuple[int, ...]:
    """Return the registers that hold a bare number, text or bit; the inverse of `words_to_raw`.

    Raises:
        OverflowError: The number does not fit the type, or the text the registers.
    """
    if kind == "bool":
        return (int(bool(raw)),)
    if kind in ("string", "char16"):
        data = str(raw).encode("latin-1")
        if len(data) > 2 * count:
            raise OverflowError(f"{raw!r} does not fit {count} registers")
        return struct.unpack(f">{count}H", data.ljust(2 * count, b"\0"))
    try:
        data = struct.pack(_FORMATS[kind], raw)
    except struct.error as error:
        raise OverflowError(f"{raw!r} does not fit {kind}") from error
    words: tuple[int, ...] = struct.unpack(f">{len(data) // 2}H", data)
    return words if order == "high_first" else words[::-1]


class Codec:
    """Decodes and encodes the points of one profile.

    Args:
        profile: Whose word order and signs apply.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._order: WordOrder = profile.transport.word_order

    def decode(self, point: Point, words: Sequence[int], *, exponent: int = 0, time: float = 0.0) -> Reading:
        """Return what registers say about a point.

        Args:
            point: The point that was read.
            words: Its registers, `point.count` of them (a coil: one 0 or 1).
            exponent: Power of ten from its scale factor point, where it has one.
            time: Monotonic time of the answer, seconds.
        """
        raw = tuple(words)
        if len(raw) != point.count:
            return Reading(None, Quality.BAD, f"{len(raw)} registers instead of {point.count}", raw, time)
        value, reason = self._value(point, raw, exponent)
        return Reading(value, Quality.BAD if value is None else Quality.GOOD, reason, raw, time)

    def encode(self, point: Point, value: Value, *, exponent: int = 0) -> tuple[int, ...]:
        """Return the registers to be written for a value in base units and feederloop's sign.

        Raises:
            InputError: The value has no place in this point: unknown label, outside the limits, too large for the type,
                or between 0 and the least charging current.
        """
        raw: int | float | str | bool
        if point.enum:
            raw = self._code(point, value)
        elif point.type in ("string", "char16"):
            raw = str(value)
        elif point.type == "bool":
            raw = bool(value)
        else:
            raw = self._number(point, value, exponent)
        if point.type in ("char16", "string"):
            return self._text_words(point, str(raw))
        if point.shift and isinstance(raw, int):
            raw <<= point.shift
        try:
            return raw_to_words(point.type, raw, point.count, self._order)
        except OverflowError as error:
            raise self._refusal(point, value, f"what fits {point.type}") from error

    def _value(self, point: Point, raw: tuple[int, ...], exponent: int) -> tuple[Value | None, str]:
        unsigned = 0
        for word in raw if self._order == "high_first" else raw[::-1]:
            unsigned = unsigned << 16 | word
        if unsigned in point.bad_values:
            return None, "the device marks it as missing"
        number = words_to_raw(point.type, raw, self._order)
        if isinstance(number, float) and not math.isfinite(number):
            return None, "not a number"
        if point.type == "char16":
            number = chr(raw[0] >> 8 & 0xFF if point.char == "high" else raw[0] & 0xFF).strip("\0 ")
        if point.mask is not None and isinstance(number, int):
            number = number >> point.shift & point.mask
        if point.enum:
            label = None if isinstance(number, float) else point.enum.get(number)
            return (None, f"unknown code {number!r}") if label is None else (label, "")
        if isinstance(number, str):
            return (number, "") if number else (None, "empty")
        if isinstance(number, bool) or (point.factor == 1.0 and point.scale_role is None):
            return self._within(point, number)
        scaled = number * point.factor * 10.0**exponent
        # Nine places: a register of 2305 tenths is 230.5 V, not 230.50000000000003 V.
        return self._within(point, round(scaled, 9) if isinstance(number, int) else scaled)

    def _within(self, point: Point, value: int | float | bool) -> tuple[Value | None, str]:
        low, high = point.min, point.max
        if (low is not None and value < low) or (high is not None and value > high):
            return None, f"{value} is outside {_range(low, high)}"
        direction = self._profile.direction(point.role)
        return (value if direction > 0 else -value), ""

    def _code(self, point: Point, value: Value) -> int | str:
        for code, label in point.enum.items():
            if label == value:
                return code
        labels = ", ".join(dict.fromkeys(str(label) for label in point.enum.values()))
        raise self._refusal(point, value, labels)

    def _number(self, point: Point, value: Value, exponent: int) -> int | float:
        if isinstance(value, str) or not math.isfinite(value):
            raise self._refusal(point, value, "a finite number")
        amount = value * self._profile.direction(point.role)
        low, high = point.min, point.max
        if (low is not None and amount < low) or (high is not None and amount > high):
            raise self._refusal(point, value, f"{_range(low, high)} {point.base_unit or ''}".strip())
        if point.charge_min is not None and not (amount == 0 or amount >= point.charge_min):
            raise self._refusal(point, value, f"0 or at least {point.charge_min:g} {point.base_unit or ''}".strip())
        divisor = point.factor * 10.0**exponent
        # Large counters are whole numbers that no division by 1.0 should round.
        raw = amount if divisor == 1.0 else amount / divisor
        return raw if point.type.startswith("float") else round(raw)

    def _text_words(self, point: Point, text: str) -> tuple[int, ...]:
        if point.type == "char16":
            if len(text) != 1 or ord(text) > 0xFF:
                raise self._refusal(point, text, "one character")
            return (ord(text) << 8 if point.char == "high" else ord(text),)
        try:
            return raw_to_words("string", text, point.count)
        except (OverflowError, UnicodeEncodeError) as error:
            raise self._refusal(point, text, f"at most {2 * point.count} Latin-1 characters") from error

    def _refusal(self, point: Point, value: Value, allowed: str) -> InputError:
        return InputError(
            "not a value for this point", file=self._profile.name, key=point.role, value=value, allowed=allowed
        )


def _range(low: float | None, high: float | None) -> str:
    return f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
