"""Statements add up to the cent, and every lost kWh is in the ledger once."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from feederloop.coupling.losses import ledger
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.run import RunResult, run
from feederloop.coupling.statements import LEDGER_FILE, PARTS, STATEMENTS_FILE, in_cents


@given(arrays(float, (6, 5), elements=st.floats(-50, 50)))
def test_days_and_parts_add_up_in_cents(money: np.ndarray) -> None:
    cents = in_cents(money)
    assert abs(cents.sum() - 100 * money.sum()) <= 0.5 + 1e-6
    assert (np.abs(np.cumsum(cents, axis=0) - 100 * np.cumsum(money, axis=0)) <= 1 + 1e-5).all()


def test_whole_cents_stay_what_they_are() -> None:
    money = np.array([[0.29, -1.10, 0.0, 0.57, 4.35], [1.13, 2.01, -0.07, 0.0, 0.58]])
    np.testing.assert_array_equal(in_cents(money), np.rint(100 * money))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    # Corner limits without any slack: some roofs are held back for sure.
    overrides = ("envelope.rule=equal", "prosumers.pv.share=1", "grid.source_v_pu=1.07")
    return run("minimal", out=tmp_path_factory.mktemp("run"), days=0.125, overrides=overrides, progress=False)


@pytest.mark.slow
def test_a_statement_is_what_was_settled(result: RunResult) -> None:
    assert result.status == "complete"
    daily = pd.read_csv(result.folder / STATEMENTS_FILE)
    parts = np.rint(100 * daily[list(PARTS)]).sum(axis=1)
    np.testing.assert_array_equal(parts, np.rint(100 * daily["total_money"]))
    settled = result.open().table("settlement").groupby("prosumer")["total_money"].sum()
    np.testing.assert_allclose(daily.groupby("prosumer")["total_money"].sum(), settled.sort_index(), atol=0.005 + 1e-9)


@pytest.mark.slow
def test_the_ledger_has_every_kwh_once(result: RunResult) -> None:
    lost = pd.read_csv(result.folder / LEDGER_FILE)
    curtailed = lost.loc[lost["lost"] == "PV curtailed", "kwh"].sum()
    assert curtailed == pytest.approx(result.summary["forgone"]["pv_curtailed_kwh"], abs=1e-3)
    assert curtailed > 0.1
    assert "envelope" in set(lost["taken_by"])


@pytest.mark.slow
def test_the_ledger_names_the_limit_that_held_an_envelope_back(result: RunResult) -> None:
    lost = ledger(Facts(result.open()))
    named = lost.loc[lost["taken_by"] == "envelope", "element"]
    assert named.str.startswith("v_max at bus").any()


@pytest.mark.slow
def test_the_ledger_values_what_was_lost(result: RunResult) -> None:
    lost = pd.read_csv(result.folder / LEDGER_FILE)
    curtailed = lost[lost["lost"] == "PV curtailed"]
    np.testing.assert_allclose(curtailed["money"], 0.06 * curtailed["kwh"], atol=2e-6)
    settled = result.open().table("settlement")
    for kind, lost_as in (("imbalance", "trade not kept"), ("breach", "envelope left")):
        charged = settled[settled[f"{kind}_kwh"].abs() > 1e-6]
        assert lost.loc[lost["lost"] == lost_as, "money"].sum() == pytest.approx(
            charged[f"{kind}_money"].sum(), abs=1e-3
        )
