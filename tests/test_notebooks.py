"""The notebooks of the docs run from top to bottom, and are kept without what running them leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "docs" / "notebooks").glob("*.ipynb"))


def code_cells(file: Path) -> list[dict]:
    notebook = json.loads(file.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_kept_without_outputs(file: Path) -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code_cells(file))
    assert file.stat().st_size < 20_000


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_from_top_to_bottom(file: Path, tmp_path: Path) -> None:
    cells = ["".join(cell["source"]) for cell in code_cells(file)]
    figures = "print(len(plt.get_fignums()), 'figures')"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([*cells, figures])],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1].split()[0]) >= 2
