"""Which requests read a set of points: as few as the device's rules allow.

Public: `plan_reads(points, facts) -> tuple[Block, ...]`, `Block`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from feederloop.hil.profile import Point, Table, TransportFacts


@dataclass(frozen=True, slots=True)
class Block:
    """One request: `count` registers (or coils) from `address`, which hold these points whole."""

    table: Table
    address: int
    count: int
    points: tuple[Point, ...]


def plan_reads(points: Iterable[Point], facts: TransportFacts) -> tuple[Block, ...]:
    """Merge points into requests of at most `facts.max_block` registers, across gaps only where the device allows it.

    A point longer than the largest block is asked for by itself and left to the device to answer or refuse.
    """
    blocks: list[Block] = []
    for point in sorted(points, key=lambda item: (item.table, item.address, item.count)):
        last = blocks[-1] if blocks else None
        if last is not None and _joins(last, point, facts):
            end = max(last.address + last.count, point.address + point.count)
            blocks[-1] = Block(last.table, last.address, end - last.address, (*last.points, point))
        else:
            blocks.append(Block(point.table, point.address, point.count, (point,)))
    return tuple(blocks)


def _joins(block: Block, point: Point, facts: TransportFacts) -> bool:
    if facts.one_value_per_read:
        return (point.address, point.count) == (block.address, block.count) and point.table == block.table
    end = max(block.address + block.count, point.address + point.count)
    touches = point.address <= block.address + block.count or facts.gap_reads
    return point.table == block.table and touches and end - block.address <= facts.max_block
