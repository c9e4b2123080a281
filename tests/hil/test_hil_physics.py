import pytest
from hypothesis import given
from hypothesis import strategies as st

from feederloop.hil.simulated.charger import BidirectionalPhysics, ChargerPhysics
from feederloop.hil.simulated.inverter import InverterPhysics, MeterPhysics, StoragePhysics
from feederloop.hil.simulated.physics import Physics, Ratings
from feederloop.simulators.errors import InputError

QUICK = Ratings(ramp_percent_per_s=1000)


def test_a_charger_follows_its_limit_by_the_voltage_of_each_phase() -> None:
    charger = ChargerPhysics(Ratings(rated_current_a=32, ramp_percent_per_s=1000))
    charger.set("grid_voltage_v", 240)
    charger.command("current_limit_set", 10.0)
    charger.advance(10)
    assert charger.power_w == -3 * 240 * 10
    charger.command("phases_set", 1)
    charger.advance(10)
    assert charger.power_w == -240 * 10
    assert charger.outputs()["current_l2"] == 0
    assert charger.outputs()["voltage_l2"] == 240


@pytest.mark.parametrize(
    ("limit", "flows"), [(0.0, 0.0), (3.0, 0.0), (5.9, 0.0), (6.0, 6.0), (15.0, 15.0), (99.0, 16.0)]
)
def test_a_charger_draws_nothing_or_at_least_six(limit: float, flows: float) -> None:
    charger = ChargerPhysics(QUICK)
    charger.command("current_limit_set", limit)
    charger.advance(10)
    assert charger.current_a == flows
    assert charger.outputs()["current_limit_applied"] == flows


@given(limits=st.lists(st.floats(0, 40), min_size=1, max_size=10), seconds=st.floats(0.1, 100))
def test_no_current_is_ever_between_nothing_and_six(limits: list[float], seconds: float) -> None:
    charger = ChargerPhysics(Ratings(ramp_percent_per_s=10))
    for limit in limits:
        charger.command("current_limit_set", limit)
        charger.advance(seconds)
        assert charger.current_a == 0 or 6 <= charger.current_a <= 16


def test_a_charger_says_what_its_vehicle_does() -> None:
    charger = ChargerPhysics(QUICK)
    charger.advance(10)
    assert charger.outputs()["status"] == ("C",)
    charger.set("wants_energy", False)
    charger.advance(10)
    assert charger.outputs()["status"] == ("B",)
    charger.set("plugged", False)
    charger.advance(1)
    assert charger.outputs()["status"] == ("A",)
    assert charger.outputs()["energy_session"] == 0
    charger.set("broken", True)
    assert "F" in charger.outputs()["status"]  # type: ignore[operator]


def test_a_charger_counts_what_it_draws_and_stops_at_a_full_battery() -> None:
    charger = ChargerPhysics(Ratings(capacity_wh=10000, efficiency=0.9, ramp_percent_per_s=1000))
    charger.set("soc_percent", 50)
    charger.advance(1800)
    drawn = 3 * 230 * 16 / 2
    assert charger.imported_wh == pytest.approx(drawn, rel=0.002)
    assert charger.soc_percent == pytest.approx(50 + drawn * 0.9 / 100, rel=0.002)
    charger.advance(3600)
    assert charger.soc_percent == 100
    assert charger.power_w == 0
    assert charger.imported_wh == pytest.approx(10000 * 0.5 / 0.9, rel=0.01)


def test_a_ramp_takes_its_time() -> None:
    charger = ChargerPhysics(Ratings(rated_current_a=16, ramp_percent_per_s=10))
    charger.advance(1)
    assert charger.current_a == pytest.approx(7.6)
    charger.advance(3)
    assert charger.current_a == pytest.approx(12.4)


def test_an_inverter_gives_what_the_sun_offers_within_its_limits() -> None:
    inverter = InverterPhysics(Ratings(rated_power_w=5000, rated_va=4600, ramp_percent_per_s=1000))
    inverter.set("available_kw", 9.0)
    inverter.advance(10)
    assert inverter.power_w == 4600
    inverter.command("power_limit_pct_set", 40.0)
    inverter.advance(10)
    assert inverter.power_w == 4600
    inverter.command("power_limit_enable", "enabled")
    inverter.advance(10)
    assert inverter.power_w == 2000
    inverter.set("available_kw", 1.2)
    inverter.advance(0.1)
    assert inverter.power_w == 1200
    assert inverter.outputs()["reactive_power"] == 0
    inverter.command("connect", "disconnect")
    inverter.advance(10)
    assert inverter.power_w == 0


@pytest.mark.parametrize("step", [0.5, 7.0, 60.0, 300.0])
def test_a_limit_reverts_when_it_is_due_whatever_the_steps(step: float) -> None:
    inverter = InverterPhysics(Ratings(rated_power_w=5000, ramp_percent_per_s=10000))
    inverter.set("available_kw", 5.0)
    inverter.command("power_limit_reversion_s", 600)
    inverter.command("power_limit_pct_set", 20.0)
    inverter.command("power_limit_enable", "enabled")
    passed = 0.0
    while passed < 1200:
        inverter.advance(step)
        passed += step
    assert inverter.power_w == 5000
    # 600 s at 1 kW and the rest at 5 kW.
    assert inverter.exported_wh == pytest.approx((600 * 1000 + (passed - 600) * 5000) / 3600, rel=0.01)


def test_writing_again_restarts_the_time() -> None:
    inverter = InverterPhysics(QUICK)
    inverter.set("available_kw", 5.0)
    inverter.command("power_limit_reversion_s", 60)
    inverter.command("power_limit_pct_set", 10.0)
    inverter.command("power_limit_enable", "enabled")
    for _ in range(5):
        inverter.advance(50)
        assert inverter.power_w == 500
        inverter.command("power_limit_enable", "enabled")
    inverter.advance(61)
    inverter.advance(5)
    assert inverter.power_w == 5000


def test_a_ramp_time_written_to_the_device_holds() -> None:
    inverter = InverterPhysics(QUICK)
    inverter.command("power_limit_ramp_s", 100)
    inverter.set("available_kw", 5.0)
    inverter.advance(10)
    assert inverter.power_w == pytest.approx(500)


def test_a_bidirectional_charger_follows_only_who_is_in_control() -> None:
    charger = BidirectionalPhysics(QUICK, needs_control=True)
    charger.command("power_set", 3000)
    charger.advance(10)
    assert charger.power_w == 0
    charger.command("control_owner", "remote")
    charger.command("action", "start")
    charger.advance(10)
    assert charger.power_w == 3000
    assert charger.outputs()["state"] == ("discharging",)
    charger.command("control_owner", "user")
    charger.advance(10)
    assert charger.power_w == 0


def test_a_bidirectional_charger_keeps_to_its_battery_and_ratings() -> None:
    charger = BidirectionalPhysics(
        Ratings(rated_power_w=7400, capacity_wh=10000, efficiency=0.9, ramp_percent_per_s=1000)
    )
    charger.set("min_soc_percent", 20)
    charger.command("power_set", 99000)
    charger.advance(60)
    assert charger.power_w == 7400
    charger.advance(7200)
    assert charger.power_w == 0
    assert charger.soc_percent == pytest.approx(20, abs=0.5)
    assert charger.exported_wh == pytest.approx(3000 * 0.9, rel=0.02)
    charger.command("power_set", -7400)
    charger.advance(3 * 3600)
    assert (charger.soc_percent, charger.power_w) == (100, 0)


def test_a_storage_rests_as_far_as_its_rate_limits_let_it() -> None:
    storage = StoragePhysics(QUICK)
    storage.command("storage_reversion_s", 100)
    for bits, discharge, charge, power in (
        (3, 100, 100, 0),
        (2, 40, 0, 0),
        (2, -40, 0, -2000),
        (1, 0, -30, 1500),
        (0, -40, 0, 0),
    ):
        storage.command("discharge_rate_pct_set", discharge)
        storage.command("charge_rate_pct_set", charge)
        storage.command("storage_control", bits)
        storage.advance(50)
        assert storage.power_w == power
    storage.command("storage_control", 2)
    storage.advance(50)
    assert storage.power_w == -2000
    storage.advance(60)
    assert storage.power_w == 0


def test_a_meter_counts_both_ways() -> None:
    meter = MeterPhysics(QUICK)
    meter.set("power_kw", 2.0)
    meter.advance(1)
    meter.advance(3600)
    meter.set("power_kw", -1.0)
    meter.advance(1)
    meter.advance(3600)
    assert meter.exported_wh == pytest.approx(2000, rel=0.002)
    assert meter.imported_wh == pytest.approx(1000, rel=0.002)


@pytest.mark.parametrize(
    "physics", [ChargerPhysics, BidirectionalPhysics, InverterPhysics, StoragePhysics, MeterPhysics]
)
def test_only_known_attributes_are_driven(physics: type[Physics]) -> None:
    device = physics(QUICK)
    for attribute in sorted(physics.ATTRIBUTES):
        device.set(attribute, 1)
        assert getattr(device, attribute) == 1
    with pytest.raises(InputError, match="grid_voltage_v"):
        device.set("power_w", 1e6)


@pytest.mark.parametrize("facts", [{"phases": 2}, {"efficiency": 0}, {"rated_power_w": -1}, {"ramp_percent_per_s": 0}])
def test_impossible_ratings_are_refused(facts: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Ratings(**facts)  # type: ignore[arg-type]
