"""The proof that a box is safe: bounds that hold for every combination of independent uses on the exact power flow.

1. *Enclosure.* Solve the power flow at the box's midpoint. If discs around its voltages are mapped into themselves by
   the power-flow equation for every use in the box (Brouwer), a solution lies inside them for every use.
2. *Interval Jacobian.* Over those discs the derivative of every voltage and current by every use stays within a bound
   of its midpoint value. Where that interval excludes zero the sign is proven, and the worst use of that customer is
   one known end.
3. *Refinement.* Where signs are left unproven and that matters, those that are proven are fixed at their end: the worst
   use is in that smaller box, whose tighter enclosure proves more of them. That is what tells the signs of customers
   who act on a row only through a common transformer.
4. *Corners.* Each row's proven worst corner is solved exactly. Customers whose sign is not proven add what they could
   at most change, so the bound stays sound inside the box too.

Rows that simple bounds keep away from the limits never get to step 2.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from feederloop.simulators.envelope.box import Box, Boxes, Limits
from feederloop.simulators.envelope.enclosure import Encloser
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.nodes import watched_nodes
from feederloop.simulators.envelope.proof import Extremes, Proof
from feederloop.simulators.envelope.rows import Conductors, Rows
from feederloop.simulators.envelope.volt_var import VoltVar
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlow, PowerFlowError

_LOOSE, _LOOSE_VOLT_VAR = 0.005, 0.1  # volt or ampere, from where on it is worth the time to tighten a bound
_VOLT_VAR_ROUNDS = 3
_CLOSING_ROUNDS = 40
_ANY_VOLTAGE = 1e4
_A = np.exp(2j * np.pi / 3)


@dataclass(frozen=True)
class Certificate:
    """What is proven of a box.

    Attributes:
        certified: Every use stays within every limit. Never true without proof.
        reason: Why not, where not.
        v_max_v: No use lifts any low-voltage bus above this; infinite where no bound could be proven.
        v_max_at: Bus and phase of that bound.
        v_min_v: No use lowers any low-voltage bus below this.
        v_min_at: Bus and phase.
        loading_max_percent: No use loads any branch more than this, relative to what is allowed for it.
        loading_max_at: The branch and its phase.
        vuf_max_percent: No use unbalances any bus more than this; not a number where it was not asked for.
        vuf_max_at: The bus.
        looseness_v: Where voltages come within 1 V of a limit, how far the proven bound is from the worst corner found.
        rows: Rows that needed the interval Jacobian.
        corners: Distinct corners solved.
        point_v: [points], twice: lowest and highest voltages proven, where inverters answer to them.
    """

    certified: bool
    reason: str
    v_max_v: float = np.inf
    v_max_at: tuple[int, str] = (-1, "")
    v_min_v: float = 0.0
    v_min_at: tuple[int, str] = (-1, "")
    loading_max_percent: float = np.inf
    loading_max_at: tuple[str, str] = ("", "")
    vuf_max_percent: float = np.nan
    vuf_max_at: int = -1
    looseness_v: float = np.inf
    rows: int = 0
    corners: int = 0
    point_v: tuple[Floats, Floats] | None = field(default=None, compare=False, repr=False)


class Certifier:
    """Proves boxes of one network safe against one set of limits.

    Args:
        power_flow: Exact power flow of the network.
        limits: What to stay within. Voltages are judged at low-voltage buses (below 1 kV) only.
        together: Boxes whose ends are within these shares of the widths, outward and inward, are proven together:
            bounds are a little looser, but the next box may be proven already.
    """

    def __init__(self, power_flow: PowerFlow, limits: Limits, together: tuple[float, float] = (0.0, 0.0)) -> None:
        self.power_flow, self.limits, self._together = power_flow, limits, together
        feeder, sections = power_flow.feeder, power_flow.sections
        self.layout = Layout.of(feeder, sections)
        self.encloser = Encloser(power_flow, self.layout)
        self.node_rows, self.spans_between = watched_nodes(feeder)
        bus_sections = np.repeat(sections.bus_section, 3)[self.node_rows]
        z, w = feeder.bus_z[self.node_rows], feeder.bus_w[self.node_rows]
        self.nodes = Rows.of(feeder, sections, z, w, bus_sections)
        one, other = self.spans_between.T
        across = np.maximum(bus_sections[one], bus_sections[other])
        self.spans = Rows.of(feeder, sections, z[one] - z[other], w[one] - w[other], across)
        branches = feeder.branches
        is_trafo = np.array([name.startswith("trafo") for name in branches.names], dtype=bool)
        percent = np.where(is_trafo, limits.transformer_loading_percent, limits.line_loading_percent)
        allowed_a = branches.rating_a * percent[branches.row_branch] / 100.0
        self.conductors = Conductors.of(branches.gain, branches.i0, allowed_a)
        self.currents = Rows.of(
            feeder, sections, branches.gain[self.conductors.rows], branches.i0[self.conductors.rows],
            sections.row_section[self.conductors.rows],
        )  # fmt: skip
        if limits.vuf_percent is not None:
            self._sequence_rows(z, w, bus_sections[::3])
        own = np.isin(feeder.injector_row, self.node_rows)
        self._own_rows = np.searchsorted(self.node_rows, feeder.injector_row[own])
        self._own_points = feeder.injector_point[own]
        self._known: Proof | None = None

    def _sequence_rows(self, z: Complex, w: Complex, section: Ints) -> None:
        """Positive- and negative-sequence voltages of the watched buses."""
        feeder, sections = self.power_flow.feeder, self.power_flow.sections
        by_phase = z.reshape(-1, 3, z.shape[1]), w.reshape(-1, 3)
        negative = np.array([1.0, _A**2, _A]) / 3
        self.positive, self.negative = (
            Rows.of(feeder, sections, np.einsum("p,bpj->bj", part, by_phase[0]), by_phase[1] @ part, section)
            for part in (negative.conj(), negative)
        )

    def certify(self, box: Box, volt_var: VoltVar | None = None) -> Certificate:
        """Bound voltages, currents and, if limited, unbalance over every use in the box.

        Args:
            box: The uses.
            volt_var: Inverters that supply reactive power by their own voltage; their reactors are in the feeder.
        """
        if volt_var is not None:
            return self._certify_with_volt_var(box, volt_var)
        return self._certify(box)[0]

    def forget(self) -> None:
        """Forget what earlier boxes have shown."""
        self._known = None

    def knows(self, box: Box) -> bool:
        """Whether what earlier boxes have shown holds for this one, so that only its corners are left to solve."""
        return self._known is not None and self._known.boxes.include(box)

    def _certify(self, box: Box, loose: float = _LOOSE) -> tuple[Certificate, Extremes | None]:
        """Return the certificate and, if any were found, the bounds behind it."""
        try:
            proof = self._proof(box, loose)
            if proof is None:
                return Certificate(False, "no bound of the power flow's solutions was found: the box is too wide"), None
            extremes = proof.extremes(box)
        except PowerFlowError as error:
            return Certificate(False, f"a corner of the box: {error}"), None
        return self._judged(extremes), extremes

    def _proof(self, box: Box, loose: float) -> Proof | None:
        """Return what proves this box and others like it: what is known already, or what is shown anew."""
        if not self.knows(box):
            self._known = Proof.of(self, Boxes.around(box, *self._together), loose)
            if self._known is None and any(self._together):
                self._known = Proof.of(self, Boxes.around(box, 0.0, 0.0), loose)
        return self._known

    def _of_points(self, extremes: Extremes) -> tuple[Floats, Floats]:
        """[points] Proven lowest and highest voltages."""
        count = len(self.power_flow.feeder.points)
        low, high = np.full(count, np.inf), np.zeros(count)
        np.minimum.at(low, self._own_points, extremes.low[self._own_rows])
        np.maximum.at(high, self._own_points, extremes.high[self._own_rows])
        missing = np.bincount(self._own_points, minlength=count) == 0
        return np.where(missing, 0.0, low), np.where(missing, np.inf, high)

    def _judged(self, extremes: Extremes) -> Certificate:
        limits, high, low, loading = self.limits, extremes.high, extremes.low, extremes.loading
        top, bottom, worst = int(high.argmax()), int(low.argmin()), int(loading.argmax())
        branches, row = self.power_flow.feeder.branches, self.conductors.rows[worst]
        at = (branches.names[branches.row_branch[row]], "abc"[branches.row_phase[row]])
        reasons = []
        if not high[top] <= limits.v_max_v:
            reasons.append(f"voltage up to {high[top]:.3f} V at {self._at(top)}")
        if not low[bottom] >= limits.v_min_v:
            reasons.append(f"voltage down to {low[bottom]:.3f} V at {self._at(bottom)}")
        if not loading[worst] <= 1.0:
            reasons.append(f"current up to {100 * loading[worst]:.1f} % of what is allowed in {at[0]} phase {at[1]}")
        vuf, vuf_at = np.nan, -1
        if limits.vuf_percent is not None:
            bus = int(extremes.vuf_percent.argmax())
            vuf, vuf_at = float(extremes.vuf_percent[bus]), self.node_name(3 * bus)[0]
            if not vuf <= limits.vuf_percent:
                reasons.append(f"unbalance up to {vuf:.2f} % at bus {vuf_at}")
        return Certificate(
            certified=not reasons,
            reason="; ".join(reasons),
            v_max_v=float(high[top]),
            v_max_at=self.node_name(top),
            v_min_v=float(low[bottom]),
            v_min_at=self.node_name(bottom),
            loading_max_percent=float(100 * loading[worst]),
            loading_max_at=at,
            vuf_max_percent=vuf,
            vuf_max_at=vuf_at,
            looseness_v=extremes.looseness_v,
            rows=extremes.rows,
            corners=extremes.corners,
        )

    def _certify_with_volt_var(self, box: Box, volt_var: VoltVar) -> Certificate:
        """Prove the box with what volt-var can supply at the voltages that are proven, closing in on them.

        The first range of voltages is one in which the enclosure closes: for voltages in its discs volt-var supplies
        only what the range allows, so that discs are mapped into themselves and hold a solution. Its proven voltages
        are the next, narrower range, which holds the same solution.
        """
        low, high = self._voltages_that_close(box, volt_var)
        for _ in range(_VOLT_VAR_ROUNDS):
            certificate, extremes = self._certify(box.with_volt_var(volt_var, low, high), _LOOSE_VOLT_VAR)
            if extremes is None:
                break
            low, high = self._of_points(extremes)
            certificate = replace(certificate, point_v=(low, high))
        return certificate

    def _voltages_that_close(self, box: Box, volt_var: VoltVar) -> tuple[Floats, Floats]:
        """[points] Least range of voltages whose volt-var keeps the discs within it; all voltages if none is found."""
        count, feeder = len(box.p_low_kw), self.power_flow.feeder
        point = feeder.injector_point[self.power_flow.sections.order]
        low, high = np.full(count, np.inf), np.zeros(count)
        volt = np.abs(feeder.w)[self.power_flow.sections.order]
        np.minimum.at(low, point, volt)
        np.maximum.at(high, point, volt)
        for _ in range(_CLOSING_ROUNDS):
            enclosure = self.encloser.enclose(box.with_volt_var(volt_var, low, high))
            if enclosure is None:
                break
            volt = np.abs(enclosure.v)
            lowest, highest = low.copy(), high.copy()
            np.minimum.at(lowest, point, volt - enclosure.radius)
            np.maximum.at(highest, point, volt + enclosure.radius)
            if (lowest == low).all() and (highest == high).all():
                return low, high
            low, high = lowest - 0.02, highest + 0.02
        return np.zeros(count), np.full(count, _ANY_VOLTAGE)

    def _at(self, row: int) -> str:
        bus, phase = self.node_name(row)
        return f"bus {bus} phase {phase}"

    def node_name(self, row: int) -> tuple[int, str]:
        """Bus and phase of a watched node."""
        node = self.node_rows[row]
        return int(self.power_flow.feeder.buses[node // 3]), "abc"[node % 3]
