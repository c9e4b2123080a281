import csv
import json
import sys
from xml.etree import ElementTree

import pandas as pd
import pytest

from feederloop.coupling import cli
from feederloop.coupling.merit_order_chart import merit_order_svg
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.matcher.mechanism import BUILT_IN
from feederloop.simulators.matcher.orders import book_from_orders

ORDERS = """trader,side,price_per_kwh,kwh
ann,ask,0.10,1.5
bob,ask,0.14,2.0
cem,ask,0.19,1.0
dee,bid,0.25,1.2
eve,bid,0.20,1.0
fay,bid,0.12,2.0
"""


@pytest.fixture
def market(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "orders.csv").write_text(ORDERS)

    def run(*arguments, orders=None):
        if orders is not None:
            (tmp_path / "orders.csv").write_text(orders)
        monkeypatch.setattr(sys, "argv", ["feederloop", "market", "orders.csv", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        shown = capsys.readouterr()
        return end.value.code or 0, shown.out, shown.err

    return run


def test_it_shows_trades_and_leaves_tables_and_a_chart(market, tmp_path):
    code, shown, _ = market("--out", "found")
    assert code == 0
    assert "ann" in shown
    assert "volume_kwh        2.2000" in shown
    figures = json.loads((tmp_path / "found" / "market.json").read_text())
    assert figures["price_per_kwh"] == pytest.approx(0.14)
    with (tmp_path / "found" / "trades.csv").open() as handle:
        trades = {row["trader"]: row for row in csv.DictReader(handle)}
    assert float(trades["bob"]["traded_kwh"]) == pytest.approx(0.7)
    assert float(trades["dee"]["money"]) == pytest.approx(1.2 * 0.14)
    assert trades["fay"]["price_per_kwh"] == ""
    with (tmp_path / "found" / "orders.csv").open() as handle:
        assert sum(float(row["matched_kwh"]) for row in csv.DictReader(handle)) == pytest.approx(4.4)
    chart = ElementTree.parse(tmp_path / "found" / "merit_order.svg").getroot()
    assert any("2.2 kWh at 0.14" in (text.text or "") for text in chart.iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"network_checked"}))
def test_every_mechanism_clears_a_table(market, name):
    code, shown, _ = market("--mechanism", name, "--feed-in", 0.05, "--retail", 0.3)
    assert code == 0
    assert "volume_kwh" in shown


def test_options_and_the_corridor_reach_the_mechanism(market):
    _, shown, _ = market("--set", "k=1", orders="trader,side,price_per_kwh,kwh\na,ask,0.1,1\nb,bid,0.3,1\n")
    assert "price_per_kwh     0.3000" in shown
    _, shown, _ = market("--mechanism", "mid_market_rate", "--feed-in", 0.06, "--retail", 0.2)
    assert "price_per_kwh     0.1300" in shown


def test_a_mechanism_that_looks_at_the_network_is_told_where_traders_are(market, tmp_path):
    points = connection_points(load_network("street_12")).tail(6)
    names = ["ann", "bob", "cem", "dee", "eve", "fay"]
    table = pd.DataFrame({"trader": names, "bus": points["bus"].to_numpy(), "phase": points["phase"].to_numpy()})
    table.assign(p_kw=-0.3, q_kvar=-0.1).to_csv(tmp_path / "traders.csv", index=False)
    code, shown, _ = market("--mechanism", "network_checked", "--traders", "traders.csv", "--network", "street_12")
    assert code == 0
    assert "attempts" in shown
    code, _, wrong = market("--mechanism", "network_checked")
    assert code == 2
    assert "--network" in wrong


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ("ann,ask,nan,1", ["orders.csv:2", "price_per_kwh = 'nan'", "not finite"]),
        ("ann,ask,0.1,-2", ["kwh = -2.0", "at least 0"]),
        ("ann,asks,0.1,2", ["side = 'asks'", "did you mean ask?"]),
        (",ask,0.1,2", ["trader = ''", "is empty"]),
        ("ann,ask,cheap,2", ["price_per_kwh = 'cheap'", "not a number"]),
        ("ann,ask,0.1", ["orders.csv:2", "4 values"]),
        ("ann,ask,x,-1", ["2 problems"]),
    ],
)
def test_a_row_that_is_no_order_ends_with_2_and_says_where(market, row, messages):
    code, _, wrong = market(orders=f"trader,side,price_per_kwh,kwh\n{row}\n")
    assert code == 2
    for message in messages:
        assert message in wrong


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--feed-in", "0.3", "--retail", "0.2"], ["--feed-in = 0.3", "at most --retail, 0.2"]),
        (["--feed-in", "0.25"], ["at most the ceiling"]),
        (["--retail", "nan"], ["--retail", "finite"]),
        (["--mechanism", "bilaterl"], ["did you mean 'bilateral'?"]),
        (["--set", "k=2"], ["k = 2", "at most 1"]),
        (["--set", "k"], ["KEY=VALUE"]),
        (["--set", "k=[1"], ["not YAML"]),
        (["--traders", "nobody.csv"], ["nobody.csv", "No such file"]),
    ],
)
def test_what_cannot_be_ends_with_2_and_says_why(market, arguments, messages):
    orders = ORDERS.replace("0.25", "0.24") if arguments == ["--feed-in", "0.25"] else None
    code, _, wrong = market(*arguments, orders=orders)
    assert code == 2
    for message in messages:
        assert message in wrong


@pytest.mark.parametrize(
    ("table", "messages"),
    [
        ("trader\nann\nbob\n", ["traders.csv"]),
        ("trader\nann\nann\n", ["no name of its own"]),
        ("trader,bus\nann,x\n", ["bus = 'x'"]),
        ("trader,p_kw\nann,inf\n", ["p_kw = 'inf'"]),
        ("name\nann\n", ["this column is missing"]),
    ],
)
def test_traders_who_are_unknown_or_misstated_are_named(market, tmp_path, table, messages):
    (tmp_path / "traders.csv").write_text(table)
    code, _, wrong = market("--traders", "traders.csv")
    assert code == 2
    if messages == ["traders.csv"]:
        messages = ["trader = 'cem'", "no such trader", "4 problems"]
    for message in messages:
        assert message in wrong


def test_a_chart_without_trade_or_orders_can_be_drawn():
    for orders in ([], [("a<b", "ask", 0.2, 1.0)], [("a<b", "ask", 0.2, 0.0), ("c", "bid", 0.2, 0.0)]):
        drawn = merit_order_svg(book_from_orders(["a<b", "c"], orders), 0.0, float("nan"), title='1 < "2" & 3')
        assert "no trade" in drawn
        ElementTree.fromstring(drawn)
