"""A linear programme stated in Pyomo, read off once into a solver whose numbers can be changed."""

from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from feederloop.simulators.energy_manager.stacked import PlanningError

_OPTIONS: dict[str, bool | int | float | str] = {
    "output_flag": False,
    "threads": 1,
    "parallel": "off",
    "random_seed": 0,
}


class LinearProgramme:
    """A persistent solver for a Pyomo model.

    Args:
        model: Linear, with one objective to be minimised.
        what: What it plans, for messages.
    """

    def __init__(self, model: pyo.ConcreteModel, what: str) -> None:
        form = LinearStandardFormCompiler().write(model, mixed_form=True)
        self._what = what
        self._column = {id(var): number for number, var in enumerate(form.columns)}
        self._row = {id(entry.constraint): number for number, entry in enumerate(form.rows)}
        matrix = form.A.tocsr()
        programme = highspy.HighsLp()
        programme.num_row_, programme.num_col_ = matrix.shape
        programme.col_cost_ = np.asarray(form.c.todense(), dtype=float).ravel()
        lower, upper = zip(*(var.bounds for var in form.columns), strict=True)
        programme.col_lower_ = _filled(lower, -highspy.kHighsInf)
        programme.col_upper_ = _filled(upper, highspy.kHighsInf)
        # In mixed form an entry says 1 for "at most", -1 for "at least" and 0 for "equal".
        kinds, rhs = np.array([entry.bound_type for entry in form.rows]), np.asarray(form.rhs, dtype=float)
        programme.row_lower_ = np.where(kinds <= 0, rhs, -highspy.kHighsInf)
        programme.row_upper_ = np.where(kinds >= 0, rhs, highspy.kHighsInf)
        programme.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        programme.a_matrix_.start_ = matrix.indptr
        programme.a_matrix_.index_ = matrix.indices
        programme.a_matrix_.value_ = matrix.data
        self.solver: Any = highspy.Highs()
        # One pool of threads serves all solvers of a process, and one that has grown larger refuses a single thread.
        self.solver.resetGlobalScheduler(True)
        for key, value in _OPTIONS.items():
            self.solver.setOptionValue(key, value)
        self.solver.passModel(programme)

    def columns(self, *variables: Any) -> np.ndarray:
        """Return the column numbers of the members of indexed variables, (variables, members)."""
        numbers = [[self._column[id(member)] for member in variable.values()] for variable in variables]
        return np.array(numbers, dtype=np.int32)

    def rows(self, constraint: Any) -> np.ndarray:
        """Return the row numbers of a constraint's members."""
        return np.array([self._row[id(member)] for member in constraint.values()], dtype=np.int32)

    def bound_columns(self, columns: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        """Change the bounds of columns."""
        number = columns.ravel()
        self.solver.changeColsBounds(number.size, number, np.ravel(lower), np.ravel(upper))

    def bound_rows(self, rows: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        """Change the sides of rows."""
        number = rows.ravel()
        self.solver.changeRowsBounds(number.size, number, np.ravel(lower), np.ravel(upper))

    def solve(self) -> np.ndarray:
        """Return the values of all columns at the optimum.

        Raises:
            PlanningError: There is none.
        """
        self.solver.run()
        status = self.solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise PlanningError(f"no optimal {self._what} ({self.solver.modelStatusToString(status)})")
        return np.array(self.solver.getSolution().col_value)


def _filled(bounds: tuple[float | None, ...], absent: float) -> np.ndarray:
    return np.array([absent if bound is None else float(bound) for bound in bounds])
