"""Say in the user's terms what pydantic found wrong: key, value, what is allowed, nearest name."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from feederloop.coupling.scenario.document import Document, KeyPath, dotted
from feederloop.coupling.scenario.fields import UNIT
from feederloop.coupling.scenario.problems import Absent, Problem, any_of, nearest_of

Schema = Mapping[str, Any]

_BOUNDS = (
    ("minimum", "at least {:g}"),
    ("exclusiveMinimum", "above {:g}"),
    ("maximum", "at most {:g}"),
    ("exclusiveMaximum", "below {:g}"),
)
_WRONG_KIND = "is not of the right kind"


class SchemaReader:
    """Looks up in the JSON Schema what is allowed at a key.

    Args:
        schema: The scenario's JSON Schema.
    """

    def __init__(self, schema: Schema) -> None:
        self._root = schema

    def at(self, path: KeyPath, data: Any) -> Schema:
        """Return the schema of a key path; the data tells which of several kinds of mapping is meant."""
        node = self._meant(self._root, data)
        for part in path:
            data = _item(data, part)
            if isinstance(part, int):
                prefix = node.get("prefixItems", [])
                child = prefix[part] if part < len(prefix) else node.get("items", {})
            else:
                child = node.get("properties", {}).get(part, {})
            outer, node = node, self._meant(child, data)
            if UNIT in outer and UNIT not in node:
                node = {**node, UNIT: outer[UNIT]}
        return node

    def keys(self, path: KeyPath, data: Any) -> list[str]:
        """Return the keys that a mapping may have."""
        return list(self.at(path, data).get("properties", {}))

    def every_key(self) -> list[KeyPath]:
        """Return the path of every key there is, outside lists."""
        found: list[KeyPath] = []
        waiting: list[tuple[KeyPath, Schema]] = [((), self._root)]
        while waiting:
            path, node = waiting.pop()
            for variant in self._variants(node):
                for key, child in variant.get("properties", {}).items():
                    found.append((*path, key))
                    waiting.append(((*path, key), child))
        return found

    def tags(self, path: KeyPath, key: str) -> list[str]:
        """Return the values of the key that tells several kinds of mapping apart."""
        node = self._root
        for part in path:
            node = self._resolved(node).get("properties", {}).get(part, {})
        return [
            str(item["properties"][key]["const"]) for item in self._variants(node) if key in item.get("properties", {})
        ]

    def allowed(self, path: KeyPath, data: Any) -> str:
        """Return in words what may stand at a key."""
        node = self.at(path, data)
        return self._words(node, node.get(UNIT, ""))

    def _words(self, node: Schema, unit: str) -> str:
        if "enum" in node or "const" in node:
            return any_of([str(name) for name in node.get("enum", [node.get("const")])])
        of_unit = f" in {unit}" if unit and unit != "1" else ""
        bounds = "".join(f", {text.format(node[key])}" for key, text in _BOUNDS if key in node)
        match node.get("type"):
            case "number":
                return f"a number{of_unit}{bounds}"
            case "integer":
                return f"a whole number{of_unit}{bounds}"
            case "boolean":
                return "true or false"
            case "string":
                example = f", as in {node['examples'][0]}" if node.get("examples") else ""
                pattern = f" that fits {node['pattern']}" if "pattern" in node else ""
                return f"text{pattern}{example}"
            case "array":
                items = node.get("prefixItems") or [node.get("items", {})]
                item = self._meant(items[0], None)
                each = "a mapping" if item.get("type") == "object" else self._words(item, unit)
                return f"a pair [min, max], each {each}" if len(items) == 2 else f"a list, each item {each}"
            case "object":
                return f"a mapping with the keys {any_of(list(node.get('properties', {})))}"
        return ""

    def _variants(self, node: Schema) -> list[Schema]:
        node = self._resolved(node)
        for key in ("anyOf", "oneOf"):
            if key in node:
                return [variant for inner in node[key] for variant in self._variants(inner)]
        return [node]

    def _meant(self, node: Schema, data: Any) -> Schema:
        """Return the one kind of value that the data is meant to be, without `null`."""
        outer = self._resolved(node)
        variants = [variant for variant in self._variants(outer) if variant.get("type") != "null"]
        if len(variants) == 1:
            return {**{key: outer[key] for key in (UNIT, "description") if key in outer}, **variants[0]}
        for variant in variants:
            for key, rule in variant.get("properties", {}).items():
                if "const" in rule and _item(data, key) == rule["const"]:
                    return variant
        return {
            "type": "object",
            "properties": {k: v for item in variants for k, v in item.get("properties", {}).items()},
        }

    def _resolved(self, node: Schema) -> Schema:
        while "$ref" in node:
            target: Any = self._root
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return node


def problems_of(error: ValidationError, document: Document, schema: Schema) -> list[Problem]:
    """Return the problems behind a validation error, in the order of the file."""
    reader = SchemaReader(schema)
    errors = [item for item in error.errors() if not _is_echo(item)]
    problems = {str(problem): problem for problem in (_problem(item, document, reader) for item in errors)}
    return sorted(problems.values(), key=lambda problem: (str(problem.file), problem.line or 0))


def _is_echo(error: ErrorDetails) -> bool:
    """Tell whether a list is called too short only because items in it are wrong, which is said of these."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _problem(error: ErrorDetails, document: Document, reader: SchemaReader) -> Problem:
    path = _data_path(error, document.data)
    context: Mapping[str, Any] = error.get("ctx", {})
    message, allowed, nearest = error["msg"], "", ""
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(path, document, reader)
        case "missing":
            message, allowed = "is missing", reader.allowed(path, document.data)
        case "misfit":
            path = (*path, *context["key"].split(".")) if context["key"] else path
            message, allowed, nearest = context["message"], context["allowed"], context["nearest"]
        case "union_tag_invalid" | "union_tag_not_found":
            key = str(context["discriminator"]).strip("'")
            path = (*path, key)
            names = [tag.strip("' ") for tag in context.get("expected_tags", "").split(",") if tag.strip("' ")]
            names = names or reader.tags(path[:-1], key)
            value = _value(document.data, path)
            message = "is missing" if value is Absent.VALUE else "is not a known kind"
            allowed, nearest = any_of(names), nearest_of(value, names)
        case "literal_error":
            names = [str(name) for name in reader.at(path, document.data).get("enum", [])]
            names = names or [str(reader.at(path, document.data).get("const", ""))]
            message, allowed = "is not one of the choices", any_of(names)
            nearest = nearest_of(error["input"], names)
        case _:
            message, allowed = _plain(error), reader.allowed(path, document.data)
    place = document.place(path)
    value = _value(document.data, path)
    if isinstance(value, dict | list) and len(value) > 3:
        value = Absent.VALUE
    return Problem(message, dotted(path), value, allowed, nearest, place.file, place.line)


def _plain(error: ErrorDetails) -> str:
    """Return a message for an error that pydantic's own rules raise."""
    kind = error["type"]
    if kind in ("greater_than", "greater_than_equal"):
        return "is too small"
    if kind in ("less_than", "less_than_equal"):
        return "is too large"
    if kind == "finite_number":
        return "is not a finite number"
    if kind in ("float_type", "int_type", "float_parsing", "int_parsing", "int_from_float"):
        return "is not a whole number" if kind.startswith("int") else "is not a number"
    if kind in ("string_type", "bool_type", "tuple_type", "list_type", "model_type", "model_attributes_type"):
        return _WRONG_KIND
    if kind in ("too_short", "too_long", "string_too_short"):
        return "has not the right length"
    if kind == "string_pattern_mismatch":
        return "is not written as it has to be"
    return error["msg"]


def _unknown_key(path: KeyPath, document: Document, reader: SchemaReader) -> Problem:
    *parent, key = path
    siblings = reader.keys(tuple(parent), document.data)
    nearest = nearest_of(key, siblings)
    if not nearest:
        same = [dotted(other) for other in reader.every_key() if other[-1] == key]
        nearest = same[0] if same else ""
    elif parent:
        nearest = dotted((*parent, nearest))
    place, value = document.place(path), _value(document.data, path)
    if isinstance(value, dict | list):
        value = Absent.VALUE
    return Problem("unknown key", dotted(path), value, ", ".join(siblings), nearest, place.file, place.line)


def _data_path(error: ErrorDetails, data: Any) -> KeyPath:
    """Return pydantic's location without the names of union members, which are no keys."""
    path: list[str | int] = []
    location = error["loc"]
    for index, part in enumerate(location):
        inner = _item(data, part)
        missing = error["type"] == "missing" and index == len(location) - 1
        if inner is Absent.VALUE and not missing:
            continue
        path.append(part)
        data = inner
    return tuple(path)


def _value(data: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        data = _item(data, part)
    return data


def _item(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(part, Absent.VALUE)
    if isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
        return data[part]
    return Absent.VALUE
