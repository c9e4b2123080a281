"""The viewer: how soon a long run stands in a browser, from the command on.

Goal: the map of a run of 30 days of 55 homes stands drawn within 2 s of the command `feederloop view`. The browser,
Debian's Chromium, is there already and has seen none of the page; it opens the address as soon as the command prints
it. The page itself notes when a frame with the map, and one with every chart, has been painted. What else runs on the
machine only ever adds: of several rounds the best counts, and the median is shown beside it.

`python benchmarks/view.py` runs a day first and repeats it for a month; `python benchmarks/view.py RUN …` opens runs
that are there.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table

from feederloop.coupling.run import run_scenario
from feederloop.coupling.scenario import load_scenario

GOAL_S, DAYS, ROUNDS = 2.0, 30, 9
MARKS = ("address told", "page answered", "map drawn", "all charts drawn")
WATCH = """
const watch = (what, name) => requestAnimationFrame(() => document.querySelector(what)
  ? requestAnimationFrame(() => performance.mark(name))  // the frame with it is over
  : watch(what, name));
watch("#map .point", "map drawn");
watch("html[data-ready]", "all charts drawn");
"""
NOTED = "() => performance.getEntriesByName('all charts drawn').length"
NOTES = "(name) => (performance.timeOrigin + performance.getEntriesByName(name)[0].startTime) / 1000"


def month(folder: Path, out: Path) -> None:
    """Repeat a day's tables for a month, as a run of that length would have left them."""
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("*.parquet", "bench", "report.html"))
    for file in folder.glob("*.parquet"):
        table = pq.read_table(file)
        stamps = [name for name in table.schema.names if pa.types.is_timestamp(table.schema.field(name).type)]
        with pq.ParquetWriter(out / file.name, table.schema, compression="zstd") as writer:
            for day in range(DAYS if stamps else 1):
                moved = table
                for name in stamps:
                    later = pa.array(table.column(name).to_pandas() + pd.Timedelta(days=day)).cast(
                        table.schema.field(name).type
                    )
                    moved = moved.set_column(table.schema.get_field_index(name), name, later)
                writer.write_table(moved.cast(table.schema), row_group_size=131_072)
    status = json.loads((out / "status.json").read_text())
    (out / "status.json").write_text(json.dumps({**status, "duration_s": DAYS * 86400, "reached_s": DAYS * 86400}))


def opened_s(browser: Browser, folder: Path) -> list[float]:
    """Return when each of `MARKS` was reached, s since the command."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.add_init_script(WATCH)
    began = time.time()  # the browser's clock, too
    command = [sys.executable, "-m", "feederloop", "view", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewer:
        assert viewer.stdout is not None
        try:
            url = viewer.stdout.readline().split()[1]
            told = time.time()
            page.goto(url, wait_until="commit")
            answered = time.time()
            page.wait_for_function(NOTED, polling=50)
            times = [told, answered, *(page.evaluate(NOTES, name) for name in MARKS[2:])]
        finally:
            viewer.terminate()
            page.context.close()
    return [at - began for at in times]


def main(folders: list[Path]) -> int:
    """Print the table; 0 if the goal was met."""
    console, chromium = Console(width=110), shutil.which("chromium")
    if chromium is None:
        console.print("not measured: there is no chromium on this machine")
        return 0
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        if not folders:
            day, folders = Path(name) / "day", [Path(name) / "month"]
            run_scenario(load_scenario("european_lv_doe_lem"), out=day, quiet=True)
            month(day, folders[0])
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        browser.new_page().goto("about:blank")
        met = True
        for folder in folders:
            rounds = [opened_s(browser, folder) for _ in range(ROUNDS)]
            title = (
                f"{folder.name} in the viewer, s since the command; load {os.getloadavg()[0]:.1f} on {os.cpu_count()}"
            )
            table = Table("", "best", "median", "goal", "", title=title)
            for what, times in zip(MARKS, zip(*rounds, strict=True), strict=True):
                judged = what == "map drawn"
                met &= not judged or min(times) <= GOAL_S
                verdict = "" if not judged else "[green]met" if min(times) <= GOAL_S else "[red]missed"
                table.add_row(
                    what, f"{min(times):.2f}", f"{median(times):.2f}", f"{GOAL_S:g}" if judged else "", verdict
                )
            console.print(table)
        browser.close()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main([Path(folder) for folder in sys.argv[1:]]))
