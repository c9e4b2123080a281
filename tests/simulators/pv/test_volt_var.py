"""Inverters answer to voltage as AS/NZS 4777.2 says, and stay within their rating."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feederloop.simulators.pv.inverters import Inverters
from feederloop.simulators.pv.volt_var import volt_var_share, volt_watt_share


@pytest.mark.parametrize(
    ("volt", "var", "watt"),
    [(200, 0.44, 1), (207, 0.44, 1), (220, 0, 1), (240, 0, 1), (249, -0.3, 1), (256.5, -0.55, 0.6), (265, -0.6, 0.2)],
)
def test_the_responses_are_those_of_the_standard(volt: float, var: float, watt: float) -> None:
    assert volt_var_share(np.array([volt]))[0] == pytest.approx(var)
    assert volt_watt_share(np.array([volt]))[0] == pytest.approx(watt)


@given(st.lists(st.floats(180, 280), min_size=1, max_size=6), st.floats(0, 6))
def test_power_stays_within_the_rating_and_what_the_sun_gives(volts: list[float], sun_kw: float) -> None:
    inverters = Inverters(np.full((1, 1), sun_kw), np.array([5.0]))
    for volt in volts:
        power = inverters.power(0, np.array([np.nan]), np.array([volt]))
        assert 0.0 <= power[0] <= min(sun_kw, 5.0) + 1e-12
        assert np.hypot(power[0], 5.0 * volt_var_share(np.array([volt]))[0]) <= 5.0 + 1e-9


def test_only_those_that_answer_leave_room_for_reactive_power() -> None:
    inverters = Inverters(np.full((3, 1), 5.0), np.array([5.0, 0.0, 5.0]))
    power = inverters.power(0, np.full(3, np.nan), np.array([249.0, 249.0, np.nan]))
    assert power == pytest.approx([5.0 * np.sqrt(1 - 0.3**2), 5.0, 5.0])
