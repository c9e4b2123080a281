import time
from pathlib import Path

import pandas as pd
import pytest
from bench_kit import bench_of

from feederloop.coupling.run import run_scenario
from feederloop.coupling.scenario import ScenarioError, scenario_from
from feederloop.hil.adapters import ChargerAdapter, InverterAdapter
from feederloop.hil.audit import read_audit
from feederloop.hil.bench import bench_from
from feederloop.hil.session import run_on_bench
from feederloop.hil.station import Pace, Station
from feederloop.simulators.ev_fleet import simulator as ev_fleet
from feederloop.simulators.pv import simulator as pv

HOMES = [
    {"name": "home_01", "pv_kwp": 5.0, "pv_tilt_deg": 30, "pv_azimuth_deg": 180, "inverter_kva": 5.0},
    {"name": "home_02", "ev_capacity_kwh": 40, "ev_charge_kw": 7.36, "ev_efficiency": 0.95, "charger_min_kw": 1.38},
    {"name": "home_03", "ev_capacity_kwh": 50, "ev_charge_kw": 7.36, "ev_discharge_kw": 7.36, "ev_efficiency": 0.95},
]


def street(hours: float, **more):
    return scenario_from(
        {
            "time": {"start": "2016-06-15 16:00", "days": hours / 24, "horizon_intervals": 12},
            "grid": {"network": "street_12"},
            "prosumers": {"list": HOMES},
            **more,
        }
    )


def three_devices(**more):
    timeout = {"failsafe": {"timeout_s": 120}}
    return bench_of(
        {"slot": "inverter", "profile": "sunspec_inverter_three_phase", "ratings": {"power_kw": 5.0}, **timeout},
        {"slot": "charger", "profile": "abb_terra_ac", "ratings": {"current_a": 32, "capacity_kwh": 40}},
        {
            "slot": "charger",
            "profile": "evtec_bidipro_10",
            "ratings": {"power_kw": 7.36, "capacity_kwh": 50},
            **timeout,
        },
        **more,
    )


def energies(folder: Path) -> pd.DataFrame:
    table = pd.read_parquet(folder / "connection_point.parquet")
    return table.groupby("prosumer")[["pv_p_kw", "ev_p_kw", "p_kw"]].sum() / 12


@pytest.mark.parametrize(
    ("adapter", "own", "models"),
    [(InverterAdapter, pv.META, ["Inverter"]), (ChargerAdapter, ev_fleet.META, ["Charger", "Fleet"])],
)
def test_adapters_offer_what_the_simulated_devices_offer(adapter, own, models):
    meta = adapter().meta
    assert meta["type"] == own["type"]
    assert set(own["extra_methods"]) <= set(meta["extra_methods"])
    for model in models:
        assert set(own["models"][model]["attrs"]) <= set(meta["models"][model]["attrs"])
        assert own["models"][model]["params"] == meta["models"][model]["params"]


@pytest.mark.slow
def test_over_modbus_a_scenario_has_the_energies_that_it_has_simulated(tmp_path):
    scenario = street(12)
    simulated = run_scenario(scenario, out=tmp_path / "simulated", progress=False)
    held = run_on_bench(scenario, three_devices(), out=tmp_path / "held", progress=False)
    assert (simulated.status, held.run.status) == ("complete", "complete"), held.run.message
    expected, found = energies(tmp_path / "simulated"), energies(tmp_path / "held")
    assert expected["ev_p_kw"].drop("home_01").abs().min() > 0.5, "both vehicles do something"
    assert expected["pv_p_kw"].max() > 2
    assert ((found - expected).abs() <= 0.01 * expected.abs() + 0.01).all().all(), f"{expected}\n{found}"
    sessions = [len(pd.read_parquet(tmp_path / run / "ev_session.parquet")) for run in ("simulated", "held")]
    assert sessions[0] == sessions[1]
    exchanged = pd.read_parquet(tmp_path / "held" / "device_io.parquet")
    assert set(exchanged.quality) == {"good"}
    assert len(exchanged) == 3 * 144
    log = read_audit(tmp_path / "held" / "bench" / "audit.jsonl")
    assert log[-1]["kind"] == "ended"
    assert log[-1]["not_confirmed_safe"] == []
    assert not [line for line in log if line["kind"] in ("disobeys", "lost", "refused")]


def test_a_device_that_is_away_is_flagged_counts_as_nothing_and_comes_back(tmp_path):
    scenario = street(2, scheme="uncoordinated")
    bench = three_devices()
    lost = {"faults": [{"fault": "cut", "from_s": 1800, "for_s": 1800}]}
    entries = [entry.model_dump(exclude_none=True, exclude={"tls"}) for entry in bench.devices]
    bench = bench_from({"devices": [{**entries[0], **lost}, *entries[1:]], "stop_file": str(tmp_path / "stop")})
    result = run_on_bench(scenario, bench, out=tmp_path / "run", progress=False)
    assert result.run.status == "complete", result.run.message
    table = pd.read_parquet(tmp_path / "run" / "device_io.parquet")
    roof = table[table.slot == "inverter"].reset_index(drop=True)
    assert roof.quality[:6].eq("good").all()
    assert roof.quality[6:12].eq("bad").all()
    assert roof.p_kw[6:12].eq(0).all()
    assert roof.state[6:12].eq("lost").all()
    assert roof.quality[18:].eq("good").all()
    assert roof.p_kw[18:].min() > 0.2
    assert table[table.slot == "charger"].quality.eq("good").all(), "the others do not notice"
    metered = pd.read_parquet(tmp_path / "run" / "connection_point.parquet").query("prosumer == 'home_01'")
    assert metered.pv_p_kw.tolist() == pytest.approx(roof.p_kw.tolist()), "the grid sees what the device did"


@pytest.mark.parametrize(("setting", "message"), [({"on_lost": "end_run"}, "lost home_01/inverter"), ({}, "")])
def test_a_lost_device_ends_the_run_where_the_bench_says_so(tmp_path, setting, message):
    bench = bench_of(
        {
            "slot": "inverter",
            "profile": "sunspec_der",
            "ratings": {"power_kw": 5.0},
            "faults": [{"fault": "cut", "from_s": 600, "for_s": 9000}],
        },
        stop_file=str(tmp_path / "stop"),
        **setting,
    )
    result = run_on_bench(street(1, scheme="uncoordinated"), bench, out=tmp_path / "run", progress=False)
    assert result.run.status == ("failed" if message else "complete")
    assert message in result.run.message


def test_the_emergency_stop_during_a_run_brings_all_devices_to_rest(tmp_path):
    station = []

    def trip_later(running: Station) -> None:
        station.append(running)
        drive = running.drive

        def watched(name, time_s, **attributes):
            if time_s >= 1800:
                running.stop.path.touch()
            drive(name, time_s, **attributes)

        running.drive = watched

    bench = three_devices(stop_file=str(tmp_path / "stop"))
    scenario = street(1, scheme="uncoordinated")
    result = run_on_bench(scenario, bench, out=tmp_path / "run", progress=False, on_station=trip_later)
    assert result.run.status == "complete"
    assert {row["state"] for row in result.devices} == {"stopped"}
    assert all(abs(device.power_kw) < 0.01 for device in station[0].simulated.values())
    assert (tmp_path / "stop").exists()
    with pytest.raises(ScenarioError, match="emergency stop is set off"):
        run_on_bench(scenario, bench, out=tmp_path / "again", progress=False)
    assert not (tmp_path / "again").exists()


def test_an_exception_in_the_run_leaves_the_devices_safe(tmp_path):
    running: list[Station] = []

    def break_later(station: Station) -> None:
        running.append(station)
        station.end_wanted = lambda: "something broke" if station.devices["home_02/charger"].command else ""

    bench = three_devices(stop_file=str(tmp_path / "stop"))
    result = run_on_bench(
        street(1, scheme="uncoordinated"), bench, out=tmp_path / "run", progress=False, on_station=break_later
    )
    assert result.run.status == "failed"
    assert "something broke" in result.run.message
    log = read_audit(tmp_path / "run" / "bench" / "audit.jsonl")
    assert log[-1]["not_confirmed_safe"] == []
    assert running[0].end_wanted() == "something broke"
    set_points = {line["device"]: line["new"] for line in log if line["kind"] == "write" and "_set" in line["role"]}
    assert set(set_points.values()) <= {0.0}


def test_real_devices_need_real_time_and_prosumers_that_there_are(tmp_path):
    entry = {"slot": "inverter", "profile": "sunspec_der", "ratings": {"power_kw": 5.0}}
    scenario = street(1, scheme="uncoordinated")
    with pytest.raises(ScenarioError, match="lives by the clock on the wall"):
        run_on_bench(scenario, bench_of({**entry, "url": "tcp://127.0.0.1:1"}), out=tmp_path / "a", progress=False)
    with pytest.raises(ScenarioError, match="no inverter in this scenario"):
        run_on_bench(scenario, bench_of({**entry, "prosumer": "home_02"}), out=tmp_path / "b", progress=False)


def test_in_real_time_steps_keep_to_the_clock_with_devices_dead_and_alive(tmp_path):
    bench = three_devices(stop_file=str(tmp_path / "stop"))
    dead = {"prosumer": "home_04", "url": "tcp://127.0.0.1:9", "slot": "inverter", "profile": "sunspec_der"}
    entries = [entry.model_dump(exclude_none=True, exclude={"tls"}) for entry in bench.devices]
    bench = bench_from(
        {"devices": [*entries, {**dead, "ratings": {"power_kw": 4.0}}], "stop_file": str(tmp_path / "stop")}
    )
    homes = [*HOMES, {**HOMES[0], "name": "home_04"}]
    scenario = street(0.5, scheme="uncoordinated", prosumers={"list": homes})
    began = time.monotonic()
    pace = Pace(real_time=True, factor=600.0, tolerance_s=2.0)
    result = run_on_bench(scenario, bench, out=tmp_path / "run", progress=False, pace=pace)
    assert result.run.status == "complete", result.run.message
    assert time.monotonic() - began > 3.0
    late = pd.read_parquet(tmp_path / "run" / "clock.parquet").late_s
    assert len(late) == 6
    assert late.median() < 0.1
    table = pd.read_parquet(tmp_path / "run" / "device_io.parquet")
    assert set(table[table.prosumer == "home_04"].quality) == {"never"}
    last = table[table.time == table.time.max()]
    assert last[(last.prosumer == "home_01")].quality.tolist() == ["good"]


def test_what_a_device_sold_and_did_not_deliver_becomes_imbalance(tmp_path):
    (tmp_path / "sun.csv").write_text("time,kw\n0,5\n5400,0.4\n", encoding="utf-8")
    entries = [entry.model_dump(exclude_none=True, exclude={"tls"}) for entry in three_devices().devices]
    entries[0]["faults"] = [{"fault": "cut", "from_s": 1800, "for_s": 1800}]
    entries[0]["drive"] = {"available_kw": {"path": str(tmp_path / "sun.csv"), "column": "kw"}}
    bench = bench_from({"devices": entries, "stop_file": str(tmp_path / "stop")})
    result = run_on_bench(street(2), bench, out=tmp_path / "run", progress=False)
    assert result.run.status == "complete", result.run.message
    table = pd.read_parquet(tmp_path / "run" / "settlement.parquet").query("prosumer == 'home_01'")
    (_, whole), (_, away), _, (_, dull) = table.iterrows()
    assert abs(whole.imbalance_kwh) < 0.05
    assert away.traded_kwh > 0.05, "it had sold before it was lost"
    assert away.meter_kwh <= 0
    assert away.imbalance_kwh == pytest.approx(away.traded_kwh)
    assert 0.1 < dull.meter_kwh < dull.traded_kwh - 0.05, "it sold more than the sun then gave"
    assert dull.imbalance_kwh == pytest.approx(dull.traded_kwh - dull.meter_kwh)
