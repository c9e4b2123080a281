from hypothesis import given
from hypothesis import strategies as st

from feederloop.hil.profile import Point, TransportFacts, load_profile
from feederloop.hil.read_plan import plan_reads


def _points(spots: list[tuple[int, int]]) -> list[Point]:
    kinds = {1: "uint16", 2: "uint32", 4: "uint64"}
    return [
        Point.model_validate({"role": f"r{n}", "table": "holding", "address": address, "type": kinds[count]})
        for n, (address, count) in enumerate(spots)
    ]


@st.composite
def _spots(draw: st.DrawFn) -> list[tuple[int, int]]:
    spots, address = [], draw(st.integers(0, 100))
    for _ in range(draw(st.integers(1, 30))):
        count = draw(st.sampled_from([1, 2, 4]))
        spots.append((address, count))
        address += count + draw(st.integers(0, 20))
    return draw(st.permutations(spots))


@given(spots=_spots(), most=st.integers(4, 125), gaps=st.booleans())
def test_each_point_is_read_once_and_within_the_rules(spots: list[tuple[int, int]], most: int, gaps: bool) -> None:
    points = _points(spots)
    blocks = plan_reads(points, TransportFacts(protocols=("tcp",), max_block=most, gap_reads=gaps))
    assert sorted(point.role for block in blocks for point in block.points) == sorted(point.role for point in points)
    for block in blocks:
        assert block.count <= most
        covered = {address for point in block.points for address in range(point.address, point.address + point.count)}
        assert covered <= set(range(block.address, block.address + block.count))
        if not gaps:
            assert len(covered) == block.count


def test_one_value_per_read_where_the_device_wants_it() -> None:
    keba = load_profile("keba_p30_p40")
    points = [point for point in keba.points if point.readable]
    blocks = plan_reads(points, keba.transport)
    assert len(blocks) == len(points)
    assert all(block.count == 2 for block in blocks)


def test_neighbours_share_a_request_and_tables_do_not() -> None:
    alfen = load_profile("alfen_ng9xx")
    wanted = [alfen.point(f"{what}_l{phase}") for what in ("voltage", "current", "power") for phase in (1, 2, 3)]
    spans = [
        (block.address, block.count) for block in plan_reads([*wanted, alfen.point("power_total")], alfen.transport)
    ]
    assert spans == [(306, 6), (320, 6), (338, 8)]
    heidelberg = load_profile("heidelberg_energy_control")
    blocks = plan_reads([heidelberg.point("status"), heidelberg.point("current_limit_set")], heidelberg.transport)
    assert {block.table for block in blocks} == {"input", "holding"}


def test_gaps_are_bridged_where_the_device_allows_it() -> None:
    points = _points([(0, 1), (100, 1), (130, 1)])
    facts = TransportFacts(protocols=("tcp",), max_block=125, gap_reads=True)
    assert [(block.address, block.count) for block in plan_reads(points, facts)] == [(0, 101), (130, 1)]
