"""Statements for prosumers: what each day came to, to the cent, beside a ledger of lost energy."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.results import Run
from feederloop.coupling.status import write_whole

STATEMENTS_FILE, LEDGER_FILE = "statements.csv", "ledger.csv"
PARTS = ("local_money", "retail_money", "network_money", "imbalance_money", "breach_money")
ENERGIES = ("exported_kwh", "imported_kwh", "sold_kwh", "bought_kwh", "imbalance_kwh", "breach_kwh")

Cents = NDArray[np.int64]


def write_statements(folder: Path) -> None:
    """Write `statements.csv` and `ledger.csv` of a run that has settled something.

    Args:
        folder: The run's folder.
    """
    facts = Facts(Run(folder))
    daily = statements(facts)
    if daily is None:
        return
    from feederloop.coupling.losses import ledger  # the ledger needs the network, and the report needs statements only

    write_whole(folder / STATEMENTS_FILE, daily.to_csv(index=False, lineterminator="\n"))
    lost = ledger(facts)
    write_whole(folder / LEDGER_FILE, lost.to_csv(index=False, lineterminator="\n", float_format="%.6f"))


def statements(facts: Facts) -> pd.DataFrame | None:
    """Return a row per prosumer and local day: energies in kWh, and money with two decimals.

    The five parts of a row add up to its total, and a prosumer's totals to the run's, rounded once: what rounding
    takes from one day it gives to the next. None where nothing was settled.

    Args:
        facts: The run.
    """
    settled, line = facts.table("settlement", "interval_start", "prosumer", "total_money", *PARTS), facts.timeline
    if settled is None or line is None:
        return None
    settled = settled.dropna(subset=["total_money"]).fillna(0.0)
    settled = settled.assign(
        date=settled["interval_start"].dt.tz_convert(line.zone).dt.strftime("%Y-%m-%d"),
        exported_kwh=settled["meter_kwh"].clip(lower=0),
        imported_kwh=-settled["meter_kwh"].clip(upper=0),
        sold_kwh=settled["traded_kwh"].clip(lower=0),
        bought_kwh=-settled["traded_kwh"].clip(upper=0),
    )
    daily = settled.groupby(["prosumer", "date"], sort=True)[[*ENERGIES, *PARTS]].sum().reset_index()
    daily[list(ENERGIES)] = daily[list(ENERGIES)].round(3) + 0.0
    values = daily[list(PARTS)].to_numpy(float)
    cents = np.zeros(values.shape, dtype=np.int64)
    for rows in daily.groupby("prosumer").indices.values():
        cents[rows] = in_cents(values[rows])
    daily[list(PARTS)] = cents / 100.0
    daily["total_money"] = cents.sum(axis=1) / 100.0
    money = [*PARTS, "total_money"]
    daily[money] = (daily[money] + 0.0).map("{:.2f}".format)
    return daily


def in_cents(money: NDArray[np.float64]) -> Cents:
    """Round parts to cents such that sums over days are those of the rounded totals.

    Up to every day, the total since the start is rounded, and its parts by largest remainders, so that they add up.

    Args:
        money: [days, parts].
    """
    since_start = np.cumsum(money, axis=0) * 100.0
    totals = np.rint(since_start.sum(axis=1)).astype(np.int64)
    # What is a whole number of cents but for the last bit shall not lose one.
    cents = np.floor(since_start + 1e-6).astype(np.int64)
    remainder = since_start - cents
    missing = totals - cents.sum(axis=1)
    rank = np.argsort(np.argsort(-remainder, axis=1, kind="stable"), axis=1)
    cents += rank < missing[:, None]
    cents -= rank >= money.shape[1] + np.minimum(missing, 0)[:, None]
    return np.diff(cents, axis=0, prepend=0)
