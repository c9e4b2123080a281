"""What a section of a report consists of."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Chart:
    """A place for a chart that the page's script draws.

    Attributes:
        name: Name of the function that draws it.
        title: Heading.
        alternative: What it shows, for those who do not see it.
        hint: How to read it, beside the heading.
        size: `low`, `middle` or `high`.
        control: Name of the slider that it is drawn for.
    """

    name: str
    title: str
    alternative: str
    hint: str = ""
    size: str = "middle"
    control: str = ""


@dataclass(frozen=True)
class Table:
    """A small table."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: Anchor.
        title: Heading and entry of the navigation.
        lead: One or two sentences that say what is seen.
        charts: Its charts.
        table: Its table.
        data: What its charts need; keys are shared by the whole page.
        kind: Which part of the template shows it: `charts`, `map`, `prosumer`, `devices` or `about`.
        extra: What that part of the template needs besides.
    """

    name: str
    title: str
    lead: str
    charts: tuple[Chart, ...] = ()
    table: Table | None = None
    data: dict[str, Any] = field(default_factory=dict)
    kind: str = "charts"
    extra: dict[str, Any] = field(default_factory=dict)
