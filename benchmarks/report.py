"""The report of the default day: time to make it, its size, and time until a browser has drawn everything.

`python benchmarks/report.py` runs the default day first; `python benchmarks/report.py RUN …` takes runs that are there.
The floor of making a report is reading the tables that it is made from. Times are the best of three: on the wall, and
the processor's own, by which the goal is judged, as others may be using the machine. The browser is Debian's Chromium,
which is done once every chart is drawn.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

from rich.console import Console
from rich.table import Table

from feederloop.coupling.report import write_report
from feederloop.coupling.results import Run

GOAL_S, GOAL_MB, REPEATS = 2.0, 3.0, 3
BROWSER_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def best(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall and of this process of the quickest of some goes."""
    walls, own = [], []
    for _ in range(REPEATS):
        wall, processor = perf_counter(), process_time()
        action()
        walls.append(perf_counter() - wall)
        own.append(process_time() - processor)
    return min(walls), min(own)


def read_all(run: Run) -> None:
    """Read every table of a run."""
    for name in run.tables:
        run.table(name)


def drawn_s(file: Path) -> float | None:
    """Seconds until a browser has drawn every chart of a page, None without one."""
    browser = shutil.which("chromium")
    if browser is None:
        return None
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=BROWSER_OPTIONS)
        page = started.new_page(viewport={"width": 1280, "height": 900})

        def draw() -> None:
            page.goto(file.resolve().as_uri())
            expect(page.locator("[data-chart]:not([data-seen])")).to_have_count(0, timeout=60_000)

        return best(draw)[0]


def main(folders: list[Path]) -> int:
    """Print the table; 0 if the goals were met."""
    console, met = Console(width=110), True
    title = f"Reports; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    table = Table(
        "run", "homes", "steps", "tables s", "report s", "on the wall", "to tables", "MB", "drawn s", title=title
    )
    with tempfile.TemporaryDirectory() as scratch:
        if not folders:
            folders = [Path(scratch) / "default-day"]
            command = [sys.executable, "-m", "feederloop.coupling.cli", "run", "european_lv_doe_lem", "--quiet"]
            subprocess.run([*command, "--out", str(folders[0])], check=True, stdout=subprocess.DEVNULL)
        for folder in folders:
            run, page = Run(folder), Path(scratch) / f"{folder.name}.html"
            _, floor = best(partial(read_all, run))
            wall, made = best(partial(write_report, folder, out=page))
            size, drawn = page.stat().st_size / 1e6, drawn_s(page)
            table.add_row(
                folder.name, str(len(run.table("prosumer"))), str(len(run.table("grid"))), f"{floor:.2f}",
                f"{made:.2f}", f"{wall:.2f}", f"{made / floor:.1f}", f"{size:.2f}",
                "–" if drawn is None else f"{drawn:.2f}",
            )  # fmt: skip
            met &= made <= GOAL_S and size <= GOAL_MB
    console.print(table)
    colour, word = ("green", "met") if met else ("red", "missed")
    console.print(f"[{colour}]{word}[/]: made within {GOAL_S:g} s, at most {GOAL_MB:g} MB")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
