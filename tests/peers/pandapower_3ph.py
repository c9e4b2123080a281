"""What pandapower's own unbalanced power flow says."""

from dataclasses import dataclass

import numpy as np
import pandapower as pp
import pandas as pd

from feederloop.simulators.grid.networks import without_loads


@dataclass(frozen=True)
class Reference:
    """One scenario's results.

    Attributes:
        v: [buses, 3] Complex phase-to-neutral voltage per unit of the bus, NaN where the bus is dead.
        vuf_percent: [buses]
        loading_percent: [lines, then transformers; 3]
        source_kw: Drawn from the external grid.
        losses_kw: Sum over lines and transformers.
    """

    v: np.ndarray
    vuf_percent: np.ndarray
    loading_percent: np.ndarray
    source_kw: float
    losses_kw: float


def with_powers(net: pp.pandapowerNet, points: pd.DataFrame, p_kw: np.ndarray, q_kvar: np.ndarray) -> pp.pandapowerNet:
    """Return the network with only these net powers (export positive, [points]) at its connection points."""
    loaded = without_loads(net)
    rows = []
    for point, p, q in zip(points.itertuples(), p_kw, q_kvar, strict=True):
        row = {f"{power}_{phase}_{unit}": 0.0 for phase in "abc" for power, unit in (("p", "mw"), ("q", "mvar"))}
        for phase in point.phase:
            row[f"p_{phase}_mw"], row[f"q_{phase}_mvar"] = (-1e-3 / len(point.phase) * power for power in (p, q))
        rows.append({"name": point.name, "bus": point.bus, "scaling": 1.0, "in_service": True, "type": "wye", **row})
    loaded.asymmetric_load = pd.DataFrame(rows)
    return loaded


def run(loaded: pp.pandapowerNet, tolerance_mva: float = 1e-9) -> None:
    """Run `pandapower.runpp_3ph`, by default exactly enough for differences of microvolts."""
    with np.errstate(invalid="ignore"):  # dead buses divide zero by zero
        pp.runpp_3ph(loaded, numba=False, tolerance_mva=tolerance_mva, max_iteration=100)


def solve(net: pp.pandapowerNet, points: pd.DataFrame, p_kw: np.ndarray, q_kvar: np.ndarray) -> Reference:
    """Solve one scenario with these net powers, export positive, [points]."""
    loaded = with_powers(net, points, p_kw, q_kvar)
    run(loaded)
    bus, line, trafo = loaded.res_bus_3ph, loaded.res_line_3ph, loaded.res_trafo_3ph
    vm = bus[[f"vm_{phase}_pu" for phase in "abc"]].to_numpy()
    va = bus[[f"va_{phase}_degree" for phase in "abc"]].to_numpy()
    loading = [f"loading_{phase}_percent" for phase in "abc"]
    return Reference(
        v=vm * np.exp(1j * np.deg2rad(va)),
        vuf_percent=bus["unbalance_percent"].to_numpy(),
        loading_percent=np.vstack([line[loading].to_numpy(), trafo[loading].to_numpy()]),
        source_kw=float(loaded.res_ext_grid_3ph[[f"p_{phase}_mw" for phase in "abc"]].to_numpy().sum() * 1e3),
        losses_kw=float(sum(table[f"pl_{phase}_mw"].sum() for table in (line, trafo) for phase in "abc") * 1e3),
    )
