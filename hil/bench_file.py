"""Where benches lie, and the file that is a bench's emergency stop.

Public: `bench_file(name_or_path) -> Path`, `shipped_benches()`, `stop_path_of(name_or_path)`, `stop_path_beside(file)`.
"""

from pathlib import Path

from feederloop.coupling.scenario.document import read_document
from feederloop.coupling.scenario.problems import Problem, ScenarioError


def shipped_benches() -> dict[str, Path]:
    """Return the files of the benches that come with the package, by name."""
    import feederloop.scenarios

    folder = Path(feederloop.scenarios.__path__[0]) / "benches"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def bench_file(name_or_path: str | Path) -> Path:
    """Return the file of a bench.

    Args:
        name_or_path: A YAML file, or the bare name of a shipped bench.

    Raises:
        ScenarioError: There is no such bench.
    """
    path = Path(name_or_path)
    if not path.is_file():
        shipped = shipped_benches()
        if path.name not in shipped or path.parent != Path():
            allowed = f"a file, or one of {', '.join(shipped)}"
            raise ScenarioError([Problem("there is no such bench", file=path, allowed=allowed)])
        path = shipped[path.name]
    return path.resolve()


def stop_path_of(name_or_path: str | Path) -> Path:
    """Return the file whose existence is a bench's emergency stop, also where the bench is not valid (any more).

    Args:
        name_or_path: As of `bench_file`.

    Raises:
        ScenarioError: There is no such bench.
    """
    path = bench_file(name_or_path)
    try:
        data = read_document(path).data
    except ScenarioError:
        data = {}
    named = data.get("stop_file")
    return (path.parent / named).resolve() if isinstance(named, str) else stop_path_beside(path)


def stop_path_beside(file: Path) -> Path:
    """Return the emergency stop of a bench file that names none."""
    return file.with_suffix(".stop")
