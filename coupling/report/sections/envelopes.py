"""What all envelopes together allowed, against what was used."""

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.packing import pack
from feederloop.coupling.report.sections.phases import PHASES
from feederloop.coupling.report.sections.section import Chart, Section

RESOLUTION_KW = 0.01
SIGN = "export above zero, import below"


def make(facts: Facts) -> Section | None:
    """Return the section, None for a run without envelopes."""
    line = facts.timeline
    power = facts.by_step("connection_point", "p_kw")
    export = facts.by_step("connection_point", "export_limit_kw")
    imported = facts.by_step("connection_point", "import_limit_kw")
    if line is None or power is None or export is None or imported is None or not np.isfinite(export).any():
        return None
    used = facts.figure("envelope.export_utilisation"), facts.figure("envelope.import_utilisation")
    lead = (
        "The DSO's controller publishes for every prosumer how much it may export and import. "
        "The band is the sum of these limits over all prosumers, and over those of each phase; the line is their use."
    )
    if used[0] is not None and used[1] is not None:
        lead += f" {100 * used[0]:.0f} % of the export and {100 * used[1]:.0f} % of the import allowed was used."
    data = {}
    for phase in ("all", *PHASES):
        chosen = np.ones(len(facts.names), dtype=bool) if phase == "all" else facts.phases == phase
        if chosen.any() and (phase == "all" or not chosen.all()):
            data[phase] = {
                "export": pack(line.fold(export[:, chosen].sum(axis=1), "mean"), RESOLUTION_KW),
                "import": pack(line.fold(imported[:, chosen].sum(axis=1), "mean"), RESOLUTION_KW),
                "used": pack(line.fold(power[:, chosen].sum(axis=1), "mean"), RESOLUTION_KW),
            }
    alternative = "Sum of all export and import limits over time with the net power of all prosumers between them"
    return Section(
        "envelopes",
        "Envelopes",
        lead,
        (Chart("envelopes", "All envelopes together and their use", alternative, SIGN, "high"),),
        data={"envelopes": data},
    )
