"""Read scenario files as plain data that remembers the file and line of every key."""

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from feederloop.coupling.scenario.problems import Problem, ScenarioError

KeyPath = tuple[str | int, ...]

EXTENDS = "extends"
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
OWN_KEYS = ("name", "title", "description")
"""Keys that speak of one file and are not handed on to a scenario that extends it."""
CHOICES = ("kind", "mechanism", "standard")
"""Keys that say which other keys there are: where they change, the mapping is replaced instead of merged."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key stands; `file` is None for an override."""

    file: Path | None
    line: int | None = None


@dataclass(slots=True)
class Document:
    """Data of a scenario and where each part of it was read.

    Args:
        data: Mappings, lists and scalars as YAML gives them.
        places: The place of each key path.
        file: The file that was asked for; None for data from Python.
    """

    data: dict[str, Any]
    places: dict[KeyPath, Place] = field(default_factory=dict)
    file: Path | None = None

    def place(self, path: KeyPath) -> Place:
        """Return the place of a key, or of the nearest one around it."""
        for length in range(len(path), 0, -1):
            if (found := self.places.get(path[:length])) is not None:
                return found
        return Place(self.file)

    def put(self, path: KeyPath, value: Any, place: Place) -> None:
        """Set one value, making the mappings around it where they are missing.

        Raises:
            ScenarioError: A part of the path is a single value or an item that a list has not.
        """
        node: Any = self.data
        for depth, part in enumerate(path):
            last = depth == len(path) - 1
            if isinstance(node, list) and isinstance(part, int) and part < len(node):
                pass
            elif isinstance(node, dict):
                if node.get(part) is None:
                    node[part] = {}
                    self.places[path[: depth + 1]] = place
            else:
                message = (
                    "cannot be set: there is no such item in the list" if isinstance(node, list) else "has no keys"
                )
                raise ScenarioError([Problem(message, key=dotted(path[:depth]), file=place.file, line=place.line)])
            if last:
                node[part] = _merged(node[part], value, path, self.places) if isinstance(value, dict) else value
            else:
                node = node[part]
        self.places[path] = place


def dotted(path: KeyPath) -> str:
    """Return a key path as users write it: `prosumers.list.0.bus`."""
    return ".".join(str(part) for part in path)


def parsed(text: str) -> Any:
    """Return the value that a piece of YAML stands for; text that is no YAML stands for itself."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        return text


def read_document(file: Path, *, below: tuple[Path, ...] = ()) -> Document:
    """Read a scenario file and, beneath it, what it extends.

    Args:
        file: A YAML file.
        below: The files that extend this one, to find circles.

    Raises:
        ScenarioError: The file is missing, is no YAML, has a key twice or is no mapping.
    """
    document = _read_one(file)
    if EXTENDS not in document.data:
        return document
    place = document.place((EXTENDS,))
    base_name = document.data.pop(EXTENDS)

    def fault(message: str, allowed: str) -> ScenarioError:
        problem = Problem(message, EXTENDS, base_name, allowed, file=place.file, line=place.line)
        return ScenarioError([problem])

    if not isinstance(base_name, str):
        raise fault("is not a file name", "the name of another scenario file")
    base_file = file.parent / base_name
    if base_file.resolve() in {path.resolve() for path in (file, *below)}:
        raise fault("extends itself", "a scenario that does not extend this one")
    if not base_file.is_file():
        raise fault("there is no such file", "a path relative to this file")
    base = read_document(base_file, below=(file, *below))
    for key in OWN_KEYS:
        base.data.pop(key, None)
    base.data = _merged(base.data, document.data, (), base.places)
    base.places |= document.places
    base.file = file
    return base


def _read_one(file: Path) -> Document:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError([Problem("there is no such file", file=file)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([Problem(f"cannot be read: {error}", file=file)]) from error
    reader = _Reader(file)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        data = reader.value(loader, node, ()) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ScenarioError([Problem(f"is not YAML: {error.problem}", file=file, line=line)]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ScenarioError([Problem(f"is not YAML: {error}", file=file)]) from error
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        reader.problems.append(Problem("is not a scenario", allowed="a mapping of keys to values", file=file, line=1))
    if reader.problems:
        raise ScenarioError(reader.problems)
    return Document(data, reader.places, file)


class _Reader:
    """Turns YAML nodes into plain data and notes where each key stands."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.places: dict[KeyPath, Place] = {}
        self.problems: list[Problem] = []

    def value(self, loader: "_Loader", node: yaml.Node, path: KeyPath) -> Any:
        """Return the value of a node at a key path."""
        self.places.setdefault(path, Place(self.file, node.start_mark.line + 1))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
            raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag} is not allowed", node.start_mark)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(loader, item, (*path, index)) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return loader.construct_object(node)
        loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            place = Place(self.file, key_node.start_mark.line + 1)
            if key in result:
                message = "is there twice"
                self.problems.append(Problem(message, key=dotted((*path, key)), file=self.file, line=place.line))
                continue
            self.places[(*path, key)] = place
            result[key] = self.value(loader, value_node, (*path, key))
        return result


class _Loader(yaml.CSafeLoader):
    """Reads numbers, true, false and null as YAML 1.2 does.

    YAML 1.1 makes 720 of `12:00`, a date of `2016-06-15` and false of `no`; here they stay text.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in PyYAML


for _tag, _pattern, _first in (
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
    ("float", r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))", "-+."),
    ("null", r"(?:~|null|Null|NULL|)", "~nN"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^{_pattern}$"), [*_first])
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda _, node: float(re.sub(r"^([-+]?)\.(?=[in])", r"\1", node.value.lower()))
)


def _merged(base: Any, change: Any, path: KeyPath, places: dict[KeyPath, Place]) -> Any:
    """Return a base value with a change laid over it; forget the places of what is gone."""
    chosen_anew = (
        isinstance(base, dict)
        and isinstance(change, dict)
        and any(key in change and key in base and change[key] != base[key] for key in CHOICES)
    )
    if not isinstance(base, dict) or not isinstance(change, dict) or chosen_anew:
        for known in [known for known in places if known[: len(path)] == path and len(known) > len(path)]:
            del places[known]
        return copy.deepcopy(change)
    result = dict(base)
    for key, value in change.items():
        result[key] = _merged(result[key], value, (*path, key), places) if key in result else copy.deepcopy(value)
    return result


def apply_overrides(document: Document, overrides: Mapping[str, Any] | Iterable[str]) -> list[Problem]:
    """Lay `dotted.path: value` pairs or `dotted.path=value` texts over a document.

    Returns:
        What cannot be laid over it; unknown keys are left to the model, which knows them.
    """
    problems = []
    if isinstance(overrides, Mapping):
        pairs = list(overrides.items())
    else:
        pairs = []
        for text in overrides:
            key, equals, value = text.partition("=")
            if not equals or not key.strip():
                problems.append(Problem("is not an override", value=text, allowed="dotted.path=value"))
                continue
            pairs.append((key.strip(), parsed(value)))
    for key, value in pairs:
        path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        try:
            document.put(path, value, Place(None))
        except ScenarioError as error:
            problems += error.problems
    return problems
