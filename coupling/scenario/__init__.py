"""The scenario of a run: read it, check it, write it back."""

from typing import TYPE_CHECKING

from feederloop.coupling.lazily import lazily

if TYPE_CHECKING:
    from feederloop.coupling.scenario.check import check_scenario
    from feederloop.coupling.scenario.load import find_scenario, load_scenario, scenario_from, shipped_scenarios
    from feederloop.coupling.scenario.model import Scenario, scenario_schema
    from feederloop.coupling.scenario.problems import Problem, ScenarioError

__all__ = [
    "Problem",
    "Scenario",
    "ScenarioError",
    "check_scenario",
    "find_scenario",
    "load_scenario",
    "scenario_from",
    "scenario_schema",
    "shipped_scenarios",
]

_LOAD = ("find_scenario", "load_scenario", "scenario_from", "shipped_scenarios")
__getattr__ = lazily(
    __name__,
    {
        "check_scenario": "check",
        **dict.fromkeys(_LOAD, "load"),
        **dict.fromkeys(("Scenario", "scenario_schema"), "model"),
        **dict.fromkeys(("Problem", "ScenarioError"), "problems"),
    },
)
