"""The sections of a report, one module each, in the order in which they are read."""

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.sections import (
    about,
    bills,
    devices,
    envelopes,
    feeder,
    feeder_map,
    fleet,
    loading,
    market,
    prosumer,
    unbalance,
    voltage,
)
from feederloop.coupling.report.sections.section import Chart, Section, Table

MAKERS = (
    feeder_map.make,
    voltage.make,
    loading.make,
    unbalance.make,
    envelopes.make,
    prosumer.make,
    market.make,
    bills.make,
    feeder.make,
    fleet.make,
    devices.make,
    about.make,
)


def make_sections(facts: Facts) -> list[Section]:
    """Return every section that the run has results for."""
    made = (make(facts) for make in MAKERS)
    return [section for section in made if section is not None]


__all__ = ["Chart", "Section", "Table", "make_sections"]
