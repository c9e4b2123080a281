"""How a simulated device answers Modbus requests, by pymodbus's datastore or, which is quicker, past it.

Public: `sim_device(device, unit)` for pymodbus's server, `respond(device, request)`.
"""

from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
    WriteMultipleRegistersResponse,
)
from pymodbus.simulator import DataType, SimData, SimDevice

from feederloop.hil.profile import Table
from feederloop.hil.simulated.device import SimulatedDevice

_TABLES: dict[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 6: "holding", 15: "coil"}
_TABLES[16] = "holding"
_REGISTER_TABLES: tuple[Table, Table] = ("holding", "input")
_READ_RESPONSES = {3: ReadHoldingRegistersResponse, 4: ReadInputRegistersResponse}
_MOST_READ, _MOST_WRITTEN = 125, 123
"""Registers in one request, as of the Modbus application protocol."""


def sim_device(device: SimulatedDevice, unit: int) -> SimDevice:
    """Return a device as pymodbus's server takes it, every request of which is answered by the device itself."""
    bits = [SimData(first, count, values=False, datatype=DataType.BITS) for first, count in device.image.spans("coil")]
    inputs = [
        SimData(first, count, values=False, datatype=DataType.BITS) for first, count in device.image.spans("discrete")
    ]
    holding, readings = (
        [SimData(first, count, datatype=DataType.REGISTERS) for first, count in device.image.spans(table)]
        for table in _REGISTER_TABLES
    )
    # pymodbus wants something in each of the four; what is not in the image is refused by the action.
    nothing = [SimData(0, 16, values=False, datatype=DataType.BITS)]
    none = [SimData(0, datatype=DataType.INVALID)]
    simdata = (bits or nothing, inputs or list(nothing), holding or none, readings or list(none))

    async def action(
        function: int, start: int, address: int, count: int, registers: list[int], values: list[Any] | None
    ) -> ExcCodes | None:
        return _act(device, function, start, address, count, registers, values)

    return SimDevice(id=unit, simdata=simdata, action=action)


def respond(device: SimulatedDevice, pdu: ModbusPDU) -> ModbusPDU | None:
    """Return a device's answer to a well-formed read or write of registers; None for others, which pymodbus judges."""
    function = pdu.function_code
    words: tuple[int, ...] | int | None
    if function in _READ_RESPONSES and 1 <= pdu.count <= _MOST_READ:
        words = device.read(_TABLES[function], pdu.address, pdu.count)
        if not isinstance(words, int):
            return _READ_RESPONSES[function](registers=list(words))
    elif function == 16 and 1 <= len(pdu.registers) == pdu.count <= _MOST_WRITTEN:
        words = device.write(function, "holding", pdu.address, pdu.registers)
        if words is None:
            return WriteMultipleRegistersResponse(address=pdu.address, count=pdu.count)
    else:
        return None
    return ExceptionResponse(function, ExcCodes(words))


def _act(
    device: SimulatedDevice,
    function: int,
    start: int,
    address: int,
    count: int,
    registers: list[int],
    values: list[Any] | None,
) -> ExcCodes | None:
    if function not in _TABLES:
        return ExcCodes.ILLEGAL_FUNCTION
    table = _TABLES[function]
    if values is not None:
        refused = device.write(function, table, address, [int(value) for value in values])
        return None if refused is None else ExcCodes(refused)
    if table in ("coil", "discrete"):
        return _show_bits(device, table, start, address, registers)
    if function == 6:
        # pymodbus reads back what it wrote; the device may not let that register be read.
        words: tuple[int, ...] | int = device.image.words(table, address, count) or ()
    else:
        words = device.read(table, address, count)
    if isinstance(words, int):
        return ExcCodes(words)
    registers[address - start : address - start + count] = words
    return None


def _show_bits(
    device: SimulatedDevice, table: Table, start: int, address: int, registers: list[int]
) -> ExcCodes | None:
    answer = device.read(table, address, 1)
    if isinstance(answer, int):
        return ExcCodes(answer)
    for first, count in device.image.spans(table):
        for offset, bit in enumerate(device.image.words(table, first, count) or ()):
            word, place = divmod(first + offset, 16)
            registers[word - start] = registers[word - start] & ~(1 << place) | bit << place
    return None
