"""The stated problem solved as it stands, by Pyomo, one prosumer at a time: what the fast way is held against."""

from typing import Any

import numpy as np
import pyomo.environ as pyo

from feederloop.simulators.energy_manager.model import INTERVAL_DATA, SCALAR_DATA
from feederloop.simulators.energy_manager.outlook import Outlook


def fill(model: pyo.ConcreteModel, outlook: Outlook, prosumer: int) -> None:
    """Give a model stated by `model.state_problem` one prosumer's data."""
    for name in INTERVAL_DATA:
        getattr(model, name).store_values(dict(enumerate(getattr(outlook, name)[prosumer].tolist())))
    for name in SCALAR_DATA:
        getattr(model, name).set_value(float(getattr(outlook, name)[prosumer]))


def solve(model: pyo.ConcreteModel, solver: Any = None) -> tuple[float, np.ndarray]:
    """Solve a filled model.

    Args:
        model: The problem.
        solver: A Pyomo solver; a new HiGHS by default.

    Returns:
        The objective and the positions in kW, shape (intervals,).
    """
    (solver or pyo.SolverFactory("appsi_highs")).solve(model)
    position = [pyo.value(model.sell_kw[t] - model.buy_kw[t] - model.excess_kw[t]) for t in model.interval]
    return float(pyo.value(model.cost)), np.array(position)
