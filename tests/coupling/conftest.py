import shutil
from pathlib import Path

import pytest
from report_kit import SECTIONS

from feederloop.coupling.run import run


@pytest.fixture(scope="session")
def short_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of a small street under each scheme, in folders of their names, which nobody may change."""
    parent = tmp_path_factory.mktemp("runs")
    for scheme in SECTIONS:
        result = run("minimal", out=parent / scheme, days=1 / 12, overrides={"scheme": scheme}, progress=False)
        assert (result.status, result.message) == ("complete", "")
    return parent


@pytest.fixture
def folder(short_runs: Path, tmp_path: Path) -> Path:
    """A copy of the run with envelopes and market, to be tampered with."""
    return Path(shutil.copytree(short_runs / "doe_lem", tmp_path / "run"))
