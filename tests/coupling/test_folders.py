"""Where a folder cannot be, every command that writes one says so in the same way."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from feederloop.coupling.cli import app
from feederloop.coupling.folders import make_folder
from feederloop.simulators.errors import InputError


def test_folders_are_made_with_those_above_them(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_inside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made: Not a directory"):
        make_folder(tmp_path / "file" / "out")


@pytest.mark.parametrize("command", ["run minimal", "compare minimal", "market orders.csv"])
def test_commands_name_the_folder_that_cannot_be_made(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("orders.csv").write_text("trader,side,price_per_kwh,kwh\nann,ask,0.1,1\nbob,bid,0.2,1\n")
    with pytest.raises(InputError, match=r"file/out.*cannot be made: Not a directory"):
        CliRunner().invoke(app, [*command.split(), "--out", "file/out"], catch_exceptions=False)
