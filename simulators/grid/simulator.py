"""The grid on the shared clock: an exact unbalanced power flow of what really happens, every physical step."""

from typing import Any

import mosaik_api_v3
import numpy as np
import pandas as pd
from mosaik_api_v3.types import CreateResult, Meta

from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder, Floats
from feederloop.simulators.grid.networks import load_network
from feederloop.simulators.grid.powerflow import PowerFlow, unbalance_percent
from feederloop.simulators.grid.volt_var import VoltVarPowerFlow

POINT_OUTPUTS = ["p_kw", "q_kvar", "v_v", "meter_kwh"]
GRID_OUTPUTS = [
    "v_a_v", "v_b_v", "v_c_v", "vuf_percent", "loading_a_percent", "loading_b_percent", "loading_c_percent",
    "losses_kw", "p_source_kw", "iterations",
]  # fmt: skip
META = {
    "type": "time-based",
    "models": {
        "ConnectionPoint": {"public": True, "params": ["sites"], "attrs": POINT_OUTPUTS},
        "Grid": {"public": True, "params": [], "attrs": GRID_OUTPUTS},
    },
}


class GridSimulator(mosaik_api_v3.Simulator):
    """One entity per connection point and one for the network as a whole.

    The connection points have to be created before the network's own entity, whose `extra_info` names the buses and
    branches of its lists. A connection point's `p_kw` and `q_kvar` are summed over everything connected to it.
    """

    _power_flow: PowerFlow

    def __init__(self) -> None:
        super().__init__(META)
        self._names: list[str] = []
        self._outputs: dict[str, dict[str, Any]] = {}

    def init(  # type: ignore[override]
        self, sid: str, time_resolution: float = 1.0, *, step_s: int, network: str, feeders: int = 1, source_v_pu: float
    ) -> Meta:
        """Load the network.

        Args:
            sid: The simulator's id.
            time_resolution: Seconds per unit of mosaik's time.
            step_s: Physical step.
            network: Shipped network's name or path of a pandapower JSON file.
            feeders: Copies of the low-voltage network behind the transformer.
            source_v_pu: Voltage of the external grid.
        """
        self._step_s = step_s
        self._network = load_network(network, feeders=feeders, source_v_pu=source_v_pu)
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: list[dict[str, Any]] | None = None
    ) -> list[CreateResult]:
        """Create all connection points, or the network's entity.

        Args:
            num: How many connection points.
            model: ConnectionPoint or Grid.
            sites: Dictionaries with name, bus, phase and, of an inverter that supplies reactive power by its voltage,
                its rated power `volt_var_kva`.
        """
        if model == "Grid":
            if not self._names:
                raise InputError("the connection points have to be created before the grid", key="model", value=model)
            feeder = self._power_flow.feeder
            info = {"buses": feeder.buses.tolist(), "branches": list(feeder.branches.names)}
            return [{"eid": "grid", "type": model, "extra_info": info}]
        points = pd.DataFrame(sites, columns=["name", "bus", "phase"])
        self._names = list(points["name"])
        self._power_flow = PowerFlow(Feeder.from_network(self._network, points))
        rated_kva = np.array([float(site.get("volt_var_kva", 0.0)) for site in sites or []])
        self._with_volt_var = VoltVarPowerFlow(self._power_flow, rated_kva)
        self._meter_kwh = np.zeros(num)
        return [{"eid": name, "type": model} for name in self._names]

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Solve for the powers that hold in [time, time + step)."""
        p_kw = self._summed(inputs, "p_kw")
        solution, total_kvar = self._with_volt_var.solve(p_kw[:, None], self._summed(inputs, "q_kvar")[:, None])
        buses = self._power_flow.bus_voltages(solution.current)
        loading = self._power_flow.branch_loading_percent(solution.current)[:, :, 0]
        source_kw = float(self._power_flow.source_power_kw(solution.current)[0])
        self._meter_kwh = self._meter_kwh + p_kw * (self._step_s / 3600.0)
        volts = np.abs(buses[:, :, 0])
        self._outputs = {
            name: {"p_kw": p, "q_kvar": q, "v_v": v, "meter_kwh": meter}
            for name, p, q, v, meter in zip(
                self._names,
                p_kw.tolist(),
                total_kvar[:, 0].tolist(),
                self._point_volts(np.abs(solution.v[:, 0])),
                self._meter_kwh.tolist(),
                strict=True,
            )
        }
        self._outputs["grid"] = {
            **{f"v_{phase}_v": volts[:, column].tolist() for column, phase in enumerate("abc")},
            **{f"loading_{phase}_percent": loading[:, column].tolist() for column, phase in enumerate("abc")},
            "vuf_percent": unbalance_percent(buses)[:, 0].tolist(),
            "p_source_kw": source_kw,
            "losses_kw": source_kw + float(p_kw.sum()),
            "iterations": solution.iterations,
        }
        return time + self._step_s

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Return what was asked for."""
        return {eid: {attr: self._outputs[eid][attr] for attr in attrs} for eid, attrs in outputs.items()}

    def _summed(self, inputs: dict[str, Any], attr: str) -> Floats:
        for name in self._names:
            if not inputs.get(name, {}).get(attr):
                raise InputError("nothing is connected to this connection point", key=f"{name}.{attr}")
        # In order of the sources: the order in which they arrive varies, and with it the last bit of the sum.
        return np.array([sum(value for _, value in sorted(inputs[name][attr].items())) for name in self._names])

    def _point_volts(self, injector_v: Floats) -> list[float]:
        """A point's voltage; of a three-phase point the one farthest from nominal."""
        feeder = self._power_flow.feeder
        nominal = feeder.bus_vn_v[feeder.injector_row // 3]
        order = np.argsort(np.abs(injector_v / nominal - 1.0), kind="stable")
        volts = np.empty(len(self._names))
        volts[feeder.injector_point[order]] = injector_v[order]  # the last write, the farthest, stays
        return [float(v) for v in volts]


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(GridSimulator(), "feederloop grid")
