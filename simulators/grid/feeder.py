"""The network as seen from its connection points: what the power flow, the envelopes and the results are computed from.

pandapower's own conversion gives the sequence admittance matrices, so pandapower stays the model of record; here they
are reduced once to impedances between the places where power is injected and everything that is watched.
"""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandapower as pp
import pandas as pd
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from pandapower.pypower.makeYbus import makeYbus

from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.networks import PHASES, check_elements, ensure_zero_sequence, without_loads

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
Ints = npt.NDArray[np.int64]

_A = np.exp(2j * np.pi / 3)
PHASE_FROM_SEQUENCE: Complex = np.array([[1, 1, 1], [1, _A**2, _A], [1, _A, _A**2]], dtype=np.complex128)
SEQUENCE_FROM_PHASE: Complex = np.linalg.inv(PHASE_FROM_SEQUENCE).astype(np.complex128)

# Columns of pandapower's internal bus and branch arrays (pypower's case format).
_BUS_TYPE, _GS, _BS, _VM, _VA, _BASE_KV = 1, 4, 5, 7, 8, 9
_F_BUS, _T_BUS = 0, 1
_ISOLATED, _REFERENCE = 4, 3


@dataclass(frozen=True)
class Branches:
    """Phase currents of lines and transformer windings as linear functions of the injected currents.

    A row is one phase conductor at one end of one branch; its current is `i0 + gain @ injected` in ampere.

    Attributes:
        names: Branch names, `"line 12"` or `"trafo 0"`, in the order of results.
        row_branch: [rows] Which branch a row belongs to.
        row_phase: [rows] Which phase (0, 1, 2).
        rating_a: [rows] Current rating; infinite where the network states none.
        ends: [branches, 2] pandapower index of the buses at both ends.
        gain: [rows, injectors] Ampere per ampere injected.
        i0: [rows] Current without any injection (magnetising, charging).
    """

    names: tuple[str, ...]
    row_branch: Ints
    row_phase: Ints
    rating_a: Floats
    ends: Ints
    gain: Complex
    i0: Complex


@dataclass(frozen=True)
class Feeder:
    """A network reduced to its connection points.

    Power is injected at *injectors*: one per single-phase connection point, three (a third of the power each) per
    three-phase one. Phase-to-neutral voltages in volt, currents in ampere, impedances in ohm referred to the voltage
    level of each side.

    Attributes:
        points: Names of the connection points.
        point_bus: [points] pandapower index of each point's bus.
        injector_point: [injectors] Which point an injector belongs to.
        injector_share: [injectors] Share of the point's power, 1 or 1/3.
        injector_phase: [injectors] Phase 0, 1 or 2.
        w: [injectors] No-load voltage at the injectors.
        z: [injectors, injectors] Volt per ampere injected, at the injectors.
        buses: pandapower index of every bus in results.
        bus_vn_v: [buses] Nominal phase-to-neutral voltage.
        bus_w: [3 * buses] No-load voltage of every bus and phase, phase fastest.
        bus_z: [3 * buses, injectors] Volt per ampere injected, at every bus and phase.
        branches: The branch currents.
        source_w: [3] No-load voltage at the external grid's bus.
        source_z: [3, injectors] Volt per ampere injected there: unbalance in front of the grid's own impedance.
        source_gain: [3, injectors] Current drawn from the external grid, ampere per ampere injected.
        source_i0: [3] The same without any injection.
        assumed: What the network lacked and was assumed.
    """

    points: tuple[str, ...]
    point_bus: Ints
    injector_point: Ints
    injector_share: Floats
    injector_phase: Ints
    w: Complex
    z: Complex
    buses: Ints
    bus_vn_v: Floats
    bus_w: Complex
    bus_z: Complex
    branches: Branches
    source_w: Complex
    source_z: Complex
    source_gain: Complex
    source_i0: Complex
    assumed: tuple[str, ...]

    @cached_property
    def abs_z(self) -> Floats:
        """[injectors, injectors] Absolute values of `z`."""
        return np.abs(self.z)

    @cached_property
    def injector_row(self) -> Ints:
        """[injectors] Row of each injector's node in `bus_w` and `bus_z`."""
        position = pd.Index(self.buses).get_indexer(self.point_bus)
        rows: Ints = 3 * position[self.injector_point] + self.injector_phase
        return rows

    def with_reactors(self, susceptance_s: Floats) -> "Feeder":
        """Return the feeder with a reactor between phase and neutral at each injector.

        What is injected then is what comes besides the reactors' currents `j b V`; every voltage and every current of
        the network stays a linear function of it.

        Args:
            susceptance_s: [injectors] Siemens; a reactor absorbs this times the square of its voltage.
        """
        drawn = 1j * susceptance_s
        total = np.linalg.inv(np.eye(len(self.w)) - self.z * drawn)  # voltages with reactors per voltages without
        z, w = total @ self.z, total @ self.w
        by_injected, idle = np.eye(len(w)) + drawn[:, None] * z, drawn * w
        branches = self.branches
        return replace(
            self,
            z=np.ascontiguousarray(z),
            w=w,
            bus_z=self.bus_z @ by_injected,
            bus_w=self.bus_w + self.bus_z @ idle,
            branches=replace(branches, gain=branches.gain @ by_injected, i0=branches.i0 + branches.gain @ idle),
            source_z=self.source_z @ by_injected,
            source_w=self.source_w + self.source_z @ idle,
            source_gain=self.source_gain @ by_injected,
            source_i0=self.source_i0 + self.source_gain @ idle,
        )

    @classmethod
    def from_network(cls, net: pp.pandapowerNet, points: pd.DataFrame) -> "Feeder":
        """Reduce a pandapower network to these connection points; loads inside the network are left out.

        Args:
            net: The network, with exactly one external grid.
            points: Connection points, columns `name`, `bus` and `phase` (a, b, c or abc).

        Raises:
            InputError: A bus that is not in the network or cut off, an unknown phase, a repeated name, or more than one
                external grid.
        """
        _check_points(net, points)
        bare = without_loads(net)
        bare.sn_mva = 0.1
        if "max_i_ka" not in bare.line:  # pandapower asks for it; without a rating, loading is not judged
            bare.line["max_i_ka"] = np.nan
        assumed = ensure_zero_sequence(bare)
        check_elements(bare)
        system = _SequenceSystem.from_network(bare)
        for point in points[~system.is_live(points["bus"].to_numpy())].itertuples():
            raise InputError("this bus is cut off from the source", key=f"{point.name}.bus", value=point.bus)
        return _reduce(bare, system, points, tuple(assumed))


@dataclass(frozen=True)
class _SequenceSystem:
    """pandapower's sequence networks (0, 1, 2) per unit of one phase."""

    lookup: Ints  # pandapower bus index -> internal bus
    live: npt.NDArray[np.bool_]  # [internal buses]
    slack: int
    base_v: Floats  # [internal buses] nominal phase-to-neutral voltage
    base_va: float
    v1: Complex  # [internal buses] no-load voltage, per unit
    y: tuple[sp.csr_matrix, ...]
    y_from: tuple[sp.csr_matrix, ...]
    y_to: tuple[sp.csr_matrix, ...]
    from_bus: Ints
    to_bus: Ints
    ranges: dict[str, tuple[int, int]]  # element table -> rows of the branch arrays

    @classmethod
    def from_network(cls, bare: pp.pandapowerNet) -> "_SequenceSystem":
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():  # buses that are cut off
                warnings.simplefilter("ignore")
                pp.runpp_3ph(bare, numba=False)
        except KeyError as error:
            raise InputError(
                f"the network lacks data that pandapower's unbalanced power flow needs: {error}", key="network"
            ) from error
        except Exception as error:
            raise InputError(f"pandapower cannot solve this network without load ({error})", key="network") from error
        cases = [bare[f"_ppc{sequence}"] for sequence in range(3)]
        matrices = [makeYbus(case["baseMVA"], case["bus"], case["branch"]) for case in cases]
        bus, branch = cases[1]["bus"].real, cases[1]["branch"].real
        slack = np.flatnonzero(bus[:, _BUS_TYPE] == _REFERENCE)
        if len(slack) != 1:
            raise InputError("the network needs exactly one external grid", key="network", value=len(slack))
        return cls(
            lookup=np.asarray(bare["_pd2ppc_lookups"]["bus"], dtype=np.int64),
            live=bus[:, _BUS_TYPE] != _ISOLATED,
            slack=int(slack[0]),
            base_v=bus[:, _BASE_KV] * 1e3 / np.sqrt(3),
            base_va=float(cases[1]["baseMVA"]) * 1e6,
            v1=bus[:, _VM] * np.exp(1j * np.deg2rad(bus[:, _VA])),
            y=tuple(sp.csr_matrix(m[0]) for m in matrices),
            y_from=tuple(sp.csr_matrix(m[1]) for m in matrices),
            y_to=tuple(sp.csr_matrix(m[2]) for m in matrices),
            from_bus=branch[:, _F_BUS].astype(np.int64),
            to_bus=branch[:, _T_BUS].astype(np.int64),
            ranges=dict(bare["_pd2ppc_lookups"]["branch"]),
        )

    def impedances(self, at: Ints) -> Complex:
        """[3, internal buses, at] Per-unit voltage of every bus per current injected at the buses `at`, by sequence."""
        count = len(self.live)
        z = np.zeros((3, count, len(at)), dtype=complex)
        for sequence in range(3):
            # The source fixes the positive-sequence voltage; to the other sequences it is the impedance in the matrix.
            free = np.flatnonzero(self.live & ((np.arange(count) != self.slack) | (sequence != 1)))
            unit = (free[:, None] == at[None, :]).astype(complex)
            z[sequence, free] = spl.splu(sp.csc_matrix(self.y[sequence][free][:, free])).solve(unit)
        return z

    def is_live(self, buses: Ints) -> npt.NDArray[np.bool_]:
        """Return which pandapower buses are in service and connected to the source."""
        internal = self.lookup[buses]
        result: npt.NDArray[np.bool_] = (internal >= 0) & self.live[internal]
        return result


@dataclass(frozen=True)
class _Projection:
    """From currents at buses, by sequence and per unit, to currents of injectors, by phase and in physical units."""

    column: Ints  # [injectors] which of the injection buses
    weight: Complex  # [3, injectors] sequence currents of a unit current in the injector's phase
    base_v: Floats  # [injectors]

    def to_phase(self, per_sequence: Complex, scale: Floats) -> Complex:
        """[3, rows, at] by sequence, per unit -> [rows, 3, injectors] by phase, scaled by [rows] physical units."""
        weighted = per_sequence[:, :, self.column] * self.weight[:, None, :]
        by_phase = np.tensordot(PHASE_FROM_SEQUENCE, weighted, axes=1).transpose(1, 0, 2)
        result: Complex = by_phase * (scale[:, None, None] * self.base_v)
        return result


def _reduce(bare: pp.pandapowerNet, system: _SequenceSystem, points: pd.DataFrame, assumed: tuple[str, ...]) -> Feeder:
    phases = [range(3) if phase == "abc" else (PHASES.index(phase),) for phase in points["phase"]]
    injector_point = np.repeat(np.arange(len(points)), [len(p) for p in phases])
    injector_phase = np.array([phase for p in phases for phase in p], dtype=np.int64)
    at_bus = system.lookup[points["bus"].to_numpy()][injector_point]
    at, column = np.unique(at_bus, return_inverse=True)
    z_sequence = system.impedances(at)
    projection = _Projection(column, SEQUENCE_FROM_PHASE[:, injector_phase], system.base_v[at_bus])
    w_bus = system.v1[:, None] * system.base_v[:, None] * PHASE_FROM_SEQUENCE[:, 1]
    z_bus = projection.to_phase(z_sequence, system.base_v / system.base_va)
    buses = bare.bus.index.to_numpy(dtype=np.int64)
    buses = buses[system.is_live(buses)]
    internal = system.lookup[buses]
    source_ends = pd.DataFrame(
        [(0, row, "from") for row in np.flatnonzero(system.from_bus == system.slack)]
        + [(0, row, "to") for row in np.flatnonzero(system.to_bus == system.slack)],
        columns=["branch", "row", "end"],
    )
    source_gain, source_i0 = _end_currents(system, z_sequence, projection, source_ends)
    return Feeder(
        points=tuple(points["name"]),
        point_bus=points["bus"].to_numpy(dtype=np.int64),
        injector_point=injector_point,
        injector_share=np.array([1.0 / len(p) for p in phases])[injector_point],
        injector_phase=injector_phase,
        w=w_bus[at_bus, injector_phase],
        z=np.ascontiguousarray(z_bus[at_bus, injector_phase]),
        buses=buses,
        bus_vn_v=system.base_v[internal],
        bus_w=w_bus[internal].reshape(-1),
        bus_z=z_bus[internal].reshape(3 * len(internal), -1),
        branches=_branches(bare, system, z_sequence, projection),
        source_w=w_bus[system.slack],
        source_z=z_bus[system.slack],
        source_gain=source_gain.sum(axis=0),
        source_i0=source_i0.sum(axis=0),
        assumed=assumed,
    )


def _branches(
    bare: pp.pandapowerNet, system: _SequenceSystem, z_sequence: Complex, projection: _Projection
) -> Branches:
    ends = _branch_ends(bare, system.ranges)
    gain, i0 = _end_currents(system, z_sequence, projection, ends)
    names = [f"line {index}" for index in bare.line.index] + [f"trafo {index}" for index in bare.trafo.index]
    return Branches(
        names=tuple(names),
        row_branch=np.repeat(ends["branch"].to_numpy(dtype=np.int64), 3),
        row_phase=np.tile(np.arange(3), len(ends)),
        rating_a=np.repeat(ends["rating_a"].to_numpy(dtype=float), 3),
        ends=np.concatenate([bare.line[["from_bus", "to_bus"]], bare.trafo[["hv_bus", "lv_bus"]]]).astype(np.int64),
        gain=gain.reshape(3 * len(ends), -1),
        i0=i0.reshape(-1),
    )


def _branch_ends(bare: pp.pandapowerNet, ranges: dict[str, tuple[int, int]]) -> pd.DataFrame:
    """Return which branch ends are watched (columns branch, row, end, rating_a).

    Both windings of transformers, whose loading pandapower judges on the worse one; one end of lines, both if they
    charge.
    """
    line, trafo = bare.line, bare.trafo
    tables = []
    if len(line):
        rating_a = line["max_i_ka"] * line["df"] * line["parallel"] * 1e3
        lines = pd.DataFrame({"branch": np.arange(len(line)), "row": np.arange(*ranges["line"]), "end": "from"})
        lines["rating_a"] = rating_a.fillna(np.inf).to_numpy()
        shunts = [column for column in ("c_nf_per_km", "c0_nf_per_km", "g_us_per_km", "g0_us_per_km") if column in line]
        charging = (line[shunts].fillna(0.0) != 0.0).any(axis=1).to_numpy()
        tables += [lines, lines[charging].assign(end="to")]
    if len(trafo):
        rated_kva = trafo["sn_mva"] * 1e3 * trafo["parallel"] * trafo.get("df", 1.0)
        windings = pd.DataFrame({"branch": len(line) + np.arange(len(trafo)), "row": np.arange(*ranges["trafo"])})
        for end, vn_kv in (("from", trafo["vn_hv_kv"]), ("to", trafo["vn_lv_kv"])):
            tables.append(windings.assign(end=end, rating_a=(rated_kva / (np.sqrt(3) * vn_kv)).to_numpy()))
    return pd.concat(tables, ignore_index=True)


def _end_currents(
    system: _SequenceSystem, z_sequence: Complex, projection: _Projection, ends: pd.DataFrame
) -> tuple[Complex, Complex]:
    """[ends, 3, injectors] ampere per ampere injected and [ends, 3] ampere without injection, into the branch's end."""
    rows = ends["row"].to_numpy(dtype=np.int64)
    is_from = (ends["end"] == "from").to_numpy()
    bus = np.where(is_from, system.from_bus[rows], system.to_bus[rows])
    pick_from, pick_to = sp.diags(is_from.astype(float)), sp.diags((~is_from).astype(float))
    y = [
        pick_from @ y_from[rows] + pick_to @ y_to[rows] for y_from, y_to in zip(system.y_from, system.y_to, strict=True)
    ]
    per_sequence = np.stack([y[sequence] @ z_sequence[sequence] for sequence in range(3)])
    gain = projection.to_phase(per_sequence, 1.0 / system.base_v[bus])
    i0 = (y[1] @ system.v1 * system.base_va / system.base_v[bus])[:, None] * PHASE_FROM_SEQUENCE[:, 1]
    return gain, i0


def _check_points(net: pp.pandapowerNet, points: pd.DataFrame) -> None:
    for point in points.itertuples():
        if point.bus not in net.bus.index:
            raise InputError(
                "the network has no such bus",
                key=f"{point.name}.bus",
                value=point.bus,
                allowed="an index of its bus table",
            )
        if point.phase not in (*PHASES, "abc"):
            raise InputError("no such phase", key=f"{point.name}.phase", value=point.phase, allowed="a, b, c or abc")
    repeated = points["name"][points["name"].duplicated()]
    if len(repeated):
        raise InputError("two connection points have the same name", key="name", value=repeated.iloc[0])
