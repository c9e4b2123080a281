"""What is watched, arranged by sections: each row sees its own section in detail, the others through the busbar."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from feederloop.simulators.grid.columns import parts_of
from feederloop.simulators.grid.feeder import Complex, Feeder, Floats, Ints
from feederloop.simulators.grid.sections import Sections, absolute, following

_SMALL_A = 100.0  # idle currents much below this need no groups of their own


@dataclass(frozen=True)
class SectionRows:
    """Rows of one section: `offset + own I_own + left (B - B_own)`, `B` the busbar's voltage by injected currents.

    Attributes:
        place: [rows] Their numbers among all rows of their kind.
        offset: [rows] Value without injection.
        own: [rows, own injectors] Volt or ampere per ampere injected in the section.
        left: [rows, 3] The same per volt at the busbar; empty where nothing is coupled.
    """

    place: Ints
    offset: Complex
    own: Complex
    left: Complex

    @cached_property
    def own_parts(self) -> Floats:
        """[2, rows, own injectors]."""
        return parts_of(self.own)

    @cached_property
    def own_size(self) -> Floats:
        """[rows, own injectors]."""
        return absolute(self.own)

    @cached_property
    def left_size(self) -> Floats:
        """[rows, 3]."""
        return absolute(self.left)

    def subset(self, rows: Ints) -> "SectionRows":
        """Return some of the rows."""
        return SectionRows(self.place[rows], self.offset[rows], self.own[rows], self.left[rows])


@dataclass(frozen=True)
class Rows:
    """All rows of a kind, by section; rows of none come last, with no injectors of their own."""

    count: int
    sections: tuple[SectionRows, ...]

    @classmethod
    def of(cls, feeder: Feeder, sections: Sections, gain: Complex, offset: Complex, section: Ints) -> "Rows":
        """Arrange rows.

        Args:
            feeder: The network.
            sections: Its sections.
            gain: [rows, injectors] Volt or ampere per ampere injected.
            offset: [rows] Value without injection.
            section: [rows] Which section each row is in, -1 for none.
        """
        parts = np.split(sections.order, sections.start[1:-1])
        coupled = len(sections) > 1
        own = sections.bus_section[feeder.injector_row // 3]
        left = following(gain, sections.right, section, own) if coupled else None
        found = []
        for number, members in enumerate([*parts, sections.order[:0]]):
            place = np.flatnonzero(section == (number if number < len(parts) else -1))
            coupling = left[place] if left is not None else np.zeros((len(place), 0), dtype=complex)
            seen = np.ascontiguousarray(gain[np.ix_(place, members)])
            found.append(SectionRows(place, offset[place], seen, coupling))
        return cls(len(offset), tuple(found))


@dataclass(frozen=True)
class Conductors:
    """Phase conductors that stand for all: for those in series, which carry nearly the same current.

    Attributes:
        rows: [groups] The conductor of each group that may carry least, as a row of `Branches`.
        allowed_a: [groups] What it may carry.
        slack: [groups] Greatest difference of gains within a group.
        slack_a: [groups] Greatest difference without injection, ampere.
    """

    rows: Ints
    allowed_a: Floats
    slack: Floats
    slack_a: Floats

    @classmethod
    def of(cls, gain: Complex, i0: Complex, allowed_a: Floats) -> "Conductors":
        """Group [rows] conductors whose gains agree to six digits of the greatest, and idle currents to four."""
        scale, idle_scale = np.abs(gain).max(initial=1e-300), np.abs(i0).max(initial=1e-300)
        idle = np.round(np.stack([i0.real, i0.imag], axis=1) / max(idle_scale, _SMALL_A), 4)
        rounded = np.round(np.concatenate([gain.real, gain.imag], axis=1) / scale, 6)
        rounded = np.concatenate([rounded, idle], axis=1) + 0.0
        _, group = np.unique(rounded.view(f"V{rounded.shape[1] * 8}").reshape(-1), return_inverse=True)
        group = group.reshape(-1)
        order = np.lexsort((np.arange(len(group)), allowed_a, group))
        first = np.flatnonzero(np.diff(group[order], prepend=-1))
        rows = order[first]
        slack, slack_a = np.zeros(len(rows)), np.zeros(len(rows))
        np.maximum.at(slack, group, np.abs(gain - gain[rows[group]]).max(axis=1, initial=0.0))
        np.maximum.at(slack_a, group, np.abs(i0 - i0[rows[group]]))
        return cls(rows, allowed_a[rows], slack, slack_a)
