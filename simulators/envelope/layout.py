"""Where connection points and injectors stand, section by section."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.grid.feeder import Feeder, Floats, Ints
from feederloop.simulators.grid.sections import Sections


@dataclass(frozen=True)
class Layout:
    """Where everything stands, in the order of the sections.

    Attributes:
        start: [sections + 1] Injectors of each section.
        points: [points] Connection points, section by section.
        first: [points + 1] Where each of these points' injectors begin.
        point_start: [sections + 1] Where each section's points begin.
        unit: [injectors] Watt per kW of the point's power.
        phase: [injectors] Phase of the busbar that an injector follows most.
    """

    start: Ints
    points: Ints
    first: Ints
    point_start: Ints
    unit: Floats
    phase: Ints

    @classmethod
    def of(cls, feeder: Feeder, sections: Sections) -> "Layout":
        """Arrange a network's points and injectors."""
        point = feeder.injector_point[sections.order]
        first = np.flatnonzero(np.diff(point, prepend=-1))
        return cls(
            start=sections.start,
            points=point[first],
            first=np.append(first, len(point)).astype(np.int64),
            point_start=np.searchsorted(first, sections.start).astype(np.int64),
            unit=1e3 * feeder.injector_share[sections.order],
            phase=np.abs(sections.left[sections.order]).argmax(axis=1).astype(np.int64),
        )

    def injectors_of(self, section: int) -> slice:
        """Where a section's injectors are; nowhere for the section after the last."""
        if section == len(self.start) - 1:
            return slice(0, 0)
        return slice(int(self.start[section]), int(self.start[section + 1]))

    def points_of(self, section: int) -> slice:
        """Where a section's points are; nowhere for the section after the last."""
        if section == len(self.start) - 1:
            return slice(0, 0)
        return slice(int(self.point_start[section]), int(self.point_start[section + 1]))
