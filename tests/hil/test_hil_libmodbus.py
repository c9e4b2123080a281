"""libmodbus, the C library behind most Modbus tools, against our devices, and our bench against its server."""

import ctypes
import ctypes.util
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from debian_packages import need

from feederloop.hil import supervisor
from feederloop.hil.audit import read_audit
from feederloop.hil.bench import bench_from
from feederloop.hil.simulated.physics import Ratings
from feederloop.hil.station import Pace, Station
from feederloop.hil.supervisor import Command


class Mapping(ctypes.Structure):
    """`modbus_mapping_t`, as of modbus.h of libmodbus 3.1."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("nb_bits", "start_bits", "nb_input_bits", "start_input_bits")),
        *((name, ctypes.c_int) for name in ("nb_input_registers", "start_input_registers")),
        *((name, ctypes.c_int) for name in ("nb_registers", "start_registers")),
        *((name, ctypes.POINTER(ctypes.c_uint8)) for name in ("tab_bits", "tab_input_bits")),
        *((name, ctypes.POINTER(ctypes.c_uint16)) for name in ("tab_input_registers", "tab_registers")),
    )


@pytest.fixture
def library() -> Any:
    need("libmodbus5")
    loaded = ctypes.CDLL(ctypes.util.find_library("modbus"), use_errno=True)
    loaded.modbus_new_tcp.restype = loaded.modbus_mapping_new.restype = ctypes.c_void_p
    loaded.modbus_strerror.restype = ctypes.c_char_p
    return loaded


@pytest.fixture
def connect(library: Any) -> Iterator[Any]:
    contexts = []

    def open_at(url: str, unit: int) -> Any:
        context = ctypes.c_void_p(library.modbus_new_tcp(b"127.0.0.1", int(url.rpartition(":")[2])))
        contexts.append(context)
        library.modbus_set_response_timeout(context, 5, 0)
        assert library.modbus_set_slave(context, unit) == 0
        assert library.modbus_connect(context) == 0, library.modbus_strerror(ctypes.get_errno())
        return context

    yield open_at
    for context in contexts:
        library.modbus_close(context)
        library.modbus_free(context)


def read(library: Any, context: Any, address: int, count: int) -> list[int] | str:
    words = (ctypes.c_uint16 * count)()
    if library.modbus_read_registers(context, address, count, words) == count:
        return list(words)
    return str(library.modbus_strerror(ctypes.get_errno()).decode())


def test_libmodbus_drives_a_charger_and_meets_its_rules(library: Any, connect: Any, serve: Any, clock: Any) -> None:
    _, device, url = serve("alfen_ng9xx", clock=clock, ratings=Ratings(rated_current_a=32), any_unit=True)
    context = connect(url, 1)
    ten_amperes = (ctypes.c_uint16 * 2)(*struct.unpack(">2H", struct.pack(">f", 10.0)))
    assert library.modbus_write_registers(context, 1210, 2, ten_amperes) == 2
    clock.pass_s(20)
    assert device.power_kw == pytest.approx(-6.9)
    words = read(library, context, 344, 2)
    assert struct.unpack(">f", struct.pack(">2H", *words))[0] == pytest.approx(6900)
    assert library.modbus_write_register(context, 1215, 1) == -1, "this device takes function 16 only"
    assert library.modbus_strerror(ctypes.get_errno()) == b"Illegal function"
    assert read(library, context, 312, 1) == "Illegal data address"


def test_libmodbus_reads_and_limits_a_sunspec_inverter(library: Any, connect: Any, serve: Any, clock: Any) -> None:
    ratings = Ratings(rated_power_w=5000)
    _, device, url = serve("sunspec_inverter_three_phase", clock=clock, ratings=ratings, any_unit=True)
    device.set("available_kw", 4.0)
    clock.pass_s(60)
    context = connect(url, 1)
    assert read(library, context, 40000, 2) == [0x5375, 0x6E53]
    # After the common model of 68 registers comes 103, whose W and W_SF are 14 and 15 registers further.
    assert read(library, context, 40070, 2) == [103, 50]
    power, exponent = read(library, context, 40070 + 14, 2)
    assert power * 10.0 ** ctypes.c_int16(exponent).value == pytest.approx(4000, rel=0.01)
    limit = device.profile.point("power_limit_pct_set").address
    switch = device.profile.point("power_limit_enable").address
    assert library.modbus_write_register(context, limit, 4000) == 1
    assert library.modbus_write_register(context, switch, 1) == 1
    clock.pass_s(60)
    assert device.power_kw == pytest.approx(2.0, rel=0.01)


def test_a_device_made_with_libmodbus_is_held_and_what_it_does_not_do_is_told(
    library: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes every set-point, and shows none of them where an Alfen shows what holds: the bench has to notice."""
    monkeypatch.setattr(supervisor, "SETTLING_S", 0.3)
    context = ctypes.c_void_p(library.modbus_new_tcp(b"127.0.0.1", 0))
    table = Mapping.from_address(library.modbus_mapping_new(0, 0, 2000, 0))
    socket_number = library.modbus_tcp_listen(context, 1)
    assert socket_number >= 0
    listening = socket.socket(fileno=socket_number)
    port = listening.getsockname()[1]
    for address, text in ((306, struct.pack(">f", 230.0)), (1201, b"C2")):
        for offset, word in enumerate(struct.unpack(f">{len(text) // 2}H", text)):
            table.tab_registers[address + offset] = word

    def answer() -> None:
        number = ctypes.c_int(socket_number)
        query = (ctypes.c_uint8 * 260)()
        if library.modbus_tcp_accept(context, ctypes.byref(number)) < 0:
            return
        while (length := library.modbus_receive(context, query)) >= 0:
            library.modbus_reply(context, query, length, ctypes.byref(table))

    server = threading.Thread(target=answer, daemon=True)
    server.start()
    entry = {"prosumer": "home_01", "slot": "charger", "profile": "alfen_ng9xx", "url": f"tcp://127.0.0.1:{port}",
             "mode": "armed", "ratings": {"current_a": 16}, "poll_s": 0.2, "limits": {"import_kw": 2.3}}  # fmt: skip
    bench = bench_from({"devices": [entry], "stop_file": str(tmp_path / "stop"), "timeout_s": 5.0})
    with Station(bench, pace=Pace(real_time=True)) as station:
        station.start(tmp_path)
        station.post({"home_01/charger": Command(-9.0)})
        held = station.devices["home_01/charger"]
        deadline = time.monotonic() + 15
        while not held.snapshot.disobeys:
            assert time.monotonic() < deadline, held.snapshot
            time.sleep(0.05)
        assert held.snapshot.disobeys == "its register shows 0 instead of 10"
        words = table.tab_registers[1210], table.tab_registers[1211]
        assert struct.unpack(">f", struct.pack(">2H", *words))[0] == 10.0
    words = table.tab_registers[1210], table.tab_registers[1211]
    assert words == (0, 0), "and it was brought to its safe state"
    assert read_audit(tmp_path / "audit.jsonl")[-1]["not_confirmed_safe"] == []
    server.join(5)
    listening.close()
    library.modbus_mapping_free(ctypes.byref(table))
    library.modbus_free(context)
