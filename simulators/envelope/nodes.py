"""Which of a feeder's nodes have to be watched so that all are."""

import numpy as np
import pandas as pd

from feederloop.simulators.grid.feeder import Complex, Feeder, Ints


def watched_nodes(feeder: Feeder) -> tuple[Ints, Ints]:
    """Return the low-voltage nodes (rows of `bus_z`) that stand for all, and the spans between them.

    Where nothing is connected and one cable runs on, a bus's voltage lies on the straight line between those of the
    span's ends, so its length is at most that of the longer end. Whether it does is read off the impedances.

    Returns:
        [nodes] rows of `bus_z`, and [spans, 2] positions in them.
    """
    position = pd.Index(feeder.buses)
    ends = position.get_indexer(feeder.branches.ends.reshape(-1)).reshape(-1, 2)
    is_line = np.array([name.startswith("line") for name in feeder.branches.names], dtype=bool)
    is_line &= (ends >= 0).all(axis=1)
    neighbours: dict[int, list[int]] = {bus: [] for bus in range(len(position))}
    for one, other in ends[is_line]:
        neighbours[int(one)].append(int(other))
        neighbours[int(other)].append(int(one))
    busy = set((feeder.injector_row // 3).tolist()) | set(ends[~is_line].reshape(-1).tolist())
    rows = np.concatenate([feeder.bus_z, feeder.bus_w[:, None]], axis=1).reshape(len(position), 3, -1)
    low_voltage = feeder.bus_vn_v < 1000.0
    passed = {
        bus
        for bus, near in neighbours.items()
        if low_voltage[bus] and bus not in busy and len(near) == 2 and _on_line(rows[near[0]], rows[bus], rows[near[1]])
    }
    kept = np.array([bus for bus in range(len(position)) if low_voltage[bus] and bus not in passed], dtype=np.int64)
    order = {int(bus): place for place, bus in enumerate(kept)}
    spans = set()
    for bus in passed:
        far = [_walk(neighbours, passed, bus, start) for start in neighbours[bus]]
        spans.add((min(far), max(far)))
    pairs = np.array([[order[a], order[b]] for a, b in sorted(spans)], dtype=np.int64).reshape(-1, 2)
    phase = np.arange(3)
    return (3 * kept[:, None] + phase).reshape(-1), (3 * pairs[:, None, :] + phase[:, None]).reshape(-1, 2)


def _on_line(one: Complex, middle: Complex, other: Complex) -> bool:
    """Whether all three phases of `middle` divide the span at the same place."""
    span, part = (other - one).reshape(-1), (middle - one).reshape(-1)
    length = float((span.conj() @ span).real)
    if length == 0.0:
        return bool(np.abs(part).max() == 0.0)
    share = float((span.conj() @ part).real) / length
    return 0.0 <= share <= 1.0 and float(np.abs(part - share * span).max()) <= 1e-9 * float(np.abs(middle).max())


def _walk(neighbours: dict[int, list[int]], passed: set[int], bus: int, step: int) -> int:
    """Follow a cable from `bus` over `step` to the next watched bus."""
    while step in passed:
        bus, step = step, next(near for near in neighbours[step] if near != bus)
    return step
