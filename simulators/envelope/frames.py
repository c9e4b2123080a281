"""What the discs of an enclosure look like to somebody who turns with the voltages, and what that bounds."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.enclosure import Enclosure
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.grid.columns import SectionMatrices, parts_of
from feederloop.simulators.grid.feeder import Complex, Floats
from feederloop.simulators.grid.sections import absolute

_ANY_ANGLE = 1e6  # where it is not known


@dataclass(frozen=True)
class Frame:
    """What depends on how far voltages can be from the midpoint's, as seen from somewhere.

    If all voltages turn alike, all currents do and no length changes; so derivatives of lengths may be bounded by
    whoever turns with the voltages.

    Attributes:
        b: [injectors] Bound of the change of 1/V, times the unit of power.
        change: [injectors] Bound of the change of mu.
        by_power: [injectors] Bound of its change by power alone, at the midpoint's voltage.
        by_voltage: [injectors] Bound of its further change, by voltage.
        most: [injectors] Greatest |mu|.
        reach: [injectors] Greatest 1/|V|, times the unit of power.
        angle: [injectors] How far a voltage may turn.
        shrink: [injectors] By which share 1/|V| may change.
    """

    b: Floats
    change: Floats
    by_power: Floats
    by_voltage: Floats
    most: Floats
    reach: Floats
    angle: Floats
    shrink: Floats

    @classmethod
    def of(cls, layout: Layout, enclosure: Enclosure, radius: Floats, angle: Floats | None = None) -> "Frame":
        """Derive the bounds from [injectors] radii of the discs and angles, as seen from there."""
        volt, power = absolute(enclosure.v), absolute(enclosure.s)
        radius = np.minimum(radius, 0.9 * volt + enclosure.radius)
        room = volt - enclosure.radius  # a voltage's length is the same from everywhere
        of_square = (2 * volt * radius + radius**2) / (volt * room) ** 2
        return cls(
            b=layout.unit * radius / (volt * room),
            change=enclosure.width / room**2 + power * of_square,
            by_power=enclosure.width / volt**2,
            by_voltage=(power + enclosure.width) * of_square,
            most=(power + enclosure.width) / room**2,
            reach=layout.unit / room,
            angle=np.full(len(volt), _ANY_ANGLE) if angle is None else angle,
            shrink=np.minimum(radius, enclosure.radius) / room,
        )


@dataclass(frozen=True)
class Busbar:
    """The busbar's voltages, against which what is behind it is seen to turn less.

    Attributes:
        v: [3] At the midpoint.
        least: [3] Least lengths.
        swing: [3] How far their lengths may change.
        right: [3, injectors] Volt per ampere injected.
        spread: [injectors] How far currents may change.
        half: [injectors] Half-widths of active and of reactive power, kW and kvar.
        unit: [injectors] Ampere by kW at the midpoint.
    """

    v: Complex
    least: Floats
    swing: Floats
    right: Complex
    spread: Floats
    half: tuple[Floats, Floats]
    unit: Complex

    @classmethod
    def of(
        cls, matrices: SectionMatrices, enclosure: Enclosure, half: tuple[Floats, Floats], unit: Complex, w: Complex
    ) -> "Busbar":
        """Return a box's busbar: [injectors] half-widths of power, and [3] voltages without injection."""
        right = matrices.busbar
        v = w + right @ enclosure.current
        length, size = absolute(v), absolute(right)
        volt, radius = absolute(enclosure.v), enclosure.radius
        rest = (enclosure.width + absolute(enclosure.s)) * radius / (volt * (volt - radius))
        by = (v / length).conj()[:, None] * right * unit
        reach = size @ enclosure.spread
        swing = np.abs(by.real) @ half[0] + np.abs(by.imag) @ half[1] + size @ rest
        swing = np.minimum(swing + reach**2 / (2 * np.maximum(length - reach, 1.0)), reach)
        return cls(v, length - reach, swing, right, enclosure.spread, half, unit)

    def turn(self, rows: SectionRows, part: slice, value: Complex, phase: int) -> Floats:
        """[rows] How far values may turn against a phase of the busbar, as a chord."""
        size = absolute(value) / abs(self.v[phase])
        return chord(self._beside(rows, part, value, phase), size * self.least[phase])

    def seen(self, rows: SectionRows, part: slice, enclosure: Enclosure, phase: int) -> tuple[Floats, Floats]:
        """[rows] How far a section's voltages may be from the midpoint's, and turn, seen from a phase of the busbar."""
        value, volt = enclosure.v[part], absolute(enclosure.v[part])
        ratio = value / self.v[phase]
        beside = self._beside(rows, part, value, phase)
        radius = np.minimum(absolute(ratio) * self.swing[phase] + beside, 0.9 * volt)
        power, room = enclosure.width[part] + absolute(enclosure.s[part]), volt - enclosure.radius[part]
        # Along the circle: the currents' first-order part has a known direction.
        across = -1j * value.conj() / volt
        right = parts_of(np.ascontiguousarray(self.right[phase : phase + 1, part]))[:, 0]
        across_reach = _reach_across(
            rows.own_parts, right, parts_of(ratio), parts_of(across), parts_of(self.unit[part]),
            self.half[0][part], self.half[1][part], power * radius / (volt * room),
        )  # fmt: skip
        # Turning with the busbar, what flows anyway is seen to turn back; other sections are seen as they are.
        current = enclosure.current[part]
        idle = absolute(rows.own @ current - ratio * (self.right[phase, part] @ current))
        turning = (absolute(self.v)[phase] - self.least[phase]) / self.least[phase]
        across_reach += self._from_others(rows, part, ratio, phase) + idle * min(turning * np.pi / 2, 2.0)
        length = absolute(ratio) * self.least[phase] - beside
        return radius, np.where(
            length > 0, np.minimum(across_reach / np.maximum(length, 1e-300), _ANY_ANGLE), _ANY_ANGLE
        )

    def _beside(self, rows: SectionRows, part: slice, value: Complex, phase: int) -> Floats:
        """[rows] How far a value can be from its midpoint's multiple of the busbar's voltage."""
        ratio = value / self.v[phase]
        right = parts_of(np.ascontiguousarray(self.right[:, part]))
        within = _relative_reach(rows.own_parts, right[:, phase], parts_of(ratio), self.spread[part])
        result: Floats = within + self._from_others(rows, part, ratio, phase)
        return result

    def _from_others(self, rows: SectionRows, part: slice, ratio: Complex, phase: int) -> Floats:
        """[rows] The same by what other sections do."""
        left = rows.left.copy()
        left[:, phase] -= ratio
        size = absolute(self.right)
        others = size @ self.spread - size[:, part] @ self.spread[part]
        result: Floats = absolute(left) @ np.maximum(others, 0.0)
        return result


def chord(reach: Floats, size: Floats) -> Floats:
    """[rows] How far, as a chord, the direction of a value may turn that can move by `reach`."""
    turn: Floats = 2 * np.sin(np.arcsin(np.minimum(reach / np.maximum(size, 1e-300), 1.0)) / 2)
    return np.where(reach < size, turn, 2.0)


@compiled
def _relative_reach(own, right, ratio, spread):  # type: ignore[no-untyped-def]
    """[rows] Sum over own injectors of |own - ratio right| spread."""
    result = np.zeros(own.shape[1])
    right_re, right_im = right[0], right[1]
    for r in range(own.shape[1]):
        own_re, own_im = own[0, r], own[1, r]
        re, im = ratio[0, r], ratio[1, r]
        total = 0.0
        for j in range(own.shape[2]):
            a = own_re[j] - (re * right_re[j] - im * right_im[j])
            b = own_im[j] - (re * right_im[j] + im * right_re[j])
            total += np.sqrt(a * a + b * b) * spread[j]
        result[r] = total
    return result


@compiled
def _reach_across(own, right, ratio, across, unit, half_p, half_q, rest):  # type: ignore[no-untyped-def]
    """[rows] How far own - ratio right can move a value along `across`: to first order, and by the rest."""
    result = np.zeros(own.shape[1])
    for r in range(own.shape[1]):
        total = 0.0
        for j in range(own.shape[2]):
            re = own[0, r, j] - (ratio[0, r] * right[0, j] - ratio[1, r] * right[1, j])
            im = own[1, r, j] - (ratio[0, r] * right[1, j] + ratio[1, r] * right[0, j])
            a, b = re * across[0, r] - im * across[1, r], re * across[1, r] + im * across[0, r]
            by_p, by_q = a * unit[0, j] - b * unit[1, j], a * unit[1, j] + b * unit[0, j]
            total += abs(by_p) * half_p[j] + abs(by_q) * half_q[j] + np.sqrt(re * re + im * im) * rest[j]
        result[r] = total
    return result
