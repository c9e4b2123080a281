"""What the command line shows: problems of a scenario, the scenarios there are, the main figures of a run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from feederloop.coupling.scenario.network import VUF_LIMIT_PERCENT, Limits
from feederloop.coupling.scenario.problems import Problem


@dataclass(frozen=True, slots=True)
class Figure:
    """A line in the table of main figures.

    Args:
        label: What it is.
        key: Dotted path in the summary.
        unit: Its unit; `%` of a share is shown as percent.
        low: Lowest value that keeps the limits.
        high: Highest value that keeps the limits.
    """

    label: str
    key: str
    unit: str
    low: float = -math.inf
    high: float = math.inf

    @property
    def limit(self) -> str:
        """The limit as it is shown."""
        scale = 100.0 if self.is_share else 1.0
        if math.isfinite(self.high):
            return f"≤ {self.high * scale:g} {self.unit}"
        return f"≥ {self.low * scale:g} {self.unit}" if math.isfinite(self.low) else ""

    @property
    def is_share(self) -> bool:
        """Whether the summary holds a share that is shown as percent."""
        return self.unit == "%" and "share" in self.key

    def shown(self, value: float) -> str:
        """Return a value with its unit."""
        if self.is_share:
            return f"{100 * value:.2f} %"
        return f"{value:.3f} {self.unit}" if abs(value) < 10 else f"{value:,.1f} {self.unit}"

    def beside(self, value: float | None) -> Text:
        """Return another run's value, marked where it breaks the limit."""
        if value is None:
            return Text("–")
        kept = self.low <= value <= self.high
        return Text(self.shown(value)) if kept else Text(f"✗ {self.shown(value)}", "red")

    def verdict(self, value: float) -> Text:
        """Return whether a value keeps the limit, nothing where there is none."""
        if not self.limit:
            return Text()
        return Text("kept", "green") if self.low <= value <= self.high else Text("violated", "bold red")


def main_figures(limits: Limits) -> list[Figure]:
    """Return the figures that sum a run up.

    Args:
        limits: What the network had to keep.
    """
    v_min_v, v_max_v = limits.voltage_range_v
    transformer = limits.transformer_loading_percent
    return [
        Figure("highest voltage", "voltage.max_v", "V", high=v_max_v),
        Figure("lowest voltage", "voltage.min_v", "V", low=v_min_v),
        Figure("customers outside voltage limits", "voltage.customer_violation_share", "%", high=0.0),
        Figure("highest line loading", "congestion.max_line_loading_percent", "%", high=limits.line_loading_percent),
        Figure("highest transformer loading", "congestion.max_transformer_loading_percent", "%", high=transformer),
        Figure("highest voltage unbalance", "phase_imbalance.max_vuf_percent", "%", high=VUF_LIMIT_PERCENT),
        Figure("envelopes proven safe", "envelope.certified_share", "%", low=1.0),
        Figure("given up for the proof", "envelope.proof_cost_share", "%"),
        Figure("traded between peers", "market.traded_kwh", "kWh"),
        Figure("mean local price", "price.mean_per_kwh", "per kWh"),
        Figure("deviation from trades", "energy_imbalance.share_of_traded", "%"),
        Figure("negotiations without agreement", "exchange.fell_back_share", "%"),
        Figure("cost of all prosumers", "cost.total", ""),
        Figure("EV energy not served", "ev.energy_not_served_share", "%"),
        Figure("PV curtailed", "pv.curtailed_share", "%"),
        Figure("5-min means outside the envelope", "envelope.breach_share", "%"),
        Figure("computing time", "compute.wall_s", "s"),
    ]


def print_problems(console: Console, problems: Sequence[Problem]) -> None:
    """Print what is wrong with a scenario, a paragraph per problem."""
    for problem in problems:
        text = Text()
        if problem.place:
            text.append(f"{problem.place}\n", "dim")
        if problem.subject:
            text.append(f"  {problem.subject}: ", "bold")
        text.append(f"{problem.message}\n" if problem.subject else f"  {problem.message}\n", "red")
        if problem.nearest:
            text.append(f"    did you mean {problem.nearest}?\n", "green")
        if problem.allowed:
            text.append(f"    allowed: {problem.allowed}\n")
        console.print(text, end="", soft_wrap=True)
    console.print(Text(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}", "bold red"))


def print_scenarios(console: Console, titles: Mapping[str, str]) -> None:
    """Print the shipped scenarios, a line each."""
    width = max(map(len, titles), default=0)
    for name, title in titles.items():
        console.print(Text.assemble((f"{name:{width}}", "bold"), f"  {title}"), soft_wrap=True)


def print_figures(
    console: Console,
    title: str,
    summary: Mapping[str, Any],
    limits: Limits,
    beside: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Print the main figures of a run with their units and how they stand against the limits.

    Args:
        console: Where to.
        title: What the run is called.
        summary: Its figures.
        limits: What its network had to keep.
        beside: Figures of other runs by what their column is called.
    """
    beside = beside or {}
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column()
    for name in ("value", *beside, "limit"):
        table.add_column(name, justify="right")
    table.add_column()
    for figure in main_figures(limits):
        value = _looked_up(summary, figure.key)
        if value is not None:
            compared = [figure.beside(_looked_up(other, figure.key)) for other in beside.values()]
            table.add_row(figure.label, figure.shown(value).strip(), *compared, figure.limit, figure.verdict(value))
    console.print(table)


def print_places(console: Console, folder: Path) -> None:
    """Print where results and report are."""
    console.print(Text.assemble("results  ", (str(folder), "bold")), soft_wrap=True)
    for name, report in (("report", folder / "report.html"), ("beside", folder / "reference" / "report.html")):
        if report.is_file():
            console.print(Text.assemble(f"{name:9}", (str(report), "bold")), soft_wrap=True)


def _looked_up(summary: Mapping[str, Any], key: str) -> float | None:
    """Return a number of the summary, None where there is none."""
    value: Any = summary
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if is_number else None
