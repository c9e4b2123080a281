"""What is proven of all boxes of a family, so that of any one of them only a few corners are left to be solved."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from feederloop.simulators.envelope.box import Box, Boxes
from feederloop.simulators.envelope.corners import CornerValues
from feederloop.simulators.envelope.lengths import Lengths, Voltages
from feederloop.simulators.envelope.region import Region
from feederloop.simulators.envelope.unbalance import Unbalance
from feederloop.simulators.grid.feeder import Floats
from feederloop.simulators.grid.sections import absolute

if TYPE_CHECKING:
    from feederloop.simulators.envelope.certificate import Certifier


@dataclass(frozen=True)
class Extremes:
    """The bounds of one box.

    Attributes:
        high: [nodes] Proven highest voltages.
        low: [nodes] Proven lowest voltages.
        loading: [conductors] Proven current relative to what is allowed.
        vuf_percent: [buses] Proven highest unbalance; empty where it is not limited.
        looseness_v: Where voltages come within 1 V of a limit, how far the proven bound is from the worst corner found.
        rows: Rows whose corner was solved.
        corners: Distinct corners solved.
    """

    high: Floats
    low: Floats
    loading: Floats
    vuf_percent: Floats
    looseness_v: float
    rows: int
    corners: int


class Proof:
    """What holds for every box of a family.

    Args:
        certifier: The network and its limits.
        boxes: The family.
        region: What is known of all their uses.

    Raises:
        PowerFlowError: A corner of the outer box has no solution.
    """

    def __init__(self, certifier: "Certifier", boxes: Boxes, region: Region) -> None:
        self._of, self.boxes, self._region = certifier, boxes, region
        limits, conductors, enclosure = certifier.limits, certifier.conductors, region.enclosure
        high, low = self._simple_voltages()
        self._tops = Voltages(region, certifier.nodes, high, 1.0, limits.v_max_v)
        self._bottoms = Voltages(region, certifier.nodes, low, -1.0, limits.v_min_v)
        self._span_length = self._longest_spans()
        injected = float((absolute(enclosure.current) + enclosure.spread).sum())
        self._slack = conductors.slack * injected + conductors.slack_a
        self._currents = Lengths(region, certifier.currents, conductors.allowed_a - self._slack)
        self._kinds: list[Voltages | Lengths | Unbalance] = [self._tops, self._bottoms, self._currents]
        if limits.vuf_percent is not None:
            share = limits.vuf_percent / 100.0
            self._unbalance = Unbalance(region, certifier.negative, certifier.positive, share)
            self._kinds.append(self._unbalance)
        corners = [part for kind in self._kinds for part in kind.corners]
        self._rows = sum(len(part.rows.offset) for part in corners)
        self._values = CornerValues(certifier.power_flow, certifier.layout, corners, enclosure.v)

    @classmethod
    def of(cls, certifier: "Certifier", boxes: Boxes, loose: float) -> "Proof | None":
        """Return the proof, whose bounds are tight or looser by so much, or none where none was found."""
        region = Region.of(certifier, boxes, loose)
        return None if region is None else cls(certifier, boxes, region)

    def extremes(self, box: Box) -> Extremes:
        """Return the bounds of one of the boxes.

        Raises:
            PowerFlowError: A corner of the box has no solution.
        """
        solved = self._values.bounds(box)
        ends = np.cumsum([0, *(len(kind.corners) for kind in self._kinds)])
        tops, bottoms, currents, *unbalance = [solved[one:end] for one, end in pairwise(ends)]
        return Extremes(
            high=self._tops.proven(tops),
            low=self._sagged(self._bottoms.proven(bottoms)),
            loading=(self._currents.proven(currents) + self._slack) / self._of.conductors.allowed_a,
            vuf_percent=self._unbalance.proven_percent(unbalance[0]) if unbalance else np.empty(0),
            looseness_v=max(self._tops.looseness_v(tops), self._bottoms.looseness_v(bottoms)),
            rows=self._rows,
            corners=len(self._values),
        )

    def _simple_voltages(self) -> tuple[Floats, Floats]:
        """[nodes] Simple bounds of the highest and the lowest voltages."""
        nodes, region = self._of.nodes, self._region
        high, low = np.empty(nodes.count), np.empty(nodes.count)
        for section, rows in enumerate(nodes.sections):
            if not len(rows.offset):
                continue
            value = region.centre(rows, section)
            size = absolute(value)
            reach, along = region.reach(rows, section, (value / size)[:, None])
            swing = along[:, 0]
            # The part across the direction lengthens a voltage by less than its square over twice its length.
            high[rows.place] = size + swing + reach**2 / (2 * np.maximum(size - swing, 1.0))
            low[rows.place] = size - swing
        return high, low

    def _longest_spans(self) -> Floats:
        """[spans] Greatest length of the difference between two watched nodes."""
        spans, region = self._of.spans, self._region
        length = np.empty(spans.count)
        for section, rows in enumerate(spans.sections):
            if len(rows.offset):
                length[rows.place] = absolute(region.centre(rows, section)) + region.reach(rows, section)[0]
        return length

    def _sagged(self, low: Floats) -> Floats:
        """[nodes] Lowest voltages with what a straight span between two watched nodes may lie below both of them."""
        one, other = self._of.spans_between.T
        lowest = np.minimum(low[one], low[other])
        middle = np.sqrt(np.maximum(lowest**2 - self._span_length**2 / 4, 0.0))
        result = low.copy()
        np.minimum.at(result, one, middle)
        return result
