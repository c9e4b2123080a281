"""Tables of orders and traders from files, with every mistake in them at once."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feederloop.coupling.scenario.problems import Problem, ScenarioError, nearest_of
from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.orders import SIDE_NAMES, OrderBook, book_from_orders

ORDER_COLUMNS = ("trader", "side", "price_per_kwh", "kwh")
NUMBERS_OF_TRADERS = ("p_kw", "q_kvar", "pv_kwp")


def read_orders(
    file: Path,
    *,
    sites: Sequence[dict[str, Any]] | None = None,
    floor_per_kwh: float | None = None,
    ceiling_per_kwh: float | None = None,
) -> OrderBook:
    """Read a book of orders.

    Args:
        file: CSV with the columns trader, side (ask or bid), price_per_kwh and kwh.
        sites: Who may trade, as `read_traders` gives them; by default all who have an order.
        floor_per_kwh: What the retailer pays for a kWh; by default the lowest limit.
        ceiling_per_kwh: What it takes, less the network charge on local trade; by default the highest limit.

    Raises:
        InputError: The tariffs cross.
        ScenarioError: The file is not such a table, or some rows are not orders; lists all of them.
    """
    corridor = {"floor_per_kwh": floor_per_kwh, "ceiling_per_kwh": ceiling_per_kwh}
    given = {key: value for key, value in corridor.items() if value is not None}
    for key, option in (("floor_per_kwh", "--feed-in"), ("ceiling_per_kwh", "--retail")):
        if not math.isfinite(given.get(key, 0.0)):
            raise InputError("is not a price", key=option, value=given[key], allowed="a finite number")
    if len(given) == 2 and given["floor_per_kwh"] > given["ceiling_per_kwh"]:
        raise InputError(
            "the retailer would pay more than it takes: nobody would trade locally",
            key="--feed-in",
            value=given["floor_per_kwh"],
            allowed=f"at most --retail, {given['ceiling_per_kwh']:g}",
        )
    rows = _rows(file, ORDER_COLUMNS)
    known = None if sites is None else [site["name"] for site in sites]
    problems = [problem for line, row in rows for problem in _wrong(file, line, row, known)]
    if problems:
        raise ScenarioError(problems)
    traders = known if known is not None else list(dict.fromkeys(row["trader"] for _, row in rows))
    orders = [(row["trader"], row["side"], float(row["price_per_kwh"]), float(row["kwh"])) for _, row in rows]
    return book_from_orders(traders, orders, **given)


def read_traders(file: Path) -> list[dict[str, Any]]:
    """Read who may trade, as sites.

    Args:
        file: CSV with the column trader and, if wanted, bus and phase, and p_kw, q_kvar and pv_kwp.

    Raises:
        ScenarioError: The file is not such a table, or some rows are not traders; lists all of them.
    """
    rows = _rows(file, ("trader",))
    problems: list[Problem] = []
    sites: list[dict[str, Any]] = []
    for line, row in rows:
        site: dict[str, Any] = {"name": row["trader"]}
        if not row["trader"] or any(row["trader"] == other["name"] for other in sites):
            problems.append(Problem("is no name of its own", "trader", row["trader"], file=file, line=line))
        for key in NUMBERS_OF_TRADERS:
            if row.get(key):
                problems += _number_problem(file, line, key, row[key], "a finite number")
                site[key] = row[key]
        if row.get("phase"):
            site["phase"] = row["phase"]
        if row.get("bus"):
            if not row["bus"].isdigit():
                problems.append(Problem("is no bus", "bus", row["bus"], "an index, 0 or more", file=file, line=line))
            site["bus"] = row["bus"]
        sites.append(site)
    if problems:
        raise ScenarioError(problems)
    kinds = dict.fromkeys(NUMBERS_OF_TRADERS, float) | {"bus": int}
    return [{key: kinds.get(key, str)(value) for key, value in site.items()} for site in sites]


def _rows(file: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a table with their lines, stripped."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text in UTF-8"
        raise ScenarioError([Problem(f"cannot be read: {reason}", file=file)]) from error
    lacking = [name for name in needed if name not in columns]
    if lacking:
        problems = [
            Problem("this column is missing", name, nearest=nearest_of(name, columns), file=file, line=1)
            for name in lacking
        ]
        raise ScenarioError(problems)
    ragged = [line for line, row in rows if None in row or None in row.values()]
    if ragged:
        allowed = f"{len(columns)} values"
        raise ScenarioError(
            [
                Problem("has not as many values as there are columns", allowed=allowed, file=file, line=line)
                for line in ragged
            ]
        )
    return [(line, {key: value.strip() for key, value in row.items()}) for line, row in rows]


def _wrong(file: Path, line: int, row: dict[str, str], known: Sequence[str] | None) -> list[Problem]:
    """List what keeps a row from being an order."""
    problems = []
    trader, sides = row["trader"], list(SIDE_NAMES.values())
    if not trader:
        problems.append(Problem("is empty", "trader", trader, "a name", file=file, line=line))
    elif known is not None and trader not in known:
        nearest = nearest_of(trader, known)
        problems.append(Problem("there is no such trader", "trader", trader, nearest=nearest, file=file, line=line))
    if row["side"] not in sides:
        nearest = nearest_of(row["side"], sides)
        problems.append(
            Problem("is no side", "side", row["side"], " or ".join(sides), nearest=nearest, file=file, line=line)
        )
    problems += _number_problem(file, line, "price_per_kwh", row["price_per_kwh"], "a finite price")
    problems += _number_problem(file, line, "kwh", row["kwh"], "a finite amount of at least 0", low=0.0)
    return problems


def _number_problem(
    file: Path, line: int, key: str, text: str, allowed: str, *, low: float = -math.inf
) -> list[Problem]:
    try:
        value = float(text)
    except ValueError:
        return [Problem("is not a number", key, text, allowed, file=file, line=line)]
    if not math.isfinite(value):
        return [Problem("is not finite", key, text, allowed, file=file, line=line)]
    return [Problem("is too low", key, value, allowed, file=file, line=line)] if value < low else []
