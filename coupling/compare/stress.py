"""What would happen if customers used the envelopes that a run published in other ways than they did."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from feederloop.coupling.metrics.tables import Group, number
from feederloop.coupling.network_of_run import Network, prosumers_of, without_volt_var
from feederloop.coupling.results import Run
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.envelope.counterexample import Search
from feederloop.simulators.grid.feeder import Floats

Bools = npt.NDArray[np.bool_]
INTERVALS = 4
"""Intervals that are looked at: those with the greatest sum of export limits, and of import limits, half each."""
SAMPLES = 500
SEED = 2024


def stress(network: Network, run: Run) -> Group:
    """Use the published envelopes of some intervals in ways that they allow, on the exact power flow.

    - random_violation_probability: everybody at its export or its import limit, by the toss of a coin.
    - trade_violation_probability: a random half sells up to its export limits, the other half buys up to its import
      limits, and what is sold is what is bought.
    - phase_trade_violation_probability: the same if all homes on one phase sell to those on the other two, or buy from
      them.
    - adversary_violation_probability: intervals in which a search finds a use that breaks a limit; that it finds none
      proves nothing.

    Reactive power, but for what inverters supply by their voltage, and customers without an envelope are as they were.
    None for a run without envelopes.

    Args:
        network: The run's network.
        run: The run.
    """
    names = (
        "random_violation_probability", "trade_violation_probability", "phase_trade_violation_probability",
        "adversary_violation_probability",
    )  # fmt: skip
    group: Group = dict.fromkeys(names)
    if "envelope" not in run.tables:
        return group
    export_kw, import_kw = (_wide(run.table("envelope"), "interval_start", f"{side}_limit_kw", network)
                            for side in ("export", "import"))  # fmt: skip
    if export_kw.isna().all(axis=None):
        return group
    points = run.table("connection_point")
    points = points.assign(q_kvar=without_volt_var(points, prosumers_of(run)))
    phases = run.table("prosumer").set_index("prosumer")["phase"].reindex(list(network.power_flow.feeder.points))
    across = np.stack([phases == phase for phase in "abc"] + [phases != phase for phase in "abc"], axis=1)
    found = []
    for start in _chosen(export_kw, import_kw):
        at = points[points["time"] == start]
        p_kw, q_kvar = (_wide(at, "time", column, network).to_numpy(float)[0] for column in ("p_kw", "q_kvar"))
        up, down = export_kw.loc[start].to_numpy(float), import_kw.loc[start].to_numpy(float)
        high_kw, low_kw = np.where(np.isnan(up), p_kw, up), np.where(np.isnan(down), p_kw, -down)
        found.append(_broken(network, high_kw, low_kw, q_kvar, across))
    return group | dict(zip(names, map(number, np.mean(found, axis=0)), strict=True))


def _chosen(export_kw: pd.DataFrame, import_kw: pd.DataFrame) -> list[pd.Timestamp]:
    most = [table.sum(axis=1).nlargest(INTERVALS // 2).index for table in (export_kw, import_kw)]
    return sorted(set(most[0]) | set(most[1]))


def _broken(network: Network, high_kw: Floats, low_kw: Floats, q_kvar: Floats, across: Bools) -> list[float]:
    rng = np.random.default_rng(SEED)
    sells = rng.random((len(high_kw), SAMPLES)) < 0.5
    corners, between_phases = (np.where(who, high_kw[:, None], low_kw[:, None]) for who in (sells, across))
    adversary = Search(network.power_flow, network.limits, network.volt_var_kva)
    found = adversary.within(Box(low_kw, high_kw, q_kvar, q_kvar))
    uses = (corners, _balanced(corners), _balanced(between_phases))
    shares = [network.broken_share(use, np.repeat(q_kvar[:, None], use.shape[1], axis=1)) for use in uses]
    return [*shares, float(bool(found))]


def _balanced(corners_kw: Floats) -> Floats:
    """Scale down whichever side of each use is the larger, until what is sold is what is bought."""
    sold, bought = np.maximum(corners_kw, 0.0), np.maximum(-corners_kw, 0.0)
    volume = np.minimum(sold.sum(axis=0), bought.sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [np.nan_to_num(volume / side.sum(axis=0)) for side in (sold, bought)]
    result: Floats = sold * shares[0] - bought * shares[1]
    return result


def _wide(table: pd.DataFrame, time: str, column: str, network: Network) -> pd.DataFrame:
    wide = table.pivot(index=time, columns="prosumer", values=column)
    return wide.reindex(columns=list(network.power_flow.feeder.points)).astype(float)
