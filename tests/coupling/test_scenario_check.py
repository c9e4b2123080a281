"""Checks against network, population and files: each bad input is one clear problem with its key."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from feederloop.coupling.scenario import (
    Problem,
    Scenario,
    check_scenario,
    load_scenario,
    scenario_from,
    shipped_scenarios,
)

HOURS = pd.date_range("2016-06-15 00:00", periods=96, freq="h", tz="UTC")


def street(**sections: Any) -> Scenario:
    return scenario_from({"grid": {"network": "street_12"}, "time": {"days": 0.5}} | sections)


def problem_of(scenario: Scenario, key: str) -> Problem:
    problems = check_scenario(scenario)
    assert [problem.key for problem in problems] == [key]
    return problems[0]


def table(folder: Path, frame: pd.DataFrame) -> str:
    file = folder / "own.csv"
    frame.to_csv(file, index=False)
    return str(file)


@pytest.mark.parametrize("name", sorted(set(shipped_scenarios()) - {"european_lv_uncoordinated"}))
def test_shipped_scenarios_have_no_problem(name: str) -> None:
    assert check_scenario(load_scenario(name)) == []


def test_shipped_scenarios_differ_in_their_scheme_only() -> None:
    market, without = (load_scenario(f"european_lv_{name}").resolved() for name in ("doe_lem", "uncoordinated"))
    own = ("name", "title", "description", "scheme")
    assert {key for key in market if market[key] != without[key]} == set(own)


def test_bus_that_is_not_in_the_network() -> None:
    problem = problem_of(street(prosumers={"list": [{"bus": 5000, "phase": "a"}]}), "prosumers.list.0.bus")
    assert "not in the network" in problem.message
    assert problem.allowed == "0 to 25"


def test_bus_above_the_transformer() -> None:
    problem = problem_of(street(prosumers={"list": [{"bus": 0, "phase": "a"}]}), "prosumers.list.0.bus")
    assert "11 kV" in problem.message


def test_more_prosumers_than_connection_points() -> None:
    problem = problem_of(street(prosumers={"count": 13}), "prosumers.count")
    assert problem.message == "more prosumers (13) than connection points (12)"


@pytest.mark.parametrize(("source_v_pu", "limit"), [(1.2, "277.1 V"), (0.9, "207.8 V")])
def test_source_voltage_that_breaks_the_limits_without_any_load(source_v_pu: float, limit: str) -> None:
    scenario = street(grid={"network": "street_12", "source_v_pu": source_v_pu})
    problem = problem_of(scenario, "grid.source_v_pu")
    assert limit in problem.message
    assert problem.allowed.startswith("0.936 to 1.096 pu")


@pytest.mark.parametrize("network", ["street12", "nowhere.json"])
def test_network_that_does_not_exist(network: str) -> None:
    assert "street_12" in problem_of(street(grid={"network": network}), "grid.network").allowed


def test_unknown_mechanism_and_unknown_option() -> None:
    assert "k_double_auction" in problem_of(street(matching={"mechanism": "k_double"}), "matching.mechanism").message
    assert problem_of(street(matching={"options": {"k": 2}}), "matching.options.k").value == 2


def test_tariff_with_a_gap() -> None:
    bands = [{"from": "00:00", "to": "08:00", "per_kwh": 0.2}, {"from": "09:00", "to": "24:00", "per_kwh": 0.3}]
    problem = problem_of(street(tariff={"bands": bands}), "tariff.bands")
    assert "08:00 to 09:00" in problem.message


def test_unknown_profile_of_a_stated_prosumer() -> None:
    scenario = street(prosumers={"list": [{"name": "anna", "profile": "H9"}]})
    assert "H0-A" in problem_of(scenario, "prosumers.list.0.profile").allowed


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda frame: frame.drop(index=14), "gap|missing|distance|interval"),
        (lambda frame: frame.assign(demand=frame["demand"].where(frame.index != 14)), "NaN|number|missing"),
        (lambda frame: frame.assign(time=frame["time"].dt.tz_localize(None)), "offset|zone"),
        (lambda frame: frame.iloc[:13], "end|cover"),
    ],
)
def test_profile_with_a_gap_nan_wrong_time_zone_or_too_short(tmp_path: Path, fault: Any, message: str) -> None:
    path = table(tmp_path, fault(pd.DataFrame({"time": HOURS, "demand": 0.5})))
    scenario = street(household={"source": {"kind": "file", "path": path, "column": "demand"}})
    (problem,) = check_scenario(scenario)
    assert problem.key.startswith("household.source")
    assert path in problem.message
    assert any(word in problem.message for word in message.split("|"))


def test_time_zone_stated_for_times_that_have_an_offset(tmp_path: Path) -> None:
    path = table(tmp_path, pd.DataFrame({"time": HOURS, "demand": 0.5}))
    source = {"kind": "file", "path": path, "column": "demand", "time_zone": "Europe/London"}
    assert problem_of(street(household={"source": source}), "household.source.time_zone").value == "Europe/London"


def test_weather_file_that_is_missing(tmp_path: Path) -> None:
    path = str(tmp_path / "sun.csv")
    assert path in problem_of(street(weather={"kind": "file", "path": path}), "weather.path").message


def test_departure_before_arrival(tmp_path: Path) -> None:
    row = {
        "prosumer": "anna",
        "arrival": "2016-06-15T18:00Z",
        "departure": "2016-06-15T07:00Z",
        "arrival_kwh": 20,
        "required_kwh": 40,
    }
    scenario = street(
        prosumers={"list": [{"name": "anna", "ev_capacity_kwh": 50}]},
        sessions={"kind": "file", "path": table(tmp_path, pd.DataFrame([row]))},
    )
    problem = problem_of(scenario, "sessions")
    assert "leaves before it comes" in problem.message


def test_problems_of_all_rooms_come_together_with_the_lines_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "grid: {network: street_12}\n"
        "prosumers: {count: 13}\n"
        "matching: {mechanism: k_double}\n"
        "household: {source: {kind: file, path: absent.csv}}\n"
        "weather:\n"
        "  kind: file\n"
        "  path: absent.csv\n",
        encoding="utf-8",
    )
    found = {(problem.key, problem.line) for problem in check_scenario(load_scenario(file))}
    assert found == {
        ("prosumers.count", 2),
        ("matching.mechanism", 3),
        ("household.source.path", 4),
        ("weather.path", 7),
    }
