"""`feederloop compare`: one scenario under several schemes and seeds."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from feederloop.coupling.compare.jobs import Advance


def _list_and_exit(wanted: bool) -> None:
    """List what can be compared; no scenario is needed for that."""
    if not wanted:
        return
    from rich.console import Console

    from feederloop.coupling.compare.variants import VARIANTS

    console, width = Console(highlight=False), max(map(len, VARIANTS))
    for name, variant in VARIANTS.items():
        console.print(f"[bold]{name:{width}}[/bold]  {variant.description}", soft_wrap=True)
    raise typer.Exit


def compare(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="A YAML file, or the bare name of a shipped scenario.")
    ],
    schemes: Annotated[
        str,
        typer.Option(metavar="A,B,…", help="Schemes or variants; all is one for each scheme, everything all variants."),
    ] = "all",
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="How many seeds, from the scenario's own on.")] = 1,
    days: Annotated[
        float | None, typer.Option(metavar="N", help="Length of each run in days, in place of time.days.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many runs at once; by default one per processor.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the results go; by default runs/<scenario>-compared-<time>."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the comparison in DIR: runs that are complete there are kept.")
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value for all schemes. May be repeated."),
    ] = None,
    list_variants: Annotated[
        bool,
        typer.Option("--list", callback=_list_and_exit, is_eager=True, help="List schemes and variants and exit."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Run a scenario under several schemes and compare what they do to feeder and prosumers."""
    from rich.console import Console

    from feederloop.coupling.compare.comparison import compare as run_comparison
    from feederloop.coupling.compare.table import print_comparison
    from feederloop.coupling.compare.variants import chosen_variants

    console = Console(highlight=False)

    total = len(chosen_variants(schemes)) * seeds
    folder = out or Path("runs") / f"{Path(scenario).stem}-compared-{datetime.now():%Y%m%d-%H%M%S}"
    with _progress(total) as advance:
        found = run_comparison(
            scenario, schemes=schemes, seeds=seeds, days=days, jobs=jobs or _processors(), out=folder,
            overrides=overrides or (), advance=advance, resume=resume,
        )  # fmt: skip
    print_comparison(console, found)
    raise typer.Exit(130 if found.interrupted else 0 if found.complete else 1)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _progress(total: int) -> Iterator["Advance"]:
    """One bar for all runs; plain lines where nobody looks at a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console, shares, lock = Console(stderr=True), [0.0] * total, threading.Lock()
    if not (console.is_terminal or console.is_jupyter):
        said = [0]

        def tell(number: int, share: float) -> None:
            with lock:
                shares[number] = max(shares[number], share)
                finished = sum(share >= 1.0 for share in shares)
                if finished > said[0]:
                    said[0] = finished
                    console.print(f"compare  {finished} of {total} runs", highlight=False)

        yield tell
        return
    columns = (
        TextColumn("comparing"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[finished]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("comparing", total=float(total), finished=f"0 of {total} runs")

        def advance(number: int, share: float) -> None:
            with lock:
                shares[number] = max(shares[number], share)
                finished = sum(share >= 1.0 for share in shares)
                bar.update(task, completed=sum(shares), finished=f"{finished} of {total} runs")

        yield advance
