"""The bounds of one box: what the enclosure, the intervals of derivatives and exactly solved corners say together."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.envelope.enclosure import Enclosure
from feederloop.simulators.envelope.rows import Rows, SectionRows
from feederloop.simulators.envelope.slopes import Slopes
from feederloop.simulators.grid.columns import parts_of
from feederloop.simulators.grid.feeder import Complex, Floats, Ints
from feederloop.simulators.grid.powerflow import PowerFlowError
from feederloop.simulators.grid.sections import absolute

if TYPE_CHECKING:
    from feederloop.simulators.envelope.certificate import Certifier

MARGIN_V = 1e-5  # covers the solver's tolerance and rounding; loading has the same in ampere
FACETS = 96
# Rows nearest to each limit are bounded exactly even when far from it, so that the proven extreme is tight.
_ALWAYS_EXACT = 4
_REFINEMENTS = 4
_REFINED_AT_MOST = 8  # groups of alike rows, for each section
_ALIKE = 0.9
_LOOSE = 0.005  # volt or ampere


@dataclass(frozen=True)
class _Bounds:
    upper: Floats  # [rows] proven
    found: Floats  # [rows] at the corner that was solved


class Proof:
    """The bounds of one box."""

    def __init__(self, certifier: "Certifier", box: Box, enclosure: Enclosure, depth: int = 0) -> None:
        self._of, self._box, self._enclosure, self._depth = certifier, box, enclosure, depth
        power_flow = certifier.power_flow
        matrices, layout = power_flow.matrices, certifier.layout
        self.slopes = Slopes(layout, matrices, certifier.encloser.size, enclosure, box, power_flow.sections.w)
        self.rows, self.corners, self.looseness_v = 0, 0, 0.0
        self._start = layout.start
        right = matrices.right[0] + 1j * matrices.right[1]
        self._busbar = right @ enclosure.current
        self._busbar_spread = certifier.encloser.size.right @ enclosure.spread
        self._right = right

    def _part(self, section: int) -> slice:
        start = self._start
        return slice(int(start[section]), int(start[section + 1])) if section < len(start) - 1 else slice(0, 0)

    def centre(self, rows: SectionRows, section: int) -> Complex:
        """[rows] Values at the midpoint."""
        part, current = self._part(section), self._enclosure.current
        value: Complex = rows.offset + rows.own @ current[part]
        if rows.left.shape[1]:
            value = value + rows.left @ (self._busbar - self._right[:, part] @ current[part])
        return value

    def _reach(self, rows: SectionRows, section: int) -> Floats:
        """[rows] How far a value can be from the midpoint's, in any direction."""
        part, spread = self._part(section), self._enclosure.spread
        reach: Floats = rows.own_size @ spread[part]
        if rows.left.shape[1]:
            own = self._of.encloser.size.right[:, part] @ spread[part]
            reach = reach + rows.left_size @ np.maximum(self._busbar_spread - own, 0.0)
        return reach

    def _swing(self, rows: SectionRows, section: int, direction: Complex) -> Floats:
        """[rows] How far a value can move along a direction: first-order terms plus the remainder's bound."""
        enclosure, part, layout = self._enclosure, self._part(section), self._of.layout
        half_p, half_q = (np.repeat(half[layout.points], np.diff(layout.first)) for half in self._box.half_width)
        volt = absolute(enclosure.v)
        rest = (enclosure.width + absolute(enclosure.s)) * enclosure.radius / (volt * (volt - enclosure.radius))
        swing: Floats = rows.own_size @ rest[part]
        if rows.left.shape[1]:
            own = self._of.encloser.size.right[:, part] @ rest[part]
            total = self._of.encloser.size.right @ rest
            swing += rows.left_size @ np.maximum(total - own, 0.0)
        turned = parts_of(direction.conj())
        unit = parts_of(layout.unit / enclosure.v.conj())
        _add_swing(rows.own_parts, turned, unit[:, part], half_p[part], half_q[part], swing)
        if rows.left.shape[1]:
            others_p, others_q = half_p.copy(), half_q.copy()
            others_p[part], others_q[part] = 0.0, 0.0
            right = self._of.power_flow.matrices.right
            _add_swing_of_others(parts_of(rows.left), right, turned, unit, others_p, others_q, swing)
        return swing

    def voltages(self) -> tuple[Floats, Floats]:
        """[nodes] Proven highest and lowest voltages; those that matter by the interval Jacobian."""
        of, limits = self._of, self._of.limits
        high, low = np.empty(of.nodes.count), np.empty(of.nodes.count)
        centre = np.empty(of.nodes.count, dtype=complex)
        for section, rows in enumerate(of.nodes.sections):
            if not len(rows.offset):
                continue
            value = self.centre(rows, section)
            size, reach = absolute(value), self._reach(rows, section)
            swing = self._swing(rows, section, value / size)
            # The part across the direction lengthens a voltage by less than its square over twice its length.
            high[rows.place] = size + swing + reach**2 / (2 * np.maximum(size - swing, 1.0))
            low[rows.place] = size - swing
            centre[rows.place] = value
        for bound, sign, limit in ((high, 1.0, limits.v_max_v), (low, -1.0, -limits.v_min_v)):
            simple = sign * bound
            over = simple > limit
            over[np.argpartition(-simple, min(_ALWAYS_EXACT, len(simple) - 1))[:_ALWAYS_EXACT]] = True
            for section, rows in enumerate(of.nodes.sections):
                chosen = np.flatnonzero(over[rows.place])
                if not len(chosen):
                    continue
                place = rows.place[chosen]
                found = self._bound(rows.subset(chosen), section, centre[place], sign, limit)
                bound[place] = sign * np.minimum(found.upper, simple[place])
                if found.upper.max() > limit - 1.0:
                    self.looseness_v = max(self.looseness_v, float(found.upper.max() - found.found.max()))
        return high, self._sagged(low)

    def _sagged(self, low: Floats) -> Floats:
        """[nodes] Lowest voltages with what a straight span between two watched nodes may lie below both of them."""
        of = self._of
        length = np.empty(of.spans.count)
        for section, rows in enumerate(of.spans.sections):
            if len(rows.offset):
                length[rows.place] = absolute(self.centre(rows, section)) + self._reach(rows, section)
        one, other = of.spans_between.T
        lowest = np.minimum(low[one], low[other])
        middle = np.sqrt(np.maximum(lowest**2 - length**2 / 4, 0.0))
        result = low.copy()
        np.minimum.at(result, one, middle)
        return result

    def loading(self) -> Floats:
        """[conductors] Proven current relative to what is allowed."""
        of, enclosure = self._of, self._enclosure
        conductors = of.conductors
        injected = float((absolute(enclosure.current) + enclosure.spread).sum())
        slack = conductors.slack * injected + conductors.slack_a
        return (self._facetted(of.currents, conductors.allowed_a - slack) + slack) / conductors.allowed_a

    def unbalance(self, limit_percent: float) -> tuple[float, int]:
        """Proven highest unbalance in percent, and its bus."""
        of = self._of
        lowest = np.empty(of.positive.count)
        for section, rows in enumerate(of.positive.sections):
            if len(rows.offset):
                lowest[rows.place] = absolute(self.centre(rows, section)) - self._reach(rows, section)
        highest = self._facetted(of.negative, limit_percent / 100.0 * lowest)
        vuf = np.where(lowest > 0, 100.0 * highest / np.maximum(lowest, 1e-9), np.inf)
        worst = int(vuf.argmax())
        return float(vuf[worst]), of.node_name(3 * worst)[0]

    def _facetted(self, all_rows: Rows, allowed: Floats) -> Floats:
        """[rows] Proven lengths, by a polygon around the circle for those that simple bounds do not keep within."""
        bound = np.empty(all_rows.count)
        blunt = np.cos(np.pi / FACETS)
        round_ = np.exp(2j * np.pi * np.arange(FACETS) / FACETS)
        for section, rows in enumerate(all_rows.sections):
            if not len(rows.offset):
                continue
            value = self.centre(rows, section)
            simple = absolute(value) + self._reach(rows, section) + MARGIN_V
            bound[rows.place] = simple
            chosen = np.flatnonzero(simple > allowed[rows.place])
            if not len(chosen):
                continue
            facets = rows.subset(np.repeat(chosen, FACETS))
            direction = np.tile(round_, len(chosen))
            within = np.repeat(allowed[rows.place[chosen]], FACETS) * blunt
            centre = np.repeat(value[chosen], FACETS)
            upper = (direction.conj() * centre).real + self._swing(facets, section, direction) + MARGIN_V
            over = np.flatnonzero(upper > within)
            if len(over):
                found = self._bound(facets.subset(over), section, centre[over], 1.0, within[over], way=direction[over])
                upper[over] = np.minimum(upper[over], found.upper)
            outer = upper.reshape(-1, FACETS).max(axis=1) / blunt
            bound[rows.place[chosen]] = np.minimum(simple[chosen], outer)
        return bound

    def _bound(
        self,
        rows: SectionRows,
        section: int,
        value: Complex,
        sign: float,
        limit: Floats | float,
        *,
        way: Complex | None = None,
    ) -> _Bounds:
        """Bound rows by their proven worst corner, plus what customers of unproven sign could add.

        Args:
            rows: The rows, of one section.
            section: Which.
            value: [rows] At the midpoint.
            sign: -1 for least lengths.
            limit: [rows] What the bound should stay below.
            way: [rows] Fixed directions along which parts are meant; none for lengths.
        """
        ends = self.slopes.ends(rows, section, value, way, sign)
        found = self._at_corners(rows, section, ends.end_p, ends.end_q, sign, way)
        bounds = _Bounds(found + ends.extra + MARGIN_V, found)
        self.rows += len(found)
        if self._depth < _REFINEMENTS:
            loose = np.flatnonzero((bounds.upper > limit) & (ends.extra > _LOOSE))
            if len(loose):
                proven = np.concatenate([ends.proven_p, ends.proven_q], axis=1)
                limits = np.broadcast_to(limit, found.shape)
                self._refine(rows, section, proven, loose, bounds, sign, limits, way)
        return bounds

    def _refine(
        self,
        rows: SectionRows,
        section: int,
        proven: np.ndarray,
        loose: Ints,
        bounds: _Bounds,
        sign: float,
        limit: Floats,
        way: Complex | None,
    ) -> None:
        """Tighten the bounds of loose rows: with their proven customers fixed at their ends, the others' signs show.

        Rows that lie close together have nearly the same proven customers and are refined together, with those fixed
        that all of them have.
        """
        of = self._of
        for _ in range(_REFINED_AT_MOST):
            if len(loose) == 0:
                break
            first = loose[bounds.upper[loose].argmax()]
            same = proven[loose] == proven[first]
            fixed = proven[first] != 0
            alike = same[:, fixed].mean(axis=1) >= _ALIKE if fixed.any() else loose == first
            members, loose = loose[alike], loose[~alike]
            pattern = np.where(same[alike].all(axis=0), proven[first], 0)
            if not pattern.any():
                continue
            end = np.zeros((2, len(of.layout.points)))
            end[:, of.layout.points] = pattern.reshape(2, -1)
            box = self._box.fixed_at(*end)
            enclosure = of.encloser.enclose(box, self._enclosure.v)
            if enclosure is None:
                continue
            finer = Proof(of, box, enclosure, self._depth + 1)
            if not finer.slopes.valid():
                continue
            some = rows.subset(members)
            ways = None if way is None else way[members]
            found = finer._bound(some, section, finer.centre(some, section), sign, limit[members], way=ways)
            bounds.upper[members] = np.minimum(bounds.upper[members], found.upper)
            bounds.found[members] = np.maximum(bounds.found[members], found.found)
            self.rows += finer.rows
            self.corners += finer.corners

    def _at_corners(
        self,
        rows: SectionRows,
        section: int,
        end_p: np.ndarray,
        end_q: np.ndarray,
        sign: float,
        way: Complex | None,
    ) -> Floats:
        """[rows] Exact values, each at its own corner."""
        power_flow, points = self._of.power_flow, self._of.layout.points
        patterns, which = distinct(np.concatenate([end_p, end_q], axis=1))
        (p, q), (half_p, half_q) = self._box.centre, self._box.half_width
        p_kw, q_kvar = np.repeat(p[:, None], len(patterns), axis=1), np.repeat(q[:, None], len(patterns), axis=1)
        p_kw[points] += half_p[points, None] * patterns[:, : len(points)].T
        q_kvar[points] += half_q[points, None] * patterns[:, len(points) :].T
        s = power_flow.injected_va(p_kw, q_kvar)[power_flow.sections.order]
        solution = power_flow.solve_sections(s, np.repeat(self._enclosure.v[:, None], len(patterns), axis=1))
        if not solution.converged.all():
            raise PowerFlowError("no power-flow solution")
        self.corners += len(patterns)
        current, part = solution.current, self._part(section)
        from_others = (self._right @ current - self._right[:, part] @ current[part])[: rows.left.shape[1]]
        value = np.empty(len(which), dtype=complex)
        for number in range(len(patterns)):
            chosen = np.flatnonzero(which == number)
            value[chosen] = rows.own[chosen] @ current[part, number] + rows.left[chosen] @ from_others[:, number]
        value += rows.offset
        return sign * absolute(value) if way is None else (way.conj() * value).real


@compiled
def _add_swing(own, turned, unit, half_p, half_q, swing):  # type: ignore[no-untyped-def]
    for r in range(own.shape[1]):
        re, im = turned[0, r], turned[1, r]
        own_re, own_im = own[0, r], own[1, r]
        total = 0.0
        for j in range(own.shape[2]):
            a, b = re * own_re[j] - im * own_im[j], re * own_im[j] + im * own_re[j]
            by_p, by_q = a * unit[0, j] - b * unit[1, j], a * unit[1, j] + b * unit[0, j]
            total += abs(by_p) * half_p[j] + abs(by_q) * half_q[j]
        swing[r] += total


@compiled
def _add_swing_of_others(left, right, turned, unit, half_p, half_q, swing):  # type: ignore[no-untyped-def]
    for r in range(left.shape[1]):
        re, im = turned[0, r], turned[1, r]
        total = 0.0
        for j in range(right.shape[2]):
            if half_p[j] > 0 or half_q[j] > 0:
                z_re, z_im = 0.0, 0.0
                for c in range(3):
                    z_re += left[0, r, c] * right[0, c, j] - left[1, r, c] * right[1, c, j]
                    z_im += left[0, r, c] * right[1, c, j] + left[1, r, c] * right[0, c, j]
                a, b = re * z_re - im * z_im, re * z_im + im * z_re
                by_p, by_q = a * unit[0, j] - b * unit[1, j], a * unit[1, j] + b * unit[0, j]
                total += abs(by_p) * half_p[j] + abs(by_q) * half_q[j]
        swing[r] += total


def distinct(patterns: np.ndarray) -> tuple[np.ndarray, Ints]:
    """[distinct, columns] The different rows of signs, and [rows] which of them each row is."""
    signs = np.ascontiguousarray(np.sign(patterns), dtype=np.int8)
    which = np.empty(len(signs), dtype=np.int64)
    first = np.empty(len(signs), dtype=np.int64)
    count = _find_alike(signs, which, first)
    return patterns[first[:count]], which


@compiled
def _find_alike(signs, which, first):  # type: ignore[no-untyped-def]
    count = 0
    for r in range(len(signs)):
        which[r] = -1
        for known in range(count):
            other = first[known]
            same = True
            for j in range(signs.shape[1]):
                if signs[r, j] != signs[other, j]:
                    same = False
                    break
            if same:
                which[r] = known
                break
        if which[r] < 0:
            first[count], which[r] = r, count
            count += 1
    return count
