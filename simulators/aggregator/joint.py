"""All prosumers' planning problems as one programme within the network's limits.

The prosumers' part is the energy managers' own statement; the network's rows are added as the exact power flow of a
plan shows that they are needed. Every row has a slack at a price above every other, so that a network that inflexible
demand alone overloads leaves no plan infeasible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from feederloop.simulators.aggregator.network import Cut
from feederloop.simulators.energy_manager.compiled import VARIABLES, CompiledProblem, compile_problem
from feederloop.simulators.energy_manager.model import Weights
from feederloop.simulators.energy_manager.outlook import Outlook
from feederloop.simulators.energy_manager.settings import Sites
from feederloop.simulators.energy_manager.stacked import PlanningError, StackedProgramme

SLACK_PER_KWH = 1000.0
"""Price of an excess, per kWh at the connection point that acts on the limit most."""


class NetworkRowsOf:
    """The network's rows and their slacks in a solver that has other rows and columns before them.

    Args:
        solver: Holds the programme.
        columns_of: [points, terms, intervals] Columns that make up a connection point's power.
        sign_of: [terms] +1 for those that are exported.
        interval_h: Length of an interval.
    """

    def __init__(self, solver: Any, columns_of: np.ndarray, sign_of: np.ndarray, interval_h: float) -> None:
        self._solver, self._columns, self._sign, self._price = solver, columns_of, sign_of, SLACK_PER_KWH * interval_h
        self._first_row, self._first_column = solver.getNumRow(), solver.getNumCol()

    def clear(self) -> None:
        """Take all rows of the network out."""
        self._solver.deleteRows(*_run(self._first_row, self._solver.getNumRow()))
        self._solver.deleteCols(*_run(self._first_column, self._solver.getNumCol()))

    def add(self, cuts: Sequence[Cut]) -> None:
        """Add rows."""
        for cut in cuts:
            acting = np.flatnonzero(np.abs(cut.gradient) > 1e-6)
            columns = self._columns[acting, :, cut.interval].ravel()
            values = (cut.gradient[acting, None] * self._sign[None, :]).ravel()
            slack = self._solver.getNumCol()
            self._solver.addCol(self._price, 0.0, highspy.kHighsInf, 0, np.empty(0, np.int32), np.empty(0))
            index = np.append(columns, slack).astype(np.int32)
            row = np.append(values, -1.0)
            self._solver.addRow(-highspy.kHighsInf, cut.limit_kw, len(index), index, row)


def _run(first: int, last: int) -> tuple[int, np.ndarray]:
    return last - first, np.arange(first, last, dtype=np.int32)


@dataclass(frozen=True, eq=False)
class JointPlan:
    """What all are to do; arrays are (prosumers, intervals) in kW, export positive."""

    position_kw: np.ndarray
    pv_kw: np.ndarray
    ev_kw: np.ndarray


class JointProgramme(StackedProgramme):
    """The stacked programme of all prosumers, with rows that couple them.

    Args:
        sites: The prosumers' devices.
        intervals: Planned intervals.
        interval_s: Length of one in seconds.
        weights: Penalties and tie-breakers.
    """

    def __init__(self, sites: Sites, intervals: int, interval_s: float, weights: Weights) -> None:
        self._interval_h, self._intervals = interval_s / 3600.0, intervals
        problems: list[CompiledProblem] = [
            compile_problem(intervals, self._interval_h, eta, weights) for eta in sites.ev_efficiency.tolist()
        ]
        super().__init__(sites.names, problems)
        self._network: NetworkRowsOf | None = None

    def begin(self, outlook: Outlook) -> None:
        """Take over new data, without rows of the network."""
        if self._network is not None:
            self._network.clear()
        self.load(outlook.data())
        if self._network is None:
            self._network = NetworkRowsOf(self._solver, *self._position_columns(), self._interval_h)

    def solve_within(self, cuts: Sequence[Cut]) -> np.ndarray:
        """Return the best positions within further rows, (prosumers, intervals) in kW."""
        assert self._network is not None, "begin first"
        self._network.add(cuts)
        return self.described().position_kw

    def described(self) -> JointPlan:
        """Return the plan that is optimal within the rows so far."""
        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            self._solver.clearSolver()
            self._solver.run()
        status = self._solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise PlanningError(f"no optimal plan for all together ({self._solver.modelStatusToString(status)})")
        values = np.array(self._solver.getSolution().col_value)[: self._columns].reshape(len(self._names), self._width)
        blocks = values[:, :-1].reshape(len(values), len(VARIABLES), self._intervals).swapaxes(0, 1)
        part = dict(zip(VARIABLES, blocks, strict=True))
        return JointPlan(
            position_kw=part["sell_kw"] - part["buy_kw"] - part["excess_kw"],
            pv_kw=part["pv_kw"],
            ev_kw=part["discharge_kw"] - part["charge_kw"] - part["fast_charge_kw"],
        )

    def _position_columns(self) -> tuple[np.ndarray, np.ndarray]:
        terms = np.array([VARIABLES.index(name) for name in ("sell_kw", "buy_kw", "excess_kw")])
        within = terms[None, :, None] * self._intervals + np.arange(self._intervals)[None, None, :]
        start = np.arange(len(self._names))[:, None, None] * self._width
        return start + within, np.array([1.0, -1.0, -1.0])
