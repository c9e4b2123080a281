"""Figures of the market: energy imbalance, trade, price."""

import numpy as np
import pandas as pd

from feederloop.coupling.metrics.tables import Group, RunFacts, Tables, number, rows, share


def energy_imbalance(tables: Tables, facts: RunFacts) -> Group:
    """How far what happened was from what had been agreed.

    - imbalance_kwh: sum over intervals and prosumers of |imbalance_kwh| as settled (sold but not delivered, or bought
      but not used); share_of_traded: divided by the energy traded.
    - position_error_kwh: sum of |meter - position|, what was metered against what the prosumer had taken as position;
      position_error_share: divided by the sum of |position|.
    """
    group: Group = dict.fromkeys(("imbalance_kwh", "share_of_traded", "position_error_kwh", "position_error_share"))
    columns = ("imbalance_kwh", "traded_kwh", "meter_kwh", "position_kwh")
    settled = rows(tables, "settlement", *columns)
    if settled is None:
        return group
    if settled["traded_kwh"].notna().any():
        imbalance_kwh = float(settled["imbalance_kwh"].abs().sum())
        group["imbalance_kwh"] = number(imbalance_kwh)
        group["share_of_traded"] = share(imbalance_kwh, float(settled["traded_kwh"].clip(lower=0).sum()))
    if settled["position_kwh"].notna().any():
        error_kwh = float((settled["meter_kwh"] - settled["position_kwh"]).abs().sum())
        group["position_error_kwh"] = number(error_kwh)
        group["position_error_share"] = share(error_kwh, float(settled["position_kwh"].abs().sum()))
    return group


def market(tables: Tables, facts: RunFacts) -> Group:
    """What the local market moved.

    - traded_kwh: energy that changed hands (sold, which is what was bought); offered_kwh, wanted_kwh: what sellers and
      buyers were ready to trade.
    - intervals, intervals_without_trade: market intervals cleared, and those in which nothing was traded.
    - local_share: energy bought locally, of all that prosumers' meters imported, over the settled intervals; in an
      interval a prosumer's local purchase counts up to what its meter imported.
    """
    group: Group = dict.fromkeys(
        ("traded_kwh", "offered_kwh", "wanted_kwh", "intervals", "intervals_without_trade", "local_share")
    )
    cleared = rows(tables, "market", "volume_kwh")
    if cleared is None:
        return group
    volume_kwh = cleared["volume_kwh"].fillna(0.0)
    group["traded_kwh"] = number(volume_kwh.sum())
    for name in ("offered_kwh", "wanted_kwh"):
        if name in cleared:
            group[name] = number(cleared[name].sum())
    group["intervals"] = len(cleared)
    group["intervals_without_trade"] = int((volume_kwh <= 0).sum())
    settled = rows(tables, "settlement", "meter_kwh", "traded_kwh")
    if settled is not None:
        imported_kwh = (-settled["meter_kwh"]).clip(lower=0)
        bought_kwh = np.minimum((-settled["traded_kwh"]).clip(lower=0), imported_kwh)
        group["local_share"] = share(float(bought_kwh.sum()), float(imported_kwh.sum()))
    return group


def price(tables: Tables, facts: RunFacts) -> Group:
    """Local prices of the intervals in which energy was traded.

    - mean_per_kwh, std_per_kwh: mean and standard deviation, weighted with the energy traded.
    - min_per_kwh, max_per_kwh: extremes.
    - mean_abs_change_per_kwh: mean of |change| from one interval with trade to the next.
    - dispersion_per_kwh: standard deviation of what sellers got within an interval, weighted with what they sold, the
      mean over all energy sold; 0 where all get one price.
    """
    names = ("mean_per_kwh", "std_per_kwh", "min_per_kwh", "max_per_kwh", "mean_abs_change_per_kwh")
    group: Group = dict.fromkeys((*names, "dispersion_per_kwh"))
    cleared = rows(tables, "market", "interval_start", "price_per_kwh", "volume_kwh")
    if cleared is None:
        return group
    traded = cleared[(cleared["volume_kwh"] > 0) & cleared["price_per_kwh"].notna()].sort_values("interval_start")
    if traded.empty:
        return group
    prices = traded["price_per_kwh"].to_numpy(float)
    weights = traded["volume_kwh"].to_numpy(float)
    mean = float(np.average(prices, weights=weights))
    group |= {
        "mean_per_kwh": number(mean),
        "std_per_kwh": number(np.sqrt(np.average((prices - mean) ** 2, weights=weights))),
        "min_per_kwh": number(prices.min()),
        "max_per_kwh": number(prices.max()),
    }
    if len(prices) > 1:
        group["mean_abs_change_per_kwh"] = number(np.abs(np.diff(prices)).mean())
    group["dispersion_per_kwh"] = _dispersion(tables)
    return group


def _dispersion(tables: Tables) -> float | None:
    trades = rows(tables, "trades", "interval_start", "traded_kwh", "price_per_kwh")
    sold = None if trades is None else trades[(trades["traded_kwh"] > 0) & trades["price_per_kwh"].notna()]
    if sold is None or sold.empty:
        return None
    kwh, paid = sold["traded_kwh"], sold["price_per_kwh"]
    sums = pd.DataFrame({"kwh": kwh, "money": kwh * paid}).groupby(sold["interval_start"]).sum()
    mean = sold["interval_start"].map(sums["money"] / sums["kwh"])
    squares = (kwh * (paid - mean) ** 2).groupby(sold["interval_start"]).sum()
    return number(np.average(np.sqrt(squares / sums["kwh"]), weights=sums["kwh"]))
