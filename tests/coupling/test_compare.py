"""Schemes side by side: which, how sure, what is best, and what a failure does to the rest."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser_kit import DESKTOP, chromium, page_in
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner

from feederloop.coupling.cli import app
from feederloop.coupling.compare.across import People, compared, location_bias, people
from feederloop.coupling.compare.comparison import Comparison, compare, read_comparison
from feederloop.coupling.compare.jobs import Done, Job
from feederloop.coupling.compare.market_gain import market_gains, without_market
from feederloop.coupling.compare.measures import Measure, measures
from feederloop.coupling.compare.page import render
from feederloop.coupling.compare.statistics import estimate
from feederloop.coupling.compare.stress import _balanced
from feederloop.coupling.compare.table import print_comparison
from feederloop.coupling.compare.variants import REPRESENTATIVES, VARIANTS, chosen_variants, folder_name
from feederloop.coupling.results import Run
from feederloop.coupling.scenario import load_scenario
from feederloop.coupling.scenario.schemes import SCHEMES
from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.mechanism import BUILT_IN

LOADING = "congestion.max_line_loading_percent"


def done(variant: str, seed: int, *, status: str = "complete", **figures: float) -> Done:
    summary: dict[str, dict[str, float]] = {}
    for key, value in figures.items():
        group, name = key.split("__")
        summary.setdefault(group, {})[name] = value
    job = Job(variant, seed, "minimal", (), None, Path(folder_name(variant)))
    return Done(job, status, "" if status == "complete" else "envelope stopped", summary)


def comparison(runs: list[Done]) -> Comparison:
    variants = [name for name in VARIANTS if any(one.job.variant == name for one in runs)]
    seeds = sorted({one.job.seed for one in runs})
    return Comparison(Path("out"), load_scenario("minimal"), variants, seeds, runs, {}, {})


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_a_valid_scenario(name: str) -> None:
    scenario = Job(name, 3, "european_lv_doe_lem", (), 0.5, Path("out")).load()
    assert (scenario.scheme, scenario.seed) == (VARIANTS[name].scheme, 3)


def test_every_scheme_can_be_compared() -> None:
    assert {variant.scheme for variant in VARIANTS.values()} == set(SCHEMES)
    assert len(chosen_variants("all")) == 7
    assert {VARIANTS[name].scheme for name in REPRESENTATIVES.values()} == set(REPRESENTATIVES)
    assert chosen_variants("everything") == list(VARIANTS)


def test_groups_name_several_variants() -> None:
    rules = ("equal", "max_min", "proportional", "proportional_fair", "alpha_fair", "max_total")
    assert {f"doe:{rule}{end}" for rule in rules for end in ("", "_corner")} < set(chosen_variants("doe:all"))
    assert chosen_variants("bounds") == ["unconstrained", "central_optimum"]
    assert set(chosen_variants("ablations")) == {"doe_lem", "doe", "static_limits:lem", "static_limits"}


def test_every_built_in_mechanism_is_a_variant() -> None:
    used = {str(VARIANTS[name].overrides.get("matching.mechanism")) for name in chosen_variants("doe_lem:all")}
    assert set(BUILT_IN) <= used


def test_a_variant_takes_its_own_options_and_not_the_scenarios() -> None:
    scenario = Job("doe_lem:mcafee", 1, "european_lv_doe_lem", (), None, Path("out")).load()
    assert (scenario.matching.mechanism, scenario.matching.options) == ("mcafee", {})


def test_schemes_stand_for_their_variant_and_keep_the_order_of_the_table() -> None:
    assert chosen_variants("doe_lem, ev_coordination,uncoordinated,doe_lem") == [
        "uncoordinated", "ev_coordination:network_aware", "doe_lem",
    ]  # fmt: skip


@pytest.mark.parametrize(("names", "said"), [("doe_lme", "did you mean doe_lem"), ("", "No scheme is named")])
def test_unknown_schemes_are_refused(names: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        chosen_variants(names)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=9, unique=True))
def test_the_interval_is_students(values: list[int]) -> None:
    found = estimate([*values, None])
    assert found is not None
    assert found.half_width is not None
    interval = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(interval)


def test_one_seed_has_no_interval_and_none_no_value() -> None:
    one = estimate([2.0, None])
    assert one is not None
    assert (one.mean, one.half_width, one.count) == (2.0, None, 1)
    assert estimate([None]) is None


def test_the_best_of_a_row_is_no_bound_and_no_failure() -> None:
    runs = [
        done("uncoordinated", 1, congestion__losses_kwh=5.0),
        done("doe", 1, congestion__losses_kwh=4.0),
        done("doe_lem", 1, status="failed", congestion__losses_kwh=1.0),
        done("unconstrained", 1, congestion__losses_kwh=3.0),
    ]
    found = comparison(runs)
    losses = next(measure for measure in found.measures if measure.key == "congestion.losses_kwh")
    assert found.best(losses) == {"doe"}
    assert found.estimate("doe_lem", losses.key) is None
    assert not found.complete


def test_nobody_is_best_where_all_are_alike() -> None:
    found = comparison([done("doe", 1, congestion__losses_kwh=4.0001), done("doe_lem", 1, congestion__losses_kwh=4.0)])
    assert found.best(found.measures[0]) == set()


def test_a_limit_is_broken_by_any_seed() -> None:
    runs = [done("doe", seed, congestion__max_line_loading_percent=value) for seed, value in ((1, 60.0), (2, 101.0))]
    found = comparison(runs)
    assert found.keeps("doe", found.measures[0]) is False


def test_harms_come_first() -> None:
    groups = list(dict.fromkeys(measure.group for measure in measures(load_scenario("minimal").limits)))
    assert groups[:6] == [
        "Voltage", "Congestion", "Phase imbalance", "Energy imbalance", "Price fluctuation", "Blocked trades",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("measure", "value", "shown"),
    [
        (Measure("", "ev.energy_not_served_share", "", "%"), 0.01234, "1.23"),
        (Measure("", "price.std_per_kwh", "", "per kWh"), 0.1234, "0.123"),
        (Measure("", "voltage.max_v", "", "V"), 252.96, "253.0"),
        (Measure("", "cost.total", ""), -0.001, "0.00"),
        (Measure("", "privacy.fields", ""), 6.0, "6"),
    ],
)
def test_values_are_shown_in_their_unit(measure: Measure, value: float, shown: str) -> None:
    assert measure.shown(value) == shown


def test_who_is_worse_off_and_by_how_much_the_optimum_is_better() -> None:
    names = ["x", "y", "z", "w"]
    cost = {
        "uncoordinated": [1.0, 1.0, 1.0, 1.0], "doe": [0.5, 1.02, 1.005, 1.0], "central_optimum": [0.4, 0.5, 0.5, 0.6],
    }  # fmt: skip
    nothing = pd.Series(dtype=float)
    known = {(name, 1): People(pd.Series(values, index=names), nothing) for name, values in cost.items()}
    groups = compared([done(name, 1) for name in cost], known)
    assert groups["doe", 1]["worse_off_than_uncoordinated_share"] == 0.25  # a cent does not count
    assert groups["doe", 1]["above_optimum_per_prosumer_day"] == pytest.approx(3.525 / 4 - 0.5)
    assert groups["uncoordinated", 1]["worse_off_than_uncoordinated_share"] is None


def test_the_market_is_compared_with_the_same_limits_without_it() -> None:
    assert {name: without_market(name) for name in ("doe_lem", "doe_lem:corner", "doe_lem:mcafee", "doe")} == {
        "doe_lem": "doe", "doe_lem:corner": "doe:corner", "doe_lem:mcafee": "doe", "doe": None,
    }  # fmt: skip
    names, nothing = ["x", "y", "z", "w"], pd.Series(dtype=float)

    def came_to(energy: list[float], deviations: list[float]) -> People:
        parts = pd.DataFrame({"energy": energy, "deviations": deviations}, index=names)
        return People(parts.sum(axis=1), nothing, parts)

    without = came_to([1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0])
    known = {("doe", 1): without, ("doe_lem", 1): came_to([0.5, 0.9, 1.0, 0.95], [0.0, 0.105, 0.005, 0.25])}
    (gain,) = market_gains(["doe", "doe_lem", "doe_lem:corner"], known)
    assert gain.no_worse_share == 0.75  # half a cent does not count
    assert gain.difference.mean() == pytest.approx((-0.5 + 0.005 + 0.005 + 0.2) / 4)
    assert gain.reasons.to_dict() == {"deviations": pytest.approx(0.25), "energy": pytest.approx(-0.05)}


def test_location_bias_is_one_where_loss_follows_sensitivity() -> None:
    sensitivity = pd.Series([0.1, 0.2, 0.4, 0.9], index=list("abcd"))
    assert location_bias(sensitivity**2, sensitivity) == pytest.approx(1.0)
    assert location_bias(pd.Series(0.0, index=list("abcd")), sensitivity) is None


@given(st.integers(0, 2**32 - 1))
def test_balanced_trades_balance_inside_the_corners(seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(-5, 5, (6, 20))
    trades = _balanced(corners)
    np.testing.assert_allclose(trades.sum(axis=0), 0.0, atol=1e-12)
    assert (np.abs(trades) <= np.abs(corners) + 1e-12).all()
    assert (trades * corners >= 0).all()


@pytest.mark.parametrize(("width", "tables"), [(200, 1), (120, 2), (80, 4), (40, 7)])
def test_where_a_terminal_is_too_narrow_schemes_stand_below_each_other(width: int, tables: int) -> None:
    figures = {"voltage__max_v": 251.234, "voltage__min_v": 221.0}
    runs = [done(variant, seed, **figures) for variant in chosen_variants("all") for seed in (1, 2)]
    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    print_comparison(console, comparison(runs))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count("limit ┃") == tables
    assert "…" not in text or width < 80
    assert text.count("251.2") == 7


def test_the_page_escapes_what_it_shows() -> None:
    runs = [done("doe", 1, voltage__max_v=250.0), done("doe_lem", 1, status="failed")]
    failed = Done(runs[1].job, "failed", "<script>alert(1)</script>", {})
    page = render(comparison([runs[0], failed]))
    assert "<script>alert(1)" not in page
    assert "did not complete" in page


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    out = tmp_path_factory.mktemp("compared") / "out"
    return compare("minimal", schemes="uncoordinated,doe", days=0.0625, jobs=2, out=out)


@pytest.mark.slow
def test_a_comparison_leaves_runs_figures_and_a_page(small: Comparison) -> None:
    assert small.complete
    assert (small.folder / "comparison.html").read_text(encoding="utf-8").count("<tr>") > 20
    figures = read_comparison(small.folder).set_index(["scheme", "metric"])["value"]
    summary = json.loads((small.folder / "doe" / "seed-1" / "summary.json").read_text(encoding="utf-8"))
    assert figures["doe", LOADING] == summary["congestion"]["max_line_loading_percent"]
    for use in ("random", "trade", "phase_trade", "adversary"):
        assert figures["doe", f"stress.{use}_violation_probability"] == 0.0
    assert 0.0 < figures["doe", "comparison.least_served"] <= figures["uncoordinated", "comparison.least_served"] == 1.0
    assert figures["doe", "privacy.fields"] > figures["uncoordinated", "privacy.fields"] == 0


@pytest.mark.slow
def test_every_chart_of_a_comparison_can_be_downloaded(small: Comparison) -> None:
    troubles: list[str] = []
    with chromium() as browser:
        page = page_in(browser, DESKTOP, troubles, accept_downloads=True)
        page.goto((small.folder / "comparison.html").resolve().as_uri())
        charts = [chart.get_attribute("data-chart") for chart in page.locator("[data-chart]").all()]
        assert "cost" in charts
        texts = {}
        for chart in charts:
            with page.expect_download() as downloading:
                page.click(f"[data-download='{chart}']")
            texts[chart] = downloading.value.path().read_text(encoding="utf-8").splitlines()
            assert len(texts[chart]) > 2, chart
    costs = [float(line.split(",")[1]) for line in texts["cost"][1:] if line.startswith("Uncoordinated,")]
    assert costs == pytest.approx(sorted(small.people["uncoordinated", 1].cost), abs=1e-4)
    assert troubles == []


@pytest.mark.slow
def test_a_comparison_goes_on_where_it_stopped(small: Comparison, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(small.folder, folder)
    shutil.rmtree(folder / "doe")
    kept = folder / "uncoordinated" / "seed-1" / "status.json"
    before = kept.stat().st_mtime_ns
    again = compare("minimal", schemes="uncoordinated,doe", days=0.0625, out=folder, resume=True)
    assert again.complete
    assert kept.stat().st_mtime_ns == before
    assert again.values("doe", LOADING) == small.values("doe", LOADING)
    # Another length of the day is another scenario, and nothing of before counts.
    shorter = compare("minimal", schemes="uncoordinated", days=1 / 48, out=folder, resume=True)
    assert shorter.done[0].summary["duration_s"] == 1800
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not empty"):
        compare("minimal", schemes="uncoordinated", out=folder, resume=True)


@pytest.mark.slow
def test_several_processes_and_one_give_the_same(small: Comparison, tmp_path: Path) -> None:
    again = compare("minimal", schemes="uncoordinated,doe", days=0.0625, jobs=1, out=tmp_path / "again")
    tables = [read_comparison(one.folder) for one in (small, again)]
    same = [table[~table["metric"].str.startswith("compute.")].reset_index(drop=True) for table in tables]
    pd.testing.assert_frame_equal(*same, check_exact=True)


@pytest.mark.slow
def test_a_scheme_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from feederloop.coupling.wiring import start

    monkeypatch.setitem(start.SIMULATORS, "static_limits", "feederloop.simulators.nowhere:Nothing")
    found = compare("minimal", schemes="uncoordinated,static_limits", days=0.0625, jobs=1, out=tmp_path / "out")
    assert [one.status for one in found.done] == ["complete", "failed"]
    assert not found.complete
    assert "did not complete" in (found.folder / "comparison.html").read_text(encoding="utf-8")


def test_variants_are_listed_without_a_scenario() -> None:
    listed = CliRunner().invoke(app, ["compare", "--list"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in VARIANTS)


@pytest.mark.slow
def test_the_parts_of_a_cost_are_the_bill_and_energy_at_the_tariff_is_all_of_it_without_a_market(
    small: Comparison,
) -> None:
    run = Run(small.folder / "doe" / "seed-1")
    found = people(run)
    assert found is not None
    billed = run.table("settlement").groupby("prosumer")["total_money"].sum() / 0.0625
    parts = found.parts.drop(columns=["battery wear", "charge left"])
    np.testing.assert_allclose(parts.sum(axis=1), billed, atol=1e-9)
    assert parts["energy at the tariff"].abs().min() > 0
    standing = parts["local trade"]
    np.testing.assert_allclose(standing, standing.iloc[0], atol=1e-9)


def test_a_mistake_is_found_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        compare("minimal", schemes="doe", overrides=("envelope.rule=fair",), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
