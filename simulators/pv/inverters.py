"""Photovoltaic inverters: feed in what is available, up to the limit they are given, and answer to unusual voltages."""

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.pv.volt_var import volt_var_share, volt_watt_share

Floats = NDArray[np.float64]


class Inverters:
    """The plants of a street.

    Args:
        available_kw: AC power available to each plant in each step, at least zero, [n, T].
        volt_var_kva: Rated power of those that answer to voltage by volt-var and volt-watt; zero of the others [n].
    """

    def __init__(self, available_kw: Floats, volt_var_kva: Floats | None = None) -> None:
        self.available_kw = available_kw
        self._rated_kva = np.zeros(len(available_kw)) if volt_var_kva is None else volt_var_kva

    def power(self, step: int, p_limit_kw: Floats, v_v: Floats | None = None) -> Floats:
        """Return active power in kW, export positive and never negative, [n].

        What inverters supply of reactive power by their voltage follows it within seconds, so it is the power flow that
        balances both; here it only takes its part of the rating.

        Args:
            step: Number of the physical step.
            p_limit_kw: Highest power; NaN for no limit, below zero for zero [n].
            v_v: Voltage at the connection points, phase to neutral; NaN where it is not known [n].
        """
        limit = np.where(np.isnan(p_limit_kw), np.inf, np.maximum(p_limit_kw, 0.0))
        power = np.minimum(self.available_kw[:, step], limit)
        if v_v is None or not self._rated_kva.any():
            return power
        answers = (self._rated_kva > 0) & ~np.isnan(v_v)
        volts = np.where(answers, v_v, 230.0)
        # Reactive power has priority over active power.
        most = self._rated_kva * np.minimum(volt_watt_share(volts), np.sqrt(1.0 - volt_var_share(volts) ** 2))
        return np.where(answers, np.minimum(power, most), power)
