"""What `feederloop hil` shows: tables of profiles, points, devices and findings.

Public: `profiles_table()`, `points_table(profile)`, `scan_table(found)`, `preflight_table(findings)`,
`readings_table(...)`, `monitor_table(state)`, `report_table(rows)`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from feederloop.hil.preflight import Finding, shown_power_kw
from feederloop.hil.profile import Profile, load_profile, profile_names
from feederloop.hil.reading import Reading
from feederloop.hil.scan import Found

_QUALITY = {"good": "green", "stale": "yellow", "bad": "bold red", "never": "dim"}
_STATE = {"armed": "bold green", "reading": "green", "lost": "bold red", "stopped": "bold yellow", "never": "dim"}


def profiles_table() -> Table:
    """Return the profiles that ship."""
    table = _table("profile", "device", "kind", "set-point", "fail-safe", "verified")
    for name in profile_names():
        profile = load_profile(name)
        quantity = profile.control.quantity if profile.control else "none"
        table.add_row(name, profile.title, profile.kind, quantity, profile.failsafe.fallback, profile.verified)
    return table


def points_table(profile: Profile) -> Table:
    """Return the points of a profile."""
    table = _table("role", "table", "address", "type", "unit", "access", "notes")
    for point in profile.points:
        notes = []
        if profile.control and point.role == profile.control.setpoint:
            notes.append("set-point")
        if point.charge_min:
            notes.append(f"0 or at least {point.charge_min:g} {point.base_unit or ''}".strip())
        if point.non_volatile:
            notes.append("kept in flash")
        if point.read_back:
            notes.append(f"read back from {point.read_back}")
        unit = point.base_unit or ("text" if point.enum or point.type in ("string", "char16") else "")
        cells = (point.role, point.table, str(point.address), point.type, unit, point.access, ", ".join(notes))
        table.add_row(*cells)
    return table


def scan_table(found: Sequence[Found]) -> Table:
    """Return what a scan found."""
    table = _table("address", "unit", "says of itself", "SunSpec models", "likely profiles")
    for item in found:
        models = ", ".join(map(str, item.models)) or "none"
        likely = ", ".join(f"{name} ({100 * share:.0f} %)" for name, share in item.profiles) or "none"
        table.add_row(item.url, str(item.unit), " ".join(item.identity), models, likely)
    return table


def preflight_table(findings: Sequence[Finding]) -> Table:
    """Return what the look at a bench found."""
    table = _table("device", "profile", "mode", "says of itself", "now kW", "limits kW", "fail-safe", "ms", "verdict")
    for finding in findings:
        entry, found = finding.entry, finding.inspection
        if found is None:
            what = "recording" if entry.is_replay else "simulated by the run"
            table.add_row(entry.name, entry.profile, entry.mode, what, "", "", "", "", Text("ready", "green"))
            continue
        power = shown_power_kw(found)
        timeout = "off" if found.timeout_s is None else f"{found.timeout_s:g} s"
        fallback = "unknown" if math.isnan(found.fallback_kw) else f"{found.fallback_kw:g} kW"
        table.add_row(
            entry.name,
            entry.profile,
            entry.mode,
            " ".join(found.identity.values()) or "nothing",
            "?" if power is None else f"{power:.2f}",
            f"{0 - found.import_kw:g} … {found.export_kw:g}" if found.answered else "",
            f"{fallback} after {timeout}" if found.answered else "",
            f"{1000 * found.latency_s:.0f}",
            _verdict(finding),
        )
    return table


def readings_table(profile: Profile, readings: Mapping[str, Reading], title: str) -> Table:
    """Return the readings of a device."""
    table = _table("point", "value", "unit", "quality", "registers", "why", title=title)
    for role, item in readings.items():
        value = "" if item.value is None else f"{item.value:g}" if isinstance(item.value, float) else str(item.value)
        quality = Text(item.quality.value, _QUALITY[item.quality.value])
        raw = " ".join(f"{word:04x}" for word in item.raw)
        table.add_row(role, value, profile.point(role).base_unit or "", quality, raw, item.reason)
    return table


def monitor_table(state: Mapping[str, Any], title: str) -> Table:
    """Return how the devices of a run stand."""
    table = _table("device", "state", "asked kW", "told kW", "does kW", "SoC %", "quality", "ms", "why", title=title)
    for row in state["devices"]:
        table.add_row(
            row["device"],
            Text(row["state"], _STATE[row["state"]]),
            *(_number(row[key]) for key in ("asked_kw", "sent_kw", "power_kw")),
            _number(row["soc_percent"], 0),
            Text(row["quality"], _QUALITY[row["quality"]]),
            _number(row["latency_ms"], 1),
            row["reason"],
        )
    return table


def report_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return what each device came to in a run, as wide as a small terminal."""
    table = Table(title="Devices of the bench", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("device", "state", "good %", "lost", "writes", "alive", "refused", "ms", "kWh"):
        numeric = column in ("good %", "writes", "alive", "ms", "kWh")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        lost = f"{row['outages']}, {row['longest_outage_s'] / 60:.0f} min" if row["outages"] else ""
        refused = f"{row['refused']}" + (f", {row['disobeyed']} disobeyed" if row["disobeyed"] else "")
        table.add_row(
            row["device"],
            Text(row["state"], _STATE[row["state"]]),
            f"{100 * row['good_share']:.1f}",
            lost,
            str(row["writes"]),
            str(row["keep_alives"]),
            refused,
            _number(row["latency_ms"], 1),
            _number(row["energy_kwh"], 2),
        )
    return table


def _verdict(finding: Finding) -> Text:
    if finding.problems:
        return Text("; ".join(finding.problems), "bold red")
    if finding.warnings:
        return Text("; ".join(finding.warnings), "yellow")
    return Text("ready", "green")


def _number(value: float | None, places: int = 3) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        numeric = column.split()[-1] in ("kW", "%", "ms", "kWh", "s", "mean", "p99", "unit", "address")
        justify: Literal["left", "right"] = "right" if numeric and column not in ("unit", "address") else "left"
        # On a narrow terminal names go on in the next line: half of a name is none.
        least = 6 if column == "verdict" else None
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column == "device", min_width=least)
    return table
