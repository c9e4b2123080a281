"""Envelopes without a scenario, as a user works with them: files in, files and words out."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from feederloop.coupling import cli, envelopes
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network, street_12
from feederloop.simulators.grid.powerflow import PowerFlow

Command = Callable[..., int]


@pytest.fixture
def feederloop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["feederloop", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0)

    return command


def street_points(**columns: Any) -> pd.DataFrame:
    """The street's 12 homes, all with caps but the first and the seventh."""
    points = connection_points(street_12()).rename(columns={"name": "connection_point"})
    points = points.assign(p_kw=-0.6, q_kvar=-0.1, export_cap_kw=12.0, import_cap_kw=14.0)
    points.loc[[0, 6], ["export_cap_kw", "import_cap_kw"]] = np.nan
    return points.assign(**columns)


def outlook(intervals: int) -> pd.DataFrame:
    starts = pd.date_range("2016-06-15T10:00:00+00:00", periods=intervals, freq="30min")
    return pd.concat(
        [street_points(interval_start=start.isoformat(), p_kw=-0.3 * (k + 1)) for k, start in enumerate(starts)]
    )


@pytest.fixture
def points(tmp_path: Path) -> Path:
    file = tmp_path / "points.csv"
    street_points().to_csv(file, index=False)
    return file


def test_published_envelopes_are_proven_and_pass_the_check(
    feederloop: Command, points: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert feederloop("envelope", "street_12", points, "--out", "out") == 0
    shown = capsys.readouterr().out
    for text in ("certified", "home_02", "out/envelopes.csv", "out/certificate.json"):
        assert text in shown
    table = pd.read_csv("out/envelopes.csv")
    assert list(table.columns) == ["interval_start", "connection_point", "export_limit_kw", "import_limit_kw"]
    assert table["connection_point"].tolist() == [f"home_{k:02d}" for k in (2, 3, 4, 5, 6, 8, 9, 10, 11, 12)]
    assert table["export_limit_kw"].between(0.5, 12.0).all()
    assert table["import_limit_kw"].between(0.5, 14.0).all()
    facts = json.loads(Path("out/certificate.json").read_text(encoding="utf-8"))
    (interval,) = facts["intervals"]
    assert facts["certified"] is interval["certified"] is True
    assert (facts["limits"]["v_min_v"], facts["limits"]["v_max_v"]) == (216.2, 253.0)
    assert 216.2 <= interval["v_min_v"] < interval["v_max_v"] <= 253.0
    assert interval["v_max_at"]["phase"] in "abc"
    assert interval["v_max_at"]["bus"] in street_12().bus.index
    assert 0 < interval["loading_max_percent"] <= 100.0
    assert interval["loading_max_at"]["element"].split()[0] in ("line", "trafo")
    for key in ("looseness_v", "rows", "corners", "seconds"):
        assert interval[key] >= 0
    assert feederloop("envelope", "check", "street_12", points, "out/envelopes.csv") == 0
    assert "certified: every use within these envelopes keeps the limits" in capsys.readouterr().out


def test_the_check_refutes_what_only_the_corners_were_checked_of(
    feederloop: Command, points: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corner = ("envelope", "street_12", points, "--out", "out", "--safety", "corner", "--rule", "equal")
    assert feederloop(*corner) == 0
    assert "not safe" in capsys.readouterr().out
    assert json.loads(Path("out/certificate.json").read_text(encoding="utf-8"))["certified"] is False
    assert feederloop("envelope", "check", "street_12", points, "out/envelopes.csv", "--out", "out") == 1
    shown = capsys.readouterr().out
    violation = json.loads(Path("out/verdict.json").read_text(encoding="utf-8"))["intervals"][0]["violations"][0]
    limits = pd.read_csv("out/envelopes.csv").set_index("connection_point")
    p_kw = pd.Series(violation["p_kw"])
    for name, row in limits.iterrows():
        assert -row["import_limit_kw"] <= p_kw[name] <= row["export_limit_kw"]
    assert p_kw[["home_01", "home_07"]].eq(-0.6).all()
    # The corner is what it says on a power flow made anew.
    net = load_network("street_12")
    power_flow = PowerFlow(Feeder.from_network(net, connection_points(net)))
    q_kvar = pd.Series(violation["q_kvar"])
    solution = power_flow.solve(p_kw.to_numpy()[:, None], q_kvar.to_numpy()[:, None])
    place = power_flow.feeder.buses.tolist().index(violation["bus"])
    exact_v = np.abs(power_flow.bus_voltages(solution.current)[place, :, 0])
    np.testing.assert_allclose(violation["v_v"], exact_v, atol=1e-6)
    assert violation["kind"] in ("v_max", "v_min")
    assert not 216.2 <= exact_v["abc".index(violation["phase"])] <= 253.0
    assert violation["blamed"][0]["contribution"] > 0
    for text in ("refuted", f"{exact_v[0]:.3f} V", "export", "import", violation["blamed"][0]["connection_point"]):
        assert text in shown


def test_neither_proof_nor_counterexample_is_said_in_other_words(
    feederloop: Command, points: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feederloop("envelope", "street_12", points, "--out", "out", "--safety", "corner")
    capsys.readouterr()
    monkeypatch.setattr(envelopes.Search, "within", lambda self, box: [])
    assert feederloop("envelope", "check", "street_12", points, "out/envelopes.csv") == 1
    shown = capsys.readouterr().out
    assert "not proven, no counterexample found in 1 interval (voltage" in shown
    assert "refuted" not in shown


def test_a_limit_that_breaks_without_anybodys_power(
    feederloop: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everybody = outlook(1)
    everybody[["export_cap_kw", "import_cap_kw"]] = 50.0
    everybody.to_csv(tmp_path / "low.csv", index=False)
    assert feederloop("envelope", "street_12", "low.csv", "--out", "out", "--v-min", "236", "--v-max", "253") == 3
    assert "no envelope: a limit breaks even with every customer at 0 kW" in capsys.readouterr().out


def test_passive_customers_who_alone_break_a_limit(
    feederloop: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = outlook(2)
    late = day["interval_start"] == day["interval_start"].max()
    day.loc[late & day["connection_point"].eq("home_07"), "p_kw"] = -40.0
    day.to_csv(tmp_path / "day.csv", index=False)
    assert feederloop("envelope", "street_12", "day.csv", "--out", "out") == 3
    shown = capsys.readouterr().out
    assert "no envelope: the passive customers alone break a limit" in shown
    assert "home_07 (importing 40.00 kW" in shown
    table = pd.read_csv("out/envelopes.csv")
    empty = table["export_limit_kw"].isna() & table["import_limit_kw"].isna()
    assert empty.tolist() == [False] * 10 + [True] * 10
    first, second = json.loads(Path("out/certificate.json").read_text(encoding="utf-8"))["intervals"]
    assert (first["verdict"], second["verdict"]) == ("certified", "impossible")
    assert second["violations"][0]["blamed"][0]["connection_point"] == "home_07"
    assert {violation["element"].split()[0] for violation in second["violations"]} <= {"bus", "line", "trafo"}
    # What was published is checked, what was not is said.
    assert feederloop("envelope", "check", "street_12", "day.csv", "out/envelopes.csv") == 0
    shown = capsys.readouterr()
    assert f"there is no envelope for {second['interval_start']}" in " ".join((shown.out + shown.err).split())
    table.assign(export_limit_kw=np.nan, import_limit_kw=np.nan).to_csv("none.csv", index=False)
    assert feederloop("envelope", "check", "street_12", "day.csv", "none.csv") == 2
    assert "all are empty" in capsys.readouterr().err


def test_a_forecast_that_breaks_limits_where_a_safe_box_exists(
    feederloop: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street_points(p_kw=[-0.6, 11.0, -0.6] + [11.0] * 3 + [-0.6] + [11.0] * 5).to_csv("points.csv", index=False)
    assert feederloop("envelope", "street_12", "points.csv", "--out", "out") == 0
    shown = capsys.readouterr().out
    assert "the forecast itself breaks a limit" in shown
    (interval,) = json.loads(Path("out/certificate.json").read_text(encoding="utf-8"))["intervals"]
    assert interval["certified"]
    assert interval["forecast_violations"]
    assert "home_12" in interval["held_below_forecast"]
    assert pd.read_csv("out/envelopes.csv")["export_limit_kw"].gt(0.1).all()


def test_limits_in_volt_reach_the_proof(feederloop: Command, points: Path) -> None:
    tight = ("--v-min", "225", "--v-max", "245", "--margin-v", "0.5", "--line-loading-percent", "40")
    assert feederloop("envelope", "street_12", points, "--out", "out", *tight) == 0
    (interval,) = json.loads(Path("out/certificate.json").read_text(encoding="utf-8"))["intervals"]
    assert 225.5 <= interval["v_min_v"] < interval["v_max_v"] <= 244.5
    assert feederloop("envelope", "check", "street_12", points, "out/envelopes.csv", "--v-max", "241") == 1


def two_voltages() -> pp.pandapowerNet:
    """The street with a second transformer to 0.433 kV, where two more points hang on cables without ampacity."""
    net = street_12()
    net.trafo["vn_lv_kv"] = net.bus.loc[net.trafo.lv_bus, "vn_kv"].to_numpy()
    busbar, home = (pp.create_bus(net, 0.433, name=name) for name in ("second busbar", "far home"))
    other = net.trafo.iloc[[0]].assign(lv_bus=busbar, vn_lv_kv=0.433, name="second")
    net.trafo = pd.concat([net.trafo, other], ignore_index=True)
    cable = {"r_ohm_per_km": 0.5, "x_ohm_per_km": 0.08, "r0_ohm_per_km": 1.6, "x0_ohm_per_km": 0.09}
    pp.create_line_from_parameters(net, busbar, home, 0.4, c_nf_per_km=0.0, c0_nf_per_km=0.0, max_i_ka=np.nan, **cable)
    return net


def test_a_saved_network_with_three_phase_points_and_two_base_voltages_per_unit(
    feederloop: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = two_voltages()
    pp.to_json(net, str(tmp_path / "net.json"))
    far = int(net.bus.index[net.bus["name"] == "far home"][0])
    rows = street_points().iloc[:6]
    extra = rows.iloc[[1, 2]].assign(connection_point=["workshop", "flat"], bus=far, phase=["abc", "b"])
    pd.concat([rows, extra.assign(export_cap_kw=60.0, import_cap_kw=60.0)]).to_csv("points.csv", index=False)
    per_unit = ("--v-min-pu", "0.96", "--v-max-pu", "1.06")
    assert feederloop("envelope", "net.json", "points.csv", "--out", "out", "--rule", "equal", *per_unit) == 0
    captured = capsys.readouterr()
    assert "ignored inside the network: 12 asymmetric_load" in captured.err
    assert "no ampacity: line 24 (max_i_ka); the loading there is not checked" in captured.err
    (interval,) = json.loads(Path("out/certificate.json").read_text(encoding="utf-8"))["intervals"]
    lowest_v = 0.96 * 433 / np.sqrt(3)
    assert interval["v_min_at"]["bus"] == far
    assert lowest_v <= interval["v_min_v"] == pytest.approx(lowest_v, abs=0.3)
    # A little beyond what was published at the far end is too much, in that bus's own volts.
    table = pd.read_csv("out/envelopes.csv")
    table.loc[table["connection_point"].isin(["workshop", "flat"]), "import_limit_kw"] += 5.0
    table.to_csv("wide.csv", index=False)
    assert feederloop("envelope", "check", "net.json", "points.csv", "wide.csv", "--out", "out", *per_unit) == 1
    violation = json.loads(Path("out/verdict.json").read_text(encoding="utf-8"))["intervals"][0]["violations"][0]
    assert (violation["kind"], violation["bus"]) == ("v_min", far)
    assert violation["limit"] == pytest.approx(lowest_v)
    assert violation["value"] == pytest.approx(min(violation["v_v"]))
    assert violation["value"] < lowest_v


def test_a_value_barely_beyond_its_limit_does_not_read_like_it(
    feederloop: Command, points: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ("envelope", "check", "street_12", points, "out/envelopes.csv")
    feederloop("envelope", "street_12", points, "--out", "out", "--safety", "corner")
    feederloop(*check, "--out", "out")
    verdict = json.loads(Path("out/verdict.json").read_text(encoding="utf-8"))
    lowest = next(found for found in verdict["intervals"][0]["violations"] if found["kind"] == "v_min")
    capsys.readouterr()
    assert feederloop(*check, "--v-min", f"{lowest['value'] + 3e-4:.8f}") == 1
    read = re.search(r"voltage (\S+) V at [^,]*, below the limit of (\S+) V", capsys.readouterr().out)
    assert read is not None
    assert float(read[1]) < float(read[2])


def test_inverters_that_answer_to_their_voltage_are_part_of_proof_and_refutation(tmp_path: Path) -> None:
    plain, answering = street_points(), street_points(volt_var_kva=10.0)
    source = {"source_v_pu": 1.05}
    without = envelopes.publish("street_12", plain, rule="equal", **source)
    published = envelopes.publish("street_12", answering, rule="equal", **source)
    assert published.certified
    assert published.table["export_limit_kw"].sum() > 1.1 * without.table["export_limit_kw"].sum()
    assert envelopes.check("street_12", answering, published.table, **source).certified
    (interval,) = envelopes.check("street_12", plain, published.table, **source).intervals
    assert interval.verdict == "refuted"
    wide = published.table.assign(export_limit_kw=published.table["export_limit_kw"] + 2.0)
    (interval,) = envelopes.check("street_12", answering, wide, **source).intervals
    assert interval.verdict == "refuted"
    worst = interval.violations[0]
    assert worst.kind == "v_max"
    # Who does not know of the inverters finds the voltage that is named from the powers that are.
    points = connection_points(street_12())
    peer = PowerFlow(Feeder.from_network(load_network("street_12", source_v_pu=1.05), points))
    voltages = peer.bus_voltages(peer.solve(worst.p_kw[:, None], worst.q_kvar[:, None]).current)
    assert worst.value == pytest.approx(np.abs(voltages[peer.feeder.buses.tolist().index(worst.bus)]).max(), abs=1e-4)
    corner = envelopes.publish("street_12", answering, rule="equal", safety="corner", **source)
    assert corner.intervals[0].verdict == "refuted"


def test_inverters_that_answer_to_volts_do_not_go_with_limits_in_none(tmp_path: Path) -> None:
    net, rows = two_voltages(), street_points(volt_var_kva=5.0).iloc[:6]
    limits = envelopes.StatedLimits(v_min_pu=0.9, v_max_pu=1.1)
    with pytest.raises(InputError, match=r"judged in none.*volt_var_kva.*or limits in volt"):
        envelopes.publish(net, rows, limits=limits)


def test_a_network_without_any_ampacity_says_so() -> None:
    net = street_12()
    net.line = net.line.drop(columns="max_i_ka")
    results = envelopes.publish(net, street_points())
    assert results.certified
    assert "no line has an ampacity (max_i_ka); the loading there is not checked" in results.notes
    assert results.intervals[0].certificate.loading_max_at[0] == "trafo 0"


def test_processes_share_the_intervals_and_change_nothing(tmp_path: Path) -> None:
    day = outlook(3)
    serial = envelopes.publish("street_12", day, rule="max_min")
    shared = envelopes.publish("street_12", day, rule="max_min", jobs=2)
    pd.testing.assert_frame_equal(serial.table, shared.table, check_exact=True)
    for one, other in zip(serial.intervals, shared.intervals, strict=True):
        assert repr(one.certificate) == repr(other.certificate)  # unlike equality, takes not-a-number for itself
    alone = envelopes.publish("street_12", day.iloc[24:], rule="max_min")
    pd.testing.assert_frame_equal(serial.table.iloc[20:].reset_index(drop=True), alone.table, check_exact=True)


def test_points_that_do_not_fit(feederloop: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = street_points().astype(object)
    table.iloc[3, table.columns.get_loc("p_kw")] = "nan"
    table.to_csv(tmp_path / "points.csv", index=False)
    assert feederloop("envelope", "street_12", "points.csv", "--out", "out") == 2
    captured = capsys.readouterr()
    assert captured.err == (
        "points.csv:5\n  home_04.p_kw = 'nan': is not a finite number\n    allowed: a number\n1 problem\n"
    )
    assert captured.out == ""
    assert not Path("out").exists()


@pytest.mark.parametrize(("bus", "words"), [(99, "the network has no such bus"), (26, "cut off from the source")])
def test_buses_that_do_not_fit(tmp_path: Path, bus: int, words: str) -> None:
    net = street_12()
    assert pp.create_bus(net, 0.4, name="island") == 26
    table = street_points()
    table.loc[3, "bus"] = bus
    table.to_csv(tmp_path / "points.csv", index=False)
    with pytest.raises(InputError) as caught:
        envelopes.publish(net, tmp_path / "points.csv")
    for text in ("points.csv", words, f"[home_04.bus = {bus}]"):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rule", "fair"), "no such allocation rule"),
        (("--safety", "hope"), "no such safety"),
        (("--v-max-pu", "1.1"), "v_min_pu: is missing"),
        (("--v-max-pu", "1.1", "--v-min-pu", "0.9", "--v-max", "250"), "either in volt or per unit"),
        (("--v-min-pu", "216.2", "--v-max-pu", "253"), "is not per unit"),
        (("--v-min", "253"), "leave no room"),
        (("--v-max", "nan"), "is not a positive number"),
        (("--margin-v", "-1"), "is not a distance"),
        (("--jobs", "0"), "no such number of processes"),
        (("--v-min", "0.94"), "per unit is v_min_pu"),
        (("--rule", "alpha_fair", "--alpha", "0"), "is not a positive number"),
        (("--alpha", "3"), "is of another rule"),
        (("--source-v-pu", "230"), "no such voltage"),
    ],
)
def test_options_that_do_not_fit(
    feederloop: Command, points: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert feederloop("envelope", "street_12", points, "--out", "out", *options) == 2
    assert words in capsys.readouterr().err


def test_a_network_that_is_none(feederloop: Command, points: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert feederloop("envelope", "street_13", points, "--out", "out") == 2
    assert "did you mean 'street_12'?" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(feederloop: Command, points: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert feederloop("envelope", "street_12", points, "--out", points) == 2
    assert "cannot be made" in capsys.readouterr().err


def test_a_network_of_high_voltage_only_is_refused() -> None:
    net = pp.create_empty_network()
    pp.create_ext_grid(net, pp.create_bus(net, 11.0), s_sc_max_mva=200.0, rx_max=0.1, x0x_max=1.0, r0x0_max=0.1)
    pp.create_bus(net, 11.0)
    pp.create_line_from_parameters(
        net, 0, 1, 1.0, 0.3, 0.1, 0.0, 0.2, r0_ohm_per_km=1.0, x0_ohm_per_km=0.3, c0_nf_per_km=0
    )
    table = street_points(bus=1, phase="a")
    with pytest.raises(InputError, match="no bus below 1 kV"):
        envelopes.publish(net, table)


@pytest.mark.parametrize("arguments", [["envelope", "--help"], ["envelope", "check", "--help"]])
def test_help_answers_without_what_only_work_needs(arguments: list[str]) -> None:
    code = (
        "import sys; from feederloop.coupling import cli\n"
        f"sys.argv = ['feederloop', *{arguments}]\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print('heavy:', *{'numpy', 'pandas', 'pandapower'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy:"
    assert "ENVELOPES.csv" in done.stdout


@pytest.mark.parametrize("rule", ["max_total", "proportional_fair"])
def test_caps_far_beyond_the_network_shut_nobody_out(rule: str) -> None:
    # The first bound of so wide a box is tens of volts loose: no reason to give no limits at all.
    net = two_voltages()
    far = int(net.bus.index[net.bus["name"] == "far home"][0])
    rows = street_points().iloc[:6]
    extra = rows.iloc[[1, 2]].assign(connection_point=["workshop", "flat"], bus=far, phase=["abc", "b"])
    points = pd.concat([rows, extra.assign(export_cap_kw=60.0, import_cap_kw=60.0)])
    limits = envelopes.StatedLimits(v_min_v=222.0, v_max_v=262.0)
    results = envelopes.publish(net, points, rule=rule, limits=limits)
    assert results.certified
    assert results.table["export_limit_kw"].sum() > 40.0
    assert results.table["import_limit_kw"].sum() > 40.0
