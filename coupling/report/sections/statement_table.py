"""Everybody's statement: what made up the bill, to the cent."""

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.sections.section import Table

COLUMNS = ("Prosumer", "Local trade", "Retail", "Network use", "Deviations", "Breaches", "Total")


def statement_table(facts: Facts) -> Table | None:
    """Return a row per prosumer and one for all, None where nothing was settled.

    The parts of a row add up to its total and the rows to the last one, in whole cents, as in `statements.csv`.

    Args:
        facts: The run.
    """
    from feederloop.coupling.statements import PARTS, statements

    daily = statements(facts)
    if daily is None or daily.empty:
        return None
    cents = daily[[*PARTS, "total_money"]].astype(float).mul(100).round().astype(np.int64)
    cents = cents.groupby(daily["prosumer"]).sum()
    cents = cents.reindex([name for name in facts.names if name in cents.index])
    rows = [(str(name), *(f"{value / 100:.2f}" for value in row)) for name, *row in cents.itertuples()]
    rows.append(("all", *(f"{value / 100:.2f}" for value in cents.sum())))
    return Table(COLUMNS, rows)
