"""Where the voltages and what inverters supply by them are in balance."""

from dataclasses import replace

import numpy as np

from feederloop.simulators.grid.feeder import Floats
from feederloop.simulators.grid.powerflow import PowerFlow, PowerFlowError, Solution
from feederloop.simulators.pv.volt_var import volt_var_share

_ROUNDS = 200
_TOLERANCE = 1e-9  # of the rated power


class VoltVarPowerFlow:
    """Exact power flow of a network whose inverters supply reactive power by their voltages, which depend on it.

    Inverters settle within seconds (AS/NZS 4777.2: ten at most), so this is what a step of minutes sees. One at a
    three-phase point answers to the mean of its three voltages.

    Args:
        power_flow: Of the network.
        rated_kva: [points] Rated power of such inverters; zero of who has none.
    """

    def __init__(self, power_flow: PowerFlow, rated_kva: Floats) -> None:
        self.power_flow, self.rated_kva = power_flow, rated_kva
        point = power_flow.feeder.injector_point
        self._mean = (point == np.arange(len(rated_kva))[:, None]) / np.bincount(point)[:, None]

    def solve(self, p_kw: Floats, q_kvar: Floats) -> tuple[Solution, Floats]:
        """Solve as `try_solve` does.

        Raises:
            PowerFlowError: Some scenario has no solution, or some power is not a finite number.
        """
        solution, total_kvar = self.try_solve(p_kw, q_kvar)
        if not solution.converged.all():
            self.power_flow.solve(p_kw, total_kvar)  # says what is wrong, if it is not the balance
            raise PowerFlowError("the voltages and the reactive power that inverters supply by them find no balance")
        return solution, total_kvar

    def try_solve(self, p_kw: Floats, q_kvar: Floats) -> tuple[Solution, Floats]:
        """Return the solutions, and the reactive power with what inverters supply; failures are marked, never raised.

        Args:
            p_kw: [points, scenarios] All active power injected.
            q_kvar: [points, scenarios] All other reactive power injected.
        """
        solution = self._plain(p_kw, q_kvar)
        if not self.rated_kva.any():
            return solution, q_kvar
        supplied = np.zeros(q_kvar.shape)
        share, before = np.full(q_kvar.shape[1], 0.5), np.full(q_kvar.shape[1], np.inf)
        for _ in range(_ROUNDS):
            wanted = self.rated_kva[:, None] * volt_var_share(self._mean @ np.abs(solution.v))
            away = np.where(solution.converged, wanted - supplied, 0.0)
            now = np.abs(away).max(axis=0)
            settled = now <= _TOLERANCE * self.rated_kva.max()
            if settled.all():
                break
            # The steeper the network answers, the smaller the steps that lead to a balance.
            share, before = np.where(now > before, share / 2, share), now
            supplied += np.where(settled, 0.0, share) * away
            solution = self._plain(p_kw, q_kvar + supplied)
        return replace(solution, converged=solution.converged & settled), q_kvar + supplied

    def _plain(self, p_kw: Floats, q_kvar: Floats) -> Solution:
        return self.power_flow.try_solve(self.power_flow.injected_va(p_kw, q_kvar))
