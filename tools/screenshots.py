"""Take the pictures of the report that README and docs show.

`python tools/screenshots.py RUN REFERENCE` makes the reports of the default day (`feederloop run european_lv_doe_lem`)
and of the same day uncoordinated (`feederloop run european_lv_uncoordinated`) and puts the pictures into docs/images.
Needs Chromium and playwright.
"""

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from feederloop.coupling.report import write_report

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
LARGEST_BYTES = 250_000
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        name: Its file.
        run: 0 for the run with its reference, 1 for the reference itself.
        section: Which part of the page; the top of it if empty.
        height: In pixels, of what is shown from there on.
    """

    name: str
    run: int
    section: str
    height: int


PICTURES = (
    Picture("report.png", 0, "", 1240),
    Picture("report-map.png", 1, "#map", 1000),
    Picture("report-prosumer.png", 0, "#prosumers", 1120),
)


def main() -> None:
    """Write the reports of the runs that the command line names and picture them."""
    browser = shutil.which("chromium")
    if browser is None or len(sys.argv) != 3:
        raise SystemExit("usage: python tools/screenshots.py RUN REFERENCE (with Chromium installed)")
    folders = [Path(argument) for argument in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        pages = [Path(scratch) / f"{place}.html" for place in range(2)]
        write_report(folders[0], reference=folders[1], out=pages[0])
        write_report(folders[1], out=pages[1])
        started = playwright.chromium.launch(executable_path=browser, args=OPTIONS)
        for picture in PICTURES:
            page = started.new_page(viewport={"width": 1280, "height": picture.height})
            page.goto(pages[picture.run].as_uri())
            _take(page, picture)
            page.close()


def _take(page: Page, picture: Picture) -> None:
    expect(page.locator("[data-chart]:not([data-seen])")).to_have_count(0, timeout=60_000)
    if picture.section:
        page.locator(picture.section).evaluate("(section) => section.scrollIntoView({ behavior: 'instant' })")
    page.wait_for_timeout(500)
    file = IMAGES / picture.name
    page.screenshot(path=file)
    size = file.stat().st_size
    if size > LARGEST_BYTES:
        raise SystemExit(f"{file} has {size} bytes, more than {LARGEST_BYTES}")
    print(f"{file} {size} bytes")


if __name__ == "__main__":
    main()
