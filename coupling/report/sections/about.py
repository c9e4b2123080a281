"""What was run: scenario, assumptions, seed, versions."""

from datetime import timedelta
from typing import Any

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.sections.section import Section
from feederloop.coupling.results import SCENARIO_FILE


def make(facts: Facts) -> Section:
    """Return the section, which every run has."""
    file = facts.run.folder / SCENARIO_FILE
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    details = facts.run.details
    extra = {
        "facts": [(name, value) for name, value in _facts(facts) if value],
        "versions": sorted(details.versions.items()) if details else [],
        "scenario": text,
        "warnings": details.warnings if details else [],
    }
    lead = "What this result rests on: the same scenario, seed and versions give the same result to the last bit."
    return Section("about", "About this run", lead, kind="about", extra=extra)


def _facts(facts: Facts) -> list[tuple[str, str]]:
    line, grid, time = facts.timeline, facts.section("grid"), facts.section("time")
    seed, wall_s = facts.scenario.get("seed"), facts.figure("compute.wall_s")
    period = f"{line.local(line.start)} to {line.local(line.at(line.steps))}" if line else ""
    steps = f"{_length(time.get('step_s'))} physical, {_length(time.get('interval_s'))} market" if time else ""
    return [
        ("Scheme", str(facts.scenario.get("scheme", ""))),
        ("Seed", "" if seed is None else str(seed)),
        ("Period", f"{period} ({line.zone})" if line else ""),
        ("Steps", steps),
        ("Network", str(grid.get("network", ""))),
        ("Prosumers", _population(facts)),
        ("Envelopes", _chosen(facts, "envelope", "rule", table="envelope")),
        ("Matching", _chosen(facts, "matching", "mechanism", table="market")),
        ("Computing time", "" if wall_s is None else f"{wall_s:.1f} s"),
    ]


def _chosen(facts: Facts, section: str, key: str, *, table: str) -> str:
    """Return what the scenario says, empty where the scheme made no use of it."""
    if facts.table(table) is None:
        return ""
    return str(facts.section(section).get(key, "")).replace("_", " ")


def _population(facts: Facts) -> str:
    table = facts.prosumers
    said = [f"{len(table)}"]
    for word, column in (("with PV", "pv_kwp"), ("with an EV", "ev_capacity_kwh"), ("with V2G", "ev_discharge_kw")):
        if column in table:
            said.append(f"{int((table[column] > 0).sum())} {word}")
    return ", ".join(said)


def _length(seconds: Any) -> str:
    try:
        return f"{timedelta(seconds=float(seconds)).total_seconds() / 60:g} min"
    except (TypeError, ValueError):
        return ""
