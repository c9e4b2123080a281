"""Where the solutions of all uses in a box can be."""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.envelope.impedance import AbsoluteImpedance
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.moved import Moved
from feederloop.simulators.envelope.reduced import ReducedImpedance
from feederloop.simulators.envelope.rows import SectionRows
from feederloop.simulators.envelope.tangent import SectionTangent
from feederloop.simulators.grid.feeder import Complex, Feeder, Floats
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sections import absolute

_MOST_ROUNDS = 100


@dataclass(frozen=True)
class Enclosure:
    """Discs that hold the solution of every use; injectors are in the order of the sections.

    Attributes:
        s: [injectors] Power at the midpoint, VA.
        v: [injectors] Voltage there.
        current: [injectors] Current there.
        tangent: Derivatives there.
        kinds: By which power the box has any width: active (0), reactive (1); active if by none.
        half: [kinds, points] Half-widths in kW and kvar, in the order of the sections.
        moved: By how much voltages move with each point's power.
        width: [injectors] How far the power may be from the midpoint's, VA.
        radius: [injectors] Of the voltage discs.
        beyond_v: [injectors] What of that is beyond the first order.
        spread: [injectors] Of the current discs.
        beyond_a: [injectors] What currents may differ from their first order.
    """

    s: Complex
    v: Complex
    current: Complex
    tangent: SectionTangent
    kinds: tuple[int, ...]
    half: Floats
    moved: Moved
    width: Floats
    radius: Floats
    beyond_v: Floats
    spread: Floats
    beyond_a: Floats


class Encloser:
    """Finds discs that hold all solutions of one network.

    Args:
        power_flow: Exact power flow of the network.
        layout: Where everything stands.
    """

    def __init__(self, power_flow: PowerFlow, layout: Layout) -> None:
        self._power_flow, self._layout = power_flow, layout
        self.size = AbsoluteImpedance.of(power_flow.feeder, power_flow.sections, power_flow.matrices)
        self._seen: dict[int, ReducedImpedance] = {}
        self._rows = [self._voltages(section) for section in range(len(layout.start) - 1)]

    def _voltages(self, section: int) -> SectionRows:
        """A section's injectors' voltages."""
        z, left = self._power_flow.matrices.section(section)
        left = left if len(self._layout.start) > 2 else left[:, :0]
        return SectionRows(np.arange(len(z)), np.zeros(len(z), dtype=complex), z, left)

    def seen_from(self, section: int) -> ReducedImpedance:
        """|Z| as one section sees it."""
        if section not in self._seen:
            self._seen[section] = ReducedImpedance(self.size, self._layout, section)
        return self._seen[section]

    def enclose(self, box: Box, start: Complex | None = None) -> Enclosure | None:
        """Return discs that hold the solution of every use in the box, or none where none could be found.

        A use moves a voltage by `e = e1 + e2`: the derivative at the midpoint, which is linear in the use, and the
        rest. The current beyond its own first order is at most `sigma rho / (|V| (|V| - rho)) + |S| rho^2 / (|V|^2
        (|V| - rho)) + |mu e2|`, with sigma the half-width of the power and rho the disc's radius; where |Z| times that
        stays below the bound of e2, the power-flow equation maps the discs of e2 into themselves and has a solution in
        them (Brouwer).

        Args:
            box: The uses.
            start: [injectors] Voltage near the midpoint's, in the order of the sections.
        """
        feeder, layout, order = self._power_flow.feeder, self._layout, self._power_flow.sections.order
        matrices = self._power_flow.matrices
        p, q = box.centre
        s = self._power_flow.injected_va(p[:, None], q[:, None])[order]
        solved = self._power_flow.solve_sections(s, None if start is None else start[:, None])
        if not solved.converged.all():
            return None
        s, v, current = s[:, 0], solved.v[:, 0], solved.current[:, 0]
        tangent = SectionTangent(layout, matrices, s, v)
        kinds = tuple(kind for kind, half in enumerate(box.half_width) if half.any()) or (0,)
        half = np.stack([box.half_width[kind][layout.points] for kind in kinds])
        found = Enclosure(
            s, v, current, tangent, kinds, half,
            moved=Moved(layout, tangent, self._rows, kinds, half),
            width=half_width_va(feeder, box)[order],
            radius=np.zeros(len(v)), beyond_v=np.zeros(len(v)), spread=np.empty(len(v)), beyond_a=np.empty(len(v)),
        )  # fmt: skip
        # The solver stops before it arrives, the farther the nearer the network is to collapse.
        residual = np.abs(matrices.voltages(current) - v)
        size, first = self.size, found.moved.first_order
        closed = _close(
            np.abs(v), np.abs(s), found.width, residual, first, absolute(tangent.mu), size.own, size.offset,
            size.start, size.left, size.right, found.radius, found.beyond_v, found.spread, found.beyond_a,
        )  # fmt: skip
        return found if closed else None


def half_width_va(feeder: Feeder, box: Box) -> Floats:
    """[injectors] Largest distance of the injected power from the box's midpoint."""
    half_p, half_q = box.half_width
    result: Floats = 1e3 * feeder.injector_share * np.hypot(half_p, half_q)[feeder.injector_point]
    return result


@compiled
def _close(  # type: ignore[no-untyped-def]
    volt, size, width, residual, first, answer, own, offset, start, left, right, radius, beyond_v, spread, beyond_a
):
    count = len(volt)
    grown = np.empty(count)
    coupled = len(left) > 0
    total = np.zeros(3)
    part = np.zeros((len(start), 3))
    for _ in range(_MOST_ROUNDS):
        for i in range(count):
            radius[i] = first[i] + beyond_v[i]
            room = volt[i] - radius[i]
            if not room > 0.5 * volt[i]:
                return False
            spread[i] = width[i] / room + size[i] * radius[i] / (volt[i] * room)
            beyond_a[i] = (width[i] + size[i] * radius[i] / volt[i]) * radius[i] / (volt[i] * room)
            beyond_a[i] += answer[i] * beyond_v[i]
            grown[i] = residual[i]
        if coupled:
            total[:] = 0.0
            for f in range(len(start) - 1):
                for c in range(3):
                    part[f, c] = 0.0
                    for i in range(start[f], start[f + 1]):
                        part[f, c] += right[c, i] * beyond_a[i]
                    total[c] += part[f, c]
        for f in range(len(start) - 1):
            one, end, at = start[f], start[f + 1], offset[f]
            into = grown[one:end]
            if coupled:
                for c in range(3):
                    factor = left[c, one:end]
                    from_others = max(total[c] - part[f, c], 0.0)
                    for i in range(end - one):
                        into[i] += factor[i] * from_others
            for j in range(one, end):
                column = own[at : at + end - one]
                by = beyond_a[j]
                for i in range(end - one):
                    into[i] += column[i] * by
                at += end - one
        inside = True
        for i in range(count):
            if not grown[i] <= beyond_v[i]:
                inside = False
        if inside:
            return True
        for i in range(count):
            beyond_v[i] = grown[i] * (1 + 1e-6) + 1e-9
    return False
