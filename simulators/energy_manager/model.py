"""The planning problem of one prosumer, stated once in Pyomo.

This statement is the model of record. `compiled.py` derives from it the arrays that are solved for all prosumers
together; `reference.py` solves it as it stands, one prosumer at a time.

Powers are interval means in kW, export positive; energies in kWh. A prosumer's position is
``sell - buy - excess``: what is sold inside the export limit, bought inside the import limit, and drawn beyond it
because nothing could prevent it. The envelope therefore consists of variable bounds only, and no plan is infeasible.

Chargers that switch off below a minimum current are planned as if they could be throttled to nothing: a binary per
interval would buy little, because the controller in `controller.py` meets an interval's energy by switching.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyomo.environ as pyo

#: What a plan is told for every interval, in the order of the compiled arrays.
INTERVAL_DATA = (
    "household_kw",
    "pv_available_kw",
    "import_limit_kw",
    "export_limit_kw",
    "charge_limit_kw",
    "discharge_limit_kw",
    "buy_price_per_kwh",
    "sell_price_per_kwh",
    "wear_per_kwh",
)
#: What a plan is told once.
SCALAR_DATA = ("initial_kwh", "target_kwh", "capacity_kwh")


@dataclass(frozen=True)
class Weights:
    """Prices of what no tariff prices; the last three only break ties.

    Attributes:
        unserved_per_kwh: Energy missing at departure.
        excess_per_kwh: Import beyond the envelope.
        curtailment_per_kwh: Sun that is not used.
        smoothing_per_kwh: Charging above half power, so that equal prices spread it.
        delay_per_kwh: Charging in the horizon's last interval rather than its first; linear in between.
    """

    unserved_per_kwh: float = 10.0
    excess_per_kwh: float = 100.0
    curtailment_per_kwh: float = 1e-3
    smoothing_per_kwh: float = 5e-4
    delay_per_kwh: float = 1e-4


def state_problem(
    intervals: int, interval_h: float, efficiency: float, weights: Weights, *, symbolic: bool = False
) -> pyo.ConcreteModel:
    """State a prosumer's problem.

    Args:
        intervals: Planned intervals, at least one.
        interval_h: Length of one in hours.
        efficiency: Of charging and of discharging, in (0, 1].
        weights: Penalties and tie-breakers.
        symbolic: Declare the data as variables instead of mutable parameters, so that the dependence of every
            bound, right-hand side and cost on the data can be read off.
    """
    model = pyo.ConcreteModel("energy_manager")
    model.interval = pyo.RangeSet(0, intervals - 1)
    _declare_data(model, symbolic)
    for name in ("buy_kw", "excess_kw", "sell_kw", "pv_kw", "charge_kw", "fast_charge_kw", "discharge_kw"):
        model.add_component(name, pyo.Var(model.interval, domain=pyo.NonNegativeReals))
    model.energy_kwh = pyo.Var(model.interval, domain=pyo.NonNegativeReals)
    model.unserved_kwh = pyo.Var(domain=pyo.NonNegativeReals)
    _limit(model)
    _balance(model)
    _store(model, interval_h, efficiency)
    _price(model, interval_h, weights)
    return model


def _declare_data(model: pyo.ConcreteModel, symbolic: bool) -> None:
    """Add every datum as a mutable parameter, or as a variable where the statement is to be compiled."""
    declare: Callable[..., Any] = (
        pyo.Var if symbolic else lambda *index: pyo.Param(*index, mutable=True, initialize=0.0)
    )
    for name in INTERVAL_DATA:
        model.add_component(name, declare(model.interval))
    for name in SCALAR_DATA:
        model.add_component(name, declare())


def _limit(model: pyo.ConcreteModel) -> None:
    """Bound each variable by its datum."""

    def at_most(variable: str, datum: str, share: float = 1.0) -> None:
        def rule(m: Any, t: int) -> Any:
            return getattr(m, variable)[t] <= share * getattr(m, datum)[t]

        model.add_component(f"{variable}_limit", pyo.Constraint(model.interval, rule=rule))

    at_most("buy_kw", "import_limit_kw")
    at_most("sell_kw", "export_limit_kw")
    at_most("pv_kw", "pv_available_kw")
    at_most("charge_kw", "charge_limit_kw", share=0.5)
    at_most("fast_charge_kw", "charge_limit_kw", share=0.5)
    at_most("discharge_kw", "discharge_limit_kw")
    model.capacity = pyo.Constraint(model.interval, rule=lambda m, t: m.energy_kwh[t] <= m.capacity_kwh)


def _balance(model: pyo.ConcreteModel) -> None:
    """What crosses the connection point is what household, sun and vehicle leave."""

    def rule(m: Any, t: int) -> Any:
        position = m.sell_kw[t] - m.buy_kw[t] - m.excess_kw[t]
        vehicle = m.discharge_kw[t] - m.charge_kw[t] - m.fast_charge_kw[t]
        return position == m.household_kw[t] + m.pv_kw[t] + vehicle

    model.balance = pyo.Constraint(model.interval, rule=rule)


def _store(model: pyo.ConcreteModel, interval_h: float, efficiency: float) -> None:
    """Carry the vehicle's energy through the horizon and ask for the target at its end.

    A vehicle that has left has its limits at zero, so that the last energy is the one at departure.
    """

    def rule(m: Any, t: int) -> Any:
        before = m.initial_kwh if t == 0 else m.energy_kwh[t - 1]
        stored = efficiency * (m.charge_kw[t] + m.fast_charge_kw[t]) - m.discharge_kw[t] / efficiency
        return m.energy_kwh[t] == before + interval_h * stored

    model.storage = pyo.Constraint(model.interval, rule=rule)
    last = model.interval.last()
    model.departure = pyo.Constraint(expr=model.energy_kwh[last] + model.unserved_kwh >= model.target_kwh)


def _price(model: pyo.ConcreteModel, interval_h: float, weights: Weights) -> None:
    """Minimise money, wear and the penalties."""
    steps = max(1, len(model.interval) - 1)

    def cost_per_hour(t: int) -> Any:
        m = model
        trade = m.buy_price_per_kwh[t] * (m.buy_kw[t] + m.excess_kw[t]) - m.sell_price_per_kwh[t] * m.sell_kw[t]
        delay = weights.delay_per_kwh * t / steps
        charging = delay * m.charge_kw[t] + (delay + weights.smoothing_per_kwh) * m.fast_charge_kw[t]
        penalties = weights.excess_per_kwh * m.excess_kw[t] - weights.curtailment_per_kwh * m.pv_kw[t]
        return trade + charging + m.wear_per_kwh[t] * m.discharge_kw[t] + penalties

    running = interval_h * sum(cost_per_hour(t) for t in model.interval)
    model.cost = pyo.Objective(expr=running + weights.unserved_per_kwh * model.unserved_kwh)
