"""Constant limits on the clock."""

from feederloop.simulators.static_limits.simulator import StaticLimitsSimulator


def test_limits_are_the_lower_of_what_is_set_and_what_was_agreed() -> None:
    simulator = StaticLimitsSimulator()
    simulator.init("static_limits", interval_s=1800, horizon=3, export_kw=1.5, import_kw=5.0)
    sites = [
        {"name": "large", "export_cap_kw": 10, "import_cap_kw": 14},
        {"name": "small", "export_cap_kw": 1, "import_cap_kw": 4},
    ]
    simulator.create(2, "ConnectionPoint", sites=sites)
    assert simulator.step(0, {}, 0) == 1800
    answer = simulator.get_data({name: ["export_limit_kw", "import_limit_kw"] for name in ("large", "small")})
    assert answer["large"] == {"export_limit_kw": [1.5] * 3, "import_limit_kw": [5.0] * 3}
    assert answer["small"] == {"export_limit_kw": [1.0] * 3, "import_limit_kw": [4.0] * 3}
    answer["large"]["export_limit_kw"].clear()
    assert simulator.get_data({"large": ["export_limit_kw"]})["large"]["export_limit_kw"] == [1.5] * 3
