"""A network as sections that meet at one busbar: what happens in one acts on the others only through its voltages.

Several feeders behind one transformer are many customers, but few per feeder. With `R_j` the voltages of the busbar's
three phases per ampere injected at j, and `L_i` how i's voltage follows them, the impedance between two sections is
`L_i R_j`: three numbers a customer in place of a matrix. Work then grows with the number of feeders, not its square.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from feederloop.simulators.grid.feeder import Complex, Feeder, Floats, Ints

_SMALL = 1e-3  # ohm, or ampere per ampere
_EXACT = 1e-10  # of the largest impedance: what may be left over where the busbar is said to explain everything


@dataclass(frozen=True)
class Sections:
    """How injectors are divided, and what couples the parts. One section and no coupling where nothing divides.

    Attributes:
        order: [injectors] The injectors, section by section.
        start: [sections + 1] Where in `order` each section begins; the last entry is the number of injectors.
        left: [injectors, 3] Volt at an injector per volt at the busbar, in the feeder's own order.
        right: [3, injectors] Volt at the busbar per ampere injected, in the feeder's own order.
        w: [3] The busbar's voltages without injection.
        bus_section: [buses] Which section a bus of `Feeder.buses` is in; -1 at the busbar and before it.
        row_section: [branch rows] Which section a phase conductor is in; -1 for transformers and what is before them.
    """

    order: Ints
    start: Ints
    left: Complex
    right: Complex
    w: Complex
    bus_section: Ints
    row_section: Ints

    @classmethod
    def of(cls, feeder: Feeder) -> "Sections":
        """Find the sections; that the busbar couples them is verified on every impedance and every current."""
        count, branches = len(feeder.w), feeder.branches
        for busbar in _busbars(feeder):
            bus_section = _parts(feeder, busbar)
            own = bus_section[feeder.injector_row // 3]
            if (own < 0).any() or own.max() == 0:
                continue
            row_section = _row_sections(feeder, bus_section)
            right = np.ascontiguousarray(feeder.bus_z[3 * busbar : 3 * busbar + 3])
            left = following(feeder.z, right, own, own)
            buses = following(feeder.bus_z, right, np.repeat(bus_section, 3), own)
            currents = following(branches.gain, right, row_section, own)
            if left is None or buses is None or currents is None:
                continue
            order = np.argsort(own, kind="stable").astype(np.int64)
            start = np.searchsorted(own[order], np.arange(own.max() + 2)).astype(np.int64)
            w = feeder.bus_w[3 * busbar : 3 * busbar + 3]
            return cls(order, start, left, right, w, bus_section, row_section)
        nothing = np.zeros((count, 3), dtype=complex)
        whole, rows = np.zeros(len(feeder.buses), dtype=np.int64), np.zeros(len(branches.row_branch), dtype=np.int64)
        idle = np.zeros(3, dtype=complex)
        return cls(np.arange(count), np.array([0, count]), nothing, nothing.T.copy(), idle, whole, rows)

    def __len__(self) -> int:
        return len(self.start) - 1


def following(gain: Complex, right: Complex, section: Ints, own: Ints) -> Complex | None:
    """[rows, 3] How [rows, injectors] quantities follow the busbar, or none if it does not explain all of them.

    Args:
        gain: Per ampere injected.
        right: [3, injectors] Volt at the busbar per ampere injected.
        section: [rows] The section that a row sees in detail; -1 for none.
        own: [injectors] The section that an injector is in.
    """
    left = np.zeros((len(gain), 3), dtype=complex)
    tolerance = _EXACT * max(float(np.abs(gain).max(initial=0.0)), _SMALL)
    for part in np.unique(section):
        rows, others = np.flatnonzero(section == part), np.flatnonzero(own != part)
        left[rows] = gain[np.ix_(rows, others)] @ np.linalg.pinv(right[:, others], rcond=1e-9)
        if np.abs(left[rows] @ right[:, others] - gain[np.ix_(rows, others)]).max(initial=0.0) > tolerance:
            return None
    return left


def _busbars(feeder: Feeder) -> list[int]:
    """Places of the low-voltage buses of transformers."""
    ends = feeder.branches.ends
    is_trafo = np.array([name.startswith("trafo") for name in feeder.branches.names], dtype=bool)
    places = pd.Index(feeder.buses).get_indexer(ends[is_trafo, 1])
    return [int(place) for place in np.unique(places[places >= 0])]


def _parts(feeder: Feeder, busbar: int) -> Ints:
    """[buses] Which part of the network a bus is in once the busbar is taken out; -1 where nobody is connected."""
    count = len(feeder.buses)
    ends = pd.Index(feeder.buses).get_indexer(feeder.branches.ends.reshape(-1)).reshape(-1, 2)
    is_line = np.array([name.startswith("line") for name in feeder.branches.names], dtype=bool)
    kept = ends[is_line & (ends >= 0).all(axis=1) & (ends != busbar).all(axis=1)]
    graph = sp.coo_matrix((np.ones(len(kept)), (kept[:, 0], kept[:, 1])), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    label = label.astype(np.int64)
    # The busbar and what is before the transformer have nothing of their own.
    label[busbar] = -1
    label[feeder.bus_vn_v >= 1000.0] = -1
    used = np.unique(label[feeder.injector_row // 3])
    used = used[used >= 0]
    place = np.searchsorted(used, label)
    known = np.isin(label, used)
    return np.where(known, place, -1).astype(np.int64)


def _row_sections(feeder: Feeder, bus_section: Ints) -> Ints:
    """[branch rows] Section of each phase conductor; -1 for transformers and what is before them."""
    branches = feeder.branches
    ends = pd.Index(feeder.buses).get_indexer(branches.ends.reshape(-1)).reshape(-1, 2)
    of_branch = np.where(ends >= 0, bus_section[ends], -1).max(axis=1)
    is_trafo = np.array([name.startswith("trafo") for name in branches.names], dtype=bool)
    result: Ints = np.where(is_trafo, -1, of_branch)[branches.row_branch]
    return result


def absolute(values: Complex) -> Floats:
    """Absolute values, several times as fast as numpy's, which guards against overflow."""
    result: Floats = np.sqrt(values.real**2 + values.imag**2)
    return result
