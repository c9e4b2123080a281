"""Every figure of the summary against numbers worked out by hand."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feederloop.coupling.metrics import GROUPS, RunFacts, compute, summarise
from feederloop.coupling.metrics.tables import gini, jain
from feederloop.coupling.watch import SimulatorTiming

FACTS = RunFacts(step_s=300, interval_s=1800)
REQUIRED = {
    "voltage": ["max_v", "min_v", "customer_violation_share"],
    "congestion": ["max_line_loading_percent", "max_transformer_loading_percent"],
    "phase_imbalance": ["max_vuf_percent"],
    "energy_imbalance": ["share_of_traded"],
    "market": ["traded_kwh"],
    "price": ["mean_per_kwh", "std_per_kwh"],
    "cost": ["total"],
    "ev": ["energy_not_served_share"],
    "pv": ["curtailed_share"],
    "envelope": ["breach_share"],
}


def times(count, step_s=300):
    return pd.date_range("2016-06-15T11:00", periods=count, freq=f"{step_s}s", tz="UTC")


def points(**columns):
    """A connection_point table from lists per prosumer: points(v_v={"a": [...], "b": [...]})."""
    first = next(iter(columns.values()))
    frames = []
    for prosumer in first:
        frame = pd.DataFrame({"time": times(len(first[prosumer])), "prosumer": prosumer})
        for name in ("p_kw", "household_p_kw", "pv_p_kw", "pv_available_kw", "ev_p_kw", "export_limit_kw",
                     "import_limit_kw", "v_v"):  # fmt: skip
            frame[name] = np.array(columns.get(name, {}).get(prosumer, [math.nan] * len(frame)), dtype=float)
        frames.append(frame)
    return {"connection_point": pd.concat(frames, ignore_index=True)}


def figures(group, tables, facts=FACTS):
    return GROUPS[group](tables, facts)


def test_the_promised_names_are_there():
    summary = summarise({}, FACTS)
    assert {group: [name for name in names if name in summary[group]] for group, names in REQUIRED.items()} == REQUIRED


def test_without_tables_every_figure_is_null():
    assert {value for group in summarise({}, FACTS).values() for value in group.values()} == {None}


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("connection_point", ["time", "prosumer", "p_kw", "v_v", "pv_p_kw", "pv_available_kw", "ev_p_kw"]),
        ("settlement", ["interval_start", "prosumer", "meter_kwh", "traded_kwh", "position_kwh", "total_money"]),
        ("market", ["interval_start", "price_per_kwh", "volume_kwh"]),
        ("ev_session", ["prosumer", "arrival_kwh", "required_kwh", "not_served_kwh"]),
        ("grid_bus", ["time", "bus", "v_a_v", "v_b_v", "v_c_v", "vuf_percent"]),
    ],
)
def test_an_empty_table_is_no_table(table, columns):
    assert summarise({table: pd.DataFrame(columns=columns)}, FACTS) == summarise({}, FACTS)


def test_voltage_takes_means_of_five_and_ten_minutes_per_customer():
    # 10-min means: a 230, 250; b 255, 230
    group = figures("voltage", points(v_v={"a": [220, 240, 250, 250], "b": [250, 260, 230, 230]}))
    assert (group["min_v"], group["max_v"]) == (220, 260)
    assert (group["min_10min_v"], group["max_10min_v"]) == (230, 255)
    assert group["customer_violation_share"] == 0.5
    assert group["customer_violation_share_as_60038"] == 0.5
    assert group["customer_violation_share_0_95_to_1_05_pu"] == 1.0
    assert group["violation_vh"] == pytest.approx(2.0 / 6.0)


def test_steps_below_five_minutes_are_averaged():
    table = pd.DataFrame({"time": times(5, 60), "prosumer": "a", "v_v": [230.0, 230.0, 230.0, 230.0, 280.0]})
    group = figures("voltage", {"connection_point": table}, RunFacts(step_s=60, interval_s=1800))
    assert group["max_v"] == 240


def test_the_limits_of_the_scenario_decide_who_is_violated():
    facts = RunFacts(step_s=300, interval_s=1800, voltage_range_v=(225.0, 235.0))
    assert figures("voltage", points(v_v={"a": [240, 240], "b": [230, 230]}), facts)["customer_violation_share"] == 0.5


@pytest.mark.parametrize(("bad", "expected"), [(1, 0.0), (2, 1.0)])
def test_en_50160_forgives_a_twentieth_of_the_means(bad, expected):
    volts = [206.0] * (2 * bad) + [230.0] * (2 * (30 - bad))
    group = figures("voltage", points(v_v={"a": volts}))
    assert group["customer_violation_share_en_50160"] == expected


def test_en_50160_never_allows_more_than_a_tenth_above():
    group = figures("voltage", points(v_v={"a": [253.1, 253.1] + [230.0] * 198}))
    assert group["customer_violation_share_en_50160"] == 1.0


def test_bus_voltages_leave_out_the_supplying_network_and_missing_phases():
    buses = pd.DataFrame(
        {
            "time": times(1).repeat(3),
            "bus": [0, 1, 2],
            "v_a_v": [6350.0, 231.0, 229.0],
            "v_b_v": [6350.0, 233.0, math.nan],
            "v_c_v": [6350.0, 228.0, math.nan],
            "vuf_percent": [0.0, 1.0, math.nan],
        }
    )
    group = figures("voltage", {"grid_bus": buses})
    assert (group["bus_min_v"], group["bus_max_v"]) == (228.0, 233.0)


def test_congestion_takes_the_worst_phase_and_counts_hours_once():
    branches = pd.DataFrame(
        {
            "time": times(2).repeat(3),
            "branch": ["line 0", "line 1", "trafo 0"] * 2,
            "loading_a_percent": [10.0, 20.0, 101.0, 10.0, 20.0, 30.0],
            "loading_b_percent": [120.0, 110.0, 20.0, 10.0, 20.0, 30.0],
            "loading_c_percent": [10.0, 20.0, 30.0, 10.0, 20.0, 30.0],
        }
    )
    group = figures("congestion", {"grid_branch": branches})
    assert (group["max_line_loading_percent"], group["max_transformer_loading_percent"]) == (120.0, 101.0)
    assert group["overload_hours"] == pytest.approx(1 / 12)
    assert group["line_overload_hours"] == pytest.approx(2 / 12)
    assert group["transformer_overload_hours"] == pytest.approx(1 / 12)


def test_a_network_without_transformer_has_no_transformer_loading():
    branches = pd.DataFrame({"time": times(1), "branch": "line 0", **{f"loading_{p}_percent": 5.0 for p in "abc"}})
    group = figures("congestion", {"grid_branch": branches})
    assert group["max_transformer_loading_percent"] is None
    assert group["line_overload_hours"] == 0.0


def test_losses_are_compared_with_all_that_is_fed_in():
    # step 1: the source feeds 9, a feeds 1; step 2: a feeds 10, of which 8 go to the source
    grid = pd.DataFrame({"time": times(2), "losses_kw": [1.0, 1.0], "p_source_kw": [9.0, -8.0]})
    tables = {"grid": grid, **points(p_kw={"a": [1.0, 10.0], "b": [-9.0, -1.0]})}
    group = figures("congestion", tables)
    assert group["losses_kwh"] == pytest.approx(2 / 12)
    assert group["losses_share"] == pytest.approx(2 / 20)


def test_phase_imbalance_counts_ten_minute_means():
    buses = pd.DataFrame(
        {"time": list(times(4)) * 2, "bus": [1] * 4 + [2] * 4, "vuf_percent": [1, 2.5, 2, 3] + [1] * 4}
    )
    group = figures("phase_imbalance", {"grid_bus": buses})
    assert group["max_vuf_percent"] == 3.0
    assert group["share_above_2_percent"] == 0.25
    assert group["worst_bus_share_above_2_percent"] == 0.5


def settlement(**columns):
    count = len(next(iter(columns.values())))
    frame = {"interval_start": times(1).repeat(count), "prosumer": [f"p{i}" for i in range(count)]}
    names = ("meter_kwh", "traded_kwh", "position_kwh", "imbalance_kwh", "total_money")
    return {"settlement": pd.DataFrame({**frame, **{name: [math.nan] * count for name in names}, **columns})}


def test_energy_imbalance_relates_deviations_to_what_was_agreed():
    tables = settlement(
        traded_kwh=[2.0, -2.0, 0.0],
        imbalance_kwh=[-0.5, 0.25, 0.0],
        meter_kwh=[1.5, -1.0, -3.0],
        position_kwh=[2.0, -2.0, -4.0],
    )
    group = figures("energy_imbalance", tables)
    assert group["imbalance_kwh"] == 0.75
    assert group["share_of_traded"] == 0.375
    assert group["position_error_share"] == pytest.approx(2.5 / 8)


def test_nothing_traded_gives_no_share():
    group = figures("energy_imbalance", settlement(traded_kwh=[0.0, 0.0], imbalance_kwh=[0.0, 0.0]))
    assert group["imbalance_kwh"] == 0.0
    assert group["share_of_traded"] is None


def cleared(prices, volumes):
    frame = pd.DataFrame({"interval_start": times(len(prices), 1800), "price_per_kwh": prices, "volume_kwh": volumes})
    return {"market": frame.assign(offered_kwh=5.0, wanted_kwh=4.0)}


def test_market_counts_energy_and_intervals():
    tables = cleared([0.1, math.nan, 0.2], [3.0, 0.0, 1.0]) | settlement(
        meter_kwh=[3.0, -2.0, -2.0], traded_kwh=[3.0, -2.5, -0.5]
    )
    group = figures("market", tables)
    assert (group["traded_kwh"], group["offered_kwh"], group["wanted_kwh"]) == (4.0, 15.0, 12.0)
    assert (group["intervals"], group["intervals_without_trade"]) == (3, 1)
    assert group["local_share"] == pytest.approx((2.0 + 0.5) / 4.0)


def test_a_market_without_trade_has_traded_nothing_and_has_no_price():
    tables = cleared([math.nan, math.nan], [0.0, 0.0])
    assert figures("market", tables)["traded_kwh"] == 0.0
    assert set(figures("price", tables).values()) == {None}


def test_price_is_weighted_with_volume():
    group = figures("price", cleared([0.1, math.nan, 0.2, 0.3], [3.0, 0.0, 1.0, 0.0]))
    assert group["mean_per_kwh"] == pytest.approx(0.125)
    assert group["std_per_kwh"] == pytest.approx(math.sqrt((3 * 0.025**2 + 0.075**2) / 4))
    assert (group["min_per_kwh"], group["max_per_kwh"]) == (0.1, 0.2)
    assert group["mean_abs_change_per_kwh"] == pytest.approx(0.1)


def test_one_trade_has_a_price_that_does_not_vary():
    group = figures("price", cleared([0.1], [3.0]))
    assert group["std_per_kwh"] == pytest.approx(0.0, abs=1e-12)
    assert group["mean_abs_change_per_kwh"] is None


PEOPLE = pd.DataFrame(
    {
        "prosumer": ["p0", "p1", "p2", "p3"],
        "pv_kwp": [4.0, 2.0, 0.0, 0.0],
        "ev_capacity_kwh": [40.0, 0.0, 50.0, 0.0],
    }
)


def test_cost_adds_up_and_is_split_by_devices():
    tables = settlement(total_money=[1.0, 2.0, 3.0, 6.0], retail_money=[1.0, 1.0, 1.0, 1.0]) | {"prosumer": PEOPLE}
    group = figures("cost", tables)
    assert (group["total"], group["mean"], group["median"], group["min"], group["max"]) == (12.0, 3.0, 2.5, 1.0, 6.0)
    assert group["retail"] == 4.0
    assert [group[f"mean_{owner}"] for owner in ("pv_and_ev", "pv_only", "ev_only", "no_device")] == [
        1.0,
        2.0,
        3.0,
        6.0,
    ]


def test_fairness_relates_export_limits_to_what_is_installed():
    envelopes = pd.DataFrame(
        {
            "prosumer": ["p0", "p1", "p2"] * 2,
            "export_limit_kw": [4.0, 2.0, 9.0] * 2,
            "import_limit_kw": [1.0, 1.0, 4.0] * 2,
        }
    )
    group = figures("fairness", {"envelope": envelopes, "prosumer": PEOPLE})
    assert (group["export_jain"], group["export_gini"], group["export_min_to_mean"]) == (1.0, 0.0, 1.0)
    assert group["import_jain"] == pytest.approx(36 / (3 * 18))
    assert group["import_gini"] == pytest.approx(1 / 3)
    assert group["import_min_to_mean"] == 0.5
    assert group["cost_range"] is None


def test_cost_gini_is_null_where_somebody_earns():
    assert figures("fairness", settlement(total_money=[-1.0, 5.0]))["cost_gini"] is None
    group = figures("fairness", settlement(total_money=[1.0, 3.0]))
    assert group["cost_gini"] == pytest.approx(0.25)
    assert group["cost_range"] == 2.0


def test_ev_compares_what_was_missing_with_what_was_needed():
    sessions = pd.DataFrame(
        {
            "prosumer": ["p0", "p0", "p2"],
            "arrival_kwh": [10.0, 30.0, 20.0],
            "required_kwh": [30.0, 20.0, 40.0],
            "not_served_kwh": [0.5, 0.0, 3.5],
        }
    )
    chargers = pd.DataFrame({"time": times(2), "prosumer": "p0", "p_kw": [-6.0, 3.0]})
    group = figures("ev", {"ev_session": sessions, "ev": chargers, "prosumer": PEOPLE})
    assert (group["sessions"], group["energy_required_kwh"], group["energy_not_served_kwh"]) == (3, 40.0, 4.0)
    assert group["energy_not_served_share"] == pytest.approx(0.1)
    assert group["departures_short_share"] == pytest.approx(1 / 3)
    assert (group["charged_kwh"], group["discharged_kwh"]) == (0.5, 0.25)
    assert group["cycles"] == pytest.approx(0.75 / 80)


def test_pv_compares_what_was_produced_with_what_was_there():
    tables = points(pv_available_kw={"a": [4.0, 4.0], "b": [math.nan] * 2}, pv_p_kw={"a": [4.0, 2.0]})
    group = figures("pv", tables)
    assert group["available_kwh"] == pytest.approx(8 / 12)
    assert group["curtailed_share"] == pytest.approx(0.25)


def test_nobody_with_pv_or_in_darkness_has_no_curtailed_share():
    assert figures("pv", points(p_kw={"a": [1.0]}))["curtailed_share"] is None
    dark = points(pv_available_kw={"a": [0.0]}, pv_p_kw={"a": [0.0]})
    assert figures("pv", dark)["curtailed_share"] is None
    assert figures("pv", dark)["produced_kwh"] == 0.0


def test_own_use_is_counted_behind_each_connection_point_and_on_the_feeder():
    tables = points(
        p_kw={"a": [3.0], "b": [-3.0]},
        household_p_kw={"a": [-1.0], "b": [-1.0]},
        pv_p_kw={"a": [4.0], "b": [math.nan]},
        ev_p_kw={"a": [math.nan], "b": [-2.0]},
    )
    group = figures("energy", tables)
    assert group["self_consumption"] == 0.25
    assert group["self_sufficiency"] == 0.25
    assert group["feeder_self_consumption"] == 1.0
    assert group["feeder_self_sufficiency"] == 1.0
    assert group["exported_kwh"] == group["imported_kwh"] == pytest.approx(0.25)


def test_envelope_breaches_need_more_than_the_tolerance():
    tables = points(
        p_kw={"a": [5.09, 5.5, -3.0, 0.0], "b": [9.0] * 4, "c": [10.15, 10.3, 0.0, 0.0]},
        export_limit_kw={"a": [5.0] * 4, "c": [10.0] * 4},
        import_limit_kw={"a": [2.0] * 4, "c": [10.0] * 4},
    )
    group = figures("envelope", tables)
    assert group["breach_share"] == pytest.approx(3 / 8)
    assert group["breach_kwh"] == pytest.approx((0.5 + 1.0 + 0.3) / 12)
    assert group["export_limit_kwh_per_day"] == pytest.approx(15 * 24)
    assert group["export_utilisation"] == pytest.approx((5.09 + 5.5 + 10.15 + 10.3) / 60)
    assert group["import_utilisation"] == pytest.approx(3.0 / 48)


def test_breaches_are_judged_by_five_minute_means():
    table = pd.DataFrame({"time": times(5, 60), "prosumer": "a", "p_kw": [9.0, 4.0, 4.0, 4.0, 4.0]})
    table = table.assign(export_limit_kw=5.0, import_limit_kw=5.0)
    group = figures("envelope", {"connection_point": table}, RunFacts(step_s=60, interval_s=1800))
    assert group["breach_share"] == 0.0


def test_compute_sums_the_simulators():
    timings = {"grid": SimulatorTiming(10, 2.0, 0.5, 0.25, 10), "pv": SimulatorTiming(10, 1.0, 0.2, 0.25)}
    group = compute(5.0, timings)
    assert (group["wall_s"], group["simulator_s"], group["steps"]) == (5.0, 3.5, 20)
    assert group["simulators"]["grid"]["max_step_s"] == 0.5
    assert (group["power_flows"], group["simulators"]["pv"]["power_flows"]) == (10, None)
    assert group["max_rss_mb"] > 10


def test_figures_are_plain_numbers_that_json_can_hold():
    tables = {
        **points(p_kw={"a": [1.0, -1.0]}, v_v={"a": [230.0, math.nan]}, household_p_kw={"a": [-1.0, -1.0]}),
        **settlement(traded_kwh=[0.0], total_money=[1.0], imbalance_kwh=[0.0]),
        **cleared([math.nan], [0.0]),
        "prosumer": PEOPLE,
    }
    summary = summarise(tables, FACTS)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


POSITIVE = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=30).map(np.array)


@given(POSITIVE, st.floats(0.1, 1000))
def test_evenness_does_not_depend_on_the_unit_and_keeps_its_bounds(values, factor):
    assert jain(values * factor) == pytest.approx(jain(values))
    assert gini(values * factor) == pytest.approx(gini(values), abs=1e-9)
    assert 1 / len(values) - 1e-9 <= jain(values) <= 1 + 1e-9
    assert -1e-9 <= gini(values) <= 1 - 1 / len(values) + 1e-9


@given(POSITIVE)
def test_gini_is_half_the_relative_mean_difference(values):
    expected = np.abs(values[:, None] - values[None, :]).sum() / (2 * len(values) ** 2 * values.mean())
    assert gini(values) == pytest.approx(expected, abs=1e-9)


@given(st.floats(0.01, 1e6), st.integers(1, 20))
def test_all_the_same_is_perfectly_even(value, count):
    assert jain(np.full(count, value)) == pytest.approx(1.0)
    assert gini(np.full(count, value)) == pytest.approx(0.0, abs=1e-12)


def test_prices_spread_only_where_sellers_get_different_ones():
    start = times(2, 1800)
    trades = pd.DataFrame({
        "interval_start": [start[0]] * 3 + [start[1]] * 3,
        "traded_kwh": [1.0, 3.0, -4.0, 2.0, 2.0, -4.0],
        "price_per_kwh": [0.10, 0.20, 0.175, 0.15, 0.15, 0.15],
    })  # fmt: skip
    cleared = pd.DataFrame({"interval_start": start, "price_per_kwh": [0.175, 0.15], "volume_kwh": [4.0, 4.0]})
    # First interval: mean 0.175, variance (0.075^2 + 3 * 0.025^2) / 4; second none; both weigh 4 kWh.
    expected = math.sqrt((0.075**2 + 3 * 0.025**2) / 4) / 2
    assert figures("price", {"market": cleared, "trades": trades})["dispersion_per_kwh"] == pytest.approx(expected)


def test_equal_powers_on_all_phases_leave_no_neutral_current():
    tables = points(p_kw={"x": [1.0, 3.0], "y": [1.0, 0.0], "z": [1.0, 0.0]})
    tables["connection_point"]["q_kvar"] = 0.0
    tables["prosumer"] = pd.DataFrame({"prosumer": ["x", "y", "z"], "phase": ["a", "b", "c"]})
    # Balanced in the first step; in the second all of it is on one phase.
    share = figures("phase_imbalance", tables)["neutral_current_share"]
    assert share == pytest.approx(3.0 / (3.0 + 3.0))


def test_the_time_of_an_interval_is_from_its_start_to_the_next():
    began_at = {0: 10.0, 300: 10.5, 1800: 11.0, 3600: 13.0, 5400: 14.0}
    found = compute(5.0, {}, began_at, 1800)
    assert (found["interval_p50_s"], found["interval_p95_s"]) == (pytest.approx(1.0), pytest.approx(1.9))
    assert compute(5.0, {})["interval_p50_s"] is None
