"""Programs that others wrote, against our simulated devices and against our transport."""

import asyncio
import socket
import struct
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import sunspec2.modbus.client
from debian_packages import need
from pyModbusTCP.client import ModbusClient
from pyModbusTCP.server import DataBank, ModbusServer

from feederloop.hil.profile import load_profile
from feederloop.hil.reading import Quality
from feederloop.hil.simulated.physics import Ratings
from feederloop.hil.transport import open_transport


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


@pytest.fixture
def sunspec_client() -> Iterator[Any]:
    clients = []

    def connect(url: str, unit: int = 1) -> Any:
        client = sunspec2.modbus.client.SunSpecModbusClientDeviceTCP(
            slave_id=unit, ipaddr="127.0.0.1", ipport=_port(url), timeout=5
        )
        clients.append(client)
        client.connect()
        client.scan(connect=False)
        return client

    yield connect
    for client in clients:
        client.disconnect()


@pytest.mark.parametrize(
    ("profile", "models"),
    [
        ("sunspec_inverter_three_phase", [1, 103, 120, 121, 123]),
        ("sunspec_inverter_single_phase", [1, 101, 120, 123]),
        ("sunspec_inverter_float", [1, 113, 120, 123]),
        ("sunspec_der", [1, 701, 702, 703, 704]),
        ("sunspec_der_heartbeat", [1, 701, 702, 703, 704, 715]),
        ("sunspec_storage", [1, 103, 120, 124]),
        ("sunspec_storage_der", [1, 701, 702, 703, 704, 713]),
        ("sunspec_meter", [1, 203]),
    ],
)
def test_pysunspec2_finds_every_model_without_complaint(
    profile: str, models: list[int], serve: Any, sunspec_client: Any
) -> None:
    _, _, url = serve(profile, name="serial 7")
    client = sunspec_client(url)
    assert [model.model_id for model in client.model_list] == models
    assert [model.error_info for model in client.model_list] == [""] * len(models)
    assert client.common[0].SN.value == "serial 7"
    assert client.common[0].Mn.value == "feederloop"


def test_pysunspec2_reads_and_limits_a_legacy_inverter(serve: Any, sunspec_client: Any, clock: Any) -> None:
    ratings = Ratings(rated_power_w=8000, ramp_percent_per_s=100)
    server, device, url = serve("sunspec_inverter_three_phase", clock=clock, ratings=ratings)
    server.set("device", "available_kw", 6.0)
    server.set("device", "grid_voltage_v", 241.5)
    clock.pass_s(60)
    client = sunspec_client(url)
    inverter, nameplate, controls = (client.models[model][0] for model in (103, 120, 123))
    inverter.read()
    assert inverter.W.cvalue == 6000
    assert inverter.PhVphA.cvalue == 241.5
    assert inverter.Hz.cvalue == 50
    assert inverter.AphB.cvalue == pytest.approx(2000 / 241.5, abs=0.01)
    assert inverter.St.value == 4
    assert nameplate.WRtg.cvalue == 8000
    assert nameplate.DERTyp.value == 4

    controls.WMaxLimPct.cvalue = 25
    controls.WMaxLimPct_RvrtTms.value = 30
    controls.write()
    controls.WMaxLim_Ena.value = 1
    controls.write()
    clock.pass_s(5)
    inverter.read()
    assert inverter.W.cvalue == 2000
    assert inverter.St.value == 5
    assert device.power_kw == 2.0

    # Nobody writes again: the limit reverts by itself.
    clock.pass_s(24)
    inverter.read()
    assert inverter.W.cvalue == 2000
    clock.pass_s(2)
    inverter.read()
    controls.read()
    assert inverter.W.cvalue == 6000
    assert controls.WMaxLim_Ena.value == 0


def test_pysunspec2_reads_and_limits_a_der(serve: Any, sunspec_client: Any, clock: Any) -> None:
    ratings = Ratings(rated_power_w=10000, phases=3, ramp_percent_per_s=100)
    server, _, url = serve("sunspec_der", clock=clock, ratings=ratings)
    server.set("device", "available_kw", 9.0)
    clock.pass_s(3600)
    client = sunspec_client(url)
    measured, capacity, control = client.DERMeasureAC[0], client.DERCapacity[0], client.DERCtlAC[0]
    measured.read()
    assert measured.W.cvalue == 9000
    assert measured.WL3.cvalue == 3000
    assert measured.TotWhInj.cvalue == pytest.approx(9000, rel=0.002)
    assert measured.TotWhAbs.cvalue == 0
    assert capacity.WMaxRtg.cvalue == 10000

    control.WMaxLimPct.cvalue = 40
    control.WMaxLimPctRvrt.cvalue = 15
    control.WMaxLimPctEnaRvrt.value = 1
    control.WMaxLimPctRvrtTms.value = 20
    control.write()
    control.WMaxLimPctEna.value = 1
    control.write()
    clock.pass_s(10)
    measured.read()
    control.read()
    assert measured.W.cvalue == 4000
    assert control.WMaxLimPctRvrtRem.value == 10
    clock.pass_s(11)
    measured.read()
    control.read()
    assert measured.W.cvalue == 1500
    assert control.WMaxLimPct.cvalue == 15

    client.DEREnterService[0].ES.value = 0
    client.DEREnterService[0].write()
    clock.pass_s(2)
    measured.read()
    assert measured.W.cvalue == 0
    assert measured.ConnSt.value == 0


def test_pysunspec2_discharges_and_charges_a_storage(serve: Any, sunspec_client: Any, clock: Any) -> None:
    ratings = Ratings(rated_power_w=5000, capacity_wh=10000, efficiency=1.0, ramp_percent_per_s=1000)
    _, _, url = serve("sunspec_storage_der", clock=clock, ratings=ratings)
    client = sunspec_client(url)
    control, measured, storage = client.DERCtlAC[0], client.DERMeasureAC[0], client.DERStorageCapacity[0]
    control.WSetMod.value = 1
    for watts in (2500, -2500):
        control.WSet.cvalue = watts
        control.WSetEna.value = 1
        control.write()
        clock.pass_s(1800)
        measured.read()
        storage.read()
        assert measured.W.cvalue == watts
        assert storage.SoC.cvalue == pytest.approx(37.5 if watts > 0 else 50, abs=0.1)


def test_pysunspec2_sees_a_meter_count_import_positive(serve: Any, sunspec_client: Any, clock: Any) -> None:
    server, _, url = serve("sunspec_meter", clock=clock)
    server.set("device", "power_kw", -3.0)
    clock.pass_s(7200)
    meter = sunspec_client(url).models[203][0]
    meter.read()
    assert meter.W.cvalue == 3000
    assert meter.TotWhImp.cvalue == pytest.approx(6000, rel=0.002)
    # An accumulator at 0 cannot be told from one that is not there.
    assert not meter.TotWhExp.cvalue


def test_pymodbustcp_drives_a_charger(serve: Any, clock: Any) -> None:
    _, device, url = serve("alfen_ng9xx", clock=clock, ratings=Ratings(rated_current_a=32), any_unit=True)
    client = ModbusClient("127.0.0.1", _port(url), unit_id=1, auto_open=True, timeout=5)
    assert client.write_multiple_registers(1210, list(struct.unpack(">2H", struct.pack(">f", 10.0))))
    clock.pass_s(20)
    words = client.read_holding_registers(344, 2)
    assert struct.unpack(">f", struct.pack(">2H", *words))[0] == pytest.approx(3 * 230 * 10)
    status = client.read_holding_registers(1201, 5)
    assert struct.pack(">5H", *status).rstrip(b"\0") == b"C2"
    assert device.power_kw == pytest.approx(-6.9)
    # The device's rules: function 16 only, whole values only, no unlisted register, never too many.
    assert client.write_single_register(1215, 1) is False
    assert client.last_except == 1
    assert client.write_multiple_registers(1210, [0]) is False
    assert client.last_except == 2
    assert client.read_holding_registers(312, 1) is None
    assert client.last_except == 2
    client.close()


def test_pymodbustcp_meets_the_rules_of_keba(serve: Any, clock: Any) -> None:
    _, _, url = serve("keba_p30_p40", clock=clock, any_unit=True)
    client = ModbusClient("127.0.0.1", _port(url), unit_id=255, auto_open=True, timeout=5)
    assert client.read_holding_registers(1008, 2) == [0, 0]
    assert client.read_holding_registers(1008, 4) is None
    assert client.last_except == 2
    assert client.read_holding_registers(5004, 1) is None
    assert client.write_multiple_registers(5004, [10000]) is False
    assert client.last_except == 1
    assert client.write_single_register(5004, 10000)
    assert client.write_single_register(5004, 8000) is False
    assert client.last_except == 6
    clock.pass_s(5)
    assert client.write_single_register(5004, 8000)
    clock.pass_s(10)
    assert client.read_holding_registers(1100, 2) == [0, 8000]
    client.close()


def test_pymodbustcp_reads_and_writes_coils(serve: Any, clock: Any) -> None:
    _, device, url = serve("phoenix_em_cp_pp_eth", clock=clock, any_unit=True)
    client = ModbusClient("127.0.0.1", _port(url), unit_id=180, auto_open=True, timeout=5)
    assert client.read_coils(400, 1) == [False]
    assert client.write_single_coil(400, True)
    assert client.read_coils(400, 1) == [True]
    assert client.read_coils(401, 1) is None
    assert device.value("enable") is True
    client.close()


def test_mbpoll_reads_a_charger(serve: Any, clock: Any) -> None:
    need("mbpoll")
    _, device, url = serve("heidelberg_energy_control", clock=clock)
    clock.pass_s(1)
    command = ["mbpoll", "-m", "tcp", "-p", str(_port(url)), "-a", "1", "-0", "-1", "-q"]
    out = subprocess.run(
        [*command, "-t", "3", "-r", "10", "-c", "3", "127.0.0.1"], capture_output=True, text=True, timeout=20
    )
    assert out.returncode == 0, out.stderr
    values = [line.split("\t")[1].strip() for line in out.stdout.splitlines() if line.startswith("[")]
    assert values == ["230", "230", "230"]
    # One register makes mbpoll use function 6, which this device refuses.
    refused = subprocess.run(
        [*command, "-t", "4", "-r", "261", "127.0.0.1", "80"], capture_output=True, check=False, timeout=20
    )
    assert refused.returncode != 0
    assert device.value("current_limit_set") == 0


@pytest.fixture
def foreign_server() -> Iterator[tuple[DataBank, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bank = DataBank(h_regs_size=65536, i_regs_size=2000, coils_size=1000, d_inputs_size=16)
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    server.start()
    yield bank, f"tcp://127.0.0.1:{port}"
    server.stop()


def test_our_transport_reads_a_foreign_device(foreign_server: tuple[DataBank, str]) -> None:
    bank, url = foreign_server
    bank.set_holding_registers(306, list(struct.unpack(">6H", struct.pack(">3f", 229.5, 230.25, 231.0))))
    bank.set_holding_registers(344, list(struct.unpack(">2H", struct.pack(">f", 4140.5))))
    bank.set_holding_registers(374, list(struct.unpack(">4H", struct.pack(">d", 123456.75))))
    bank.set_holding_registers(320, [0x7FC0, 0])
    bank.set_holding_registers(1201, list(struct.unpack(">5H", b"C2".ljust(10, b"\0"))))
    transport = open_transport(load_profile("alfen_ng9xx"), url, timeout_s=5)

    async def read() -> dict[str, Any]:
        readings = await transport.read(["status", "voltage_l2", "power_total", "energy_total", "current_l1"])
        transport.close()
        return readings

    readings = asyncio.run(read())
    assert {role: reading.value for role, reading in readings.items()} == {
        "status": "C",
        "voltage_l2": 230.25,
        "power_total": -4140.5,
        "energy_total": 123456.75,
        "current_l1": None,
    }
    assert readings["current_l1"].quality is Quality.BAD


def test_our_transport_writes_a_foreign_device(foreign_server: tuple[DataBank, str]) -> None:
    bank, url = foreign_server

    async def write() -> None:
        for profile, role, value in (
            ("alfen_ng9xx", "current_limit_set", 11.5),
            ("keba_p30_p40", "current_limit_set", 13.0),
            ("mennekes_hcc3", "current_limit_set", 9),
            ("wallbox_quasar_1", "power_set", -3000),
            ("phoenix_em_cp_pp_eth", "enable", True),
        ):
            transport = open_transport(load_profile(profile), url, timeout_s=5)
            assert (await transport.write(role, value)).ok
            transport.close()

    asyncio.run(write())
    assert struct.pack(">2H", *bank.get_holding_registers(1210, 2)) == struct.pack(">f", 11.5)
    assert bank.get_holding_registers(5004, 1) == [13000]
    assert bank.get_holding_registers(0x400, 1) == [9]
    assert bank.get_holding_registers(260, 1) == [3000]
    assert bank.get_coils(400, 1) == [True]


def test_our_transport_finds_the_models_of_a_foreign_device(foreign_server: tuple[DataBank, str]) -> None:
    bank, url = foreign_server
    client = sunspec2.modbus.client.SunSpecModbusClientDevice()
    words = [0x5375, 0x6E53]
    for model_id, values in (
        (1, {"Mn": "Maker", "Md": "Box", "SN": "9"}),
        (101, {"W": -420, "W_SF": 1, "PhVphA": 2312, "V_SF": -1, "St": 4}),
        (120, {"WRtg": 50, "WRtg_SF": 2}),
        (123, {"WMaxLimPct_SF": -2}),
    ):
        model = sunspec2.device.Model(model_id)
        for name, value in values.items():
            getattr(model, name).value = value
        data = model.get_mb()
        words += struct.unpack(f">{len(data) // 2}H", data)
    assert client.base_addr is None
    bank.set_holding_registers(50000, [*words, 0xFFFF, 0])
    transport = open_transport(load_profile("sunspec_inverter_single_phase"), url, timeout_s=5)

    async def use() -> dict[str, Any]:
        readings = await transport.read(
            ["manufacturer", "power_total", "voltage_l1", "state", "rated_power", "frequency"]
        )
        assert (await transport.write("power_limit_pct_set", 37.5)).ok
        transport.close()
        return readings

    readings = asyncio.run(use())
    assert {role: reading.value for role, reading in readings.items()} == {
        "manufacturer": "Maker",
        "power_total": -4200,
        "voltage_l1": 231.2,
        "state": "mppt",
        "rated_power": 5000,
        "frequency": None,
    }
    address = transport.profile.point("power_limit_pct_set").address
    assert address == 50000 + 2 + 68 + 52 + 28 + 5
    assert bank.get_holding_registers(address, 1) == [3750]
