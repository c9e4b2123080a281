"""What inverters do of their own at unusual voltages: the volt-var and volt-watt responses of AS/NZS 4777.2:2020."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

VOLT_VAR_V = (207.0, 220.0, 240.0, 258.0)
VOLT_VAR_SHARE = (0.44, 0.0, 0.0, -0.60)
"""Reactive power supplied, as a share of the rated apparent power (region Australia A)."""
VOLT_WATT_V = (253.0, 260.0)
VOLT_WATT_SHARE = (1.0, 0.2)
"""Highest active power, as a share of the rated apparent power."""


def volt_var_share(v_v: Floats) -> Floats:
    """Reactive power supplied at these phase-to-neutral voltages, as a share of the rated power; never rises with V."""
    return np.interp(v_v, VOLT_VAR_V, VOLT_VAR_SHARE)


def volt_watt_share(v_v: Floats) -> Floats:
    """Highest active power at these voltages, as a share of the rated power."""
    return np.interp(v_v, VOLT_WATT_V, VOLT_WATT_SHARE)
