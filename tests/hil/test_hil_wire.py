import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from feederloop.hil.address import DeviceAddress
from feederloop.hil.link import Link
from feederloop.hil.wire import WireError, open_wire

REQUEST = struct.pack(">BHH", 3, 10, 1)
ANSWER = bytes([3, 2, 0, 7])


def _frame(number: int, answer: bytes = ANSWER, unit: int = 1) -> bytes:
    return struct.pack(">HHHB", number, 0, len(answer) + 1, unit) + answer


def _play(say: Callable[[int], list[bytes]], scenario: Callable[[DeviceAddress], Awaitable[Any]]) -> Any:
    """Serve a device that sends, one after the other, what `say` makes of each request's number."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(260):
            for piece in say(int.from_bytes(request[:2])):
                writer.write(piece)
                await asyncio.sleep(0.01)
        writer.close()

    async def play() -> Any:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await scenario(DeviceAddress.parse(f"tcp://127.0.0.1:{port}"))
        finally:
            server.close()
            await asyncio.sleep(0.02)

    return asyncio.run(play())


async def _ask(address: DeviceAddress) -> bytes:
    wire = await open_wire(address, timeout_s=5)
    try:
        return await wire.ask(1, REQUEST)
    finally:
        wire.close()


@pytest.mark.parametrize(
    "say",
    [
        lambda number: [_frame(number)],
        lambda number: [_frame(number)[:3], _frame(number)[3:9], _frame(number)[9:]],
        lambda number: [_frame(number + 1, bytes([3, 2, 0, 8])) + _frame(number)],
        lambda number: [_frame(number, bytes([3, 2, 0, 8]), unit=2), _frame(number)],
        lambda number: [_frame(0)],
    ],
    ids=["whole", "in pieces", "after that of another request", "after that of another unit", "without a number"],
)
def test_the_answer_is_that_of_the_request(say: Callable[[int], list[bytes]]) -> None:
    assert _play(say, _ask) == ANSWER


def test_of_a_device_that_numbers_its_answers_none_without_a_number_is_taken() -> None:
    async def scenario(address: DeviceAddress) -> list[bytes]:
        wire = await open_wire(address, timeout_s=5)
        answers = [await wire.ask(1, REQUEST) for _ in range(2)]
        wire.close()
        return answers

    stale = _frame(0, bytes([3, 2, 0, 99]))
    assert _play(lambda number: [_frame(number)] if number == 1 else [stale, _frame(number)], scenario) == [ANSWER] * 2
    assert _play(lambda number: [_frame(0)], scenario) == [ANSWER] * 2


def test_what_was_not_asked_for_is_dropped() -> None:
    async def scenario(address: DeviceAddress) -> tuple[bytes, bytes]:
        wire = await open_wire(address, timeout_s=5)
        first = await wire.ask(1, REQUEST)
        # It bears the next request's number, and what follows is cut off.
        wire.data_received(_frame(2, bytes([3, 2, 0, 99])) + b"\0\0")
        second = await wire.ask(1, REQUEST)
        wire.close()
        return first, second

    assert _play(lambda number: [_frame(number, bytes([3, 2, 0, number]))], scenario) == (
        bytes([3, 2, 0, 1]),
        bytes([3, 2, 0, 2]),
    )


@pytest.mark.parametrize("piece", [bytes([7]), _frame(99)], ids=["garbage", "answers to somebody else"])
def test_endless_nonsense_ends_the_request(piece: bytes) -> None:
    with pytest.raises(WireError, match="garbled"):
        _play(lambda number: [piece * 1100], _ask)


@pytest.mark.parametrize(
    "answer", [bytes([3, 4, 0, 7]), bytes([3, 2, 0]), bytes([4, 2, 0, 7]), bytes([3]), bytes([0x83])]
)
def test_an_answer_that_does_not_fit_the_request_ends_the_connection(answer: bytes) -> None:
    async def read(address: DeviceAddress) -> tuple[str, bool]:
        link = Link(address, name="box", timeout_s=5)
        said = await link.read(1, "holding", 10, 1)
        connected = link.connected
        link.close()
        return said.reason, connected

    assert _play(lambda number: [_frame(number, answer)], read) == ("box: garbled answer", False)


def test_an_echo_of_another_address_is_no_acknowledgement() -> None:
    async def write(address: DeviceAddress) -> str:
        link = Link(address, name="box", timeout_s=5)
        said = await link.write(1, 6, 10, [7])
        link.close()
        return said.reason

    assert _play(lambda number: [_frame(number, struct.pack(">BHH", 6, 11, 7))], write) == "box: garbled answer"


def test_coils_come_lowest_bit_first() -> None:
    async def read(address: DeviceAddress) -> tuple[int, ...]:
        link = Link(address, timeout_s=5)
        said = await link.read(1, "coil", 0, 10)
        link.close()
        return said.words

    answer = bytes([1, 2, 0b10000101, 0b10])
    assert _play(lambda number: [_frame(number, answer)], read) == (1, 0, 1, 0, 0, 0, 0, 1, 0, 1)


def test_closing_ends_the_request_that_waits() -> None:
    async def scenario(address: DeviceAddress) -> None:
        wire = await open_wire(address, timeout_s=5)
        asking = asyncio.create_task(wire.ask(1, REQUEST))
        await asyncio.sleep(0.02)
        wire.close()
        with pytest.raises(WireError, match="connection lost"):
            await asking
        with pytest.raises(WireError, match="connection lost"):
            await wire.ask(1, REQUEST)

    _play(lambda number: [], scenario)
