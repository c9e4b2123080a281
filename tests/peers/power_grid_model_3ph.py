"""What power-grid-model's unbalanced power flow says: an engine with its own modelling and its own solver."""

from collections.abc import Callable

import numpy as np
import pandapower as pp
import pandas as pd
from power_grid_model import ComponentType, LoadGenType, PowerGridModel, WindingType, initialize_array

UNSUPPORTED = ("trafo3w", "impedance", "dcline", "shunt", "ward", "xward", "gen", "motor", "storage")


class PowerGridModelPeer:
    """A pandapower network in power-grid-model, with one unbalanced load per connection point.

    Args:
        net: The network: lines, Dyn transformers and line switches; its own loads are left out. Its external grid
            becomes an ideal source: see `networks.stiffened`.
        points: Connection points, columns `name`, `bus` and `phase` (a, b, c or abc).
        tolerance: Change of voltage per unit at which the iteration stops.

    Attributes:
        buses: pandapower index of every bus in results.
    """

    def __init__(self, net: pp.pandapowerNet, points: pd.DataFrame, *, tolerance: float = 1e-9) -> None:
        self._tolerance = tolerance
        for table in UNSUPPORTED:
            if table in net and len(net[table]):
                raise ValueError(f"this conversion knows no {table}")
        if len(net.switch) and not (net.switch["et"] == "l").all():
            raise ValueError("this conversion knows switches of lines only")
        self.buses = net.bus.index[net.bus["in_service"]].to_numpy()
        self.bus_vn_v = net.bus.loc[self.buses, "vn_kv"].to_numpy() * 1e3 / np.sqrt(3)
        self._ids = iter(range(len(self.buses), 10**9))
        loads = self._loads(points)
        self._load_ids = loads["id"]
        # [points, 3]: how a point's power splits over the phases.
        self._share = np.array([[(phase in drawn) / len(drawn) for phase in "abc"] for drawn in points["phase"]])
        self.model = PowerGridModel(
            {
                ComponentType.node: self._nodes(net),
                ComponentType.line: self._lines(net),
                ComponentType.transformer: self._transformers(net),
                ComponentType.source: self._source(net),
                ComponentType.asym_load: loads,
            }
        )

    def update(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> dict[ComponentType, np.ndarray]:
        """Batch of [points, scenarios] net powers, export positive, in power-grid-model's own form."""
        batch = initialize_array("update", ComponentType.asym_load, (p_kw.shape[1], len(self._load_ids)))
        batch["id"] = self._load_ids
        batch["p_specified"] = -1e3 * p_kw.T[:, :, None] * self._share
        batch["q_specified"] = -1e3 * q_kvar.T[:, :, None] * self._share
        return {ComponentType.asym_load: batch}

    def run(self, update: dict[ComponentType, np.ndarray], method: str = "newton_raphson") -> np.ndarray:
        """Solve a batch; return its nodes' results, [scenarios, buses] of `u` and `u_angle` per phase."""
        result = self.model.calculate_power_flow(
            symmetric=False,
            update_data=update,
            calculation_method=method,
            error_tolerance=self._tolerance,
            max_iterations=100,
            output_component_types=[ComponentType.node],
        )
        return result[ComponentType.node]

    def run_all(self, update: dict[ComponentType, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Solve a batch; return the results of its nodes, lines and transformers, currents in ampere."""
        wanted = [ComponentType.node, ComponentType.line, ComponentType.transformer]
        result = self.model.calculate_power_flow(
            symmetric=False,
            update_data=update,
            error_tolerance=self._tolerance,
            max_iterations=100,
            output_component_types=wanted,
        )
        node, line, transformer = (result[component] for component in wanted)
        return node, line, transformer

    def voltages(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        """[buses, 3, scenarios] complex volt, of [points, scenarios] net powers."""
        node = self.run(self.update(p_kw, q_kvar))
        return np.moveaxis(node["u"] * np.exp(1j * node["u_angle"]), 0, 2)

    def _node_of(self, buses: pd.Series) -> np.ndarray:
        return pd.Index(self.buses).get_indexer(buses)

    def _take(self, count: int) -> list[int]:
        return [next(self._ids) for _ in range(count)]

    def _nodes(self, net: pp.pandapowerNet) -> np.ndarray:
        node = initialize_array("input", ComponentType.node, len(self.buses))
        node["id"] = np.arange(len(self.buses))
        node["u_rated"] = net.bus.loc[self.buses, "vn_kv"] * 1e3
        return node

    def _lines(self, net: pp.pandapowerNet) -> np.ndarray:
        table = net.line[net.line["in_service"]]
        line = initialize_array("input", ComponentType.line, len(table))
        line["id"] = self._take(len(table))
        for end, status, column in (("from", "from_status", "from_bus"), ("to", "to_status", "to_bus")):
            line[f"{end}_node"] = self._node_of(table[column])
            open_switches = net.switch[(net.switch["et"] == "l") & ~net.switch["closed"].astype(bool)]
            open_ends = pd.MultiIndex.from_frame(open_switches[["element", "bus"]])
            line[status] = ~pd.MultiIndex.from_arrays([table.index, table[column]]).isin(open_ends)
        km, parallel = table["length_km"], table["parallel"]
        for sequence, ends in (("1", ""), ("0", "0")):
            line[f"r{sequence}"] = table[f"r{ends}_ohm_per_km"] * km / parallel
            line[f"x{sequence}"] = table[f"x{ends}_ohm_per_km"] * km / parallel
            line[f"c{sequence}"] = table[f"c{ends}_nf_per_km"] * 1e-9 * km * parallel
            line[f"tan{sequence}"] = 0.0
        return line

    def _transformers(self, net: pp.pandapowerNet) -> np.ndarray:
        table = net.trafo[net.trafo["in_service"]]
        if not (table["vector_group"] == "Dyn").all():
            raise ValueError("this conversion knows Dyn transformers only")
        trafo = initialize_array("input", ComponentType.transformer, len(table))
        trafo["id"] = self._take(len(table))
        trafo["from_node"], trafo["to_node"] = self._node_of(table["hv_bus"]), self._node_of(table["lv_bus"])
        trafo["from_status"] = trafo["to_status"] = 1
        copied: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
            "u1": lambda t: t["vn_hv_kv"] * 1e3,
            "u2": lambda t: t["vn_lv_kv"] * 1e3,
            "sn": lambda t: t["sn_mva"] * 1e6 * t["parallel"],
            "uk": lambda t: t["vk_percent"] / 100,
            "pk": lambda t: t["vkr_percent"] / 100 * t["sn_mva"] * 1e6 * t["parallel"],
            "i0": lambda t: t["i0_percent"] / 100,
            "p0": lambda t: t["pfe_kw"] * 1e3 * t["parallel"],
            "clock": lambda t: (t["shift_degree"] / 30).round() % 12,
            "tap_pos": lambda t: t["tap_pos"],
            "tap_nom": lambda t: t["tap_neutral"],
            "tap_min": lambda t: t["tap_min"],
            "tap_max": lambda t: t["tap_max"],
            "tap_side": lambda t: (t["tap_side"] == "lv").astype(int),
        }
        for attribute, value in copied.items():
            trafo[attribute] = value(table)
        tapped_kv = np.where(table["tap_side"] == "lv", table["vn_lv_kv"], table["vn_hv_kv"])
        trafo["tap_size"] = table["tap_step_percent"] / 100 * tapped_kv * 1e3
        trafo["winding_from"], trafo["winding_to"] = WindingType.delta, WindingType.wye_n
        return trafo

    def _source(self, net: pp.pandapowerNet) -> np.ndarray:
        grid = net.ext_grid[net.ext_grid["in_service"]]
        source = initialize_array("input", ComponentType.source, len(grid))
        source["id"] = self._take(len(grid))
        source["node"] = self._node_of(grid["bus"])
        source["status"], source["u_ref"], source["sk"] = 1, grid["vm_pu"], 1e14
        return source

    def _loads(self, points: pd.DataFrame) -> np.ndarray:
        load = initialize_array("input", ComponentType.asym_load, len(points))
        load["id"] = self._take(len(points))
        load["node"] = self._node_of(points["bus"])
        load["status"], load["type"] = 1, LoadGenType.const_power
        load["p_specified"] = load["q_specified"] = 0.0
        return load
