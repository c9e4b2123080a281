"""The network of a run, reduced for its prosumers, with which results can be looked at again."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from feederloop.coupling.results import Run
from feederloop.coupling.scenario.load import scenario_from
from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.grid.feeder import Feeder, Floats
from feederloop.simulators.grid.networks import load_network
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.grid.sensitivity import Tangent
from feederloop.simulators.grid.volt_var import VoltVarPowerFlow
from feederloop.simulators.pv.volt_var import volt_var_share

TOLERANCE_V, TOLERANCE_PERCENT = 1e-3, 1e-3
LOW_VOLTAGE_V = 1000.0


def prosumers_of(run: Run) -> pd.DataFrame:
    """Return the table `prosumer`; in runs of earlier versions no inverter answers to its voltage within the step."""
    prosumers = run.table("prosumer")
    return prosumers if "volt_var_kva" in prosumers else prosumers.assign(volt_var_kva=0.0)


def without_volt_var(points: pd.DataFrame, prosumers: pd.DataFrame) -> "pd.Series[float]":
    """Return reactive power in kvar but for what inverters supply by their voltage.

    Of a three-phase inverter, which answers to the mean of its voltages, only the worst one is recorded.

    Args:
        points: Rows of the table `connection_point`.
        prosumers: The table `prosumer`.
    """
    rated_kva = points["prosumer"].map(prosumers.set_index("prosumer")["volt_var_kva"]).to_numpy(float)
    return points["q_kvar"] - rated_kva * volt_var_share(points["v_v"].to_numpy(float))


@dataclass(frozen=True)
class Network:
    """The network of a run as reduced for its prosumers.

    Attributes:
        power_flow: Exact power flow; points are in the order of the table `prosumer`.
        limits: What it has to keep.
        volt_var_kva: [points] Rated power of inverters that supply reactive power by their voltage.
    """

    power_flow: PowerFlow
    limits: Limits
    volt_var_kva: Floats

    @classmethod
    def of(cls, run: Run) -> "Network":
        """Reduce the network of a run."""
        scenario = scenario_from(run.scenario)
        low, high = scenario.limits.voltage_range_v
        limits = Limits(low, high, scenario.limits.line_loading_percent, scenario.limits.transformer_loading_percent)
        grid = scenario.grid
        points = prosumers_of(run).rename(columns={"prosumer": "name"})
        net = load_network(grid.network, feeders=grid.feeders, source_v_pu=grid.source_v_pu)
        power_flow = PowerFlow(Feeder.from_network(net, points[["name", "bus", "phase"]]))
        return cls(power_flow, limits, points["volt_var_kva"].to_numpy(float))

    @property
    def sensitivity_v_per_kw(self) -> "pd.Series[float]":
        """By how much a kW of export lifts each prosumer's own voltage, on an otherwise idle network."""
        feeder = self.power_flow.feeder
        idle = np.zeros_like(feeder.w)
        by_p = Tangent.at(feeder, idle, feeder.w).by_p
        count = len(feeder.w)
        rise = feeder.z @ (by_p[:count] + 1j * by_p[count:])  # [injectors, points]
        along = (feeder.w.conj() / np.abs(feeder.w))[:, None] * rise
        own = along.real[np.arange(count), feeder.injector_point]
        means = np.bincount(feeder.injector_point, own) / np.bincount(feeder.injector_point)
        return pd.Series(means, index=list(feeder.points))

    def broken_share(self, p_kw: Floats, q_kvar: Floats) -> float:
        """Share of [points, uses] powers that break a limit of voltage or loading, or have no power-flow solution.

        What inverters supply by their voltage comes on top of `q_kvar`.
        """
        solution, _ = VoltVarPowerFlow(self.power_flow, self.volt_var_kva).try_solve(p_kw, q_kvar)
        feeder = self.power_flow.feeder
        low_voltage = feeder.bus_vn_v < LOW_VOLTAGE_V
        v = np.abs(self.power_flow.bus_voltages(solution.current))[low_voltage]
        loading = np.nan_to_num(self.power_flow.branch_loading_percent(solution.current))
        is_line = np.array([name.startswith("line") for name in feeder.branches.names], dtype=bool)
        most = np.where(is_line, self.limits.line_loading_percent, self.limits.transformer_loading_percent)
        broken = (v > self.limits.v_max_v + TOLERANCE_V) | (v < self.limits.v_min_v - TOLERANCE_V)
        over = loading > most[:, None, None] + TOLERANCE_PERCENT
        any_broken = broken.any(axis=(0, 1)) | over.any(axis=(0, 1)) | ~solution.converged
        return float(any_broken.mean())
