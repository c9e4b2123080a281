"""Put a report together: facts into sections, sections into one page that loads nothing."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from feederloop._version import __version__
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.headlines import Card, cards
from feederloop.coupling.report.packing import json_for_script
from feederloop.coupling.report.sections import make_sections
from feederloop.coupling.report.shell import asset, policy, template
from feederloop.coupling.report.standards import verdict_table
from feederloop.coupling.report.story import check_reference, story
from feederloop.coupling.results import REFERENCE_FOLDER, REPORT_FILE, Run
from feederloop.coupling.status import write_whole
from feederloop.simulators.errors import InputError

SCRIPTS = (
    "vendor/echarts.common.min.js", "time.js", "kit.js", "slider.js", "charts.js", "market.js", "prosumer.js",
    "devices.js", "map.js", "feeder_map.js", "tables.js", "page.js",
)  # fmt: skip
"""In the order in which they are loaded."""
_SHOWN = ("bus", "phase", "pv_kwp", "ev_capacity_kwh", "ev_discharge_kw", "annual_kwh")


def write_report(folder: Path, *, reference: Path | None = None, out: Path | None = None) -> Path:
    """Write the report of a run, whatever the run has come to.

    Args:
        folder: The run's folder.
        reference: Folder of a run of the same homes without coordination, to be shown beside it; by default the one
            that the run has brought along (`run --reference`), where that is complete.
        out: The page; by default `report.html` in the run's folder.

    Returns:
        The page that was written.

    Raises:
        InputError: There is no run in a folder, or the reference is one of other homes.
    """
    file = folder / REPORT_FILE if out is None else out
    facts = Facts(Run(folder))
    reference = reference or _brought_along(folder)
    beside = None if reference is None else Facts(Run(reference))
    if beside is not None:
        check_reference(facts, beside)
    write_whole(file, render(facts, beside))
    return file


def _brought_along(folder: Path) -> Path | None:
    """Return the folder of a run's own reference, None where there is none that is complete."""
    kept = folder / REFERENCE_FOLDER
    try:
        return kept if Run(kept).status == "complete" else None
    except InputError:
        return None


def render(facts: Facts, reference: Facts | None = None) -> str:
    """Return the page as text.

    Args:
        facts: The run.
        reference: A run of the same homes without coordination.
    """
    sections = make_sections(facts)
    data: dict[str, Any] = {"prosumers": _prosumers(facts)}
    if facts.timeline is not None:
        data["time"] = facts.timeline.as_dict()
    for section in sections:
        data |= section.data
    scripts = [asset(name) for name in SCRIPTS]
    style = Markup("\n").join((asset("report.css"), asset("map.css")))
    page: str = template("page.html.j2").render(
        facts=facts,
        name=str(facts.scenario.get("name", facts.run.folder.name)),
        status=facts.run.status,
        details=facts.run.details,
        reached=_reached(facts),
        card_groups=_grouped(cards(facts, len(facts.names))),
        story=story(facts, reference),
        standards=verdict_table(facts, reference),
        made_by=_made_by(facts),
        sections=sections,
        style=style,
        scripts=scripts,
        data=json_for_script(data),
        policy=policy(scripts, [style]),
    )
    return page


def _made_by(facts: Facts) -> str:
    """Return the version that made the run, empty where it is this one or not known."""
    details = facts.run.details
    made_by = details.versions.get("feederloop", "") if details else ""
    return "" if made_by == __version__ else made_by


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
