"""The registers of a simulated device: which there are, what they hold, which of them can be written together.

Public: `RegisterImage(profile, *, base=None, scales={})`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from feederloop.hil.codec import Codec, raw_to_words
from feederloop.hil.profile import Point, Profile, Table
from feederloop.hil.reading import Value
from feederloop.hil.simulated.physics import Output
from feederloop.hil.sunspec import END_MODEL, MARKER, LayoutPoint, model_layout, nominal_places, resolve
from feederloop.simulators.errors import InputError

_SCALES = {
    "V": -1,
    "A": -2,
    "Hz": -2,
    "Tmp": -1,
    "PF": -2,
    "WMaxLimPct": -2,
    "Pct": -2,
    "InOutWRte": -2,
    "ChaState": -2,
}
"""Scale factors by the name of their register (before `_SF`); 0 for the others."""
_INTEGERS = {
    "uint16": (0, 0xFFFE),
    "int16": (-0x7FFF, 0x7FFF),
    "uint32": (0, 0xFFFFFFFE),
    "int32": (-0x7FFFFFFF, 0x7FFFFFFF),
    "uint64": (0, 0xFFFFFFFFFFFFFFFE),
    "int64": (-0x7FFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """Registers that belong together; `point` is None for what has no role (the rest of a SunSpec model)."""

    table: Table
    address: int
    count: int
    writable: bool
    point: Point | None


class RegisterImage:
    """What a device's registers hold, with a point's whole value as the smallest thing that can be written.

    Args:
        profile: The device; a SunSpec profile is laid out one model after the other.
        base: Address of a SunSpec device's marker; the profile's first without it.
        scales: Scale factor by the name of its register without `_SF`, where a usual one would not do.
    """

    def __init__(self, profile: Profile, *, base: int | None = None, scales: Mapping[str, int] | None = None) -> None:
        self._scales = {**_SCALES, **(scales or {})}
        self._words: dict[tuple[Table, int], int] = {}
        self.cells: dict[tuple[Table, int], Cell] = {}
        if profile.sunspec:
            profile = resolve(profile, nominal_places(profile, base))
            self.profile = profile
            self._lay_models(base)
        self.profile = profile
        self._codec = Codec(profile)
        self._points = {point.role: point for point in profile.points}
        for point in profile.points:
            self._add(Cell(point.table, point.address, point.count, point.writable, point))
        self.restore()

    def restore(self, *, keep: Iterable[str] = ()) -> None:
        """Put every point with a role to its value as delivered, except those to keep."""
        kept = set(keep)
        for point in self.profile.points:
            if point.role not in kept and not point.role.endswith("_SF"):
                self.put(point.role, _as_delivered(point))

    def spans(self, table: Table) -> list[tuple[int, int]]:
        """Return the (first, count) of each run of addresses that exist in a table."""
        runs: list[tuple[int, int]] = []
        for _, address in sorted(key for key in self._words if key[0] == table):
            if runs and runs[-1][0] + runs[-1][1] == address:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((address, 1))
        return runs

    def words(self, table: Table, address: int, count: int) -> tuple[int, ...] | None:
        """Return registers, or None where one of them does not exist."""
        found = [self._words.get((table, address + offset)) for offset in range(count)]
        return None if None in found else tuple(word for word in found if word is not None)

    def store(self, table: Table, address: int, words: Sequence[int]) -> None:
        """Put registers as they come."""
        for offset, word in enumerate(words):
            self._words[table, address + offset] = word

    def cells_of(self, table: Table, address: int, count: int) -> list[Cell] | None:
        """Return the cells that exactly fill a range, or None where it cuts one or spans a gap."""
        cells: list[Cell] = []
        position = address
        while position < address + count:
            cell = self.cells.get((table, position))
            if cell is None:
                return None
            cells.append(cell)
            position += cell.count
        return cells if position == address + count else None

    def value(self, role: str) -> Value | None:
        """Return what a role's registers mean, or None where they mean nothing."""
        point = self._points[role]
        words = self.words(point.table, point.address, point.count)
        return None if words is None else self._codec.decode(point, words, exponent=self._exponent(point)).value

    def put(self, role: str, value: Output) -> None:
        """Show a value in a role's registers as the device would: clipped to what they hold; None as "missing"."""
        point = self._points[role]
        self.store(point.table, point.address, self._encoded(point, value))

    def _encoded(self, point: Point, value: Output) -> tuple[int, ...]:
        order = self.profile.transport.word_order
        raw = self._raw(point, value)
        if raw is None:
            if point.type.startswith("float"):
                return raw_to_words(point.type, math.nan, point.count, order)
            unsigned = point.bad_values[0] if point.bad_values else 0
            high_first = tuple(unsigned >> 16 * place & 0xFFFF for place in reversed(range(point.count)))
            return high_first if order == "high_first" else high_first[::-1]
        if point.type == "char16":
            code = ord(str(raw)[:1] or "\0")
            return (code << 8 if point.char == "high" else code,)
        if point.type == "string":
            return raw_to_words("string", str(raw)[: 2 * point.count], point.count)
        if point.type in _INTEGERS and isinstance(raw, int | float):
            low, high = _INTEGERS[point.type]
            raw = min(max(round(raw), low), high) << point.shift
        return raw_to_words(point.type, raw, point.count, order)

    def _raw(self, point: Point, value: Output) -> int | float | str | bool | None:
        if point.enum:
            words = value if isinstance(value, tuple) else (value,)
            codes = [code for word in words for code, label in point.enum.items() if label == word]
            # A device that was never told anything holds 0, whatever its enum calls that.
            return codes[0] if codes else 0 if value == 0 else None
        if isinstance(value, tuple):
            value = next(
                (word for word in value if isinstance(word, int | float) or point.type in ("string", "char16")), 0
            )
        if value is None or isinstance(value, str) or point.type == "bool":
            return value
        amount = value * self.profile.direction(point.role)
        return amount / (point.factor * 10.0 ** self._exponent(point))

    def _exponent(self, point: Point) -> int:
        if point.scale_role is None:
            return 0
        return self._scales.get(point.scale_role.partition(".")[2].removesuffix("_SF"), 0)

    def _add(self, cell: Cell) -> None:
        overlaps = [(cell.table, cell.address + offset) for offset in range(cell.count)]
        if cell.point is None and any(key in self._words for key in overlaps):
            raise InputError("registers overlap", file=self.profile.name, key="address", value=cell.address)
        self.cells[cell.table, cell.address] = cell
        for key in overlaps:
            self._words.setdefault(key, 0)

    def _lay_models(self, base: int | None) -> None:
        places = nominal_places(self.profile, base)
        start = places[0].address - len(MARKER)
        self._add(Cell("holding", start, len(MARKER), False, None))
        self.store("holding", start, MARKER)
        for place in places:
            for item in model_layout(place.model_id).points:
                self._lay_point(item, place.address, {"ID": place.model_id, "L": place.length})
        end = places[-1].address + places[-1].length + 2
        self._add(Cell("holding", end, 2, False, None))
        self.store("holding", end, (END_MODEL, 0))

    def _lay_point(self, item: LayoutPoint, model_address: int, known: Mapping[str, int]) -> None:
        address = model_address + item.offset
        self._add(Cell("holding", address, item.words, item.writable, None))
        if item.name in known:
            unsigned = known[item.name]
        elif item.kind == "sunssf":
            unsigned = self._scales.get(item.name.removesuffix("_SF"), 0) & 0xFFFF
        elif item.kind == "pad":
            unsigned = 0x8000
        else:
            unsigned = item.missing or 0
        words = tuple(unsigned >> 16 * place & 0xFFFF for place in reversed(range(item.words)))
        self.store("holding", address, words)


def _as_delivered(point: Point) -> Output:
    if point.default is not None:
        return point.default
    if point.type in ("string", "char16"):
        return ""
    if point.enum and 0 not in point.enum:
        return list(point.enum.values())[-1]
    return max(point.min or 0.0, 0.0)
