from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sunspec2.device

from feederloop.hil.profile import load_profile
from feederloop.hil.sunspec import (
    ModelPlace,
    find_base,
    model_layout,
    nominal_places,
    resolve,
    walk,
)
from feederloop.simulators.errors import InputError

MODELS = (1, 101, 102, 103, 113, 120, 121, 123, 124, 203, 701, 702, 703, 704, 713, 715)


@pytest.mark.parametrize("model_id", MODELS)
def test_layouts_are_those_of_the_sunspec_alliances_own_program(model_id: int) -> None:
    theirs = sunspec2.device.Model(model_id)
    ours = {point.name: point for point in model_layout(model_id).points if "." not in point.name}
    assert set(ours) == set(theirs.points)
    for name, point in theirs.points.items():
        assert (ours[name].offset, ours[name].words) == (point.offset, point.len), name
    assert model_layout(model_id).length == theirs.len - 2


# Offsets from the id register, from tables of the models on paper.
@pytest.mark.parametrize(
    ("model_id", "name", "offset", "words"),
    [
        (103, "W", 14, 1),
        (103, "WH", 24, 2),
        (103, "St", 38, 1),
        (120, "WRtg", 3, 1),
        (123, "WMaxLimPct", 5, 1),
        (123, "WMaxLim_Ena", 9, 1),
        (124, "OutWRte", 12, 1),
        (701, "W", 10, 1),
        (701, "Hz", 17, 2),
        (702, "WMaxRtg", 2, 1),
        (704, "WMaxLimPctEna", 14, 1),
        (704, "WSet", 24, 2),
        (715, "ControllerHb", 5, 2),
    ],
)
def test_offsets_of_the_points_that_matter(model_id: int, name: str, offset: int, words: int) -> None:
    point = next(point for point in model_layout(model_id).points if point.name == name)
    assert (point.offset, point.words) == (offset, words)


def test_a_stray_file_in_the_working_folder_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = model_layout(123)
    (tmp_path / "model_123.json").write_text('{"id": 123, "group": {"points": []}}', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    model_layout.cache_clear()
    assert [path.name for path in Path.cwd().iterdir()] == ["model_123.json"]
    assert model_layout(123) == before


def test_points_lie_where_their_models_do() -> None:
    profile = load_profile("sunspec_inverter_three_phase")
    places = [ModelPlace(1, 2, 66), ModelPlace(123, 100, 24), ModelPlace(103, 300, 50), ModelPlace(120, 400, 26)]
    with pytest.raises(InputError, match="121"):
        resolve(profile, places)
    resolved = resolve(profile, [*places, ModelPlace(121, 500, 30)])
    limit = resolved.point("power_limit_pct_set")
    assert (limit.address, limit.scale_role, limit.unit, limit.access) == (105, "123.WMaxLimPct_SF", "%", "RW")
    assert resolved.point("power_total").address == 314
    assert resolved.point("103.W_SF").address == 315
    assert resolved.point("power_limit_enable").enum == {0: "disabled", 1: "enabled"}


def test_a_model_shorter_than_its_definition_has_fewer_points() -> None:
    profile = load_profile("sunspec_inverter_single_phase")
    whole = resolve(profile, nominal_places(profile))
    short = [ModelPlace(place.model_id, place.address, 10) for place in nominal_places(profile)]
    assert {point.role for point in resolve(profile, short).points} < {point.role for point in whole.points}


class Memory:
    def __init__(self, words: dict[int, int]) -> None:
        self.words = words

    async def __call__(self, address: int, count: int) -> Sequence[int] | None:
        spot = [self.words.get(address + offset) for offset in range(count)]
        return None if None in spot else [word for word in spot if word is not None]


@pytest.mark.parametrize("base", [0, 40000, 50000])
def test_discovery_finds_the_base_and_walks_to_the_end(base: int, run: Any) -> None:
    words = [0x5375, 0x6E53, 1, 3, 0, 0, 0, 103, 2, 0, 0, 0xFFFF, 0]
    memory = Memory({base + offset: word for offset, word in enumerate(words)})
    assert run(find_base(memory, (40000, 0, 50000))) == base
    assert run(walk(memory, base)) == (ModelPlace(1, base + 2, 3), ModelPlace(103, base + 7, 2))


def test_discovery_survives_a_map_without_an_end(run: Any) -> None:
    loop = Memory(dict.fromkeys(range(100000), 0))
    assert len(run(walk(loop, 0))) == 64
    assert run(find_base(loop, (40000, 0))) is None
    assert run(walk(Memory({2: 1}), 0)) == ()
