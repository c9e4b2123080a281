import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from loguru import logger

# The peers (other programs' answers to the same question) are shared by the tests of several rooms and the benchmarks.
sys.path.insert(0, str(Path(__file__).parent))

from debian_packages import notice

# How long an example takes says more about what else the machine does than about the code; in continuous integration
# the examples are the same every time, so that a failure is the change's.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("patient", **PATIENT)
settings.register_profile("repeatable", **PATIENT, derandomize=True, database=None, print_blob=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "patient")


def pytest_report_header() -> list[str]:
    """Say which programs of others are not there to be tested against."""
    return [line for line in [notice()] if line]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it again at the end, where it is seen."""
    if line := notice():
        terminalreporter.write_line(line, yellow=True, bold=True)


@pytest.fixture(autouse=True)
def _mosaik_says_nothing():
    """A world of mosaik's own class turns its log on for the whole process."""
    yield
    logger.disable("mosaik")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long: then no process is left with it at the end."""
    items.sort(key=lambda item: not {"slow", "nightly"} & {marker.name for marker in item.iter_markers()})
