"""Take the picture of the live page that the README shows, docs/images/live.png, during a real run with a bench.

`python tools/live_screenshot.py` runs the default day with the demonstration bench, holds it in the evening until the
page is open, and pictures it going on. Needs playwright and Chromium.
"""

import shutil
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

from feederloop.coupling.live.page import LivePage
from feederloop.coupling.scenario import load_scenario
from feederloop.coupling.serve.access import Access
from feederloop.hil.bench import load_bench
from feederloop.hil.session import run_on_bench

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "live.png"
WIDTH, HEIGHT = 1360, 1300
AT_S = 14 * 3600
"""Seconds after the start at which the run is paused for its picture."""


def main() -> None:
    """Run, pause, picture, and let the rest of the run go."""
    scenario, bench = load_scenario("european_lv_doe_lem", days=0.625), load_bench("demo")
    with tempfile.TemporaryDirectory() as scratch, LivePage(Access(port=0)) as page:
        work = threading.Thread(
            target=run_on_bench,
            args=(scenario, bench),
            kwargs={"out": Path(scratch) / "run", "progress": False, "onlooker": page, "on_station": page.attach},
        )
        work.start()
        while page.picture is None or (page.picture.time_s or 0) < AT_S:
            threading.Event().wait(0.05)
        page.pause.begin()
        picture(page)
        work.join()


def picture(page: LivePage) -> None:
    """Picture a page as soon as its run goes on again."""
    browser_file = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        shown.goto(page.url)
        shown.wait_for_selector("#homes tbody tr")
        shown.wait_for_timeout(3000)
        page.pause.end()
        shown.wait_for_timeout(1500)
        shown.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
