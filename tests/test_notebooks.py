"""The notebooks of the docs run from top to bottom, and are kept without what running them leaves behind."""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
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
def test_a_notebook_runs_from_top_to_bottom(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    names = {"__name__": "__main__"}
    for number, cell in enumerate(code_cells(file)):
        exec(compile("".join(cell["source"]), f"{file.name}, cell {number}", "exec"), names)
    assert len(plt.get_fignums()) >= 2
    plt.close("all")
