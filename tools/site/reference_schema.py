"""References of YAML files, from their JSON Schema: every key with type, default, what is allowed, and what it is."""

import json
from collections.abc import Iterator
from typing import Any

from feederloop.coupling.scenario.model import scenario_schema
from feederloop.hil.bench import Bench

Schema = dict[str, Any]
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
HEAD = ["| key | default | is |", "|---|---|---|"]
TYPES = {
    "integer": "whole number", "number": "number", "boolean": "`true`/`false`", "string": "text", "object": "mapping",
}  # fmt: skip


def scenario_reference() -> str:
    """Return a section per section of a scenario."""
    return reference(scenario_schema())


def bench_reference() -> str:
    """Return a section per section of a bench file."""
    return reference(Bench.model_json_schema())


def reference(schema: Schema) -> str:
    """Return a section for the top level and for each mapping below it, in the order of the schema."""
    definitions: Schema = schema.get("$defs", {})
    return "\n".join(_sections("", schema, definitions, schema.get("required", [])))


def _sections(path: str, node: Schema, definitions: Schema, required: list[str], kind: str = "") -> Iterator[str]:
    title = f"{'#' * min(path.count('.') + 2, 4)} `{path}`{kind}" if path else "## Top level"
    properties: Schema = node.get("properties", {})
    rows = [_row(key, each, definitions, key in required) for key, each in properties.items()]
    yield "\n".join([title, "", node.get("description", "").split("\n\n")[0], "", *HEAD, *rows, ""])
    below: dict[int, tuple[Schema, list[str], str]] = {}
    for key, each in properties.items():
        mappings = _mappings(each, definitions)
        for shape, suffix in mappings:
            chosen = shape["properties"].get("kind", {}).get("const")
            label = f", kind `{chosen}`" if chosen and len(mappings) > 1 else ""
            below.setdefault(id(shape), (shape, [], label))[1].append(key + suffix)
    for shape, keys, label in below.values():
        # Keys that take the same are described once.
        key = keys[0] if len(keys) == 1 else "NAME"
        yield from _sections(f"{path}.{key}".lstrip("."), shape, definitions, shape.get("required", []), label)


def _row(key: str, node: Schema, definitions: Schema, required: bool) -> str:
    shapes = _shapes(node, definitions)
    types = " or ".join(dict.fromkeys(_type(shape, definitions) for shape in shapes))
    allowed = "; ".join(dict.fromkeys(text for shape in [node, *shapes] if (text := _allowed(shape, definitions))))
    default = "required" if required else _default(node)
    kind = f"*{types}:* {allowed}" if allowed else f"*{types}*"
    description = node.get("description", "").replace("|", "\\|")
    return f"| `{key}` | {default} | {description}{'<br>' if description else ''}{kind} |"


def _shapes(node: Schema, definitions: Schema) -> list[Schema]:
    """Return the alternatives that a value may be, without null."""
    if "$ref" in node:
        return _shapes(definitions[node["$ref"].rpartition("/")[2]], definitions)
    for several in ("anyOf", "oneOf"):
        if several in node:
            return [shape for each in node[several] for shape in _shapes(each, definitions)]
    return [] if node.get("type") == "null" else [node]


def _mappings(node: Schema, definitions: Schema) -> list[tuple[Schema, str]]:
    """Return the mappings with keys of their own that a value may be or hold, and what its path gets appended."""
    found: list[tuple[Schema, str]] = []
    for shape in _shapes(node, definitions):
        if "properties" in shape:
            found.append((shape, ""))
        items, others = shape.get("items"), shape.get("additionalProperties")
        if isinstance(items, dict):
            found += [(inner, "[]" + suffix) for inner, suffix in _mappings(items, definitions)]
        if isinstance(others, dict):
            found += [(inner, ".NAME" + suffix) for inner, suffix in _mappings(others, definitions)]
    return found


def _type(shape: Schema, definitions: Schema) -> str:
    if "const" in shape or "enum" in shape:
        return "text" if isinstance(shape.get("const", shape.get("enum", [""])[0]), str) else "number"
    if shape.get("type") == "array":
        each = shape.get("prefixItems") or [shape.get("items", {})]
        inner = dict.fromkeys(_type(kind, definitions) for item in each for kind in _shapes(item, definitions))
        return f"{'pair' if len(each) == 2 else 'list'} of {' or '.join(f'{kind}s' for kind in inner) or 'values'}"
    return TYPES.get(str(shape.get("type")), "anything")


def _allowed(shape: Schema, definitions: Schema) -> str:
    if "const" in shape:
        return f"`{_yaml(shape['const'])}`"
    if "enum" in shape:
        return ", ".join(f"`{_yaml(value)}`" for value in shape["enum"])
    parts = [f"{sign} {shape[bound]:g}" for bound, sign in BOUNDS.items() if bound in shape]
    if "pattern" in shape:
        parts.append(f"`{shape['pattern']}`")
    if shape.get("minItems") and not shape.get("prefixItems"):
        parts.append(f"at least {shape['minItems']}")
    items = shape.get("prefixItems") or ([shape["items"]] if isinstance(shape.get("items"), dict) else [])
    inner = dict.fromkeys(
        text for item in items for kind in _shapes(item, definitions) if "properties" not in kind
        if (text := _allowed(kind, definitions))
    )  # fmt: skip
    if inner:
        parts.append(f"each {', '.join(inner)}")
    examples = shape.get("examples", [])
    return ", ".join(parts) or ", ".join(f"e.g. `{_yaml(example)}`" for example in examples[:1])


def _default(node: Schema) -> str:
    if "default" not in node:
        return ""
    default = node["default"]
    return "none" if default is None or default in ("", []) else f"`{_yaml(default)}`"


def _yaml(value: Any) -> str:
    """Return a value as a scenario has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
