"""A book of orders cleared outside a simulation: figures, tables and the merit-order chart."""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from feederloop.coupling.folders import make_folder
from feederloop.coupling.merit_order_chart import merit_order_svg
from feederloop.coupling.status import write_whole
from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.clearing import Clearing
from feederloop.simulators.matcher.mechanism import Foreseeing, Mechanism, Placed
from feederloop.simulators.matcher.orders import SIDE_NAMES, OrderBook
from feederloop.simulators.matcher.surroundings import surroundings
from feederloop.simulators.randomness import stream

TRADE_COLUMNS = ("trader", "traded_kwh", "price_per_kwh", "money", "gain", "blocked_kwh")
"""Sold is positive, money is positive for who pays; the gain is against the own limits."""


def read_options(texts: Sequence[str]) -> dict[str, Any]:
    """Read options written as KEY=VALUE, values as YAML.

    Raises:
        InputError: One is not written so.
    """
    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key.strip() and equals):
            raise InputError("is not an option", key="--set", value=text, allowed="KEY=VALUE, e.g. k=0.3")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError("has a value that is not YAML", key="--set", value=text) from error
    return options


@dataclass(frozen=True)
class Cleared:
    """A book and what came of it.

    Args:
        book: The orders.
        clearing: What came of them.
    """

    book: OrderBook
    clearing: Clearing

    @classmethod
    def by(
        cls,
        mechanism: Mechanism,
        book: OrderBook,
        *,
        sites: Sequence[dict[str, Any]] | None,
        network: str | None,
        interval_s: int,
        seed: int,
    ) -> "Cleared":
        """Clear a book.

        Args:
            mechanism: How.
            book: The orders.
            sites: Of the traders: what mechanisms that look at the network need.
            network: Name or file of the network.
            interval_s: Length of the interval, s.
            seed: For mechanisms that draw lots.

        Raises:
            InputError: The mechanism needs a network that is not given.
        """
        known = list(sites) if sites is not None else [{"name": name} for name in book.traders]
        if isinstance(mechanism, Placed):
            if mechanism.needs_network and (network is None or sites is None):
                raise InputError("this mechanism looks at the network", key="--network", allowed="--network, --traders")
            place = network if mechanism.needs_network else None
            mechanism.place(surroundings(known, interval_s=interval_s, network=place))
        if isinstance(mechanism, Foreseeing):
            p_kw, q_kvar = (np.array([site.get(key, 0.0) for site in known]) for key in ("p_kw", "q_kvar"))
            mechanism.foresee(p_kw, q_kvar)
        served = np.ones(len(book.traders))
        return cls(book, mechanism.clear(book, served_share=served, rng=stream(seed, "matcher")))

    @property
    def volume_kwh(self) -> float:
        """What is traded."""
        return float(self.clearing.matched_kwh[self.book.is_ask].sum())

    def figures(self) -> dict[str, float | int | bool | None]:
        """Return the figures that sum the clearing up; None where there is none."""
        clearing, book = self.clearing, self.book
        worth = float(-(book.side * book.price_per_kwh) @ clearing.matched_kwh)
        figures: dict[str, float | int | bool | None] = {
            "price_per_kwh": None if math.isnan(clearing.price) else float(clearing.price),
            "volume_kwh": self.volume_kwh,
            "offered_kwh": book.offered_kwh,
            "wanted_kwh": book.wanted_kwh,
            "welfare_money": worth,
            "surplus_money": float(clearing.surplus_money),
            "fee_money": float(clearing.fee_money),
        }
        if clearing.negotiation is not None:
            talk = clearing.negotiation
            figures |= {"rounds": talk.rounds, "messages": talk.messages, "residual_kwh": talk.residual_kwh}
            figures |= {"residual_per_kwh": talk.residual_per_kwh, "fell_back": talk.fell_back}
        if clearing.blocking is not None:
            figures |= {"attempts": int(clearing.blocking.attempts.sum()) // 2}
            figures |= {"blocks": int(clearing.blocking.blocks.sum()) // 2}
            if (retail := clearing.blocking.retail) is not None:
                figures |= {"retail_attempts": int(retail.attempts.sum()), "retail_blocks": int(retail.blocks.sum())}
        return figures

    def trades(self) -> list[tuple[str, float, float, float, float, float]]:
        """Return a row per trader who has an order, see `TRADE_COLUMNS`."""
        book, clearing = self.book, self.clearing
        money = -np.where(clearing.traded_kwh != 0, clearing.traded_kwh * clearing.price_per_kwh, 0.0) + 0.0
        gain = 0.0 - money - book.per_trader(book.side * book.price_per_kwh * clearing.matched_kwh)
        blocked = np.zeros(len(money)) if clearing.blocking is None else clearing.blocking.blocked_kwh
        columns = (clearing.traded_kwh, clearing.price_per_kwh, money, gain, blocked)
        rows = zip(book.traders, *(column.tolist() for column in columns), strict=True)
        ordering = set(book.trader.tolist())
        return [row for number, row in enumerate(rows) if number in ordering]

    def show(self, console: Console, *, title: str) -> None:
        """Print figures and trades."""
        table = Table(title=title, title_justify="left", title_style="bold")
        for name in ("trader", "", "kWh", "per kWh", "pays", "gain"):
            table.add_column(name, justify="left" if name in ("trader", "") else "right")
        for trader, kwh, price, money, gain, blocked in self.trades():
            side = "sells" if kwh > 0 else "buys" if kwh < 0 else "blocked" if blocked else "–"
            if kwh:
                table.add_row(trader, side, f"{abs(kwh):.3f}", f"{price:.4f}", f"{money:.4f}", f"{gain:.4f}")
            else:
                table.add_row(trader, side)
        console.print(table)
        for name, value in self.figures().items():
            shown = "none" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value).lower()
            console.print(f"{name:<17} {shown}")

    def write(self, folder: Path, *, title: str) -> None:
        """Write trades.csv, orders.csv, market.json and merit_order.svg."""
        make_folder(folder)
        book = self.book
        columns = (book.price_per_kwh.tolist(), book.kwh.tolist(), self.clearing.matched_kwh.tolist())
        names = [book.traders[trader] for trader in book.trader.tolist()]
        sides = [SIDE_NAMES[side] for side in book.side.tolist()]
        _write_csv(folder / "trades.csv", TRADE_COLUMNS, self.trades())
        order_columns = ("trader", "side", "price_per_kwh", "kwh", "matched_kwh")
        _write_csv(folder / "orders.csv", order_columns, zip(names, sides, *columns, strict=True))
        write_whole(folder / "market.json", json.dumps(self.figures(), indent=2) + "\n")
        write_whole(
            folder / "merit_order.svg", merit_order_svg(book, self.volume_kwh, self.clearing.price, title=title)
        )


def _write_csv(file: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if isinstance(v, float) and math.isnan(v) else v for v in row] for row in rows])
