"""`feederloop report` and `feederloop plot`: what shows a run that is there."""

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def report(
    run: RunFolder,
    reference: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run of the same homes without coordination, shown beside it.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="By default RUN/report.html.")] = None,
    debug: Debug = False,
) -> None:
    """Make the report of a run anew, whatever the run has come to."""
    from feederloop.coupling.report import write_report

    typer.echo(write_report(run, reference=reference, out=out))


def plot(
    run: RunFolder,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which figure; without, lists them.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="SVG, PNG or PDF; by default NAME.svg.")
    ] = None,
    prosumer: Annotated[str | None, typer.Option(metavar="NAME", help="Whom it is of, where it is of one.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="18:00 or ISO 8601, where it is of a time.")] = None,
    debug: Debug = False,
) -> None:
    """Draw a figure of a run for a paper, or list which there are."""
    from feederloop.coupling.plots import figures_of
    from feederloop.coupling.plots import plot as draw
    from feederloop.coupling.plots.choice import Choice
    from feederloop.coupling.results import Run

    opened = Run(run)
    if name is None:
        for figure, shows, there in figures_of(opened):
            typer.echo(f"{figure:18}{shows}{'' if there else ' (no data in this run)'}")
        return
    typer.echo(draw(opened, name, out or Path(f"{name}.svg"), Choice(prosumer, at)))
