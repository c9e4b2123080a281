"""Fourteen devices in one run by the clock on the wall, each with a fault of its own."""

import pandas as pd
import pytest
from bench_kit import bench_of

from feederloop.coupling.scenario import scenario_from
from feederloop.hil.audit import read_audit
from feederloop.hil.profile import load_profile
from feederloop.hil.session import run_on_bench
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.station import Pace, Station

BEGINS_S, LASTS_S = 400, 700
LIMIT_KW = 2.0
ROOF = {"slot": "inverter", "profile": "sunspec_der", "ratings": {"power_kw": 5.0},
        "failsafe": {"timeout_s": 600, "value": 1000},
        "limits": {"export_kw": LIMIT_KW, "write_interval_s": 0}}  # fmt: skip
CHARGER = {"slot": "charger", "profile": "alfen_ng9xx", "ratings": {"current_a": 16},
           "limits": {"import_kw": LIMIT_KW, "write_interval_s": 0}}  # fmt: skip
KEBA = {**CHARGER, "profile": "keba_p30_p40", "failsafe": {"timeout_s": 120, "value": 0}}
DEVICES = {
    **dict.fromkeys(
        ("silent", "slow", "late", "reset", "garbage", "exception", "nan", "out_of_range", "reboot", "cut"), ROOF
    ),
    "ignore_setpoints": ROOF,
    "wrong_unit": ROOF,
    "swapped_words": CHARGER,
    "refuse_fc06": KEBA,
}
HOMES = [f"home_{number:02}" for number in range(1, 13)]
NAMES = {fault: f"{HOMES[place % 12]}/{device['slot']}" for place, (fault, device) in enumerate(DEVICES.items())}
USED = {"slow"}
"""Answers in time: it is no less true for being slow. Slow from the start: a pause of the machine that costs it one
answer takes three intervals of the six at this speed, until it was looked at anew."""


@pytest.fixture(scope="module")
def elsewhere():
    """The server of a device that answers to unit 1 alone."""
    with DeviceServer({"device": SimulatedDevice(load_profile(ROOF["profile"]), unit=1)}) as server:
        yield server


@pytest.fixture(scope="module")
def ran(tmp_path_factory, elsewhere):
    """The folder of the run, its status, and the simulated devices by name."""
    folder = tmp_path_factory.mktemp("faults")
    home = {"pv_kwp": 5.0, "pv_tilt_deg": 30, "pv_azimuth_deg": 180, "inverter_kva": 5.0, "ev_capacity_kwh": 40,
            "ev_charge_kw": 3.68, "ev_efficiency": 0.95, "charger_min_kw": 1.38}  # fmt: skip
    scenario = scenario_from(
        {
            "scheme": "uncoordinated",
            "time": {"start": "2016-06-15 12:00", "days": 0.5 / 24, "horizon_intervals": 12},
            "grid": {"network": "street_12"},
            "prosumers": {"list": [{"name": name, **home} for name in HOMES]},
        }
    )
    entries = []
    for fault, device in DEVICES.items():
        # Whoever ignores its set-points has to do so before the first of them, or it does what it was told.
        begins_s = 0 if fault in ("ignore_setpoints", "refuse_fc06", "slow") else BEGINS_S
        trouble = {"fault": fault, "from_s": begins_s, "for_s": BEGINS_S + LASTS_S - begins_s}
        # Wrong from the start: whoever is talked to first and moved then has taken something already.
        wrong = {"url": elsewhere.urls["device"], "unit": 17}
        trouble = wrong if fault == "wrong_unit" else {"faults": [trouble]}
        entries.append({**device, "prosumer": NAMES[fault].split("/")[0], "poll_s": 30, **trouble})
    bench = bench_of(*entries, stop_file=str(folder / "stop"))
    stations: list[Station] = []
    pace = Pace(real_time=True, factor=300.0, tolerance_s=3.0)
    result = run_on_bench(
        scenario, bench, out=folder / "run", progress=False, pace=pace, capture=False, on_station=stations.append
    )
    simulated = stations[0].simulated | {NAMES["wrong_unit"]: elsewhere.devices["device"]}
    return folder / "run", result.run, simulated


def test_the_run_ends_as_it_should_and_its_clock_was_on_time(ran):
    folder, result, _ = ran
    assert result.status == "complete", result.message
    late = pd.read_parquet(folder / "clock.parquet").late_s
    assert len(late) == 6
    assert late.median() < 0.1


@pytest.mark.parametrize("fault", DEVICES)
def test_every_fault_is_flagged_while_it_lasts(ran, fault):
    folder, _, _ = ran
    table = pd.read_parquet(folder / "device_io.parquet")
    table = table[table.prosumer + "/" + table.slot == NAMES[fault]]
    start = pd.read_parquet(folder / "clock.parquet").time.min()
    seconds = (table.time - start).dt.total_seconds()
    during = table[(seconds >= BEGINS_S + 300) & (seconds < BEGINS_S + LASTS_S)]
    assert len(during) >= 1
    if fault in USED:
        while_slow = table[seconds < BEGINS_S + LASTS_S]
        assert "good" in set(while_slow.quality), while_slow[["quality", "reason"]]
    elif fault == "wrong_unit":
        assert set(table.quality) == {"never"}
    else:
        assert "good" not in set(during.quality), during
        assert during.reason.str.len().min() > 0
    if fault == "ignore_setpoints":
        assert set(during.quality) == {"bad"}
        assert during.p_kw.min() > 1.2 * LIMIT_KW, "what it does enters the grid as it is"
        metered = pd.read_parquet(folder / "connection_point.parquet")
        metered = metered[metered.prosumer + "/inverter" == NAMES[fault]]
        assert metered.pv_p_kw.tolist() == pytest.approx(table.p_kw.tolist())


@pytest.mark.parametrize("fault", DEVICES)
def test_no_set_point_lay_outside_the_limits_and_every_write_is_in_the_log(ran, fault):
    folder, _, simulated = ran
    device = simulated[NAMES[fault]]
    taken = [(role, value) for _, role, value in device.writes]
    control = device.profile.control
    for value in [value for role, value in taken if role == control.setpoint]:
        if control.quantity == "percent":
            assert 0 <= value <= 100 * LIMIT_KW / 5.0 + 1e-6
        else:
            assert value == 0 or 6 <= value <= 1000 * LIMIT_KW / 207
    log = [line for line in read_audit(folder / "bench" / "audit.jsonl") if line["device"] == device.name]
    writes = [line for line in log if line["kind"] == "write"]
    confirmed = [(line["role"], line["new"]) for line in writes if line["ok"]]
    # Of what was not confirmed nobody knows whether the device took it: that is in the log as well.
    assert len(confirmed) <= len(taken) <= len(writes)
    assert {role for role, _ in taken} <= {line["role"] for line in writes}
    assert bool(taken) == (fault != "wrong_unit")


def test_all_are_at_rest_afterwards(ran):
    folder, _, simulated = ran
    last = read_audit(folder / "bench" / "audit.jsonl")[-1]
    assert (last["kind"], last["not_confirmed_safe"]) == ("ended", [])
    for name, device in simulated.items():
        if name != NAMES["wrong_unit"]:
            assert device.value(device.profile.control.setpoint) == 0, name
