"""The report of runs that failed, left little, are of another version, or bear names that would like to be more."""

import json
import shutil
import subprocess
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import yaml
from browser_kit import DESKTOP, chromium, page_in
from debian_packages import need
from playwright.sync_api import Browser, expect
from report_kit import HOSTILE, SECTIONS, change_status, read

from feederloop.coupling.report.page import SCRIPTS


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser | None]:
    """A browser, none where there is none: most that is asked of these pages does without."""
    if shutil.which("chromium") is None:
        yield None
        return
    with chromium() as started:
        yield started


def assert_draws(browser, folder):
    """Let a browser, where there is one, draw a report to its end; nothing may be said on its console."""
    if browser is None:
        return
    troubles = []
    page = page_in(browser, DESKTOP, troubles)
    page.goto((folder / "report.html").resolve().as_uri())
    expect(page.locator("[data-chart]:not([data-seen])")).to_have_count(0)
    assert page.locator("[data-chart] canvas").count() == page.locator("[data-chart]").count()
    page.context.close()
    assert troubles == []


@pytest.mark.parametrize("scheme", SECTIONS)
def test_every_chart_is_drawn_without_complaint(browser, short_runs, scheme):
    need("chromium")
    assert_draws(browser, short_runs / scheme)


def test_names_from_a_scenario_stay_text(browser, folder):
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        if "prosumer" in table:
            table["prosumer"] = table["prosumer"].str.replace(r"^.*?(\d+)$", lambda m: HOSTILE + m[1], regex=True)
            table.to_parquet(file, index=False)
    scenario = yaml.safe_load((folder / "scenario.yaml").read_text())
    scenario |= {"name": HOSTILE, "title": HOSTILE, "description": HOSTILE}
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    change_status(folder, status="failed", message=HOSTILE, traceback=HOSTILE, warnings=[HOSTILE])
    page = read(folder)
    assert not [tag for tag, _ in page.elements if tag in ("img", "iframe")]
    assert len(page.scripts) == 1 + len(SCRIPTS)
    assert all(who["name"].startswith(HOSTILE) for who in page.data["prosumers"])
    # title, heading, eyebrow, description, banner, traceback, warning, and the prosumers to choose from
    assert page.text.count(HOSTILE) >= 7 + len(page.data["prosumers"])
    assert_draws(browser, folder)


@pytest.mark.parametrize(
    ("status", "said"),
    [("failed", "This run failed."), ("interrupted", "was interrupted"), ("running", "This run is incomplete.")],
)
def test_a_run_that_did_not_end_well_says_so(folder, status, said):
    gone = subprocess.Popen(["true"])
    gone.wait()
    change_status(folder, status=status, message="grid failed at noon", pid=gone.pid, reached_s=3600, duration_s=7200)
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        if "time" in table:
            table[table["time"] < table["time"].min() + pd.Timedelta("1h")].to_parquet(file, index=False)
    page = read(folder)
    assert len(page.with_(role="alert")) == 1
    assert said in page.text
    assert "1.0 of 2.0 hours" in page.text
    assert page.data["time"]["points"] == 12
    assert page.sections == SECTIONS["doe_lem"]
    if status != "running":
        assert "grid failed at noon" in page.text


@pytest.mark.parametrize(
    "left", [(), ("scenario.yaml",), ("scenario.yaml", "connection_point.parquet"), ("grid.parquet",)]
)
def test_a_run_that_left_next_to_nothing_has_a_page(browser, folder, left):
    change_status(folder, status="failed", message="no luck")
    for file in folder.iterdir():
        if file.name not in ("status.json", *left):
            file.unlink()
    page = read(folder)
    assert "no luck" in page.text
    assert page.sections[0] == "top"
    assert page.sections[-1] == "about"
    if page.charts:
        assert_draws(browser, folder)


def test_damaged_tables_are_named_and_the_rest_is_there(folder):
    assert "Damaged" not in read(folder).text
    damaged = ["market", "settlement", "trades"]
    for name in damaged:
        (folder / f"{name}.parquet").write_bytes((folder / f"{name}.parquet").read_bytes()[:500])
    page = read(folder)
    assert "Damaged, and therefore not shown: market, settlement, trades." in page.text
    assert page.sections == [name for name in SECTIONS["doe_lem"] if name not in ("market", "bills")]


def test_tables_without_a_row_are_no_results(folder):
    for file in folder.glob("*.parquet"):
        pd.read_parquet(file).iloc[:0].to_parquet(file, index=False)
    assert read(folder).sections == ["top", "about"]


def test_without_large_tables_the_rest_is_there(folder):
    for name in ("grid_bus", "grid_branch"):
        (folder / f"{name}.parquet").unlink()
    assert read(folder).sections == [s for s in SECTIONS["doe_lem"] if s not in ("loading", "unbalance")]


def test_a_run_of_another_version_says_so(folder):
    change_status(folder, versions={"feederloop": "0.0.7"})
    (folder / "topology.json").unlink()
    page = read(folder)
    assert "made by version 0.0.7" in page.text
    # without the file the map is made from the network that the scenario names
    assert "map" in page.sections


def test_without_a_network_there_is_no_map(folder):
    (folder / "topology.json").unlink()
    scenario = yaml.safe_load((folder / "scenario.yaml").read_text())
    scenario["grid"]["network"] = "moved.json"
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    assert read(folder).sections == [name for name in SECTIONS["doe_lem"] if name != "map"]


def test_devices_of_a_bench_are_shown(browser, folder):
    points = pd.read_parquet(folder / "connection_point.parquet")
    points = points[points["prosumer"] == "home_03"]
    table = points[["time", "prosumer"]].assign(
        slot="inverter", asked_kw=2.0, sent_kw=1.9, p_kw=1.5, soc_percent=np.nan, age_s=0.0, quality="good",
        state="armed", reason="",
    )  # fmt: skip
    table.iloc[-6:, table.columns.get_loc("quality")] = "bad"
    table.to_parquet(folder / "device_io.parquet", index=False)
    (folder / "bench").mkdir()
    entries = [
        {"time": "2026-01-01T00:00:00.000+00:00", "kind": "lost", "device": HOSTILE, "who": "bench", "why": HOSTILE},
        {"time": "2026-01-01T00:00:01.000+00:00", "kind": "write", "device": "d", "role": "p", "new": 1, "ok": True},
    ]
    (folder / "bench" / "audit.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    page = read(folder)
    assert "devices" in page.sections
    assert "75.0 % of their readings were good" in page.text.replace("\u00a0", " ")
    assert "1 writes to devices and 1 other events" in page.text
    assert page.text.count(HOSTILE) == 2
    assert_draws(browser, folder)
    (folder / "bench" / "audit.jsonl").write_text('{"kind": "lo')
    assert "Audit log" not in read(folder).text
