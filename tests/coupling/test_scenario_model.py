"""The scenario's keys and values: everything wrong is reported at once and in the user's terms."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from feederloop.coupling.scenario import Problem, ScenarioError, load_scenario, scenario_from, scenario_schema
from feederloop.simulators.errors import InputError


def problems_of(data: dict[str, Any], **options: Any) -> dict[str, Problem]:
    with pytest.raises(ScenarioError) as caught:
        scenario_from(data, **options)
    return {problem.key: problem for problem in caught.value.problems}


def problem_of(data: dict[str, Any], key: str) -> Problem:
    problems = problems_of(data)
    assert list(problems) == [key]
    return problems[key]


def test_nothing_stated_is_a_whole_scenario() -> None:
    scenario = scenario_from({})
    assert scenario.grid.network == "european_lv"
    assert scenario.time.start_utc == "2016-06-15T11:00:00+00:00"
    assert scenario.time.duration_s == 86400
    assert scenario.limits.voltage_range_v == (216.2, 253.0)


def test_sections_whose_keys_are_commented_out_have_their_defaults() -> None:
    data = {"time": None, "prosumers": {"pv": None}, "weather": None, "tariff": None, "household": {"source": None}}
    assert scenario_from(data).resolved() == scenario_from({}).resolved()


def test_resolved_scenario_gives_the_same_again(tmp_path: Path) -> None:
    scenario = scenario_from(
        {
            "name": "again",
            "time": {"start": "2016-10-30 00:30", "days": 0.5},
            "limits": {"standard": "custom", "v_min_v": 220, "v_max_v": 250},
            "prosumers": {"list": [{"bus": 3, "phase": "b", "pv_kwp": 4}]},
            "simulators": {"grid": {"connect": "127.0.0.1:5555"}},
        }
    )
    file = tmp_path / "resolved.yaml"
    file.write_text(yaml.safe_dump(scenario.resolved(), sort_keys=False, allow_unicode=True), encoding="utf-8")
    assert load_scenario(file).resolved() == scenario.resolved()


@pytest.mark.parametrize(
    ("data", "key", "nearest"),
    [
        ({"prosumers": {"pv": {"kw": [3, 6]}}}, "prosumers.pv.kw", "prosumers.pv.kwp"),
        ({"time": {"step_min": 5}}, "time.step_min", "time.step_s"),
        ({"grid": {"feders": 2}}, "grid.feders", "grid.feeders"),
        ({"tarif": {}}, "tarif", "tariff"),
        ({"source_v_pu": 1.0}, "source_v_pu", "grid.source_v_pu"),
        ({"prosumers": {"list": [{"pvkwp": 4}]}}, "prosumers.list.0.pvkwp", "prosumers.list.0.pv_kwp"),
        ({"tariff": {"kind": "time_of_use", "feedin_per_kwh": 1}}, "tariff.feedin_per_kwh", "tariff.feed_in_per_kwh"),
    ],
)  # fmt: skip
def test_unknown_key_gets_the_nearest_name(data: dict[str, Any], key: str, nearest: str) -> None:
    problem = problem_of(data, key)
    assert problem.message == "unknown key"
    assert problem.nearest == nearest


@pytest.mark.parametrize(
    ("data", "key", "nearest"),
    [
        ({"scheme": "doe_lm"}, "scheme", "doe_lem"),
        ({"envelope": {"rule": "proportional_fiar"}}, "envelope.rule", "proportional_fair"),
        ({"limits": {"standard": "en50160"}}, "limits.standard", "en_50160"),
        ({"weather": {"kind": "clear_sky"}}, "weather.kind", "clear_sky_index"),
        ({"time": {"time_zone": "Europe/Londn"}}, "time.time_zone", "Europe/London"),
    ],
)
def test_unknown_name_gets_the_nearest(data: dict[str, Any], key: str, nearest: str) -> None:
    problem = problem_of(data, key)
    assert problem.nearest == nearest
    assert problem.allowed


@pytest.mark.parametrize(
    ("data", "key", "allowed"),
    [
        ({"envelope": {"default_export_kw": "7 kW"}}, "envelope.default_export_kw", "a number in kW, at least 0"),
        ({"time": {"step_s": "5 min"}}, "time.step_s", "a whole number in s, at least 1, at most 3600"),
        ({"time": {"step_s": 300.5}}, "time.step_s", "a whole number in s, at least 1, at most 3600"),
        ({"prosumers": {"pv": {"kwp": ["3 kW", 6]}}}, "prosumers.pv.kwp.0", "a number in kWp, above 0"),
        ({"prosumers": {"ev": {"capacity_kwh": [-40, 60]}}}, "prosumers.ev.capacity_kwh.0", "a number in kWh, above 0"),
        ({"prosumers": {"list": [{"pv_kwp": -4}]}}, "prosumers.list.0.pv_kwp", "a number in kWp, at least 0"),
        ({"prosumers": {"pv": {"kwp": 5}}}, "prosumers.pv.kwp", "a pair [min, max], each a number in kWp, above 0"),
        ({"prosumers": {"pv": {"kwp": [5]}}}, "prosumers.pv.kwp.1", "a number in kWp, above 0"),
        ({"prosumers": {"pv": {"share": 60}}}, "prosumers.pv.share", "a number, at least 0, at most 1"),
        ({"prosumers": {"pv": {"share": True}}}, "prosumers.pv.share", "a number, at least 0, at most 1"),
        ({"prosumers": {"pv": {"share": float("nan")}}}, "prosumers.pv.share", "a number, at least 0, at most 1"),
        ({"grid": {"source_v_pu": 11000}}, "grid.source_v_pu", "a number in pu, above 0.5, below 1.5"),
        ({"prosumers": {"list": [{"bus": 1, "phase": "d"}]}}, "prosumers.list.0.phase", "a, b, c or abc"),
        ({"weather": {"kind": "file"}}, "weather.path", "text"),
        ({"time": {"start": "2016-06-15T12:00Z"}}, "time.start", "local wall time without an offset"),
        ({"time": {"start": "noon"}}, "time.start", "local wall time without an offset"),
        ({"simulators": {"grid": {}}}, "simulators.grid", "either connect or cmd"),
        ({"prosumers": 5}, "prosumers", "a mapping with the keys"),
    ],
)  # fmt: skip
def test_wrong_value_says_what_is_allowed(data: dict[str, Any], key: str, allowed: str) -> None:
    assert problem_of(data, key).allowed.startswith(allowed)


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"time": {"step_s": 700}}, "time.interval_s"),
        ({"time": {"interval_s": 7000, "step_s": 100}}, "time.interval_s"),
        ({"time": {"days": 0.01}}, "time.days"),
        ({"time": {"start": "2016-03-27 01:30"}}, "time.start"),
        ({"prosumers": {"pv": {"kwp": [6, 3]}}}, "prosumers.pv.kwp"),
        ({"prosumers": {"ev": {"charger_min_a": 20}}}, "prosumers.ev.charger_min_a"),
        ({"prosumers": {"count": 3, "list": [{}]}}, "prosumers.count"),
        ({"prosumers": {"list": []}}, "prosumers.list"),
        ({"prosumers": {"list": [{"name": "x"}, {"name": "x"}]}}, "prosumers.list"),
        ({"prosumers": {"list": [{"phase": "a"}]}}, "prosumers.list.0.phase"),
        ({"prosumers": {"list": [{"name": "no.dots"}]}}, "prosumers.list.0.name"),
        ({"limits": {"v_min_v": 200}}, "limits.v_min_v"),
        ({"limits": {"standard": "custom", "v_max_v": 250}}, "limits.v_min_v"),
        ({"limits": {"standard": "custom", "v_min_v": 251, "v_max_v": 250}}, "limits.v_min_v"),
        ({"limits": {"standard": "custom", "v_min_v": 0.94, "v_max_v": 250}}, "limits.v_min_v"),
        ({"envelope": {"voltage_margin_v": 20}}, "envelope.voltage_margin_v"),
        ({"sessions": {"arrival_mean_h": 7.5}}, "sessions.departure_mean_h"),
        ({"sessions": {"target_soc": 0.3, "lowest_soc": 0.4}}, "sessions.lowest_soc"),
        ({"tariff": {"bands": [{"from": "00:00", "to": "25:00", "per_kwh": 0.3}]}}, "tariff.bands.0.to"),
        ({"simulators": {"recorder": {"connect": "x:1"}}}, "simulators.recorder"),
        ({"simulators": {"grid": {"cmd": "python grid.py"}}}, "simulators.grid.cmd"),
    ],
)
def test_values_that_do_not_go_together(data: dict[str, Any], key: str) -> None:
    assert problem_of(data, key).allowed


def test_all_problems_are_reported_at_once_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("seed: -1\ngrid:\n  feders: 2\nprosumers:\n  pv:\n    share: x\n", encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file, overrides=["time.step_min=5"])
    found = {(problem.key, problem.line) for problem in caught.value.problems}
    assert found == {("seed", 1), ("grid.feders", 3), ("prosumers.pv.share", 6), ("time.step_min", None)}
    assert f"{file}:3: grid.feders = 2: unknown key (did you mean grid.feeders?" in str(caught.value)
    assert isinstance(caught.value, InputError)


def test_overrides_days_and_seed_replace_values_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "street.yaml"
    file.write_text("seed: 1\ntime: {days: 3}\n", encoding="utf-8")
    scenario = load_scenario(file, overrides={"prosumers.pv.share": 0.25}, days=2, seed=7)
    assert (scenario.name, scenario.seed, scenario.time.days) == ("street", 7, 2)
    assert scenario.prosumers.pv.share == 0.25
    assert scenario.prosumers.ev.share == 0.6


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    base = tmp_path / "shared" / "base.yaml"
    base.parent.mkdir()
    base.write_text("grid: {network: net.json}\nhousehold: {source: {kind: file, path: load.csv}}\n", encoding="utf-8")
    case = tmp_path / "case.yaml"
    case.write_text("extends: shared/base.yaml\nweather: {kind: file, path: sun.csv}\n", encoding="utf-8")
    scenario = load_scenario(case)
    assert scenario.grid.network == str(base.parent.resolve() / "net.json")
    assert scenario.room("household", "source") == {"kind": "file", "path": str(base.parent.resolve() / "load.csv")}
    assert scenario.room("weather")["path"] == str(tmp_path.resolve() / "sun.csv")


def test_scenario_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        scenario_from({}).seed = 3  # type: ignore[misc]


def _leaves(schema: dict[str, Any], node: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return every property below a node of the schema, with its dotted path."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    variants = [inner for key in ("anyOf", "oneOf") for inner in node.get(key, [])]
    variants += [node["items"]] if isinstance(node.get("items"), dict) else []
    found = [leaf for variant in variants for leaf in _leaves(schema, variant, path)]
    for key, child in node.get("properties", {}).items():
        found += [(f"{path}.{key}", child), *_leaves(schema, child, f"{path}.{key}")]
    return found


def test_schema_describes_every_key_and_gives_every_number_a_unit() -> None:
    schema = scenario_schema()
    leaves = _leaves(schema, schema)
    assert len(leaves) > 100
    assert [path for path, node in leaves if not node.get("description")] == []
    numbers = [(path, node) for path, node in leaves if node.get("type") in ("number", "integer")]
    assert [path for path, node in numbers if "unit" not in node] == []
    objects = [schema, *schema["$defs"].values()]
    assert all(item.get("additionalProperties") is False for item in objects if item.get("type") == "object")


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_KEYS = (
    "time", "grid.network", "limits", "prosumers.list", "prosumers.ev", "household.source", "weather", "sessions",
    "tariff", "tariff.bands", "matching.options", "simulators.grid", "seed",
)  # fmt: skip


@given(_ANYTHING, st.sampled_from(_KEYS))
@settings(max_examples=150, deadline=None)
def test_whatever_stands_at_a_key_is_a_scenario_or_a_report(value: Any, key: str) -> None:
    try:
        scenario_from({}, overrides={key: value})
    except ScenarioError as error:
        assert all(str(problem) for problem in error.problems)  # noqa: PT017 - either outcome is right
