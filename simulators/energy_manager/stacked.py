"""The problems of many prosumers as one linear programme, solved again and again by the same solver.

The structure never changes: the matrix is passed once, later plans change bounds, sides and costs only and start from
the last optimal basis. The prosumers do not touch each other, so that the joint optimum is everyone's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from scipy import sparse

from feederloop.simulators.energy_manager.compiled import CompiledProblem

#: Tie-breakers in the costs take the place of the solver's own random perturbation: fewer iterations, exact answers.
_OPTIONS: dict[str, bool | int | float | str] = {
    "output_flag": False,
    "solver": "simplex",
    "parallel": "off",
    "threads": 1,
    "random_seed": 0,
    "presolve": "off",
    "dual_simplex_cost_perturbation_multiplier": 0.0,
    "primal_simplex_bound_perturbation_multiplier": 0.0,
}
_DUAL_SIMPLEX, _PRIMAL_SIMPLEX = 1, 4


class PlanningError(RuntimeError):
    """The solver found no optimal plan; says what it reported and for whom."""


@dataclass(frozen=True, eq=False)
class _Arrays:
    """What changes from plan to plan; the stacked vectors of all prosumers."""

    cost: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray


class StackedProgramme:
    """One persistent solver for the compiled problems of several prosumers.

    Args:
        names: The prosumers' names, for messages.
        problems: Their compiled problems, all with the same number of columns and rows.
    """

    def __init__(self, names: Sequence[str], problems: Sequence[CompiledProblem]) -> None:
        self._names = tuple(names)
        self._matrix = sparse.block_diag([problem.matrix for problem in problems], format="csr")
        self._rows, self._columns = self._matrix.shape
        self._width = self._columns // len(problems)
        alike: dict[int, list[int]] = {}
        for number, problem in enumerate(problems):
            alike.setdefault(id(problem), []).append(number)
        self._groups = [(problems[members[0]], np.array(members)) for members in alike.values()]
        self._solver: Any = None
        self._arrays: _Arrays | None = None

    def load(self, data: np.ndarray) -> None:
        """Take over new data of shape (prosumers, data)."""
        self._arrays = arrays = self._evaluate(data)
        if self._solver is None:
            self._solver = _new_solver(self._matrix, arrays)
            return
        column, row = np.arange(self._columns, dtype=np.int32), np.arange(self._rows, dtype=np.int32)
        self._solver.changeColsCost(self._columns, column, arrays.cost)
        self._solver.changeColsBounds(self._columns, column, arrays.lower, arrays.upper)
        self._solver.changeRowsBounds(self._rows, row, arrays.row_lower, arrays.row_upper)
        self._solver.setOptionValue("simplex_strategy", _DUAL_SIMPLEX)

    def reprice(self, data: np.ndarray, columns: np.ndarray) -> None:
        """Take over the costs of some columns only, which leaves the last plan feasible.

        Args:
            data: As in `load`.
            columns: Positions within a prosumer's columns.
        """
        assert self._solver is not None, "load data first"
        cost = np.empty((len(self._names), len(columns)))
        for problem, members in self._groups:
            cost[members] = problem.cost.at(data[members])[:, columns]
        position = (np.arange(len(self._names))[:, None] * self._width + columns[None, :]).ravel()
        self._solver.changeColsCost(position.size, position.astype(np.int32), cost.ravel())
        self._solver.setOptionValue("simplex_strategy", _PRIMAL_SIMPLEX)

    def solve(self) -> np.ndarray:
        """Return the optimal columns, shape (prosumers, columns).

        Raises:
            PlanningError: There is no optimum.
        """
        assert self._solver is not None, "load data first"
        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            # An old basis can be a numerically poor start; the programme itself is then solved from none.
            self._solver.clearSolver()
            self._solver.run()
        status = self._solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            reason = self._solver.modelStatusToString(status)
            culprits = ", ".join(self._without_plan()) or "all together, though each alone has a plan"
            raise PlanningError(f"no optimal plan ({reason}) for {culprits}")
        return np.array(self._solver.getSolution().col_value).reshape(len(self._names), self._width)

    def _evaluate(self, data: np.ndarray) -> _Arrays:
        """Evaluate bounds, sides and costs and lay them out as the stacked programme has them."""
        stacked = {}
        for field in ("cost", "lower", "upper", "row_lower", "row_upper"):
            parts = [(members, getattr(problem, field).at(data[members])) for problem, members in self._groups]
            values = np.empty((len(self._names), parts[0][1].shape[1]))
            for members, part in parts:
                values[members] = part
            stacked[field] = values.ravel()
        return _Arrays(**stacked)

    def _without_plan(self) -> list[str]:
        """Solve each prosumer's programme alone and name those that have no optimum."""
        assert self._arrays is not None
        height, named = self._rows // len(self._names), []
        for number, name in enumerate(self._names):
            rows = slice(number * height, (number + 1) * height)
            columns = slice(number * self._width, (number + 1) * self._width)
            own = self._arrays
            part = _Arrays(
                own.cost[columns], own.lower[columns], own.upper[columns], own.row_lower[rows], own.row_upper[rows]
            )
            solver = _new_solver(sparse.csr_array(self._matrix[rows, columns]), part)
            solver.run()
            if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                named.append(name)
        return named


def _new_solver(matrix: sparse.csr_array, arrays: _Arrays) -> Any:
    """Return a solver that holds a programme; untyped, because its type stubs lack methods that it has."""
    solver = highspy.Highs()
    # One pool of threads serves all solvers of a process, and one that has grown larger refuses a single thread.
    solver.resetGlobalScheduler(True)
    for key, value in _OPTIONS.items():
        solver.setOptionValue(key, value)
    programme = highspy.HighsLp()
    programme.num_row_, programme.num_col_ = matrix.shape
    programme.col_cost_, programme.col_lower_, programme.col_upper_ = arrays.cost, arrays.lower, arrays.upper
    programme.row_lower_, programme.row_upper_ = arrays.row_lower, arrays.row_upper
    programme.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    programme.a_matrix_.start_ = matrix.indptr
    programme.a_matrix_.index_ = matrix.indices
    programme.a_matrix_.value_ = matrix.data
    solver.passModel(programme)
    return solver
