"""The package list of setup.cfg, which no tool can derive below mapped folders, is complete."""

import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _setup() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def _lines(option: str) -> list[str]:
    return [line.strip() for line in _setup()["options"][option].splitlines() if line.strip()]


def test_packages_are_the_folders_that_hold_modules() -> None:
    rooms = dict(line.split(" = ") for line in _lines("package_dir"))
    found = set()
    for package, folder in rooms.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join((package, *inner)))
    assert set(_lines("packages")) == found


def test_every_folder_with_modules_is_a_package() -> None:
    rooms = [line.split(" = ")[1] for line in _lines("package_dir")]
    bare = {
        str(module.parent.relative_to(ROOT))
        for folder in rooms
        for module in (ROOT / folder).rglob("*.py")
        if not (module.parent / "__init__.py").exists()
    }
    assert bare == set()


def test_data_files_belong_to_listed_packages() -> None:
    packages = set(_lines("packages"))
    assert set(_setup()["options.package_data"]) <= packages


def test_every_data_file_is_shipped() -> None:
    rooms = dict(line.split(" = ") for line in _lines("package_dir"))
    shipped: set[Path] = set()
    for package, patterns in _setup()["options.package_data"].items():
        room = max((name for name in rooms if f"{package}.".startswith(f"{name}.")), key=len)
        folder = ROOT.joinpath(rooms[room], *package.removeprefix(room).strip(".").split("."))
        for pattern in patterns.replace(",", " ").split():
            shipped.update(folder.glob(pattern))
    found = {
        file
        for folder in rooms.values()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix != ".py" and "__pycache__" not in file.parts
    }
    assert found - shipped == set()


def test_lock_files_hold_every_dependency() -> None:
    def pinned(file: str) -> dict[str, str]:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        pins = (line.split(" ;")[0].split("==") for line in lines if "==" in line and not line.startswith("#"))
        return dict(pins)

    def stated(lines: str) -> set[str]:
        return {re.split(r"[<>=!~\[; ]", line.strip())[0].lower() for line in lines.splitlines() if line.strip()}

    run, dev = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert stated(_setup()["options"]["install_requires"]) <= set(run)
    assert set().union(*map(stated, _setup()["options.extras_require"].values())) <= set(dev)
    assert run.items() <= dev.items()
