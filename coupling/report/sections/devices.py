"""Devices of a bench: how well they were heard, what was asked of them and what they did, and the audit log."""

from typing import Any

import numpy as np
import pandas as pd

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import FloatArray
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.section import Chart, Section, Table
from feederloop.hil.audit import read_audit

RESOLUTION_KW = 0.001
SHOWN_EVENTS = 80
AUDIT_FILE = "bench/audit.jsonl"
_QUALITIES = ("good", "stale", "bad", "never")


def make(facts: Facts) -> Section | None:
    """Return the section, None for a run without a bench."""
    table = facts.table("device_io", "time", "prosumer", "slot", "asked_kw", "sent_kw", "p_kw", "age_s", "quality")
    line = facts.timeline
    if table is None or line is None:
        return None
    table = table.assign(
        device=table["prosumer"].astype(str) + "/" + table["slot"].astype(str),
        code=table["quality"].map({name: float(code) for code, name in enumerate(_QUALITIES)}),
    )
    values, names = facts.spread(table, "device", ("asked_kw", "sent_kw", "p_kw", "age_s", "code"))
    data = {
        "names": names,
        **{
            key: pack(line.fold(values[:, :, column], "last").T, RESOLUTION_KW)
            for column, key in ((0, "asked"), (1, "sent"), (2, "measured"))
        },
        "quality": pack(line.fold(values[:, :, 4], "max").T, 1.0),
        "first": int(np.nanargmax(np.nan_to_num(values[:, :, 4]).sum(axis=0))),
    }
    charts = (
        Chart(
            "device", "Asked for and measured", "Power asked of a device, sent to it and measured over time",
            "shaded: not heard well, or not obeying", control="device",
        ),
    )  # fmt: skip
    return Section(
        "devices", "Devices", _lead(facts, values, names), charts, _table(table, values, names), {"devices": data},
        kind="devices", extra={"names": names, "audit": _audit(facts)},
    )  # fmt: skip


def _lead(facts: Facts, values: FloatArray, names: list[str]) -> str:
    good = float(np.mean(values[:, :, 4][np.isfinite(values[:, :, 4])] == 0)) if np.isfinite(values).any() else 0.0
    said = (
        f"{len(names)} devices took simulated ones' places; {100 * good:.1f} % of their readings were good. A device "
        "that is not heard counts with its last power for as long as a reading holds, then as 0 kW."
    )
    clock = facts.table("clock", "late_s")
    if clock is not None:
        late_ms = 1000 * clock["late_s"].to_numpy(dtype=np.float64)
        said += f" Steps began {np.nanmedian(late_ms):.1f} ms late (median; at most {np.nanmax(late_ms):.1f} ms)."
    return said


def _table(table: pd.DataFrame, values: FloatArray, names: list[str]) -> Table:
    last = table.groupby("device", sort=False).last() if "state" in table else pd.DataFrame()
    rows = []
    for place, name in enumerate(names):
        asked, _, measured, age_s, code = values[:, place].T
        counted = code[np.isfinite(code)]
        shares = [f"{100 * np.mean(counted == k):.1f}" for k in range(3)] if len(counted) else ["–"] * 3
        gap = np.abs(asked - measured)[np.isfinite(asked - measured)]
        state = str(last["state"].get(name, "")) if len(last) else ""
        rows.append((
            name, *shares, f"{gap.mean():.3f}" if len(gap) else "–", f"{gap.max():.3f}" if len(gap) else "–",
            f"{np.nanmax(age_s):.0f}" if np.isfinite(age_s).any() else "–", state,
        ))  # fmt: skip
    titles = (
        "Device",
        "Good %",
        "Stale %",
        "Bad %",
        "Mean |asked − measured| kW",
        "Largest kW",
        "Oldest s",
        "At the end",
    )
    return Table(titles, rows)


def _audit(facts: Facts) -> dict[str, Any]:
    """Return what happened on the bench other than routine writes, the latest last, and how much there was of all."""
    try:
        entries = read_audit(facts.run.folder / AUDIT_FILE)
    except (OSError, ValueError):
        return {}
    writes = [entry for entry in entries if entry.get("kind") == "write"]
    events = [entry for entry in entries if entry.get("kind") != "write" or not entry.get("ok")]
    rows = [
        (str(entry.get("time", ""))[:23].replace("T", " "), _what(entry), str(entry.get("device") or ""),
         str(entry.get("who", "")), str(entry.get("reason") or entry.get("why", "")))
        for entry in events[-SHOWN_EVENTS:]
    ]  # fmt: skip
    return {"rows": rows, "events": len(events), "writes": len(writes)}


def _what(entry: dict[str, Any]) -> str:
    if entry.get("kind") != "write":
        return str(entry.get("kind", ""))
    return f"refused: {entry.get('role', '')} = {entry.get('new', '')}"
