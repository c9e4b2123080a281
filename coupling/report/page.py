"""Put a report together: facts into sections, sections into one page that loads nothing."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.headlines import Card, cards
from feederloop.coupling.report.packing import json_for_script
from feederloop.coupling.report.sections import make_sections
from feederloop.coupling.results import REPORT_FILE, Run
from feederloop.coupling.status import write_whole

ASSETS = files("feederloop.coupling.report")
SCRIPTS = ("vendor/echarts.common.min.js", "time.js", "kit.js", "charts.js", "prosumer.js", "page.js")
"""In the order in which they are loaded."""
_SHOWN = ("bus", "phase", "pv_kwp", "ev_capacity_kwh", "ev_discharge_kw", "annual_kwh")


def write_report(folder: Path) -> Path:
    """Write the report of a run, whatever the run has come to.

    Args:
        folder: The run's folder.

    Returns:
        The page that was written.

    Raises:
        InputError: There is no run in this folder.
    """
    file = folder / REPORT_FILE
    write_whole(file, render(Facts(Run(folder))))
    return file


def render(facts: Facts) -> str:
    """Return the page as text."""
    sections = make_sections(facts)
    data: dict[str, Any] = {"prosumers": _prosumers(facts)}
    if facts.timeline is not None:
        data["time"] = facts.timeline.as_dict()
    for section in sections:
        data |= section.data
    scripts = [_asset(name) for name in SCRIPTS]
    style = _asset("report.css")
    page: str = _template().render(
        facts=facts,
        name=str(facts.scenario.get("name", facts.run.folder.name)),
        status=facts.run.status,
        details=facts.run.details,
        reached=_reached(facts),
        card_groups=_grouped(cards(facts)),
        sections=sections,
        style=style,
        scripts=scripts,
        data=json_for_script(data),
        policy=_policy(scripts, style),
    )
    return page


def _prosumers(facts: Facts) -> list[dict[str, Any]]:
    """Return who takes part, with the numbers that say what they have."""
    known = [name for name in _SHOWN if name in facts.prosumers]
    table = facts.prosumers[known].astype(object)
    table = table.where(table.notna(), None)
    return [{"name": name, **{key: table[key].iloc[place] for key in known}} for place, name in enumerate(facts.names)]


def _reached(facts: Facts) -> str:
    details = facts.run.details
    if details is None or not details.duration_s:
        return ""
    return f"{details.reached_s / 3600:.1f} of {details.duration_s / 3600:.1f} hours"


def _grouped(made: list[Card]) -> dict[str, list[Card]]:
    groups: dict[str, list[Card]] = {}
    for card in made:
        groups.setdefault(card.group, []).append(card)
    return groups


@cache
def _asset(name: str) -> Markup:
    """Return a file of ours or of the vendored library, which is trusted and goes into the page as it is."""
    return Markup(ASSETS.joinpath(name).read_text(encoding="utf-8"))


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(ASSETS.joinpath("page.html.j2").read_text(encoding="utf-8"))


def _policy(scripts: list[Markup], style: Markup) -> str:
    """Return a Content-Security-Policy under which only our own scripts run and nothing is fetched."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_digest, scripts))}",
            f"style-src {_digest(style)}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
