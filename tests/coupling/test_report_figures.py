"""What the report shows is what the tables hold."""

import numpy as np
import pandas as pd
import pytest
import yaml
from report_kit import Page, numbers, read


def test_figures_of_the_page_are_those_of_the_tables(short_runs):
    folder = short_runs / "doe_lem"
    data = Page((folder / "report.html").read_text(encoding="utf-8")).data
    points = pd.read_parquet(folder / "connection_point.parquet")
    names = [who["name"] for who in data["prosumers"]]
    assert sorted(names) == sorted(points["prosumer"].unique())
    for column, tolerance in (("v_v", 0.005), ("p_kw", 0.0005), ("export_limit_kw", 0.0005)):
        wanted = points.pivot(index="prosumer", columns="time", values=column).loc[names].to_numpy()
        found = numbers(data["prosumer"][column]).reshape(len(names), -1)
        np.testing.assert_allclose(found, wanted, atol=tolerance * 1.001)
    pv = points.pivot(index="prosumer", columns="time", values="pv_p_kw").loc[names].isna().to_numpy()
    np.testing.assert_array_equal(np.isnan(numbers(data["prosumer"]["pv_p_kw"]).reshape(pv.shape)), pv)
    highest = max(np.nanmax(numbers(phase["max"])) for phase in data["voltage"]["phases"].values())
    assert highest == pytest.approx(points["v_v"].max(), abs=0.0051)
    branches = pd.read_parquet(folder / "grid_branch.parquet")
    lines = branches[branches["branch"].str.startswith("line")].groupby("time")["loading_b_percent"].max()
    np.testing.assert_allclose(numbers(data["loading"]["line"]["b"]), lines, atol=0.0051)
    total = pd.read_parquet(folder / "settlement.parquet").groupby("prosumer")["total_money"].sum()
    np.testing.assert_allclose(numbers(data["bills"]["total"]), total.loc[names], atol=0.000051)
    volume = pd.read_parquet(folder / "market.parquet")["volume_kwh"].sum()
    assert np.nansum(numbers(data["market"]["volume"])) == pytest.approx(volume, abs=0.01)


def test_time_is_the_scenarios_own(short_runs):
    page = Page((short_runs / "doe_lem" / "report.html").read_text(encoding="utf-8"))
    clock = page.data["time"]
    scenario = yaml.safe_load((short_runs / "doe_lem" / "scenario.yaml").read_text())["time"]
    start = pd.Timestamp(scenario["start"]).tz_localize(scenario["time_zone"])
    assert (clock["start_s"], clock["step_s"], clock["points"]) == (int(start.timestamp()), 300, 24)
    assert clock["offsets"] == [[clock["start_s"], int(start.utcoffset().total_seconds())]]
    assert f"{start:%H:%M}" in page.text


def test_a_clock_change_is_known_to_the_page(folder):
    shift = (
        pd.Timestamp("2016-10-30T00:00:00+00:00") - pd.read_parquet(folder / "connection_point.parquet")["time"].min()
    )
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        for column in {"time", "interval_start"} & set(table):
            table[column] += shift
        table.to_parquet(file, index=False)
    offsets = read(folder).data["time"]["offsets"]
    assert offsets == [[1477785600, 3600], [1477789200, 0]]


def test_frames_of_the_map_hold_the_worst_of_their_time(short_runs):
    folder = short_runs / "doe_lem"
    data = Page((folder / "report.html").read_text(encoding="utf-8")).data["map"]
    buses = pd.read_parquet(folder / "grid_bus.parquet")
    buses = buses[buses["v_b_v"] < 1000]
    frame = (buses["time"] - buses["time"].min()).dt.total_seconds() // data["frame_s"]
    wanted = buses.groupby([frame, "bus"])["v_b_v"].agg(lambda v: v.iloc[(v - 234.6).abs().argmax()]).unstack()
    found = numbers(data["layers"][0]["buses"]["b"]).reshape(data["frames"], -1)
    names = data["topology"]["buses"]["name"]
    np.testing.assert_allclose(found[:, [names.index(bus) for bus in wanted]], wanted, atol=0.0051)
    net = {layer["key"]: numbers(layer["points"]) for layer in data["layers"] if layer["key"] == "net"}["net"]
    points = pd.read_parquet(folder / "connection_point.parquet")
    assert net.sum() == pytest.approx(points["p_kw"].sum() * 300 / 3600, abs=0.03)


def test_orders_of_the_page_are_those_of_the_table(short_runs):
    folder = short_runs / "doe_lem"
    found = Page((folder / "report.html").read_text(encoding="utf-8")).data["market"]["orders"]
    orders = pd.read_parquet(folder / "orders.parquet")
    kwh, ask = numbers(found["kwh"]), numbers(found["ask"])
    for side, chosen in (("ask", ask == 1), ("bid", ask == 0)):
        assert kwh[chosen].sum() == pytest.approx(orders.loc[orders["side"] == side, "kwh"].sum(), abs=0.05)


def test_statements_on_the_page_add_up(short_runs):
    data = Page((short_runs / "doe_lem" / "report.html").read_text(encoding="utf-8")).data["prosumer"]
    days = np.array([row[6:] for row in data["statements"]])
    assert len(days) >= 12
    np.testing.assert_array_equal(days[:, :5].sum(axis=1), days[:, 5])
    settled = pd.read_parquet(short_runs / "doe_lem" / "settlement.parquet")
    assert days[:, 5].sum() == pytest.approx(100 * settled["total_money"].sum(), abs=len(days))


def test_every_prosumer_has_a_row_with_what_it_paid(short_runs):
    page = Page((short_runs / "doe_lem" / "report.html").read_text(encoding="utf-8"))
    rows = [attrs for tag, attrs in page.elements if tag == "button" and "data-place" in attrs]
    assert [row["data-place"] for row in rows] == [str(place) for place in range(12)]
    total = pd.read_parquet(short_runs / "doe_lem" / "settlement.parquet").groupby("prosumer")["total_money"].sum()
    keys = [float(attrs["data-key"]) for tag, attrs in page.elements if tag == "td" and "data-key" in attrs]
    np.testing.assert_allclose(np.array(keys).reshape(12, -1)[:, -1], total, atol=1e-6)
