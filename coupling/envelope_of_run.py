"""A run's network, homes and envelopes as the files that `feederloop envelope` and `envelope check` read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandapower as pp
import pandas as pd

from feederloop.coupling.folders import make_folder
from feederloop.coupling.network_of_run import prosumers_of, without_volt_var
from feederloop.coupling.results import Run
from feederloop.coupling.scenario.load import scenario_from
from feederloop.simulators.envelope.stated import StatedLimits
from feederloop.simulators.grid.networks import LOAD_TABLES, load_network


@dataclass(frozen=True)
class RunFiles:
    """What was written of a run.

    Attributes:
        network: A pandapower JSON file, with the voltage that the scenario's source has.
        points: Everybody's measured powers and caps, an interval after the other.
        envelopes: The envelopes in force.
        limits: What the scenario's network has to keep.
    """

    network: Path
    points: Path
    envelopes: Path
    limits: StatedLimits


def write_files(run: Run, folder: Path) -> RunFiles:
    """Write the three files of a run whose scheme has envelopes.

    Active power is the mean of what was measured in each interval, reactive power what the limits allow for. Where they
    do not say that it is anywhere between the least and the most measured.

    Raises:
        InputError: The run has no envelopes, or its files cannot be read.
    """
    envelopes = run.table("envelope").dropna(subset=["export_limit_kw", "import_limit_kw"])
    scenario = scenario_from(run.scenario)
    points = _points(run, envelopes)
    grid, limits = scenario.grid, scenario.limits
    net = load_network(grid.network, feeders=grid.feeders, source_v_pu=grid.source_v_pu)
    for table in LOAD_TABLES:
        if table in net:
            net[table] = net[table].iloc[:0]
    make_folder(folder)
    files = RunFiles(
        folder / "network.json",
        folder / "points.csv",
        folder / "envelopes.csv",
        StatedLimits(
            *limits.voltage_range_v,
            line_loading_percent=limits.line_loading_percent,
            transformer_loading_percent=limits.transformer_loading_percent,
            vuf_percent=scenario.envelope.vuf_percent,
        ),
    )
    pp.to_json(net, str(files.network))
    points.to_csv(files.points, index=False)
    limits_kw = envelopes[["interval_start", "prosumer", "export_limit_kw", "import_limit_kw"]]
    limits_kw = limits_kw.assign(interval_start=_moments(limits_kw["interval_start"]))
    limits_kw.rename(columns={"prosumer": "connection_point"}).to_csv(files.envelopes, index=False)
    return files


def _points(run: Run, envelopes: pd.DataFrame) -> pd.DataFrame:
    """[intervals * prosumers] The table of points."""
    measured, prosumers = run.table("connection_point"), prosumers_of(run)
    measured = measured.assign(q_kvar=without_volt_var(measured, prosumers))
    starts = np.sort(envelopes["interval_start"].unique())
    place = np.searchsorted(starts, measured["time"].to_numpy(), side="right") - 1
    within = measured[place >= 0].assign(interval_start=starts[place[place >= 0]])
    band = ["q_low_kvar", "q_high_kvar"]
    by = within.groupby(["interval_start", "prosumer"], sort=False)
    table = by.agg(
        p_kw=("p_kw", "mean"), q_kvar=("q_kvar", "mean"), q_low_kvar=("q_kvar", "min"), q_high_kvar=("q_kvar", "max")
    ).reset_index()
    known = ["prosumer", "bus", "phase", "export_cap_kw", "import_cap_kw", "volt_var_kva"]
    table = table.merge(prosumers[known], on="prosumer")
    if {*band} <= {*envelopes}:
        said = envelopes[["interval_start", "prosumer", *band]]
        table = table.drop(columns=band).merge(said, on=["interval_start", "prosumer"])
        table["q_kvar"] = table["q_kvar"].clip(table["q_low_kvar"], table["q_high_kvar"])
    return pd.DataFrame(
        {
            "interval_start": _moments(table["interval_start"]),
            "connection_point": table["prosumer"],
            **{name: table[name] for name in ("bus", "phase", "p_kw", "q_kvar")},
            "export_cap_kw": np.maximum(table["export_cap_kw"], table["p_kw"]),
            "import_cap_kw": np.maximum(table["import_cap_kw"], -table["p_kw"]),
            **{name: table[name] for name in (*band, "volt_var_kva")},
        }
    )


def _moments(times: "pd.Series[pd.Timestamp]") -> "pd.Series[str]":
    """ISO 8601."""
    return pd.to_datetime(times, utc=True).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
