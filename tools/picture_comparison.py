"""Take the picture of a comparison that the docs show.

`make scheme-results && python tools/picture_comparison.py runs/scheme-results/default` puts the top of that page, the
verdicts and harms of every scheme, into docs/images/comparison.png. Needs Chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "comparison.png"
WIDTH, HEIGHT = 1280, 1850
LARGEST_BYTES = 250_000


def main() -> None:
    """Picture the comparison that the command line names."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    page = Path(sys.argv[1]) / "comparison.html" if len(sys.argv) == 2 else None
    if browser is None or page is None or not page.is_file():
        raise SystemExit("usage: python tools/picture_comparison.py COMPARISON (with Chromium installed)")
    with tempfile.TemporaryDirectory() as scratch:
        options = (
            "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1",
            f"--user-data-dir={scratch}", f"--window-size={WIDTH},{HEIGHT}", "--virtual-time-budget=10000",
        )  # fmt: skip
        command = [browser, *options, f"--screenshot={PICTURE}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    size = PICTURE.stat().st_size
    if size > LARGEST_BYTES:
        raise SystemExit(f"{PICTURE} has {size} bytes, more than {LARGEST_BYTES}")
    print(f"{PICTURE} {size} bytes")


if __name__ == "__main__":
    main()
