"""Loading of transformers and lines, phase by phase."""

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import quietly
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.section import Chart, Section

RESOLUTION_PERCENT = 0.01
_COLUMNS = [f"loading_{phase}_percent" for phase in "abc"]


def make(facts: Facts) -> Section | None:
    """Return the section, None where loading was not recorded."""
    found, line = facts.of_elements("grid_branch", "branch", _COLUMNS), facts.timeline
    if found is None or line is None:
        return None
    loading, branches = found
    is_transformer = np.array([name.startswith("trafo") for name in branches])
    limits = {"transformer": facts.limits.transformer_loading_percent, "line": facts.limits.line_loading_percent}
    data, said, charts = {}, [], []
    for kind, chosen in (("transformer", is_transformer), ("line", ~is_transformer)):
        if not chosen.any() or not np.isfinite(loading[:, chosen]).any():
            continue
        part = loading[:, chosen]
        worst = quietly(np.nanmax, part, 1)
        data[kind] = {
            "limit": limits[kind],
            **{phase: pack(line.fold(worst[:, i], "max"), RESOLUTION_PERCENT) for i, phase in enumerate("abc")},
        }
        said.append(most_loaded(facts, kind))
        charts.append(
            Chart(
                f"loading_{kind}",
                "Transformer loading" if kind == "transformer" else "Most loaded line",
                f"Highest loading of any {kind} on each phase over time, limit {limits[kind]:g} %",
                "" if kind == "transformer" else "whichever line that is at the time",
            )
        )
    return Section("loading", "Loading", " ".join(said), tuple(charts), data={"loading": data}) if charts else None


def most_loaded(facts: Facts, kind: str) -> str:
    """Return a sentence about the highest loading of any `line` or `transformer`, empty without loading."""
    found, line = facts.of_elements("grid_branch", "branch", _COLUMNS), facts.timeline
    if found is None or line is None:
        return ""
    loading, branches = found
    chosen = np.array([name.startswith("trafo") for name in branches]) == (kind == "transformer")
    part = loading[:, chosen]
    if not np.isfinite(part).any():
        return ""
    step, branch, phase = np.unravel_index(np.nanargmax(part), part.shape)
    name = np.asarray(branches, dtype=object)[chosen][branch]
    return (
        f"Most loaded {kind}: {name} with {part[step, branch, phase]:.1f} % on phase {'abc'[phase]} on "
        f"{line.local(line.at(int(step)))}."
    )
