"""Wrong certificates are caught: each wrong sign or bound in the proof breaks at one of a fixed battery of attacks.

Changes that are not in the list would survive. Taking the length where the negated one is meant at the corners only
loosens the proof: the simple bound is the smaller one then. Charging less for an end that is only likely, or leaving
out that currents change while a direction turns, would be unsound by so little that no attack shows it.

Mutants are not compiled: on networks this small that would take longer than it saves.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from peers import adversary

from feederloop.simulators.envelope import (
    answers,
    certificate,
    corners,
    enclosure,
    lengths,
    moved,
    pairs,
    phases,
    proof,
    reduced,
    region,
    second_order,
    series,
    slopes,
    tangent,
    unbalance,
)
from feederloop.simulators.envelope.box import Box, Boxes, Limits
from feederloop.simulators.grid.feeder import Branches, Feeder
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sensitivity import Tangent

PROOF = (
    tangent, phases, moved, reduced, enclosure, series, answers, pairs, second_order, slopes, corners, region, lengths,
    unbalance, proof, certificate,
)  # fmt: skip
MODULES = {module.__name__.rpartition(".")[2]: module for module in PROOF}
# The last ones are where signs change inside the box, where a direction has to turn, where a span sags, and where
# currents answer much.
CASES = (*range(120), 307, 390, 650, 863, 1666, 2097, 2435)

# name: module, what is there, what is put there instead
MUTATIONS = {
    "first order left out of the radius": (
        "enclosure",
        "radius[i] = first[i] + beyond_v[i]",
        "radius[i] = beyond_v[i]",
    ),
    "nothing beyond the first order": ("enclosure", "into[i] += column[i] * by", "into[i] += 0.0"),
    "power's change of the current": (
        "enclosure",
        "beyond_a[i] = (width[i] + size",
        "beyond_a[i] = (0.0 * width[i] + size",
    ),
    "power's reaction left out": (
        "enclosure",
        "(width[i] + size[i] * radius[i] / volt[i])",
        "(width[i] + 0.0 * size[i] * radius[i] / volt[i])",
    ),
    "answers beyond the first order": ("enclosure", "answer[i] * beyond_v[i]", "0.0 * beyond_v[i]"),
    "voltage taken at the midpoint": ("enclosure", "room = volt[i] - radius[i]", "room = volt[i]"),
    "width of p only": ("enclosure", "np.hypot(half_p, half_q)", "np.abs(half_p)"),
    "p and q do not help each other": ("moved", "squares + 2 * along", "squares"),
    "others' currents left out": ("enclosure", "into[i] += factor[i] * from_others", "into[i] += 0.0"),
    "sign of a row's derivative": ("slopes", "turned = sign * direction.conj()", "turned = -sign * direction.conj()"),
    "tangent's reaction reversed": ("tangent", "k, count = mu[:, None]", "k, count = -mu[:, None]"),
    "tangent by q reversed": ("tangent", "self.unit = unit, -1j * unit", "self.unit = unit, 1j * unit"),
    "no change of 1/V": ("answers", "each(reacting) * self._turned", "each(reacting) * 0.0"),
    "no change of 1/V beyond the first order": ("slopes", "length * self._beyond", "0.0 * length"),
    "no change of mu": ("answers", "self._by_change(reacting)", "0.0 * reacting"),
    "no change of mu by voltage": ("slopes", "moved.weighed(length", "moved.weighed(0.0 * length"),
    "nothing reacts": ("slopes", "answers.of_voltages(length)", "0.0 * answers.of_voltages(length)"),
    "direction does not turn beyond the first order": ("slopes", "result += turning[0][:, None]", "result += 0.0"),
    "no second derivatives": ("pairs", "part[k] = abs(turn", "part[k] = 0.0 * abs(turn"),
    "second derivatives of one point of two": ("pairs", "+= np.dot(", "+= 0.0 * np.dot("),
    "direction does not turn": ("pairs", "abs(turn * c[k]", "abs(0.0 * c[k]"),
    "direction turns back": ("pairs", "turn, here = sign * across", "turn, here = -sign * across"),
    "one's own power is not answered": ("pairs", "+ one * moved_re[k]", "- one * moved_re[k]"),
    "others' power is not answered": ("pairs", "+ x[k] * by_re[k]", "- x[k] * by_re[k]"),
    "second derivatives by q": ("pairs", "*of_asked, -of_asked[0]", "*of_asked, of_asked[0]"),
    "others left out where they are added up": (
        "moved",
        "result[-1] += self._parts",
        "result[-1] += 0.0 * self._parts",
    ),
    "points not as often as they have it": ("phases", "some] = np.abs(along)", "some] = 0.0 * along"),
    "points only as often as they have it": (
        "phases",
        "np.abs(by[kind, some] - along",
        "0.0 * np.abs(by[kind, some] - along",
    ),
    "own points change only each other": ("second_order", "phases.parts(y) @ phases.outside(section)", "0.0"),
    "others' points change only each other": (
        "second_order",
        "phases.parts(y), half) @ phases",
        "phases.parts(y), 0 * half) @ phases",
    ),
    "others do not change each other": ("second_order", "self._among_others(like", "0.0 * self._among_others(like"),
    "other sections do not change each other": ("second_order", "parts, outside)\n", "parts, 0 * outside)\n"),
    "others' direction does not turn": (
        "second_order",
        "across_six @ by.transpose(0, 2, 1)\n",
        "0 * (across_six @ by.transpose(0, 2, 1))\n",
    ),
    "adjoint's sign of imaginary parts": ("tangent", "- 1j * weights[:, count:]", "+ 1j * weights[:, count:]"),
    "faces of the inner box only": ("region", "hull = boxes.faces(*ends)", "hull = boxes.inner"),
    "everything is proven": ("slopes", "2 * np.maximum(error - np.abs(middle), 0.0)", "0.0"),
    "busbar's feedback reversed": ("tangent", "feedback -= to_busbar", "feedback += to_busbar"),
    "what others do to the busbar reversed": ("tangent", "pushed = -self.mu", "pushed = self.mu"),
    "direction not conjugated": ("region", "re * by_re[j] + im * by_im[j]", "re * by_re[j] - im * by_im[j]"),
    "no rest term": ("region", "along += rest[:, None]", "pass"),
    "no reach": ("region", "swing(moved, enclosure.half) + rest, along", "rest, along"),
    "nothing across the direction": ("proof", "+ reach**2 / (2 * np", "+ 0.0 * reach**2 / (2 * np"),
    "values of another corner": ("corners", "acting[0, corner[k], j]", "acting[0, corner[0], j]"),
    "nothing unproven is charged": ("corners", "upper[charged] += slack @ half", "pass"),
    "ends of q swapped": ("corners", "patterns[:, points:].astype", "(-patterns[:, points:]).astype"),
    "ends of p swapped": ("corners", "= patterns[:, :points].astype", "= (-patterns[:, :points]).astype"),
    "polygon taken for the circle": ("lengths", "float(np.cos(np.pi / FACETS))", "1.0"),
    "half of the polygon": (
        "lengths",
        "np.exp(2j * np.pi * np.arange(FACETS)",
        "np.exp(1j * np.pi * np.arange(FACETS)",
    ),
    "V1 counts twice": ("unbalance", "- one / along", "- 2 * one / along"),
    "V1 is greater than it can be": ("unbalance", "absolute(middle) - reach", "absolute(middle) + 9 * reach"),
    "V2 along the mirrored ways": ("unbalance", "BLUNT * ways[over % FACETS]", "BLUNT * ways[over % FACETS].conj()"),
    "spans do not sag": ("proof", "- self._span_length**2 / 4", "- 0.0 * self._span_length**2 / 4"),
}


@dataclass(frozen=True)
class Case:
    """A small network, a box, limits, what an adversary found, and uses with their solutions and tangents."""

    power_flow: PowerFlow
    box: Box
    limits: Limits
    found: adversary.Found
    found_vuf_percent: float
    v: np.ndarray
    current: np.ndarray
    tangents: list[np.ndarray]  # complex, ampere per kW and per kvar side by side, at each of these solutions


def random_feeder(rng: np.random.Generator) -> Feeder:
    """Return a network of impedances that no street would have: any angle, any coupling, at most three injectors."""
    count = int(rng.integers(1, 4))
    phase = rng.integers(0, 3, count)
    buses = count + 2
    scale = rng.uniform(0.02, 0.5, (3 * buses, 1)) * rng.choice([0.1, 1.0], count)
    bus_z = scale * np.exp(1j * rng.uniform(float(rng.choice([-np.pi / 2, 0.0])), np.pi / 2, (3 * buses, count)))
    w = 240.0 * np.exp(-2j * np.pi / 3 * np.tile(np.arange(3), buses))
    # The last but one bus lies on the straight line between its neighbours, as on a cable.
    bus_z[3 * count : 3 * count + 3] = 0.5 * (bus_z[:3] + bus_z[-3:])
    row = 3 * np.arange(count) + phase
    gain = rng.normal(size=(3, count)) * np.exp(1j * rng.uniform(0, 0.3, (3, count)))
    ends = np.array([[0, count], [count, count + 1], [0, count + 1]])
    branches = Branches(
        names=("line 0", "line 1", "trafo 0"),
        row_branch=np.array([0, 1, 2]),
        row_phase=np.array([0, 1, 2]),
        rating_a=rng.uniform(1.0, 60.0, 3),
        ends=ends,
        gain=gain.astype(complex),
        i0=rng.uniform(0, 3, 3).astype(complex),
    )
    none = np.zeros((3, count), dtype=complex)
    return Feeder(
        points=tuple(f"point {number}" for number in range(count)),
        point_bus=np.arange(count),
        injector_point=np.arange(count),
        injector_share=np.ones(count),
        injector_phase=phase,
        w=w[row],
        z=np.ascontiguousarray(bus_z[row]),
        buses=np.arange(buses),
        bus_vn_v=np.full(buses, 230.0),
        bus_w=w,
        bus_z=bus_z,
        branches=branches,
        source_w=w[:3],
        source_z=none,
        source_gain=none,
        source_i0=none[:, 0],
        assumed=(),
    )


def random_box(rng: np.random.Generator, count: int) -> Box:
    """Return wide and narrow ranges of p, of q and of both."""
    size = float(rng.choice([0.3, 3.0, 10.0]))
    centre = size * rng.uniform(-1, 1, (2, count)) * rng.choice([0.0, 1.0])
    half = (
        size
        * rng.uniform(0.2, 1, (2, count))
        * np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])[rng.integers(3)][:, None]
    )
    return Box(centre[0] - half[0], centre[0] + half[0], centre[1] - half[1], centre[1] + half[1])


@cache
def battery() -> tuple[Case, ...]:
    """Return the cases, attacked once: what was found does not depend on the proof."""
    return tuple(case for seed in CASES if (case := _case(seed)) is not None)


def _case(seed: int) -> Case | None:
    rng = np.random.default_rng(seed)
    feeder = random_feeder(rng)
    box = random_box(rng, len(feeder.points))
    limits = Limits() if seed % 4 == 0 else Limits(239.9, 240.1, 1e-3, 1e-3)
    power_flow = PowerFlow(feeder)
    if certificate.Certifier(power_flow, limits).encloser.enclose(box) is None:
        return None
    phases = pd.Series(["abc"[phase] for phase in feeder.injector_phase])
    engine = adversary.OwnEngine(feeder)
    found = adversary.attack(engine, box, phases, starts=8, rows_each=4, inside=True)
    # Its limit is what is found, where the bound has to be tight.
    unbalance_engine = adversary.UnbalanceEngine(feeder)
    vuf_percent = adversary.attack(unbalance_engine, box, phases, starts=8, rows_each=4, inside=True).v_max_v
    limits = replace(limits, vuf_percent=vuf_percent)
    corners = adversary.random_corners(box, 12, rng)
    p_kw, q_kvar = (np.concatenate(parts, axis=1) for parts in zip(corners, (found.p_kw, found.q_kvar), strict=True))
    solution = engine.power_flow.solve(p_kw, q_kvar)
    s = engine.power_flow.injected_va(p_kw, q_kvar)
    tangents = [_complex(Tangent.at(feeder, s[:, k], solution.v[:, k])) for k in range(p_kw.shape[1])]
    return Case(power_flow, box, limits, found, vuf_percent, solution.v, solution.current, tangents)


def _complex(tangent: Tangent) -> np.ndarray:
    both = np.concatenate([tangent.by_p, tangent.by_q], axis=1)
    count = len(both) // 2
    return both[:count] + 1j * both[count:]


def broken_claims(modules: dict[str, ModuleType]) -> Iterator[str]:
    """Yield every claim of these modules that a case of the battery refutes."""
    for number, case in enumerate(battery()):
        order = case.power_flow.sections.order
        certifier = modules["certificate"].Certifier(case.power_flow, case.limits)
        discs = certifier.encloser.enclose(case.box)
        if discs is not None:
            if (np.abs(case.v[order] - discs.v[:, None]) > discs.radius[:, None] + 1e-6).any():
                yield f"radius of case {number}"
            if (np.abs(case.current[order] - discs.current[:, None]) > discs.spread[:, None] + 1e-6).any():
                yield f"radius of currents of case {number}"
            known = modules["region"].Region.of(certifier, Boxes.around(case.box, 0.0, 0.0), 0.005)
            if known is not None and left_intervals(case, certifier, known):
                yield f"derivative in case {number}"
        if number % 2:  # by what was proven of a box near it
            certifier = modules["certificate"].Certifier(case.power_flow, case.limits, (0.05, 0.05))
            certifier.certify(case.box.moved(-0.04))
        proven = certifier.certify(case.box)
        if case.found.v_max_v > proven.v_max_v + 1e-6:
            yield f"highest voltage of case {number}"
        if case.found.v_min_v < proven.v_min_v - 1e-6:
            yield f"lowest voltage of case {number}"
        if case.found.loading_percent > proven.loading_max_percent + 1e-6:
            yield f"loading of case {number}"
        if case.found_vuf_percent > proven.vuf_max_percent + 1e-6:
            yield f"unbalance of case {number}"


def left_intervals(case: Case, certifier: certificate.Certifier, known: region.Region) -> bool:
    """Whether some voltage's derivative, at some use, is not where it is said to be for all uses."""
    feeder, points = case.power_flow.feeder, certifier.layout.points
    for section, rows in enumerate(certifier.nodes.sections):
        if not len(rows.offset):
            continue
        nodes = certifier.node_rows[rows.place]
        for kind, (derivative, error) in known.slopes.intervals(
            rows, section, known.centre(rows, section), None, 1.0
        ).items():
            free = case.box.half_width[kind][points] > 0
            for current, by_power in zip(case.current.T, case.tangents, strict=True):
                v = feeder.bus_w[nodes] + feeder.bus_z[nodes] @ current
                slope = ((v / np.abs(v)).conj()[:, None] * (feeder.bus_z[nodes] @ by_power)).real
                by = np.split(slope, 2, axis=1)[kind][:, points]
                if (np.abs(by - derivative) > error * (1 + 1e-9) + 1e-7)[:, free].any():
                    return True
    return False


def mutated(name: str, old: str, new: str) -> dict[str, ModuleType]:
    """Load the proof's modules under other names, with one expression replaced in one of them."""
    loaded = {}
    for module_name, module in MODULES.items():
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        if module_name == name:
            assert old in source, f"{name}.py no longer has {old!r}: say what stands there now"
            source = source.replace(old, new)
        for other in loaded:
            source = source.replace(f"from {MODULES[other].__name__} import", f"from mutated_{other} import")
        source = source.replace("@compiled\n", "")
        fresh = ModuleType(f"mutated_{module_name}")
        sys.modules[fresh.__name__] = fresh
        exec(compile(source, fresh.__name__, "exec"), fresh.__dict__)
        loaded[module_name] = fresh
    return loaded


@pytest.fixture(autouse=True)
def _forget_mutants():
    yield
    for module_name in MODULES:
        sys.modules.pop(f"mutated_{module_name}", None)


def test_the_proof_as_it_is_survives_the_battery():
    assert len(battery()) > len(CASES) // 3
    assert list(broken_claims(MODULES)) == []


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_wrong_proof_is_caught(mutation):
    assert next(broken_claims(mutated(*MUTATIONS[mutation])), None) is not None
