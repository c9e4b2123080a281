"""Our simulated inverter beside EPRI's model of an IEEE 1547-2018 inverter, both at rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.hil.simulated.inverter import InverterPhysics
from feederloop.hil.simulated.physics import Ratings

opender = pytest.importorskip("opender", reason="OpenDER is not installed: it comes with the extra 'test'")


@settings(max_examples=40, deadline=None)
@given(
    available_kw=st.floats(0.5, 8),
    limit_percent=st.floats(10, 100),
    limited=st.booleans(),
    rated_w=st.sampled_from([3000.0, 5000.0]),
)
def test_power_at_rest_is_that_of_opender(
    available_kw: float, limit_percent: float, limited: bool, rated_w: float
) -> None:
    theirs = opender.DER_PV(
        NP_P_MAX=rated_w,
        NP_VA_MAX=rated_w,
        NP_Q_MAX_INJ=0.44 * rated_w,
        NP_Q_MAX_ABS=0.44 * rated_w,
        NP_PHASE="THREE",
        NP_AC_V_NOM=400,
        NP_V_DC=800,
    )
    theirs.der_file.AP_LIMIT_ENABLE = limited
    theirs.der_file.AP_LIMIT = limit_percent / 100
    theirs.update_der_input(p_dc_kw=available_kw, v_pu=1.0, f=60)
    for _ in range(3):
        p_w, q_var = theirs.run()

    ours = InverterPhysics(Ratings(rated_power_w=rated_w, ramp_percent_per_s=100))
    ours.set("available_kw", available_kw)
    ours.command("power_limit_pct_set", limit_percent)
    ours.command("power_limit_enable", "enabled" if limited else "disabled")
    ours.advance(60)
    assert ours.power_w == pytest.approx(p_w, rel=1e-6)
    assert ours.outputs()["reactive_power"] == pytest.approx(q_var, abs=1e-6)
