"""Photovoltaic inverters: feed in what is available, up to the limit they are given, and answer to unusual voltages."""

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.pv.volt_var import volt_var_share, volt_watt_share

Floats = NDArray[np.float64]

_APPROACH = 0.5  # per step; a whole step towards the target makes neighbours with the voltage of the last step hunt


class Inverters:
    """The plants of a street.

    Args:
        available_kw: AC power available to each plant in each step, at least zero, [n, T].
        volt_var_kva: Rated power of those that answer to voltage by volt-var and volt-watt; zero of the others [n].
    """

    def __init__(self, available_kw: Floats, volt_var_kva: Floats | None = None) -> None:
        self.available_kw = available_kw
        self._rated_kva = np.zeros(len(available_kw)) if volt_var_kva is None else volt_var_kva
        self.q_kvar = np.zeros(len(available_kw))

    def power(self, step: int, p_limit_kw: Floats, v_v: Floats | None = None) -> Floats:
        """Return active power in kW, export positive and never negative, [n]; `q_kvar` moves along.

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
        target = np.where(answers, self._rated_kva * volt_var_share(volts), 0.0)
        self.q_kvar = self.q_kvar + _APPROACH * (target - self.q_kvar)
        # Reactive power has priority over active power.
        most = np.minimum(self._rated_kva * volt_watt_share(volts), np.sqrt(self._rated_kva**2 - self.q_kvar**2))
        return np.where(answers, np.minimum(power, most), power)
