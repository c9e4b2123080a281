"""The report of a run: one page that needs nothing else and can be mailed."""

from feederloop.coupling.report.page import write_report

__all__ = ["write_report"]
