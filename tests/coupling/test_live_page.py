"""Live page and viewer in a browser, with names in the scenario that would like to be more than names."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandapower as pp
import pandas as pd
import pytest
from browser_kit import DESKTOP, PHONE, chromium, fits, page_in, serious_findings
from live_kit import HOSTILE, TOKEN, LiveRun
from playwright.sync_api import Browser, expect

from feederloop.coupling.results import Run, open_run
from feederloop.coupling.serve.access import Access
from feederloop.coupling.serve.server import Server
from feederloop.coupling.view.answers import Answers
from feederloop.coupling.view.app import make_app
from feederloop.simulators.grid.networks import street_12

CALM_MS = 1200
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def hostile_network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A street whose first home is called by a script."""
    net = street_12()
    net.asymmetric_load["name"] = [HOSTILE, *(f"home_{number:02}" for number in range(2, 13))]
    file = tmp_path_factory.mktemp("network") / "street.json"
    pp.to_json(net, str(file))
    return str(file)


def test_a_run_with_a_bench_on_desktop_and_phone(browser: Browser, hostile_network: str, tmp_path: Path) -> None:
    troubles: list[str] = []
    overrides = {"title": HOSTILE, "grid.network": hostile_network}
    with LiveRun(tmp_path, bench="home_03", **overrides) as live:
        desk, phone = page_in(browser, DESKTOP, troubles), page_in(browser, PHONE, troubles, color_scheme="dark")
        desk.goto(live.page.url_to_act)
        phone.goto(live.page.url)
        for page in (desk, phone):
            expect(page.locator("#status")).to_have_text("paused")
            expect(page.locator("h1")).to_have_text(HOSTILE)
            expect(page.locator("#homes tbody tr")).to_have_count(12)
            expect(page.locator(".feeder-map .point")).to_have_count(12)
            expect(page.locator("#devices tbody tr")).to_have_count(1)
            page.wait_for_timeout(CALM_MS)
            assert fits(page)
        assert TOKEN not in desk.url
        for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
            _is_accessible(browser, live.page.url, "#homes tbody tr", size, scheme)

        for colour in ("loading", "use", "voltage"):
            desk.select_option("#colour", colour)
        desk.locator('.feeder-map .point[aria-label^="home_04"]').click()
        expect(desk.locator("#chosen dd").first).to_contain_text("home_04")
        desk.reload()  # the token stays, the run goes on
        expect(desk.locator("#status")).to_have_text("paused")
        desk.click("#pause")
        expect(phone.locator("#status")).to_have_text("running")

        phone.click("#stop")
        for wrong in ("", "wrong"):
            phone.fill("#token", wrong)
            phone.click("#ask-go")
            assert not (tmp_path / "bench.stop").exists()
        expect(phone.locator("#ask-wrong")).to_have_text("This token is wrong.")
        phone.fill("#token", TOKEN)
        phone.keyboard.press("Enter")
        for page in (desk, phone):
            expect(page.locator("#status")).to_have_text("emergency stop")
            expect(page.locator("#stop")).to_be_disabled()
        assert (tmp_path / "bench.stop").exists()
        live.finish()
        expect(desk.locator("#pause")).to_be_hidden()
    for page in (desk, phone):  # the server is gone, the page is not
        expect(page.locator("#notice")).to_contain_text("The run is over")
        expect(page.locator("#homes tbody tr")).to_have_count(12)
    assert troubles == []
    _look_back(browser, open_run(live.folder), troubles)


def _look_back(browser: Browser, run: Run, troubles: list[str]) -> None:
    access = Access(port=0)
    answers = Answers(run)
    server = Server(make_app(lambda: answers, access), access)
    server.start()
    try:
        for size in (DESKTOP, PHONE):
            page = page_in(browser, size, troubles, accept_downloads=True)
            page.goto(server.url)
            page.wait_for_selector("html[data-ready]")
            expect(page.locator("h1")).to_have_text(HOSTILE)
            before = page.text_content("#moment")
            page.focus("#slider")
            for _ in range(3):
                page.keyboard.press("ArrowRight")
            expect(page.locator("#moment")).not_to_have_text(before or "")
            page.click("#next")
            expect(page.locator("#prosumer")).to_have_value("1")
            page.select_option("#table", "connection_point")
            page.check("#only")
            expect(page.locator("#where")).to_contain_text("of 12")
            with page.expect_download() as downloading:
                page.click("#download")
            text = downloading.value.path().read_text().splitlines()
            assert len(text) == 13
            assert text[0].startswith('"time","prosumer"')
            assert fits(page)
        for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
            _is_accessible(browser, server.url, "#rows tbody tr", size, scheme)
    finally:
        server.close()
    assert troubles == []


def _is_accessible(browser: Browser, url: str, shown: str, size: dict[str, int], scheme: str) -> None:
    """Have axe-core look at a page once there is something to see on it."""
    page = page_in(browser, size, [], color_scheme=scheme, bypass_csp=True)
    page.goto(url)
    page.wait_for_selector(shown)
    assert serious_findings(page) == []
    page.close()


def test_from_elsewhere_a_token_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"status": "failed", "message": HOSTILE}))
    times = pd.date_range("2016-06-15", periods=3, freq="5min", tz="UTC")
    pd.DataFrame({"time": times, "prosumer": HOSTILE, "p_kw": 1.0}).to_parquet(tmp_path / "connection_point.parquet")
    pd.DataFrame({"prosumer": [HOSTILE], "phase": HOSTILE}).to_parquet(tmp_path / "prosumer.parquet")
    troubles: list[str] = []
    access = Access("0.0.0.0", 0, TOKEN)
    answers = Answers(open_run(tmp_path))
    server = Server(make_app(lambda: answers, access), access)
    server.start()
    try:
        page = page_in(browser, PHONE, troubles)
        page.goto(server.url)
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_have_text("failed")
        expect(page.locator("#notice")).to_contain_text(HOSTILE)
        expect(page.locator("#prosumer option").first).to_have_text(HOSTILE)
        page.select_option("#table", "connection_point")
        expect(page.locator("#rows tbody td").nth(1)).to_have_text(HOSTILE)
    finally:
        server.close()
    assert [trouble for trouble in troubles if "401" not in trouble] == []
