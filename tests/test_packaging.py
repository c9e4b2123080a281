"""The package list of setup.cfg, which no tool can derive below mapped folders, is complete."""

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
