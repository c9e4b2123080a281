"""The reference of the figures in summary.json, from the docstrings of the functions that compute them."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from feederloop.coupling.columns import unit_of
from feederloop.coupling.metrics import GROUPS, RunFacts, compute
from feederloop.coupling.metrics.exchange import exchange, privacy

MONEY = ("cost",)
OWN_UNITS = {"cost_range": "money", "max_rss_mb": "MB"}


def described_groups() -> dict[str, tuple[Callable[..., Any], list[str]]]:
    """Return each group's function and the figures that it gives."""
    facts = RunFacts(300, 1800)
    groups: dict[str, tuple[Callable[..., Any], list[str]]] = {
        name: (group, list(group({}, facts))) for name, group in GROUPS.items()
    }
    groups["privacy"] = (privacy, list(privacy((), 1, 1)))
    groups["exchange"] = (exchange, list(exchange({}, ())))
    groups["compute"] = (compute, list(compute(0.0, {})))
    return groups


def meanings(function: Callable[..., Any], figures: list[str]) -> dict[str, str]:
    """Return what a group's docstring says of each figure; its bullets are `- name, name: meaning; name: meaning`."""
    text = _body(function)
    found: dict[str, str] = {}
    name = rf"(?:{'|'.join(map(re.escape, sorted(figures, key=len, reverse=True)))})"
    said = re.compile(rf"(?<![\w.])({name}(?:, {name})*): ")
    for bullet in re.split(r"\n- ", text)[1:]:
        joined = " ".join(bullet.split())
        parts = said.split(joined)
        for names, meaning in zip(parts[1::2], parts[2::2], strict=True):
            for each in names.split(", "):
                found[each] = meaning.strip(" ;.")
    return found


def reference() -> str:
    """Return a section per group."""
    return "\n".join(_section(name, *group) for name, group in described_groups().items())


def _section(name: str, function: Callable[..., Any], figures: list[str]) -> str:
    known = meanings(function, figures)
    opening = _body(function).split("\n- ", 1)[0].strip()
    rows = [f"| `{figure}` | {_unit(name, figure)} | {known.get(figure, '')} |" for figure in figures]
    return "\n".join([f"## `{name}`", "", opening, "", "| figure | unit | is |", "|---|---|---|", *rows, ""])


def _body(function: Callable[..., Any]) -> str:
    return re.split(r"\n\s*Args:", inspect.getdoc(function) or "")[0]


def _unit(group: str, figure: str) -> str:
    return OWN_UNITS.get(figure) or ("money" if group in MONEY else unit_of(figure))
