import json

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from peers import networks

from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import (
    EUROPEAN_LV_AMPACITY_KA,
    SHIPPED,
    connection_points,
    ensure_zero_sequence,
    load_network,
    repeat_feeder,
    without_loads,
)
from feederloop.simulators.grid.powerflow import PowerFlow


@pytest.fixture(scope="module")
def european_lv():
    return load_network("european_lv")


@pytest.mark.parametrize(("name", "homes"), [("european_lv", 55), ("street_12", 12)])
def test_shipped_networks_have_single_phase_homes_and_no_gaps_in_their_data(name, homes):
    net = load_network(name)
    points = connection_points(net)
    assert len(points) == homes
    assert points["name"].is_unique
    assert points["name"].iloc[0] == "home_01"
    assert set(points["phase"]) == {"a", "b", "c"}
    assert points["bus"].isin(net.bus.index).all()
    assert net.line["max_i_ka"].notna().all()
    assert ensure_zero_sequence(net) == []


def test_european_lv_has_a_rating_for_each_of_its_cables(european_lv):
    assert set(european_lv.line["std_type"]) == set(EUROPEAN_LV_AMPACITY_KA)
    assert european_lv.line["max_i_ka"].nunique() == len(set(EUROPEAN_LV_AMPACITY_KA.values()))
    assert european_lv.trafo["mag0_percent"].tolist() == [1e6]


def test_source_voltage_is_the_networks_own_unless_given(european_lv):
    assert european_lv.ext_grid["vm_pu"].tolist() == pytest.approx([1.05])
    assert load_network("street_12").ext_grid["vm_pu"].tolist() == [1.0]
    assert load_network("street_12", source_v_pu=1.01).ext_grid["vm_pu"].tolist() == [1.01]


@pytest.mark.parametrize(("wrong", "near"), [("european-lv", "european_lv"), ("street12", "street_12")])
def test_near_miss_names_the_nearest(wrong, near):
    with pytest.raises(InputError, match=f"did you mean '{near}'") as caught:
        load_network(wrong)
    assert caught.value.value == wrong
    assert all(name in caught.value.allowed for name in SHIPPED)


@pytest.mark.parametrize("nowhere", ["zzz", "no/such/file.json", "", "/"])
def test_name_like_no_other_gets_no_hint(nowhere):
    with pytest.raises(InputError, match="no such network") as caught:
        load_network(nowhere)
    assert "did you mean" not in str(caught.value)


def test_own_network_is_read_from_json(tmp_path):
    path = tmp_path / "village.json"
    pp.to_json(networks.meshed(), str(path))
    net = load_network(path, source_v_pu=0.98)
    pd.testing.assert_frame_equal(connection_points(net), connection_points(networks.meshed()))
    assert net.ext_grid["vm_pu"].tolist() == [0.98]
    assert len(load_network(str(path), feeders=2).line) == 2 * len(net.line)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"bus": [', "pandapower cannot read this network"),
        ("", "pandapower cannot read this network"),
        (json.dumps({"a": 1}), "not a pandapower network"),
        (json.dumps([1, 2, 3]), "not a pandapower network"),
        ("3", "not a pandapower network"),
    ],
)
def test_file_that_is_no_network_is_named(tmp_path, content, message):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load_network(path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize("feeders", [0, -2])
def test_a_transformer_feeds_at_least_one_feeder(feeders):
    with pytest.raises(InputError, match="at least one feeder"):
        load_network("street_12", feeders=feeders)


def test_phases_of_connection_points():
    net = networks._substation(tap_pos=0)
    for powers in ({"p_b_mw": 0.1}, {"q_c_mvar": 0.1}, {"p_a_mw": 0.1, "p_b_mw": 0.1}):
        pp.create_asymmetric_load(net, 1, **powers)
    pp.create_load(net, 1, p_mw=0.1)
    points = connection_points(net)
    assert points["phase"].tolist() == ["b", "c", "abc", "abc"]
    assert points["name"].tolist() == ["home_01", "home_02", "home_03", "home_04"]


def test_without_loads_leaves_the_original_alone():
    net = networks.behind_medium_voltage_cable()
    bare = without_loads(net)
    assert (len(bare.load), len(bare.asymmetric_load)) == (0, 0)
    assert (len(net.load), len(net.asymmetric_load)) == (1, 1)


class TestRepeatFeeder:
    def test_counts_and_names(self, european_lv):
        one, three = european_lv, repeat_feeder(european_lv, 3)
        assert len(three.bus) == 2 + 3 * (len(one.bus) - 2)
        assert len(three.line) == 3 * len(one.line)
        assert len(three.trafo) == 1
        points = connection_points(three)
        assert len(points) == 165
        assert points["name"].is_unique
        assert points["bus"].is_unique
        assert three.bus.index.is_unique
        assert three.line.index.is_unique

    def test_load_on_one_copy_is_the_single_feeder_again(self):
        one, three = networks.behind_medium_voltage_cable(), repeat_feeder(networks.behind_medium_voltage_cable(), 3)
        points, repeated = connection_points(one), connection_points(three)
        assert sorted(repeated["phase"]) == sorted(list(points["phase"]) * 3)
        powers = pd.Series({"a": -3.0, "abc": 9.0})
        flow_one = PowerFlow(Feeder.from_network(one, points))
        flow_three = PowerFlow(Feeder.from_network(three, repeated))
        alone = flow_one.solve(powers[points["phase"]].to_numpy()[:, None], np.zeros((2, 1)))
        v_alone = flow_one.bus_voltages(alone.current)[:, :, 0]
        step = int(one.bus.index.max()) + 1
        for copy in range(3):
            on_copy = (repeated["bus"] // step == copy).to_numpy()
            p_kw = np.where(on_copy, powers[repeated["phase"]].to_numpy(), 0.0)[:, None]
            v = flow_three.bus_voltages(flow_three.solve(p_kw, 0.0 * p_kw).current)[:, :, 0]
            own = [int(bus) + (copy * step if bus not in (0, 1, 2) else 0) for bus in flow_one.feeder.buses]
            rows = pd.Index(flow_three.feeder.buses).get_indexer(own)
            assert (rows >= 0).all()
            np.testing.assert_allclose(v[rows], v_alone, atol=1e-5, rtol=0)

    def test_switches_are_repeated_with_their_lines_and_buses(self):
        net = networks.everything()
        step, lines = int(net.bus.index.max()) + 1, int(net.line.index.max()) + 1
        twice = repeat_feeder(net, 2)
        assert twice.switch["closed"].tolist() == net.switch["closed"].tolist() * 2
        for first, second in zip(net.switch.itertuples(), twice.switch.iloc[3:].itertuples(), strict=True):
            assert second.bus == first.bus + step
            assert second.element == first.element + (lines if first.et == "l" else step)

    def test_medium_voltage_side_stays_single(self):
        net = repeat_feeder(networks.behind_medium_voltage_cable(), 2)
        assert (net.bus["vn_kv"] > 1.0).sum() == 2
        assert len(net.line) == 1 + 2 * 4

    def test_exactly_one_transformer_is_needed(self):
        net = networks.meshed()
        pp.create_transformer_from_parameters(net, 0, 1, tap_pos=0, **networks.TRANSFORMER)
        with pytest.raises(InputError, match="exactly one transformer"):
            repeat_feeder(net, 2)


class TestEnsureZeroSequence:
    def test_what_is_missing_is_assumed_and_said(self):
        net = networks.meshed()
        net.line = net.line.drop(columns=["r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km"])
        net.trafo = net.trafo.drop(columns=["vk0_percent", "vkr0_percent", "mag0_percent", "vector_group"])
        net.ext_grid = net.ext_grid.drop(columns=["s_sc_max_mva", "rx_max", "x0x_max", "r0x0_max"])
        assumed = ensure_zero_sequence(net)
        assert len(assumed) == 3
        assert "r0 = 4 r1" in assumed[0]
        assert "Dyn" in assumed[1]
        assert "s_sc_max_mva = 200" in assumed[2]
        np.testing.assert_allclose(net.line["r0_ohm_per_km"], 4 * net.line["r_ohm_per_km"])
        np.testing.assert_allclose(net.line["x0_ohm_per_km"], net.line["x_ohm_per_km"])
        assert net.trafo["vk0_percent"].tolist() == net.trafo["vk_percent"].tolist()
        feeder = Feeder.from_network(net, connection_points(net))
        assert feeder.assumed == ()  # it is all there now

    def test_clock_numbers_of_standard_types_are_left_to_the_shift(self):
        net = networks.meshed()
        pp.create_transformer(net, 0, 1, std_type="0.4 MVA 10/0.4 kV")
        assert net.trafo["vector_group"].tolist()[-1] == "Dyn5"
        ensure_zero_sequence(net)
        assert net.trafo["vector_group"].tolist()[-1] == "Dyn"

    def test_one_missing_value_does_not_touch_the_others(self):
        net = networks.meshed()
        net.line.loc[1, "r0_ohm_per_km"] = np.nan
        before = net.line["r0_ohm_per_km"].copy()
        assert len(ensure_zero_sequence(net)) == 1
        assert net.line.at[1, "r0_ohm_per_km"] == pytest.approx(4 * net.line.at[1, "r_ohm_per_km"])
        pd.testing.assert_series_equal(net.line["r0_ohm_per_km"].drop(1), before.drop(1))
        assert net.line["x0_ohm_per_km"].unique().tolist() == [networks.MAINS["x0_ohm_per_km"]]

    def test_a_vector_group_that_is_given_is_not_assumed(self):
        net = networks.meshed()
        net.trafo["vk0_percent"] = np.nan
        assert ensure_zero_sequence(net) == ["transformers lack zero-sequence data: assumed vk0 = vk"]

    def test_a_charging_line_without_zero_sequence_capacitance_is_told(self):
        net = networks.everything()
        net.line["c0_nf_per_km"] = np.nan
        assert ensure_zero_sequence(net) == ["lines have no zero-sequence capacitance: assumed c0 = c"]

    def test_an_external_grid_out_of_service_may_lack_data(self):
        net = networks.meshed()
        net.ext_grid = pd.concat([net.ext_grid, net.ext_grid.assign(in_service=False, s_sc_max_mva=np.nan)])
        assert ensure_zero_sequence(net) == []

    def test_feeder_reports_what_it_assumed(self):
        net = networks.meshed()
        net.line["r0_ohm_per_km"] = np.nan
        assert len(Feeder.from_network(net, connection_points(net)).assumed) == 1
        assert net.line["r0_ohm_per_km"].isna().all()  # the user's network is left alone


class TestCheckElements:
    @pytest.mark.parametrize(
        ("table", "column", "value"),
        [
            ("line", "length_km", 0.0),
            ("line", "max_i_ka", 0.0),
            ("line", "max_i_ka", -0.2),
            ("line", "x_ohm_per_km", np.nan),
            ("trafo", "sn_mva", np.nan),
            ("trafo", "vkr_percent", np.nan),
            ("trafo", "vector_group", "Yyn"),
            ("trafo", "vector_group", "Dd"),
        ],
    )
    def test_what_no_element_has_is_named(self, table, column, value):
        net = networks.meshed()
        net[table].loc[0, column] = value
        with pytest.raises(InputError) as caught:
            Feeder.from_network(net, connection_points(net))
        assert caught.value.key == f"{table} 0.{column}"
        assert caught.value.value == pytest.approx(value, nan_ok=True)

    def test_a_line_without_ampacity_or_out_of_service_is_fine(self):
        net = networks.everything()
        net.line.loc[0, "max_i_ka"] = np.nan
        net.line.loc[~net.line["in_service"], "max_i_ka"] = 0.0
        assert np.isinf(Feeder.from_network(net, connection_points(net)).branches.rating_a).any()

    def test_what_pandapower_lacks_is_named(self):
        net = networks.meshed()
        pp.create_impedance(net, 2, 3, rft_pu=0.01, xft_pu=0.01, sn_mva=0.1)
        with pytest.raises(InputError, match="needs: 'rft0_pu'"):
            Feeder.from_network(net, connection_points(net))
