"""The comparison in a terminal: schemes beside each other, figures below each other, harms first."""

from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from feederloop.coupling.compare.comparison import PAGE_FILE, TABLE_FILE, Comparison
from feederloop.coupling.compare.measures import Measure
from feederloop.coupling.compare.variants import VARIANTS

COLUMN, LABEL = 15, 34
ANY_WIDTH = 1000


def print_comparison(console: Console, found: Comparison) -> None:
    """Print the table, what failed, and where everything is."""
    # Where nobody looks at a terminal, nothing has to fit one.
    if not console.is_terminal:
        console.width = ANY_WIDTH
    for table in _tables(console, found):
        console.print(table)
    said = f"★ best, {'± half the 95 % confidence interval, ' if len(found.seeds) > 1 else ''}"
    console.print(Text(f"{said}✗ breaks a limit with some seed; bounds do not compete", "dim"))
    for one in found.done:
        if not one.complete:
            name = f"{one.job.variant}, seed {one.job.seed}"
            console.print(Text(f"{name}: {one.status}: {one.message}", "bold red"), soft_wrap=True)
    for label, file in (("figures", TABLE_FILE), ("page", PAGE_FILE)):
        console.print(Text.assemble(f"{label:8} ", (str(found.folder / file), "bold")), soft_wrap=True)


def _tables(console: Console, found: Comparison) -> list[Table]:
    """One table, or where it is wider than the terminal several below each other, with some of the schemes each."""
    count = len(found.variants)
    label, options = min(LABEL, console.width // 3), console.options.update_width(ANY_WIDTH)
    for parts in range(1, count + 1):
        most = -(-count // parts)
        tables = [_table(found, found.variants[first : first + most], label) for first in range(0, count, most)]
        if max(Measurement.get(console, options, table).maximum for table in tables) <= console.width:
            break
    return tables


def _table(found: Comparison, variants: Sequence[str], label_width: int) -> Table:
    seeds = f"seed {found.seeds[0]}" if len(found.seeds) == 1 else f"seeds {found.seeds[0]} to {found.seeds[-1]}"
    table = Table(title=f"{found.scenario.title or found.scenario.name}, {seeds}", title_justify="left")
    table.add_column("", max_width=label_width)
    table.add_column("limit", justify="right")
    for variant in variants:
        table.add_column(VARIANTS[variant].title, justify="right", max_width=COLUMN)
    group = ""
    for measure in found.measures:
        if measure.group != group:
            group = measure.group
            table.add_section()
            table.add_row(Text(group, "bold"))
        unit = f", {measure.unit}" if measure.unit not in ("", "1") else ""
        best = found.best(measure)
        cells = [_cell(found, variant, measure, best=variant in best) for variant in variants]
        table.add_row(f"  {measure.label}{unit}", _limit(measure), *cells)
    table.add_section()
    table.add_row(Text("Limits kept", "bold"), "", *(_verdict(found, variant) for variant in variants))
    return table


def _limit(measure: Measure) -> str:
    if not measure.limits:
        return ""
    return f"{'≤' if measure.high < float('inf') else '≥'} {measure.limits[-1]:g}"


def _cell(found: Comparison, variant: str, measure: Measure, *, best: bool) -> Text:
    value = found.estimate(variant, measure.key)
    if value is None:
        return Text("failed", "red") if len(found.failures(variant)) == len(found.seeds) else Text("–", "dim")
    shown = measure.shown(value.mean)
    if value.half_width is not None:
        shown += f" ±{measure.shown(value.half_width)}"
    if found.keeps(variant, measure) is False:
        return Text(f"✗ {shown}", "bold red")
    return Text(f"★ {shown}", "bold green") if best else Text(shown)


def _verdict(found: Comparison, variant: str) -> Text:
    if found.failures(variant):
        return Text("failed", "bold red")
    verdicts = [found.keeps(variant, measure) for measure in found.measures]
    broken = verdicts.count(False)
    return Text(f"✗ {broken} broken", "bold red") if broken else Text("all kept", "green")
