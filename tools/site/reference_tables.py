"""The reference of a run's tables, from what the code says of them."""

from feederloop.coupling.columns import KEYS, TABLES, TableContent, unit_of


def reference() -> str:
    """Return a section per table."""
    return "\n".join(_section(name, content) for name, content in TABLES.items())


def _section(name: str, content: TableContent) -> str:
    lists = {
        "ev_session": ("prosumer",),
        "orders": ("interval_start", "prosumer"),
        "device_io": ("time", "prosumer", "slot"),
    }
    keys = content.keys or lists[name]
    rows = [(key, KEYS[key]) for key in keys] + list(content.columns.items())
    if name == "prosumer":
        rows.insert(1, ("bus", KEYS["bus"]))
    lines = [f"| `{column}` | {unit_of(column)} | {meaning} |" for column, meaning in rows]
    return "\n".join(
        [f"## `{name}`", "", f"A row per {content.row}.", "", "| column | unit | holds |", "|---|---|---|", *lines, ""]
    )
