"""Who is drawn to live at the connection points."""

import json
from typing import Any

import pandas as pd
import pytest

from feederloop.coupling.population import Site, draw_population
from feederloop.coupling.scenario import ScenarioError, scenario_from


def points(count: int, phases: str = "abc") -> pd.DataFrame:
    rows = [(f"home_{i + 1:02d}", 10 + i, phases[i % len(phases)]) for i in range(count)]
    return pd.DataFrame(rows, columns=["name", "bus", "phase"])


def drawn(homes: int = 55, table: pd.DataFrame | None = None, seed: int = 1, **prosumers: Any) -> list[Site]:
    scenario = scenario_from({"seed": seed, "prosumers": prosumers})
    return draw_population(scenario, points(homes) if table is None else table)


def test_one_prosumer_lives_at_each_connection_point() -> None:
    sites = drawn(55)
    assert [(site.name, site.bus, site.phase) for site in sites] == list(points(55).itertuples(index=False, name=None))


@pytest.mark.parametrize(("share", "number"), [(0.6, 33), (0.0, 0), (1.0, 55), (0.5, 28)])
def test_shares_are_exact(share: float, number: int) -> None:
    sites = drawn(55, pv={"share": share}, ev={"share": share})
    assert sum(site.has_pv for site in sites) == number
    assert sum(site.has_ev for site in sites) == number


def test_v2g_share_is_of_the_homes_with_an_ev() -> None:
    sites = drawn(55, ev={"share": 0.6, "v2g_share": 0.4})
    discharging = [site for site in sites if site.ev_discharge_kw > 0]
    assert len(discharging) == 13
    assert all(site.has_ev and 5 <= site.ev_discharge_kw <= 7 for site in discharging)


def test_more_pv_adds_roofs_and_leaves_all_else() -> None:
    few, many = drawn(pv={"share": 0.2}), drawn(pv={"share": 0.8})
    pv_keys = {"pv_kwp", "pv_tilt_deg", "pv_azimuth_deg", "inverter_kva"}
    for before, after in zip(few, many, strict=True):
        same = {key for key, value in before.as_dict().items() if after.as_dict()[key] == value}
        assert same >= set(before.as_dict()) - pv_keys
        assert not before.has_pv or before == after


def test_seed_decides_everything() -> None:
    assert drawn(seed=3) == drawn(seed=3)
    assert drawn(seed=3) != drawn(seed=4)


def test_draws_stay_within_what_is_stated() -> None:
    for site in drawn(annual_kwh={"median": 3100, "spread": 2.0, "limits": [2000, 4000]}):
        assert 2000 <= site.annual_kwh <= 4000
        assert site.pv_kwp == 0 or 3 <= site.pv_kwp <= 6
        assert site.inverter_kva == site.pv_kwp
        assert site.ev_capacity_kwh == 0 or 40 <= site.ev_capacity_kwh <= 60
        assert site.ev_charge_kw in (0.0, 3.68, 7.36)
        assert site.charger_min_kw == (1.38 if site.has_ev else 0.0)


def test_median_of_yearly_demand_is_the_stated_one() -> None:
    annual = sorted(site.annual_kwh for site in drawn(400, annual_kwh={"limits": [100, 100000]}))
    assert annual[200] == pytest.approx(3100, rel=0.1)
    assert annual[100] == pytest.approx(2000, rel=0.15)


def test_homes_without_spread_are_alike() -> None:
    assert {site.annual_kwh for site in drawn(5, annual_kwh={"spread": 0})} == {3100.0}


def test_three_phase_chargers_come_with_three_phase_connections() -> None:
    sites = drawn(55, ev={"share": 0.6, "three_phase_share": 1 / 3})
    three = [site for site in sites if site.phase == "abc"]
    assert len(three) == 11
    for site in three:
        assert (site.ev_charge_kw, site.import_cap_kw, site.export_cap_kw) == (11.0, 42.0, 30.0)
        assert site.charger_min_kw == pytest.approx(4.14)
    assert all(site.import_cap_kw == 14 for site in sites if site.phase != "abc")


def test_three_phase_points_of_the_network_count_towards_the_share() -> None:
    table = points(10)
    table["phase"] = "abc"
    assert {site.ev_charge_kw for site in drawn(table=table, ev={"share": 1.0})} == {11.0}


def test_fewer_prosumers_than_points_keep_the_order_of_the_network() -> None:
    sites = drawn(20, count=7)
    assert len(sites) == 7
    assert [site.bus for site in sites] == sorted(site.bus for site in sites)
    assert {site.name for site in sites} < {site.name for site in drawn(20, count=8)}


@pytest.mark.parametrize("prosumers", [{"count": 13}, {"list": [{}] * 13}])
def test_more_prosumers_than_connection_points(prosumers: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError, match=r"more prosumers \(13\) than connection points \(12\)"):
        drawn(12, **prosumers)


def test_stated_prosumers_are_the_whole_population() -> None:
    stated = [
        {"name": "anna", "bus": 12, "pv_kwp": 4.0, "pv_tilt_deg": 30, "profile": "H0-A", "annual_kwh": 2500},
        {"ev_capacity_kwh": 50, "ev_discharge_kw": 6, "ev_charge_kw": 7},
        {"bus": 99, "phase": "c"},
    ]
    anna, second, third = drawn(5, list=stated)
    assert (anna.name, anna.bus, anna.phase, anna.profile, anna.annual_kwh) == ("anna", 12, "c", "H0-A", 2500)
    assert (anna.pv_kwp, anna.pv_tilt_deg, anna.inverter_kva, anna.has_ev) == (4.0, 30, 4.0, False)
    assert 90 <= anna.pv_azimuth_deg <= 270
    assert (second.name, second.bus, second.ev_charge_kw, second.ev_discharge_kw) == ("home_01", 10, 7, 6)
    assert (third.name, third.bus, third.phase, third.has_pv) == ("bus_99_c", 99, "c", False)


def test_stated_name_that_another_prosumer_has() -> None:
    with pytest.raises(ScenarioError, match="is the name of another prosumer"):
        drawn(5, list=[{}, {"name": "home_01", "bus": 12}])


def test_stated_bus_without_connection_point_needs_a_phase() -> None:
    with pytest.raises(ScenarioError, match="no connection point at bus 99"):
        drawn(5, list=[{"bus": 99}])


def test_names_of_the_network_become_entity_ids() -> None:
    table = points(2)
    table["name"] = ["Load 1.a", "Load/2"]
    assert [site.name for site in drawn(table=table)] == ["Load_1_a", "Load_2"]
    table["name"] = ["x y", "x.y"]
    assert [site.name for site in drawn(table=table)] == ["home_01", "home_02"]


def test_dictionary_travels_as_json() -> None:
    site = drawn(3)[0]
    assert json.loads(json.dumps(site.as_dict())) == site.as_dict()
