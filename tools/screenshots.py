"""Take the pictures of the report that README and docs show.

`feederloop run european_lv_doe_lem --out DIR && python tools/screenshots.py DIR` writes the report anew and puts
docs/images/report.png (its top) and docs/images/report-prosumer.png (one prosumer) in place. Needs Chromium.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from feederloop.coupling.report import write_report

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
PICTURES = {"report.png": (None, 1280, 1240), "report-prosumer.png": ("prosumers", 1280, 1120)}
"""The only section that is shown (None: all), width and height in pixels."""
LARGEST_BYTES = 250_000


def main() -> None:
    """Write the report of the run that the command line names and picture it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None or len(sys.argv) != 2:
        raise SystemExit("usage: python tools/screenshots.py RUN (with Chromium installed)")
    page = write_report(Path(sys.argv[1])).read_text(encoding="utf-8")
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, (section, width, height) in PICTURES.items():
        file = IMAGES / name
        with tempfile.TemporaryDirectory() as scratch:
            shown = Path(scratch) / "page.html"
            shown.write_text(_only(page, section), encoding="utf-8")
            options = (
                "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1",
                f"--user-data-dir={scratch}/profile", f"--window-size={width},{height}", "--virtual-time-budget=10000",
            )  # fmt: skip
            command = [browser, *options, f"--screenshot={file}", shown.as_uri()]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        size = file.stat().st_size
        if size > LARGEST_BYTES:
            raise SystemExit(f"{file} has {size} bytes, more than {LARGEST_BYTES}")
        print(f"{file} {size} bytes")


def _only(page: str, section: str | None) -> str:
    """Return the page with all sections but one hidden, as headless Chromium cannot picture a page scrolled."""
    if section is None:
        return page
    return re.sub(rf'<section id="(?!{section}")', '<section hidden id="', page)


if __name__ == "__main__":
    main()
