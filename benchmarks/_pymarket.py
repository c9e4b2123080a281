"""What pymarket makes of an order book; runs in an environment of its own, see `matcher.py`.

Reads a JSON list of [kwh, price, trader, is_bid] from standard input and writes results and times as JSON.
"""

import json
import sys
from time import perf_counter
from typing import Any

import numpy as np
import pymarket
from pymarket.bids import demand_curve_from_bids, supply_curve_from_bids
from pymarket.bids.demand_curves import intersect_stepwise


def main() -> None:
    market = pymarket.Market()
    for kwh, price, trader, is_bid in json.load(sys.stdin):
        market.accept_bid(kwh, price, trader, is_bid)
    bids = market.bm.get_df()
    volume_kwh, *_ = intersect_stepwise(demand_curve_from_bids(bids)[0], supply_curve_from_bids(bids)[0])
    answer: dict[str, Any] = {"version": pymarket.__version__, "volume_kwh": float(volume_kwh)}
    for name, options in (("huang", {}), ("p2p", {"r": np.random.RandomState(1)})):
        start = perf_counter()
        transactions, extra = market.run(name, **options)
        seconds = perf_counter() - start
        trades = transactions.get_df()
        buys = bids["buying"].to_numpy()[trades["bid"].to_numpy(dtype=int)]
        answer[name] = {"seconds": seconds, "kwh": float(trades["quantity"][~buys].sum())}
        if name == "huang":
            answer[name] |= {key: float(extra[key]) for key in ("price_buy", "price_sell")}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
