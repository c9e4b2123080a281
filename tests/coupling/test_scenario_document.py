"""Scenario files as data: lines, YAML's traps, extending, overriding."""

from pathlib import Path
from textwrap import dedent

import pytest

from feederloop.coupling.scenario.document import Document, apply_overrides, parsed, read_document
from feederloop.coupling.scenario.problems import ScenarioError


def write(folder: Path, text: str, name: str = "case.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text), encoding="utf-8")
    return file


def test_every_key_remembers_its_line(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "a: 1\nb:\n  c: [1, 2]\n  d:\n    - e: 3\n"))
    lines = {path: place.line for path, place in document.places.items()}
    assert lines["a",] == 1
    assert lines["b", "c"] == 3
    assert lines["b", "d", 0, "e"] == 5
    assert document.place(("b", "d", 0, "unknown")).line == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:00", "12:00"),
        ("2016-06-15", "2016-06-15"),
        ("no", "no"),
        ("on", "on"),
        ("010", 10),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("true", True),
        ("~", None),
        ("", None),
        ("[3, 6]", [3, 6]),
        ("{k: 0.5}", {"k": 0.5}),
        ("7 kW", "7 kW"),
        ("[", "["),
    ],
)
def test_scalars_mean_what_they_look_like(text: str, value: object) -> None:
    result = parsed(text)
    assert result == value
    assert type(result) is type(value)


def test_nan_and_infinity_are_numbers_that_the_model_refuses() -> None:
    assert parsed(".inf") == float("inf")
    assert parsed("-.inf") == float("-inf")
    assert parsed(".nan") != parsed(".nan")


def test_key_that_is_there_twice_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_document(write(tmp_path, "time:\n  days: 1\n  days: 2\n"))
    (problem,) = caught.value.problems
    assert (problem.key, problem.line, problem.message) == ("time.days", 3, "is there twice")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: 2\n", "is not YAML"),
        ("- 1\n- 2\n", "is not a scenario"),
        ("a: &x [*x]\n", "is not YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "is not YAML"),
    ],
)
def test_file_that_is_no_scenario(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        read_document(write(tmp_path, text))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="there is no such file"):
        read_document(tmp_path / "nothing.yaml")


def test_extending_lays_keys_over_those_of_the_base(tmp_path: Path) -> None:
    write(tmp_path, "title: base\nseed: 1\ntime: {days: 1, step_s: 60}\n", "base.yaml")
    document = read_document(write(tmp_path, "extends: base.yaml\ntime: {days: 2}\n"))
    assert document.data == {"seed": 1, "time": {"days": 2, "step_s": 60}}
    assert document.place(("time", "days")).file == tmp_path / "case.yaml"
    assert document.place(("time", "step_s")).file == tmp_path / "base.yaml"


def test_extending_with_another_kind_replaces_the_mapping(tmp_path: Path) -> None:
    write(tmp_path, "weather: {kind: clear_sky_index, mean: 0.5}\n", "base.yaml")
    document = read_document(write(tmp_path, "extends: base.yaml\nweather: {kind: file, path: sun.csv}\n"))
    assert document.data["weather"] == {"kind": "file", "path": "sun.csv"}


@pytest.mark.parametrize(
    ("base", "message"), [("case.yaml", "extends itself"), ("absent.yaml", "no such file"), ("3", "is not a file name")]
)
def test_extending_what_cannot_be(tmp_path: Path, base: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        read_document(write(tmp_path, f"extends: {base}\n"))


def test_extending_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "extends: case.yaml\n", "base.yaml")
    with pytest.raises(ScenarioError, match="extends itself"):
        read_document(write(tmp_path, "extends: base.yaml\n"))


def test_overrides_reach_into_sections_and_lists() -> None:
    document = Document({"a": {"b": 1}, "list": [{"bus": 3}], "empty": None})
    problems = apply_overrides(document, ["a.b=2", "list.0.bus=4", "empty.c=[1]", "new.d=text"])
    assert problems == []
    assert document.data == {"a": {"b": 2}, "list": [{"bus": 4}], "empty": {"c": [1]}, "new": {"d": "text"}}


@pytest.mark.parametrize(
    ("override", "message"),
    [("a", "is not an override"), ("=3", "is not an override"), ("a.b=1", "has no keys"), ("list.7=1", "no such item")],
)
def test_override_that_cannot_be(override: str, message: str) -> None:
    (problem,) = apply_overrides(Document({"a": 1, "list": [2]}), [override])
    assert message in problem.message
