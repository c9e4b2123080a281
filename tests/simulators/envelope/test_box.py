import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feederloop.simulators.envelope.box import Box, Boxes


def random_box(rng: np.random.Generator, count: int) -> Box:
    low, width = rng.uniform(-5, 5, (2, count)), rng.uniform(0, 4, (2, count)) * rng.integers(0, 2, (2, count))
    return Box(low[0], low[0] + width[0], low[1], low[1] + width[1])


@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.0, 0.01, 0.2, 0.6]))
def test_faces_hold_what_every_box_of_a_family_has_there(seed, share):
    rng = np.random.default_rng(seed)
    box = random_box(rng, 4)
    boxes = Boxes.around(box, share, share)
    width = 2 * box.half_width[0], 2 * box.half_width[1]
    shift = share * rng.uniform(-1, 1, (4, 4))
    other = Box(
        box.p_low_kw + shift[0] * width[0],
        box.p_high_kw + shift[1] * width[0],
        box.q_low_kvar + shift[2] * width[1],
        box.q_high_kvar + shift[3] * width[1],
    )
    assert boxes.include(box)
    assert boxes.include(other) or share == 0.0
    ends = rng.integers(-1, 2, (2, 4))
    face = boxes.faces(*ends)
    for end, low, high, face_low, face_high in (
        (ends[0], other.p_low_kw, other.p_high_kw, face.p_low_kw, face.p_high_kw),
        (ends[1], other.q_low_kvar, other.q_high_kvar, face.q_low_kvar, face.q_high_kvar),
    ):
        least, most = np.where(end > 0, high, low), np.where(end < 0, low, high)
        assert (face_low <= least + 1e-12).all()
        assert (most <= face_high + 1e-12).all()


@pytest.mark.parametrize("part", ["p_low_kw", "p_high_kw", "q_low_kvar", "q_high_kvar"])
def test_a_box_with_one_end_further_out_is_none_of_the_family(part):
    ones = np.ones(3)
    box = Box(-ones, ones, -ones, ones)
    boxes = Boxes.around(box, 0.1, 0.1)
    for out in (-0.21, 0.21):
        ends = {name: getattr(box, name).copy() for name in ("p_low_kw", "p_high_kw", "q_low_kvar", "q_high_kvar")}
        ends[part][1] += out
        assert not boxes.include(Box(**ends))
