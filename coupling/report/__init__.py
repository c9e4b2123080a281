"""The report of a run: one page that needs nothing else and can be mailed."""

from typing import TYPE_CHECKING

from feederloop.coupling.lazily import lazily

if TYPE_CHECKING:
    from feederloop.coupling.report.page import write_report

__all__ = ["write_report"]

__getattr__ = lazily(__name__, {"write_report": "page"})
