"""Draw a figure of a run into a file, and tell which there are."""

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from feederloop.coupling.folders import make_folder
from feederloop.coupling.plots.choice import Choice
from feederloop.coupling.plots.figures import FIGURES
from feederloop.coupling.plots.style import WIDTH_IN, styled
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.results import Run
from feederloop.coupling.scenario.problems import any_of
from feederloop.simulators.errors import InputError

FORMATS = (".svg", ".png", ".pdf")


def plot(run: Run, name: str, file: Path, choice: Choice | None = None) -> Path:
    """Draw a figure of a run.

    Args:
        run: The run; complete or not.
        name: One of `FIGURES`.
        file: Where it goes; its ending says in which format.
        choice: Which prosumer or time it is of.

    Returns:
        The file.

    Raises:
        InputError: No such figure, format or choice, or the run lacks what the figure shows.
    """
    kind = FIGURES.get(name)
    if kind is None:
        raise InputError("no such figure", key="NAME", value=name, allowed=any_of(list(FIGURES)))
    if file.suffix not in FORMATS:
        raise InputError("no such format", key="--out", value=str(file), allowed=f"a name with {', '.join(FORMATS)}")
    chosen = choice or Choice()
    for option in ("prosumer", "at"):
        if getattr(chosen, option) is not None and option not in kind.takes:
            raise InputError(f"figure {name} is not of one", key=f"--{option}", value=getattr(chosen, option))
    facts = Facts(run)
    with styled():
        figure = Figure(figsize=(WIDTH_IN, kind.height_in), layout="constrained")
        if not kind.draw(figure, facts, chosen):
            damaged = f"; damaged: {', '.join(facts.damaged)}" if facts.damaged else ""
            raise InputError(
                f"this run has no data for figure {name}{damaged}", file=run.folder, key="NAME", value=name
            )
        make_folder(file.parent)
        # Without the date: the same run gives the same bytes.
        metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(file.suffix)
        figure.savefig(file, metadata=metadata)
    return file


def figures_of(run: Run) -> Iterator[tuple[str, str, bool]]:
    """Yield name, what it shows, and whether this run has data for it, of every figure."""
    facts = Facts(run)
    with styled():
        for name, kind in FIGURES.items():
            yield name, kind.shows, kind.draw(Figure(), facts, Choice())
