"""The arrays of one prosumer's problem, read off its Pyomo statement.

Every bound, right-hand side and cost of the statement is affine in the data, so that a plan needs no Pyomo: with the
data as a vector d, costs are ``c0 + d @ C`` and so on. The statement is walked once per kind of prosumer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.repn import generate_standard_repn
from scipy import sparse

from feederloop.simulators.energy_manager.model import INTERVAL_DATA, SCALAR_DATA, Weights, state_problem

VARIABLES = (
    "buy_kw",
    "excess_kw",
    "sell_kw",
    "pv_kw",
    "charge_kw",
    "fast_charge_kw",
    "discharge_kw",
    "energy_kwh",
)


class Affine:
    """A vector that depends affinely on the data: ``constant + data @ slope``."""

    def __init__(self, size: int, constant: float) -> None:
        self.constant = np.full(size, constant)
        self._entries: dict[tuple[int, int], float] = {}
        self._slope: sparse.csr_array | None = None

    def put(self, position: int, constant: float, slope: Iterable[tuple[int, float]]) -> None:
        """Say what one element is: a constant, and a factor for each datum it depends on."""
        self.constant[position] = constant
        for datum, factor in slope:
            self._entries[datum, position] = self._entries.get((datum, position), 0.0) + factor

    def at(self, data: np.ndarray) -> np.ndarray:
        """Evaluate for data of shape (prosumers, data); returns (prosumers, size)."""
        if self._slope is None:
            datum, position = np.array(list(self._entries), dtype=int).reshape(-1, 2).T
            shape = (data.shape[1], self.constant.size)
            self._slope = sparse.csr_array((list(self._entries.values()), (datum, position)), shape=shape)
        return np.asarray(self.constant + data @ self._slope, dtype=float)


@dataclass(frozen=True, eq=False)
class CompiledProblem:
    """One prosumer's linear programme ``min c z, row_lower <= A z <= row_upper, lower <= z <= upper``.

    Columns are ordered variable by variable (`VARIABLES`, then the unserved energy), data as `INTERVAL_DATA` by
    interval, then `SCALAR_DATA`.
    """

    matrix: sparse.csr_array
    cost: Affine
    lower: Affine
    upper: Affine
    row_lower: Affine
    row_upper: Affine


@lru_cache(maxsize=256)
def compile_problem(intervals: int, interval_h: float, efficiency: float, weights: Weights) -> CompiledProblem:
    """Compile the statement of `model.state_problem`; same arguments."""
    model = state_problem(intervals, interval_h, efficiency, weights, symbolic=True)
    columns = _numbered(model, VARIABLES, ("unserved_kwh",))
    data = _numbered(model, INTERVAL_DATA, SCALAR_DATA)
    lower, upper, cost = Affine(len(columns), -np.inf), Affine(len(columns), np.inf), Affine(len(columns), 0.0)
    for var in model.component_data_objects(pyo.Var):
        if id(var) in columns:
            _bound(lower, upper, {columns[id(var)]: 1.0}, [], *_domain(var))
    rows: list[tuple[dict[int, float], Any, float, float]] = []
    for constraint in model.component_data_objects(pyo.Constraint):
        repn = generate_standard_repn(constraint.body)
        parts = list(zip(repn.linear_vars, repn.linear_coefs, strict=True))
        decided = {columns[id(var)]: float(factor) for var, factor in parts if id(var) in columns}
        given = [(data[id(var)], float(factor)) for var, factor in parts if id(var) in data]
        at_least = _side(constraint.lower, repn.constant, -np.inf)
        at_most = _side(constraint.upper, repn.constant, np.inf)
        if len(decided) == 1:
            _bound(lower, upper, decided, given, at_least, at_most)
        else:
            rows.append((decided, given, at_least, at_most))
    _read_cost(model, columns, data, cost)
    matrix, row_lower, row_upper = _stack_rows(rows, len(columns))
    return CompiledProblem(matrix, cost, lower, upper, row_lower, row_upper)


def _numbered(model: pyo.ConcreteModel, indexed: tuple[str, ...], scalars: tuple[str, ...]) -> dict[int, int]:
    """Number the components' members by identity, in the stated order."""
    members = [getattr(model, name)[t] for name in indexed for t in model.interval]
    members += [getattr(model, name) for name in scalars]
    return {id(member): number for number, member in enumerate(members)}


def _domain(var: Any) -> tuple[float, float]:
    """Return the bounds that a variable's domain sets."""
    return -np.inf if var.lb is None else float(var.lb), np.inf if var.ub is None else float(var.ub)


def _side(bound: Any, constant: float, absent: float) -> float:
    """Return one side of a constraint with the body's constant moved over."""
    return absent if bound is None else float(pyo.value(bound)) - float(constant)


def _bound(
    lower: Affine,
    upper: Affine,
    decided: dict[int, float],
    given: list[tuple[int, float]],
    at_least: float,
    at_most: float,
) -> None:
    """Turn a constraint on a single variable into a bound of its column."""
    ((column, factor),) = decided.items()
    slope = [(datum, -share / factor) for datum, share in given]
    below, above = (at_least, at_most) if factor > 0 else (at_most, at_least)
    if np.isfinite(below):
        lower.put(column, below / factor, slope)
    if np.isfinite(above):
        upper.put(column, above / factor, slope)


def _read_cost(model: pyo.ConcreteModel, columns: dict[int, int], data: dict[int, int], cost: Affine) -> None:
    """Read the objective: constants are factors of one variable, prices appear as a datum times a variable."""
    repn = generate_standard_repn(model.cost.expr, quadratic=True)
    for var, factor in zip(repn.linear_vars, repn.linear_coefs, strict=True):
        cost.put(columns[id(var)], float(factor), [])
    for (one, other), factor in zip(repn.quadratic_vars, repn.quadratic_coefs, strict=True):
        variable, datum = (one, other) if id(one) in columns else (other, one)
        column = columns[id(variable)]
        cost.put(column, cost.constant[column], [(data[id(datum)], float(factor))])


def _stack_rows(
    rows: list[tuple[dict[int, float], Any, float, float]], width: int
) -> tuple[sparse.csr_array, Affine, Affine]:
    """Gather the constraints on several variables into a matrix and its two sides."""
    lower, upper = Affine(len(rows), -np.inf), Affine(len(rows), np.inf)
    matrix = sparse.lil_array((len(rows), width))
    for number, (decided, given, at_least, at_most) in enumerate(rows):
        for column, factor in decided.items():
            matrix[number, column] = factor
        slope = [(datum, -factor) for datum, factor in given]
        if np.isfinite(at_least):
            lower.put(number, at_least, slope)
        if np.isfinite(at_most):
            upper.put(number, at_most, slope)
    return sparse.csr_array(matrix), lower, upper
