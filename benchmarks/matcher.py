"""Clearing 1000 orders and negotiating among 55 prosumers, against numpy, pymarket and a book in plain Python.

Run it with `python benchmarks/matcher.py`. pymarket (an earlier package for local markets) is installed into an
environment of its own under the user's cache, the first time; where that fails, the output says so and the order book
is compared with the plain one alone.
"""

import bisect
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from feederloop.simulators.matcher.bilateral import BilateralNegotiation
from feederloop.simulators.matcher.continuous import ContinuousDoubleAuction
from feederloop.simulators.matcher.k_double_auction import KDoubleAuction
from feederloop.simulators.matcher.orders import OrderBook, book_from_curves
from feederloop.simulators.matcher.stable import StableMatching
from feederloop.simulators.matcher.trade_reduction import TradeReduction

ORDERS = 1000
PROSUMERS = 55
POINTS = 7
UNIFORM_LIMIT_S, BOOK_LIMIT_S, BILATERAL_LIMIT_S = 0.2e-3, 10e-3, 1.0
INTERVALS = 10
REPEATS = 200
PYMARKET = "pymarket==0.7.6"
OF_ITS_TIME = "pandas<3"
"""pymarket writes into arrays that later pandas hands out read-only."""
FOLDER = Path(__file__).resolve().parent


def random_book(rng: np.random.Generator) -> OrderBook:
    """Return orders of one trader each at prices that differ: pymarket merges equal ones."""
    return OrderBook(
        traders=tuple(f"home_{i}" for i in range(ORDERS)),
        trader=np.arange(ORDERS),
        side=rng.choice([-1, 1], size=ORDERS),
        price_per_kwh=rng.uniform(0.06, 0.5, ORDERS),
        kwh=rng.uniform(0.1, 2.0, ORDERS),
    )


def street(rng: np.random.Generator) -> OrderBook:
    """Return the curves of homes that draw a little whatever the price, of roofs, and of vehicles that answer to it."""
    prices = np.linspace(0.06, 0.25, POINTS).tolist()
    base = np.where(rng.random(PROSUMERS) < 0.7, -rng.uniform(0.1, 0.5, PROSUMERS), rng.uniform(0.5, 2.5, PROSUMERS))
    steps = np.sort(rng.choice([0.0, 0.0, 1.0, 1.8, 2.5], (PROSUMERS, POINTS)), axis=1)
    positions = base[:, None] + steps * (rng.random((PROSUMERS, 1)) < 0.5)
    return book_from_curves([f"home_{i}" for i in range(PROSUMERS)], [prices] * PROSUMERS, positions.tolist())


def plain_book(orders: list[tuple[bool, float, float]]) -> float:
    """Trade orders (sells, price, kWh) as they come, as one would write it down, and return the volume in kWh."""
    waiting: dict[bool, list[list[float]]] = {True: [], False: []}
    volume = 0.0
    for sells, price, kwh in orders:
        others = waiting[not sells]
        while kwh > 0 and others and (others[0][0] <= -price if sells else others[0][0] <= price):
            traded = min(kwh, others[0][1])
            kwh -= traded
            others[0][1] -= traded
            volume += traded
            if others[0][1] <= 0:
                others.pop(0)
        if kwh > 0:
            bisect.insort(waiting[sells], [price if sells else -price, kwh])
    return volume


def fastest_s(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the least time a call took: what else runs on the machine only ever adds to it."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def pymarket_python() -> Path:
    """Return the Python that has pymarket, made if need be.

    Raises:
        OSError: The environment cannot be made.
        CalledProcessError: pymarket cannot be installed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "feederloop-benchmarks"
    folder = cache / f"{PYMARKET.replace('==', '-')}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYMARKET, OF_ITS_TIME]
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=600)
        ready.touch()
    return python


def ask_pymarket(book: OrderBook) -> tuple[dict[str, Any] | None, str]:
    """Return what pymarket makes of a book, or none and why not."""
    columns = (book.kwh.tolist(), book.price_per_kwh.tolist(), book.trader.tolist(), (~book.is_ask).tolist())
    orders = json.dumps([list(row) for row in zip(*columns, strict=True)])
    try:
        command = [str(pymarket_python()), str(FOLDER / "_pymarket.py")]
        done = subprocess.run(command, input=orders, check=True, capture_output=True, text=True, timeout=600)
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        return None, lines[-1] if lines else str(error)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer, ""


def agreement(book: OrderBook, answer: dict[str, Any]) -> list[str]:
    """List what pymarket finds otherwise: the volume at the competitive price, and Huang's auction."""
    served, rng = np.ones(ORDERS), np.random.default_rng(0)
    uniform = KDoubleAuction().clear(book, served_share=served, rng=rng)
    reduced = TradeReduction().clear(book, served_share=served, rng=rng)
    sold, bought = reduced.traded_kwh > 0, reduced.traded_kwh < 0
    pairs = {
        "competitive volume, kWh": (uniform.matched_kwh[book.is_ask].sum(), answer["volume_kwh"]),
        "trade reduction, kWh": (reduced.matched_kwh[book.is_ask].sum(), answer["huang"]["kwh"]),
        "trade reduction, buyers pay": (reduced.price_per_kwh[bought].mean(), answer["huang"]["price_buy"]),
        "trade reduction, sellers get": (reduced.price_per_kwh[sold].mean(), answer["huang"]["price_sell"]),
    }
    # pymarket rounds prices to five digits.
    return [
        f"{name}: {own:.9g}, pymarket {their:.9g}" for name, (own, their) in pairs.items() if abs(own - their) > 1e-5
    ]


def main() -> int:
    console, rng = Console(width=120, highlight=False), np.random.default_rng(1)
    book, homes, served = random_book(rng), [street(rng) for _ in range(INTERVALS)], np.ones(ORDERS)
    table = Table("work", "time", "goal", "against", "ratio", title="Matching")

    def row(work: str, seconds: float, goal_s: float | None, peer: str = "", peer_s: float | None = None) -> bool:
        ratio = (
            ""
            if peer_s is None
            else f"{peer_s / seconds:.3g} x as fast"
            if peer_s > seconds
            else (f"{seconds / peer_s:.3g} x as long")
        )
        against = peer if peer_s is None else f"{peer} {1e3 * peer_s:.3g} ms"
        goal = "" if goal_s is None else f"≤ {1e3 * goal_s:g} ms"
        table.add_row(work, f"{1e3 * seconds:.3g} ms", goal, against, ratio)
        return goal_s is None or seconds <= goal_s

    def timed(mechanism: Any, orders: OrderBook, repeats: int = REPEATS) -> float:
        served = np.ones(len(orders.traders))
        return fastest_s(lambda: mechanism.clear(orders, served_share=served, rng=np.random.default_rng(0)), repeats)

    answer, why_not = ask_pymarket(book)
    sorting_s = fastest_s(lambda: np.sort(book.price_per_kwh))
    arrival = np.random.default_rng(0).permutation(ORDERS)
    columns = (book.is_ask[arrival].tolist(), book.price_per_kwh[arrival].tolist(), book.kwh[arrival].tolist())
    orders = list(zip(*columns, strict=True))
    plain_s = fastest_s(lambda: plain_book(orders))
    book_s, reduction_s = timed(ContinuousDoubleAuction(), book), timed(TradeReduction(), book)
    met = [
        row(
            f"k-double auction, {ORDERS} orders",
            timed(KDoubleAuction(), book),
            UNIFORM_LIMIT_S,
            "numpy.sort",
            sorting_s,
        )
    ]
    met.append(row(f"order book, {ORDERS} orders", book_s, BOOK_LIMIT_S, "book in plain Python", plain_s))
    differing: list[str] = []
    if answer is None:
        console.print(f"pymarket could not be asked: {why_not}")
    else:
        peer = f"pymarket {answer['version']}"
        met.append(row(f"order book, {ORDERS} orders", book_s, BOOK_LIMIT_S, f"{peer} p2p", answer["p2p"]["seconds"]))
        row(f"trade reduction, {ORDERS} orders", reduction_s, None, f"{peer} huang", answer["huang"]["seconds"])
        differing = agreement(book, answer)
    for method in ("admm", "primal_dual"):
        times = [timed(BilateralNegotiation(method=method), home, 3) for home in homes]
        met.append(row(f"negotiation of {PROSUMERS}, {method}, slowest of {INTERVALS}", max(times), BILATERAL_LIMIT_S))
    row(
        f"stable matching of {PROSUMERS}, slowest of {INTERVALS}",
        max(timed(StableMatching(), h, 3) for h in homes),
        None,
    )
    console.print(table)
    volume = (
        ContinuousDoubleAuction()
        .clear(book, served_share=served, rng=np.random.default_rng(0))
        .matched_kwh[book.is_ask]
        .sum()
    )
    if abs(volume - plain_book(orders)) > 1e-6:
        differing.append(f"order book, kWh: {volume:.9g}, in plain Python {plain_book(orders):.9g}")
    console.print("\n".join(differing) if differing else "All who were asked find the same volumes and prices.")
    return 0 if all(met) and not differing else 1


if __name__ == "__main__":
    sys.exit(main())
