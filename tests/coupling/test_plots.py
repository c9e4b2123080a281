"""Figures for papers: every one can be drawn, of the right thing, and says what it cannot show."""

import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from feederloop.coupling.cli import app
from feederloop.coupling.plots import FIGURES, figures_of, plot
from feederloop.coupling.plots.choice import Choice
from feederloop.coupling.plots.market import merit_order
from feederloop.coupling.plots.network import duration
from feederloop.coupling.plots.people import bills
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.results import Run
from feederloop.simulators.errors import InputError

HOSTILE = "<script>alert(1)</script>$\\frac$&"


@pytest.fixture(scope="module")
def result(short_runs):
    return Run(short_runs / "doe_lem")


def text_of(file):
    return " ".join(ET.parse(file).getroot().itertext())


def test_every_figure_can_be_drawn_and_the_list_says_which(result, tmp_path):
    there = {name: can for name, _, can in figures_of(result)}
    assert list(there) == list(FIGURES)
    assert [name for name, can in there.items() if not can] == ["devices"]
    for name, can in there.items():
        if can:
            file = plot(result, name, tmp_path / f"{name}.svg")
            assert ET.parse(file).getroot().tag.endswith("svg")
    with pytest.raises(InputError, match="no data for figure devices"):
        plot(result, "devices", tmp_path / "devices.svg")


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_figure_is_in_the_format_asked_for_and_the_same_each_time(result, tmp_path, suffix, begins):
    made = [plot(result, "prices", tmp_path / f"{i}.{suffix}").read_bytes() for i in range(2)]
    assert made[0].startswith(begins)
    assert made[0] == made[1]


def test_limits_are_on_the_figure(result, tmp_path):
    for name, limits in (
        ("voltage", ("253 V", "216.2 V")),
        ("loading", ("100 %",)),
        ("unbalance", ("2 %",)),
        ("map", ("253 V",)),
    ):
        said = text_of(plot(result, name, tmp_path / f"{name}.svg"))
        assert all(f"limit {limit}" in said for limit in limits)


class OneTariff(Facts):
    """A run in which everybody pays the retailer, and nothing else."""

    def by_interval(self, table, column):
        found = super().by_interval(table, column)
        return np.full_like(found, float(column in ("retail_money", "total_money")))


@pytest.mark.parametrize("draw", [bills, merit_order])
def test_what_is_highest_stands_clear_of_the_edge(result, draw):
    figure = Figure()
    assert draw(figure, OneTariff(result), Choice())
    axes = figure.axes[0]
    bottom, top = axes.get_ylim()
    assert axes.dataLim.ymax < top - 0.03 * (top - bottom)


def test_an_envelope_is_that_of_the_prosumer_asked_for(result, tmp_path):
    file = plot(result, "envelope", tmp_path / "e.svg", Choice(prosumer="home_07"))
    assert "home_07" in text_of(file)


def test_a_merit_order_is_that_of_the_interval_asked_for(result, tmp_path):
    market = result.table("market")
    line = Facts(result).timeline
    asked = market.iloc[1]
    local = asked["interval_start"].tz_convert(line.zone)
    for at in (f"{local:%H:%M}", f"{local:%Y-%m-%dT%H:%M}", (local + pd.Timedelta("29min")).isoformat()):
        said = text_of(plot(result, "merit_order", tmp_path / "m.svg", Choice(at=at)))
        assert f"{asked['volume_kwh']:.3g} kWh at {asked['price_per_kwh']:.3g}" in said
        assert f"{local:%H:%M}" in said


def test_the_loading_duration_curve_falls_and_covers_all_time(result):
    figure = Figure()
    assert duration(figure, Facts(result), Choice())
    curves = [line.get_xydata() for line in figure.axes[0].lines if len(line.get_xydata()) > 2]
    branches = result.table("grid_branch")
    kinds = branches["branch"].str.split(" ").str[0]
    worst = branches.filter(like="loading").max(axis=1).groupby(kinds).max()
    assert sorted(curve[0, 1] for curve in curves) == pytest.approx(sorted(worst))
    for curve in curves:
        assert (np.diff(curve[:, 1]) <= 0).all()
        assert curve[-1, 0] == pytest.approx(100)


@pytest.mark.parametrize(
    ("name", "file", "choice", "said"),
    [
        ("voltages", "x.svg", Choice(), "no such figure"),
        ("voltage", "x.gif", Choice(), "no such format"),
        ("envelope", "x.svg", Choice(prosumer="home_7"), "no such prosumer"),
        ("voltage", "x.svg", Choice(prosumer="home_07"), "is not of one"),
        ("merit_order", "x.svg", Choice(at="noon"), "not a time"),
        ("merit_order", "x.svg", Choice(at="2020-01-01T12:00"), "no such time"),
        ("merit_order", "x.svg", Choice(at="25:99"), "not a time"),
    ],
)
def test_what_cannot_be_drawn_is_said(result, tmp_path, name, file, choice, said):
    with pytest.raises(InputError, match=said):
        plot(result, name, tmp_path / file, choice)
    assert not list(tmp_path.iterdir())


def test_a_damaged_table_is_named(result, tmp_path):
    folder = shutil.copytree(result.folder, tmp_path / "damaged")
    (folder / "market.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="no data for figure prices; damaged: market"):
        plot(Run(folder), "prices", tmp_path / "prices.svg")


def test_names_are_drawn_as_they_are(result, tmp_path):
    folder = shutil.copytree(result.folder, tmp_path / "run")
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        if "prosumer" in table:
            table["prosumer"] = HOSTILE + table["prosumer"].astype(str)
            table.to_parquet(file, index=False)
    for name in ("bills", "envelope"):
        assert HOSTILE in text_of(plot(Run(folder), name, tmp_path / f"{name}.svg"))


def test_the_command_line_lists_and_draws(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(app, ["plot", str(result.folder)])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()] == list(FIGURES)
    drawn = CliRunner().invoke(app, ["plot", str(result.folder), "voltage"])
    assert drawn.output.strip() == "voltage.svg"
    assert (tmp_path / "voltage.svg").is_file()
