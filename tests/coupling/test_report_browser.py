"""The report in a browser, as readers use it: on a desk and on a phone, by mouse and keyboard, dark and on paper."""

import contextlib
import json
import re
import shutil

import pandas as pd
import pytest
import yaml
from debian_packages import need

from feederloop.coupling.report import write_report
from feederloop.coupling.run import run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the report was not used")

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">\"'&{{7*7}}<svg onload=alert(1)>"
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Three hours of a small street, with a car that is plugged in."""
    out = tmp_path_factory.mktemp("report") / "run"
    overrides = {"time.start": "2016-06-15 17:00", "prosumers.ev.share": 1.0}
    assert run("minimal", out=out, days=1 / 8, overrides=overrides, progress=False).status == "complete"
    return out


@pytest.fixture(scope="module")
def browser():
    need("chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        yield started
        started.close()


@contextlib.contextmanager
def opened(browser, folder, size="desktop", **more):
    """A report in a page of its own; nothing may be said on its console, nothing fetched."""
    page = browser.new_page(viewport=SIZES[size], accept_downloads=True, has_touch=size == "phone", **more)
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    address = (folder / "report.html").resolve().as_uri()
    page.on(
        "request",
        lambda request: (
            request.url.split("#")[0] != address
            and not request.url.startswith(("data:", "blob:"))
            and said.append(request.url)
        ),
    )
    page.goto(address)
    sync_api.expect(page.locator("[data-chart]:not([data-seen])")).to_have_count(0)
    yield page
    assert said == []
    page.close()


def text_of_download(page, button):
    with page.expect_download() as download:
        page.locator(f"[data-download='{button}']").click()
    return download.value.path().read_text(encoding="utf-8")


@pytest.mark.parametrize("size", SIZES)
def test_every_section_shows_its_charts_and_nothing_leaves_the_page(browser, report, size):
    with opened(browser, report, size) as page:
        links = page.locator(".bar nav a").all()
        assert len(links) > 8
        for link in links:
            link.click()
            target = page.locator(link.get_attribute("href"))
            assert target.is_visible()
            for chart in target.locator("[data-chart]").all():
                assert chart.locator("canvas").count() == 1 or chart.inner_text() != ""
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0


@pytest.mark.parametrize("size", SIZES)
def test_the_map_follows_slider_layer_and_phase(browser, report, size):
    with opened(browser, report, size) as page:
        assert page.locator("#feeder-map .branch").count() == 25
        colours = (
            "[...document.querySelectorAll('.branch, .point')]"
            ".map((e) => e.getAttribute('stroke') + e.getAttribute('fill'))"
        )
        seen = [str(page.evaluate(colours))]
        slider = page.locator("[data-slider='map'] input")
        slider.focus()
        for key in ("Home", "End"):
            slider.press(key)
            seen.append(str(page.evaluate(colours)))
        assert page.locator("[data-slider='map'] output").inner_text() == "Wed 15 Jun, 19:30 – 20:00"
        for layer in ("Loading", "Net energy", "Import limit"):
            page.locator(f"#map .pills label:has-text('{layer}')").click()
            seen.append(str(page.evaluate(colours)))
        page.locator("#map .pills label:has-text('Voltage')").click()
        page.locator("input[name='phase'][value='b']").check(force=True)
        seen.append(str(page.evaluate(colours)))
        assert len(set(seen)) >= 6


def test_legends_are_not_cut_where_they_have_to_be_leafed_through(browser, report):
    cut = """[...document.querySelectorAll("[data-chart]")].flatMap((element) => {
      const chart = echarts.getInstanceByDom(element);
      const box = (one) => {
        const own = one.getBoundingRect().clone();
        if (one.transform) own.applyTransform(one.transform);
        return own;
      };
      return (chart ? chart.getZr().storage.getDisplayList(true) : [])
        .filter((one) => one.type === "tspan" && one.__clipPaths && one.__clipPaths.length)
        .map((one) => {
          const half = parseFloat(one.style.font.match(/([0-9.]+)px/)[1]) / 2;
          const room = box(one.__clipPaths[0]), middle = box(one).y + box(one).height / 2;
          return [one.style.text, middle - half < room.y || middle + half > room.y + room.height];
        });
    })"""
    with opened(browser, report, "phone") as page:
        found = page.evaluate(cut)
        assert len(found) > 8
        assert [text for text, is_cut in found if is_cut] == []


def test_playing_moves_time_and_stops(browser, report):
    with opened(browser, report) as page:
        box = page.locator("[data-slider='map']")
        box.locator("input").press("Home")
        before = box.locator("output").inner_text()
        box.locator("button").click()
        sync_api.expect(box.locator("output")).not_to_have_text(before)
        box.locator("button").click()
        assert box.locator("button").get_attribute("aria-pressed") == "false"


def test_a_prosumer_is_one_click_away(browser, report):
    with opened(browser, report) as page:
        page.locator("#feeder-map .point[aria-label^='home_05']").click()
        assert page.locator("#prosumer").input_value() == "4"
        assert page.url.endswith("#prosumers")
        page.locator("#search").fill("HOME_07")
        assert page.locator("#people tbody tr:visible").count() == 1
        page.locator("#people tbody tr:visible button").click()
        assert page.locator("#prosumer").input_value() == "6"
        assert page.locator("#feeder-map .point[aria-pressed='true']").get_attribute("aria-label").startswith("home_07")
        page.locator("#search").fill("")
        page.locator("#people thead button:has-text('Bill')").click()
        bills = [float(text) for text in page.locator("#people tbody td:last-child").all_inner_texts()]
        assert bills == sorted(bills, reverse=True)


def test_a_keyboard_is_enough(browser, report):
    with opened(browser, report) as page:
        page.locator("#feeder-map .point[tabindex='0']").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        assert page.locator("#feeder-map .point[aria-pressed='true']").count() == 1
        chosen = page.locator("#prosumer").input_value()
        page.locator("#next").focus()
        page.keyboard.press("Enter")
        assert page.locator("#prosumer").input_value() == str((int(chosen) + 1) % 12)


def test_the_bill_adds_up_as_shown(browser, report):
    with opened(browser, report) as page:
        for _ in range(3):
            *parts, total = [float(re.sub("[+=] ", "", text)) for text in page.locator("#bill dd").all_inner_texts()]
            assert len(parts) == 5
            assert round(sum(parts), 2) == total
            page.locator("#next").click()


def test_what_rounds_to_nothing_has_no_minus(browser, report):
    with opened(browser, report) as page:
        assert page.evaluate("[-0.001, -0.006, 0, 12.34].map((value) => page.say(value, 'kWh', 2))") == [
            "0.00 kWh", "-0.01 kWh", "0.00 kWh", "12.34 kWh"
        ]  # fmt: skip


def test_what_is_drawn_can_be_downloaded(browser, report):
    with opened(browser, report) as page:
        for number, button in enumerate(page.locator("[data-download]").all()):
            if number % 8 == 7:
                page.wait_for_timeout(1500)  # Chromium lets a page start ten downloads in a row, and no more
            name = button.get_attribute("data-download")
            if name == "statement":
                page.locator("#statement-box summary").click()
            rows = text_of_download(page, name).splitlines()
            assert len(rows) > 2, name
            assert len({row.count(",") for row in rows if '"' not in row}) == 1, name
        market = pd.read_parquet(report / "market.parquet")
        volume = [float(row.split(",")[1] or 0) for row in text_of_download(page, "volume").splitlines()[1:]]
        assert sum(volume) == pytest.approx(market["volume_kwh"].sum(), abs=0.01)


def test_the_merit_order_is_that_of_the_interval_chosen(browser, report):
    with opened(browser, report) as page:
        slider = page.locator("[data-slider='merit'] input")
        drawn = set()
        for key in ("Home", "ArrowRight", "End"):
            slider.press(key)
            drawn.add(page.evaluate("JSON.stringify(page.charts.merit().series?.map((one) => one.data) ?? 'none')"))
        assert len(drawn) == 3


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_axe_finds_nothing_serious(browser, report, size, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    with opened(browser, report, size, color_scheme=scheme, bypass_csp=True) as page:
        page.locator("#statement-box summary").click()
        found = axe.Axe().run(page).response["violations"]
        serious = [
            (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []


def test_on_paper_there_is_everything_and_no_button(browser, report):
    with opened(browser, report, color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="light")
        assert page.locator(".bar").is_hidden()
        assert page.locator("[data-download]").first.is_hidden()
        assert page.locator("#people tbody tr").last.is_visible()
        assert page.pdf()[:4] == b"%PDF"


def test_hostile_names_stay_text(browser, report, tmp_path):
    folder = shutil.copytree(report, tmp_path / "run")
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        if "prosumer" in table:
            table["prosumer"] = HOSTILE + table["prosumer"].astype(str)
            table.to_parquet(file, index=False)
    scenario = yaml.safe_load((folder / "scenario.yaml").read_text())
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario | {"name": HOSTILE, "title": HOSTILE}))
    topology = json.loads((folder / "topology.json").read_text())
    topology["branches"]["name"] = [HOSTILE + name for name in topology["branches"]["name"]]
    (folder / "topology.json").write_text(json.dumps(topology))
    write_report(folder)
    with opened(browser, folder) as page:
        assert page.title() == HOSTILE
        assert page.locator("h1").inner_text() == HOSTILE
        page.locator("#feeder-map .point").first.hover()
        assert page.locator(".map-readout").inner_text().startswith(HOSTILE)
        page.locator("#people tbody button").first.click()
        page.locator("#bills").scroll_into_view_if_needed()
        page.locator("[data-chart='bills'] canvas").hover()
        assert HOSTILE in text_of_download(page, "people").replace('""', '"')
        assert page.locator("img, iframe, svg[onload]").count() == 0
        assert page.title() == HOSTILE
