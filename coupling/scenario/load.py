"""Read a scenario: a file, what it extends, and what overrides both."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feederloop.coupling.scenario.document import Document, KeyPath, Place, apply_overrides, dotted, read_document
from feederloop.coupling.scenario.model import Scenario, scenario_schema
from feederloop.coupling.scenario.problems import Problem, ScenarioError, nearest_of
from feederloop.coupling.scenario.translate import problems_of

SUFFIXES = (".yaml", ".yml")

Overrides = Mapping[str, Any] | Iterable[str]


def shipped_scenarios() -> dict[str, Path]:
    """Return the files of the scenarios that come with the package, by name."""
    import feederloop.scenarios

    folder = Path(feederloop.scenarios.__path__[0])
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_scenario(name_or_path: str | Path) -> Path:
    """Return the file of a scenario that is named by its path or, if it is shipped, by its bare name.

    Raises:
        ScenarioError: There is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = shipped_scenarios()
    if path.parent == Path() and path.name.removesuffix(".yaml") in shipped:
        return shipped[path.name.removesuffix(".yaml")]
    beside = path.parent.glob("*") if path.parent.is_dir() else ()
    near = [str(other) for other in beside if other.suffix in SUFFIXES]
    nearest = nearest_of(path, near) or nearest_of(path.stem, shipped)
    allowed = f"a file, or one of {', '.join(shipped)}"
    raise ScenarioError([Problem("there is no such scenario", file=path, nearest=nearest, allowed=allowed)])


def load_scenario(
    scenario: str | Path, *, overrides: Overrides = (), days: float | None = None, seed: int | None = None
) -> Scenario:
    """Read and check a scenario.

    Checks that need the network and the user's data files are those of `check_scenario`.

    Args:
        scenario: A YAML file, or the bare name of a shipped scenario.
        overrides: What to put in place of the file's values: a mapping from dotted paths to values, or texts
            `dotted.path=value` with the value in YAML. Paths of files in them are relative to the working directory.
        days: Length of the run in days, in place of `time.days`.
        seed: In place of `seed`.

    Raises:
        ScenarioError: Something is wrong; it carries every problem that was found.
    """
    return _validated(read_document(find_scenario(scenario)), overrides, days, seed)


def scenario_from(
    data: Mapping[str, Any], *, overrides: Overrides = (), days: float | None = None, seed: int | None = None
) -> Scenario:
    """Return the scenario that plain data describes; arguments and errors are those of `load_scenario`."""
    document = Document({})
    for key, value in data.items():
        document.put((key,), value, Place(None))
    document.data.setdefault("name", "scenario")
    return _validated(document, overrides, days, seed)


def _validated(document: Document, overrides: Overrides, days: float | None, seed: int | None) -> Scenario:
    problems = apply_overrides(document, overrides)
    extra = {"time.days": days, "seed": seed}
    problems += apply_overrides(document, {key: value for key, value in extra.items() if value is not None})
    if document.file is not None:
        document.data.setdefault("name", document.file.stem)
    _make_paths_absolute(document)
    try:
        scenario = Scenario.model_validate(document.data)
    except ValidationError as error:
        problems += problems_of(error, document, scenario_schema())
    if problems:
        raise ScenarioError(problems)
    scenario._document = document
    return scenario


def _make_paths_absolute(document: Document) -> None:
    """Replace the paths of files, which are relative to the scenario file that names them, by absolute ones."""
    waiting: list[tuple[KeyPath, Any]] = [((), document.data)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, list):
            waiting += [((*path, index), item) for index, item in enumerate(node)]
        if not isinstance(node, dict):
            continue
        for key, value in node.items():
            inner = (*path, key)
            if isinstance(value, str) and _is_file(inner, value):
                file = document.place(inner).file
                node[key] = str(((file.parent if file else Path()) / value).resolve())
            waiting.append((inner, value))


def _is_file(path: KeyPath, value: str) -> bool:
    return path[-1] == "path" or (dotted(path) == "grid.network" and value.endswith(".json"))
