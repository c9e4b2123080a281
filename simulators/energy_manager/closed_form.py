"""The plan of a prosumer without a vehicle, who decides nothing but how much of the sun to use.

Without a store the intervals do not touch each other, and each has an answer that can be written down: use the sun
first against import beyond the envelope, then against import, then for export, each as far as its price makes worth
while. The columns returned are those of the compiled problem, whose optimum a test holds them against.
"""

import numpy as np

from feederloop.simulators.energy_manager.compiled import VARIABLES
from feederloop.simulators.energy_manager.outlook import Outlook


def plan_without_vehicle(outlook: Outlook, curtailment_per_kwh: float) -> np.ndarray:
    """Return the optimal columns of the compiled problem, shape (prosumers, columns)."""
    demand = -outlook.household_kw
    worth_importing_less = outlook.buy_price_per_kwh + curtailment_per_kwh > 0
    worth_exporting = outlook.sell_price_per_kwh + curtailment_per_kwh > 0
    wanted = np.maximum(demand - outlook.import_limit_kw, 0.0)
    wanted = np.where(worth_importing_less, np.maximum(demand, 0.0), wanted)
    wanted = np.where(worth_exporting, np.maximum(demand + outlook.export_limit_kw, 0.0), wanted)
    pv = np.minimum(outlook.pv_available_kw, wanted)
    position = pv - demand
    drawn = np.maximum(-position, 0.0)
    buy = np.minimum(drawn, outlook.import_limit_kw)
    columns = {"buy_kw": buy, "excess_kw": drawn - buy, "sell_kw": np.maximum(position, 0.0), "pv_kw": pv}
    nothing = np.zeros_like(demand)
    energy = np.broadcast_to(outlook.initial_kwh[:, None], demand.shape)
    blocks = [energy if name == "energy_kwh" else columns.get(name, nothing) for name in VARIABLES]
    return np.hstack([*blocks, np.zeros((len(demand), 1))])
