"""Every scheme runs from the clock to the tables, and the books close in all of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from feederloop.coupling.run import RunResult, run
from feederloop.coupling.scenario import scenario_from
from feederloop.coupling.scenario.schemes import SCHEMES
from feederloop.coupling.wiring.arrangement import arrangement_of

AFTERNOON = {"time.start": "2016-06-15 15:00"}
HOURS = 4

VARIANTS: dict[str, dict[str, Any]] = {
    "uncoordinated": {},
    "static_limits": {},
    "static_limits without managers": {"static_limits.energy_manager": False},
    "static_limits with market": {"static_limits.market": True},
    "ev_coordination": {},
    "ev_coordination blind": {"ev_coordination.variant": "valley_filling"},
    "price_based": {},
    "price_based time of use": {"price_based.variant": "time_of_use"},
    "network_aware_p2p": {},
    "network_aware_p2p exact": {"network_aware_p2p.check": "exact", "network_aware_p2p.arrival": "price_ordered"},
    "doe": {},
    "doe corner": {"envelope.safety": "corner", "envelope.rule": "equal"},
    "doe_lem": {},
    "unconstrained": {},
    "central_optimum": {},
}
OWN_TABLES = {
    "network_aware_p2p": {"orders", "trades", "market", "blocking", "curtailment"},
    "doe": {"envelope", "certificate"},
    "doe_lem": {"orders", "trades", "market", "envelope", "certificate"},
    "static_limits": {"envelope"},
    "static_limits with market": {"orders", "trades", "market", "envelope"},
    "ev_coordination": {"coordination"},
    "price_based": {"coordination", "posted_price"},
    "price_based time of use": set(),
    "uncoordinated": set(),
    "unconstrained": {"orders", "trades", "market"},
    "central_optimum": {"coordination"},
}
COMMON = {"prosumer", "connection_point", "ev", "ev_session", "grid", "grid_bus", "grid_branch", "settlement"}


class Runs:
    """A few hours of the street under every variant, each run when it is first asked for; nobody may change them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._found = folder, dict[str, RunResult]()

    def __getitem__(self, variant: str) -> RunResult:
        if variant not in self._found:
            overrides = {**AFTERNOON, "scheme": variant.split()[0], **VARIANTS[variant]}
            out = self._folder / variant.replace(" ", "-")
            result = run("minimal", out=out, days=HOURS / 24, overrides=overrides, progress=False)
            assert result.status == "complete", result.message
            self._found[variant] = result
        return self._found[variant]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("schemes"))


def test_variants_cover_all_schemes() -> None:
    assert {variant.split()[0] for variant in VARIANTS} == set(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_has_somebody_who_sets_the_devices(scheme: str) -> None:
    arrangement = arrangement_of(scenario_from({"scheme": scheme}))
    assert (arrangement.manager is None) == arrangement.aggregated


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_is_complete_and_its_books_close(runs: Runs, variant: str) -> None:
    result = runs[variant]
    settled = result.open().table("settlement")
    assert len(settled) == 2 * HOURS * 12
    by_interval = settled.groupby("interval_start")
    assert by_interval["traded_kwh"].sum().abs().max() < 1e-9
    parts = settled[["local_money", "retail_money", "network_money", "imbalance_money", "breach_money"]].sum(axis=1)
    assert parts.to_numpy() == pytest.approx(settled["total_money"].to_numpy(), abs=1e-9)
    points = result.open().table("connection_point")
    metered = points.groupby("prosumer")["p_kw"].sum() / 12
    assert settled.groupby("prosumer")["meter_kwh"].sum().to_numpy() == pytest.approx(metered.to_numpy(), abs=1e-9)
    assert settled["position_kwh"].notna().all()


@pytest.mark.parametrize("variant", OWN_TABLES)
def test_a_run_leaves_the_tables_of_its_scheme(runs: Runs, variant: str) -> None:
    assert set(runs[variant].open().tables) - COMMON == OWN_TABLES[variant]


def test_all_schemes_have_the_same_homes_sun_and_sessions(runs: Runs) -> None:
    first, *others = (runs[variant].open() for variant in VARIANTS)
    same = ["time", "prosumer", "household_p_kw", "pv_available_kw"]
    for other in others:
        pd.testing.assert_frame_equal(first.table("prosumer"), other.table("prosumer"))
        pd.testing.assert_frame_equal(first.table("connection_point")[same], other.table("connection_point")[same])
        pd.testing.assert_series_equal(first.table("ev")["plugged"], other.table("ev")["plugged"])


def test_static_limits_are_held_by_everybody_who_can(runs: Runs) -> None:
    for variant in ("static_limits", "static_limits without managers", "static_limits with market"):
        points = runs[variant].open().table("connection_point")
        assert (points["export_limit_kw"] == 1.5).all()
        assert points["p_kw"].max() <= 1.5 + 1e-9
        charging = points[points["ev_p_kw"] < -1e-9]
        assert len(charging)
        assert charging["p_kw"].min() >= -5.0 - 1e-9


def test_an_aggregator_charges_what_arrives_and_no_more(runs: Runs) -> None:
    for variant in ("ev_coordination", "ev_coordination blind", "central_optimum"):
        cars = runs[variant].open().table("ev")
        assert (cars.loc[~cars["plugged"], "p_kw"] == 0).all() or cars["p_kw"].abs().max() > 0
    blind = runs["ev_coordination blind"].open()
    points = blind.table("connection_point")
    assert np.allclose(points["pv_p_kw"].fillna(0), points["pv_available_kw"].fillna(0))
    plans = runs["ev_coordination"].open().table("coordination")
    assert (plans["excess_kw"] <= 0.01).all()
    assert (plans["messages"] == 24).all()


def test_posted_prices_are_nothing_on_a_street_that_bears_everything(runs: Runs) -> None:
    tables = runs["price_based"].open()
    assert (tables.table("posted_price")["price_adder_per_kwh"] == 0).all()
    assert (tables.table("coordination")["rounds"] == 1).all()
    assigned = tables.table("posted_price")[["interval_start", "prosumer", "assigned_kwh"]]
    held = tables.table("settlement").merge(assigned, on=["interval_start", "prosumer"])
    assert len(held) == 2 * HOURS * 12
    assert held["position_kwh"].to_numpy() == pytest.approx(held["assigned_kwh"].to_numpy())


def test_a_market_needs_managers() -> None:
    with pytest.raises(ValueError, match="leaves nobody to trade"):
        scenario_from({"static_limits": {"market": True, "energy_manager": False}})


def test_margins_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ev_coordination\.voltage_margin_v"):
        scenario_from({"ev_coordination": {"voltage_margin_v": 20}})
    with pytest.raises(ValueError, match=r"ev_coordination\.loading_margin_percent"):
        scenario_from({"limits": {"line_loading_percent": 50}, "ev_coordination": {"loading_margin_percent": 60}})


@pytest.mark.nightly
def test_the_default_afternoon_and_evening_show_what_theory_says(tmp_path: Path) -> None:
    figures = {}
    for scheme in ("uncoordinated", "ev_coordination", "network_aware_p2p", "doe_lem"):
        overrides = {"scheme": scheme}
        result = run("european_lv_doe_lem", out=tmp_path / scheme, days=10 / 24, overrides=overrides, progress=False)
        assert result.status == "complete", result.message
        figures[scheme] = result.summary
    loading = {scheme: found["congestion"]["max_line_loading_percent"] for scheme, found in figures.items()}
    violations = {scheme: found["voltage"]["customer_violation_share"] for scheme, found in figures.items()}
    # Nobody minds the feeder, and it shows, at noon in voltages and in the evening in currents.
    assert violations["uncoordinated"] > 0.05
    assert loading["uncoordinated"] > 110.0
    # Who plans with all rows and a margin, or inside proven envelopes, breaks nothing.
    for scheme in ("ev_coordination", "doe_lem"):
        assert violations[scheme] == 0.0
        assert loading[scheme] <= 100.0
    # Trades that are checked by half-hourly means do not bind anybody within the half hour.
    assert violations["network_aware_p2p"] > 0.0
    assert loading["network_aware_p2p"] < loading["uncoordinated"]


@pytest.mark.nightly
def test_from_noon_to_noon_the_optimum_is_cheapest_and_nobody_pays_more_than_who_does_not_plan(tmp_path: Path) -> None:
    cost = {}
    for scheme in ("uncoordinated", "network_aware_p2p", "doe_lem", "central_optimum"):
        result = run("minimal", out=tmp_path / scheme, days=1, overrides={"scheme": scheme}, progress=False)
        assert result.status == "complete", result.message
        cost[scheme] = result.summary["cost"]["total"]
        assert result.summary["ev"]["energy_not_served_share"] <= 0.02
    assert min(cost, key=cost.__getitem__) == "central_optimum"
    assert max(cost, key=cost.__getitem__) == "uncoordinated"
