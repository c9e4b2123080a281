"""The guide to envelopes without a scenario does what it says."""

import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest

from feederloop.coupling import cli

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "envelopes-without-a-scenario.md"


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.usefixtures("at_work")
def test_the_commands_of_the_guide(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    codes, screens = [], []
    for command in "".join(examples("console")).splitlines():
        monkeypatch.setattr(sys, "argv", shlex.split(command.removeprefix("$ ")))
        with pytest.raises(SystemExit) as caught:
            cli.main()
        codes.append(caught.value.code)
        screens.append(capsys.readouterr().out)
    assert codes == [0, 0, 1, 0, 0, 1]
    shown = screens[2]
    assert "refuted" in screens[-1]
    published, refuted = examples("text")
    given = pd.read_csv(Path("published/envelopes.csv"))
    Path("guide.csv").write_text(published, encoding="utf-8")
    pd.testing.assert_frame_equal(given, pd.read_csv("guide.csv"), atol=2e-3, rtol=0.0)
    # The use that refutes is the guide's, give or take what its last digits owe to the allocation.
    names = r"[a-z]+_?\d*"
    for line in refuted.splitlines()[3:5]:
        who = re.findall(names, line.split(": ")[1])
        assert who == [name for name in who if name in shown]
    assert refuted.splitlines()[0] in shown
    assert "voltage 211.0" in shown


@pytest.mark.usefixtures("at_work")
def test_the_lines_of_the_guide() -> None:
    (code,) = examples("python")
    names: dict[str, object] = {}
    exec(compile(code, str(GUIDE), "exec"), names)
    assert names["verdict"].certified  # type: ignore[attr-defined]


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work beside the guide's table of points."""
    (table,) = examples("csv")
    (tmp_path / "points.csv").write_text(table, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
