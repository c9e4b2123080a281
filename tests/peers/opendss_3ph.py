"""What OpenDSS says, through dss-python: the circuit is built by commands from the same data."""

import numpy as np
import pandapower as pp
import pandas as pd
from dss import DSS


class OpenDSSPeer:
    """A pandapower network in OpenDSS, with one load per phase of each connection point.

    Args:
        net: The network: lines and Dyn1 transformers without taps; its own loads are left out. Its external grid
            becomes an ideal source: see `networks.stiffened`.
        points: Connection points, columns `name`, `bus` and `phase` (a, b, c or abc).
        tolerance: Change of voltage per unit at which the iteration stops.

    Attributes:
        buses: pandapower index of every bus in results.
    """

    def __init__(self, net: pp.pandapowerNet, points: pd.DataFrame, *, tolerance: float = 1e-9) -> None:
        if len(net.switch) or not ((net.trafo["vector_group"] == "Dyn") & (net.trafo["shift_degree"] == 30.0)).all():
            raise ValueError("this conversion knows no switches, and Dyn1 transformers only")
        self.engine = DSS.NewContext()
        self._load_of_point = [[f"{row}{phase}" for phase in drawn] for row, drawn in enumerate(points["phase"])]
        self._run("clear")
        self._source(net)
        self._transformers(net)
        self._lines(net)
        for row, point in enumerate(points.itertuples()):
            for phase in point.phase:
                node, kv = "abc".index(phase) + 1, net.bus.at[point.bus, "vn_kv"] / np.sqrt(3)
                self._run(
                    f"new load.{row}{phase} bus1=b{point.bus}.{node} phases=1 conn=wye kv={kv} kw=0 kvar=0 "
                    "model=1 vminpu=0.3 vmaxpu=2"
                )
        self._run(f"set voltagebases=[{','.join(str(kv) for kv in sorted(net.bus['vn_kv'].unique()))}]")
        self._run("calcvoltagebases")
        self._run(f"set tolerance={tolerance} maxiterations=200")
        names = self.engine.ActiveCircuit.AllBusNames
        self.buses = np.array([int(name.removeprefix("b")) for name in names])

    def schedule(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> None:
        """Give every load its [points, scenarios] net powers, export positive, one scenario an hour."""
        for row, loads in enumerate(self._load_of_point):
            kw, kvar = (
                " ".join(repr(float(-value / len(loads))) for value in values) for values in (p_kw[row], q_kvar[row])
            )
            shape = f"npts={p_kw.shape[1]} interval=1 useactual=yes mult=[{kw}] qmult=[{kvar}]"
            self._run(f"new loadshape.s{row} {shape}")
            for load in loads:
                self._run(f"edit load.{load} yearly=s{row}")
        self.rewind()

    def solve_one(self, p_kw: np.ndarray) -> np.ndarray:
        """Solve a single scenario of [points] net active powers, export positive; return voltages as OpenDSS does."""
        circuit = self.engine.ActiveCircuit
        if circuit.Solution.Mode != 0:
            self._run("set mode=snapshot")
        loads = circuit.Loads
        more = loads.First
        for names, kw in zip(self._load_of_point, p_kw.tolist(), strict=True):
            for _ in names:
                loads.kW = -kw / len(names)
                loads.kvar = 0.0
                more = loads.Next
        if more:
            raise RuntimeError("OpenDSS has loads that are no connection points")
        return self.next_voltages()

    def rewind(self) -> None:
        """Back to the first scenario."""
        self._run("set mode=yearly number=1 hour=0 stepsize=1h")

    def next_voltages(self) -> np.ndarray:
        """Solve the next scenario; return every bus's voltages as OpenDSS gives them, flat, real and imaginary."""
        circuit = self.engine.ActiveCircuit
        circuit.Solution.Solve()
        if not circuit.Solution.Converged:
            raise ArithmeticError("OpenDSS did not converge")
        return circuit.AllBusVolts

    def solve_all(self, count: int) -> None:
        """Solve that many scenarios in OpenDSS's own loop, without reading any result."""
        self.rewind()
        self._run(f"set number={count}")
        self.engine.ActiveCircuit.Solution.Solve()

    def voltages(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        """[buses, 3, scenarios] complex volt, of [points, scenarios] net powers."""
        self.schedule(p_kw, q_kvar)
        flat = np.stack([self.next_voltages().copy() for _ in range(p_kw.shape[1])], axis=-1)
        if flat.dtype != complex:
            flat = flat[0::2] + 1j * flat[1::2]
        return flat.reshape(len(self.buses), 3, -1)

    def _run(self, command: str) -> None:
        self.engine.Text.Command = command

    def _source(self, net: pp.pandapowerNet) -> None:
        bus, vm_pu = net.ext_grid["bus"].iloc[0], net.ext_grid["vm_pu"].iloc[0]
        self._run(f"new circuit.feeder bus1=b{bus} basekv={net.bus.at[bus, 'vn_kv']} pu={vm_pu} mvasc3=1e7 mvasc1=1e7")

    def _transformers(self, net: pp.pandapowerNet) -> None:
        for trafo in net.trafo.itertuples():
            reactance = np.sqrt(trafo.vk_percent**2 - trafo.vkr_percent**2)
            self._run(
                f"new transformer.t{trafo.Index} phases=3 windings=2 xhl={reactance} %loadloss={trafo.vkr_percent} "
                f"buses=[b{trafo.hv_bus} b{trafo.lv_bus}] conns=[delta wye] kvs=[{trafo.vn_hv_kv} {trafo.vn_lv_kv}] "
                f"kvas=[{trafo.sn_mva * 1e3} {trafo.sn_mva * 1e3}] leadlag=lag ppm_antifloat=0 "
                f"%noloadloss={100 * trafo.pfe_kw / (trafo.sn_mva * 1e3)} %imag={trafo.i0_percent}"
            )

    def _lines(self, net: pp.pandapowerNet) -> None:
        for line in net.line[net.line["in_service"]].itertuples():
            self._run(
                f"new line.l{line.Index} bus1=b{line.from_bus} bus2=b{line.to_bus} phases=3 length={line.length_km} "
                f"units=km r1={line.r_ohm_per_km / line.parallel} x1={line.x_ohm_per_km / line.parallel} "
                f"r0={line.r0_ohm_per_km / line.parallel} x0={line.x0_ohm_per_km / line.parallel} "
                f"c1={line.c_nf_per_km * line.parallel} c0={line.c0_nf_per_km * line.parallel}"
            )
