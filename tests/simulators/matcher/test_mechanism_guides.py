import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from feederloop.simulators.matcher.mechanism import BUILT_IN, Mechanism, make_mechanism
from feederloop.simulators.matcher.orders import book_from_orders

DOCS = Path(__file__).parents[3] / "docs"
GUIDE, PAGE = DOCS / "how-to" / "own-mechanism.md", DOCS / "explanation" / "mechanisms.md"


def examples(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_mechanism_of_the_guide_does_what_it_says(capsys):
    (code,) = examples(GUIDE, "python")
    room = {}
    exec(compile(code, str(GUIDE), "exec"), room)
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*  # (.*)$", code, flags=re.MULTILINE)
    assert isinstance(room["PayAsBid"](k=0.2), Mechanism)


def test_the_page_names_every_mechanism_and_valid_options():
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)[: len(BUILT_IN)] == [
        "k_double_auction",
        "mcafee",
        "continuous_double_auction",
        "mid_market_rate",
        "supply_demand_ratio",
        "bilateral",
        "stable_matching",
        "network_checked",
    ]
    matching = yaml.safe_load(examples(PAGE, "yaml")[0])["matching"]
    make_mechanism(matching["mechanism"], matching["options"])


def rows():
    text = PAGE.read_text(encoding="utf-8").partition("On this book")[2]
    cells = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", text, flags=re.MULTILINE)
    return [(name, [float(value) for value in values]) for name, *values in cells]


@pytest.mark.parametrize(("name", "figures"), rows(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_pages_figures_are_what_comes_of_its_book(name, figures):
    lines = [line.split(",") for line in examples(PAGE, "csv")[0].splitlines()[1:]]
    orders = [(trader, side, float(price), float(kwh)) for trader, side, price, kwh in lines]
    book = book_from_orders([order[0] for order in orders], orders)
    options = {"arrival": "price_ordered"} if name == "continuous_double_auction" else {}
    mechanism = make_mechanism(name, options)
    clearing = mechanism.clear(book, served_share=np.ones(len(orders)), rng=np.random.default_rng(0))
    welfare = -(book.side * book.price_per_kwh) @ clearing.matched_kwh
    found = [clearing.matched_kwh[book.is_ask].sum(), clearing.price, welfare, clearing.surplus_money]
    # A negotiation's partners are drawn, and it ends within its tolerances.
    assert figures == pytest.approx(found, abs=0.02 if name == "bilateral" else 6e-4)


def test_all_mechanisms_without_a_network_are_compared():
    assert {name for name, _ in rows()} == set(BUILT_IN) - {"network_checked"}
