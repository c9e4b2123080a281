"""Numbers and text inside a report come back as they were and cannot do harm."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feederloop.coupling.report.packing import GAP, json_for_script, pack


def numbers(packed):
    whole = np.frombuffer(base64.b64decode(packed["data"]), dtype="<i2")
    return np.where(whole == GAP, np.nan, whole * packed["scale"])


@given(
    st.lists(st.floats(-1e12, 1e12) | st.sampled_from([np.nan, np.inf, -np.inf]), max_size=20),
    st.sampled_from([1.0, 0.01, 0.0001]),
)
def test_packed_numbers_come_back(values, resolution):
    packed = pack(values, resolution)
    assert packed["scale"] >= resolution * 0.999
    known = np.isfinite(values)
    back = numbers(packed)
    np.testing.assert_array_equal(np.isfinite(back), known)
    error = np.abs(back[known] - np.asarray(values, dtype=float)[known])
    largest = np.abs(np.asarray(values, dtype=float)[known]).max(initial=0.0)
    assert (error <= packed["scale"] * 0.51 + 1e-5 * largest).all()


@given(
    st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5)
)
def test_data_cannot_leave_its_script(data):
    text = json_for_script({"data": data})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"data": data}


def test_data_holds_no_nan():
    with pytest.raises(ValueError, match="Out of range float"):
        json_for_script({"price": float("nan")})
