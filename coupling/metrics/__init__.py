"""The figures of `summary.json`: pure functions of a run's tables."""

from feederloop.coupling.metrics.groups import GROUPS, compute, summarise
from feederloop.coupling.metrics.tables import RunFacts, Tables

__all__ = ["GROUPS", "RunFacts", "Tables", "compute", "summarise"]
