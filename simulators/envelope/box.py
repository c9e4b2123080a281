"""What an envelope is about: the uses that connection points may make of the network in one interval."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from feederloop.simulators.envelope.volt_var import VoltVar
from feederloop.simulators.grid.feeder import Floats

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """What the network must stay within.

    Attributes:
        v_min_v: Lowest phase-to-neutral voltage of any low-voltage bus.
        v_max_v: Highest.
        line_loading_percent: Highest loading of any line phase conductor.
        transformer_loading_percent: Highest loading of any transformer winding, per phase.
        vuf_percent: Highest voltage unbalance factor |V2| / |V1| of any low-voltage bus; none leaves it unlimited.
    """

    v_min_v: float = 216.2
    v_max_v: float = 253.0
    line_loading_percent: float = 100.0
    transformer_loading_percent: float = 100.0
    vuf_percent: float | None = None


@dataclass(frozen=True)
class Interval:
    """What is known of the connection points for one interval; every array is [points], export positive.

    Attributes:
        p_kw: Forecast net power. A passive point stays there.
        q_low_kvar: Lowest reactive power to expect.
        q_high_kvar: Highest.
        active: Points that get an envelope; the others are passive.
        export_cap_kw: No export limit above this.
        import_cap_kw: No import limit above this.
        import_floor_kw: Demand that cannot be moved: import limits do not go below it while the network can bear it.
        uncertainty_kw: A passive point may be this far from its forecast.
        volt_var: Inverters that supply reactive power by their own voltage, if there are any.
        weight: A point's claim relative to others'; ones if not given.
    """

    p_kw: Floats
    q_low_kvar: Floats
    q_high_kvar: Floats
    active: Bools
    export_cap_kw: Floats
    import_cap_kw: Floats
    import_floor_kw: Floats
    uncertainty_kw: Floats
    volt_var: VoltVar | None = None
    weight: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if len(self.weight) == 0:
            object.__setattr__(self, "weight", np.ones(len(self.p_kw)))

    def with_volt_var(self, v_low_v: float | Floats, v_high_v: float | Floats) -> "Interval":
        """Return the interval with the reactive power that inverters may supply while voltages stay in this range."""
        if self.volt_var is None:
            return self
        q_low, q_high = self.volt_var.band(v_low_v, v_high_v)
        return replace(self, q_low_kvar=self.q_low_kvar + q_low, q_high_kvar=self.q_high_kvar + q_high)

    def with_offline(self, offline: Bools, low_kw: Floats, high_kw: Floats) -> "Interval":
        """Return the interval with customers out of reach, who may be anywhere in their range.

        Args:
            offline: [points] Whom no new envelope reaches.
            low_kw: [points] Lowest power of an offline customer: of its last valid and its default envelope the wider.
            high_kw: [points] Highest power.
        """
        return replace(
            self,
            active=self.active & ~offline,
            p_kw=np.where(offline, (low_kw + high_kw) / 2, self.p_kw),
            uncertainty_kw=np.where(offline, (high_kw - low_kw) / 2, self.uncertainty_kw),
        )


@dataclass(frozen=True)
class Box:
    """Independent ranges of active and reactive power, each array [points]: every combination is a possible use."""

    p_low_kw: Floats
    p_high_kw: Floats
    q_low_kvar: Floats
    q_high_kvar: Floats

    @classmethod
    def of(cls, interval: Interval, export_limit_kw: Floats, import_limit_kw: Floats) -> "Box":
        """Return the box in which active points use their limits and passive ones stay at their forecast."""
        low = np.where(interval.active, -import_limit_kw, interval.p_kw - interval.uncertainty_kw)
        high = np.where(interval.active, export_limit_kw, interval.p_kw + interval.uncertainty_kw)
        return cls(low, high, interval.q_low_kvar, interval.q_high_kvar)

    def with_volt_var(self, volt_var: VoltVar, v_low_v: float | Floats, v_high_v: float | Floats) -> "Box":
        """Return the box with the reactive power that inverters may supply while voltages stay in this range.

        What an inverter supplies follows from its voltage; the box allows every value of the range at every voltage.
        """
        q_low, q_high = volt_var.band(v_low_v, v_high_v)
        return replace(self, q_low_kvar=self.q_low_kvar + q_low, q_high_kvar=self.q_high_kvar + q_high)

    @property
    def centre(self) -> tuple[Floats, Floats]:
        """Midpoint in kW and kvar."""
        return (self.p_low_kw + self.p_high_kw) / 2, (self.q_low_kvar + self.q_high_kvar) / 2

    @property
    def half_width(self) -> tuple[Floats, Floats]:
        """Half the width in kW and kvar."""
        return (self.p_high_kw - self.p_low_kw) / 2, (self.q_high_kvar - self.q_low_kvar) / 2

    def holds(self, other: "Box") -> bool:
        """Whether every use of another box is a use of this one."""
        lower, upper = other.p_low_kw >= self.p_low_kw, other.p_high_kw <= self.p_high_kw
        lower_q, upper_q = other.q_low_kvar >= self.q_low_kvar, other.q_high_kvar <= self.q_high_kvar
        return bool((lower & upper & lower_q & upper_q).all())

    def moved(self, share: float) -> "Box":
        """Return the box with its ends moved outward by a share of the widths."""
        (half_p, half_q), out = self.half_width, 2 * share
        return Box(
            self.p_low_kw - out * half_p,
            self.p_high_kw + out * half_p,
            self.q_low_kvar - out * half_q,
            self.q_high_kvar + out * half_q,
        )


@dataclass(frozen=True)
class Boxes:
    """All boxes that lie between an inner and an outer one: what is proven of them all serves many intervals.

    Attributes:
        inner: Every box holds this one.
        outer: Every box is in this one.
    """

    inner: Box
    outer: Box

    @classmethod
    def around(cls, box: Box, outward: float, inward: float) -> "Boxes":
        """Return the boxes whose ends are within shares of the widths outside and inside this one's."""
        return cls(box.moved(-inward), box.moved(outward))

    def include(self, box: Box) -> bool:
        """Whether a box is one of these."""
        return self.outer.holds(box) and box.holds(self.inner)

    def faces(self, end_p: Floats, end_q: Floats) -> Box:
        """Return what holds these boxes' uses at upper ends where marked 1, at lower ends where -1, any where 0."""
        inner, outer = self.inner, self.outer
        return Box(
            np.where(end_p > 0, inner.p_high_kw, outer.p_low_kw),
            np.where(end_p < 0, inner.p_low_kw, outer.p_high_kw),
            np.where(end_q > 0, inner.q_high_kvar, outer.q_low_kvar),
            np.where(end_q < 0, inner.q_low_kvar, outer.q_high_kvar),
        )
