"""One open connection, or an open serial line: a Modbus request out, its answer back.

Public: `await open_wire(address, *, timeout_s, tls=None) -> Wire`, `Wire` with `await ask(unit, request) -> bytes`,
`close()`, `is_open`; `WireError`.

pymodbus packs and finds frames. Its client is not used: it repeats requests and reconnects by rules of its own, and
spends more on a request than all the rest does.
"""

import asyncio
import logging
import ssl

from pymodbus.framer import FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.transport.serialtransport import create_serial_connection

from feederloop.hil.address import DeviceAddress

# What a device does is told by qualities and reasons; pymodbus would print it too, for want of a handler.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())


class WireError(Exception):
    """There is no answer; its text says why."""


class Wire(asyncio.Protocol):
    """What `open_wire` opened.

    Args:
        framer: Packs and finds frames.
        timeout_s: Seconds to wait for an answer.
    """

    def __init__(self, framer: FramerBase, timeout_s: float) -> None:
        self._framer, self._timeout_s = framer, timeout_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._unit = self._number = 0
        self._numbers = False  # whether the device numbers its answers
        self._answer: asyncio.Future[bytes] | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, unit: int, request: bytes) -> bytes:
        """Send a request and return its answer, each from the function code to before any checksum; one at a time.

        Only what bears the request's unit and number is its answer; whatever else comes is dropped. Of a device that
        numbers none, as on a serial line, it may be without.

        Raises:
            WireError: No answer came in time, it could not be read, or the connection was lost.
        """
        if self._transport is None or self._transport.is_closing():
            raise WireError("connection lost")
        self._unit, self._number, self._buffer = unit, self._number % 0xFFFF + 1, b""
        self._answer = self._loop.create_future()
        self._transport.write(self._framer.encode(request, unit, self._number))
        timer = self._loop.call_later(self._timeout_s, self._fail, "no answer")
        try:
            return await self._answer
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close it; a request that waits fails."""
        if self._transport is not None:
            # Closing politely, TLS would wait half a minute for a silent device's goodbye and hold its only connection.
            self._transport.abort()
        self.connection_lost(None)

    def opened(self, transport: asyncio.Transport) -> None:
        """Take the transport that leads to the device."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes off the wire; those that come while nobody waits are dropped."""
        waiting = self._answer
        if waiting is None or waiting.done():
            return
        self._buffer += data
        if len(self._buffer) > 4 * self._framer.MAX_SIZE:
            # No answer, late or twice, is as long; to look through a flood would keep all other devices waiting.
            self._fail("garbled answer")
            return
        while self._buffer:
            used, unit, number, answer = self._framer.decode(self._buffer)
            if not used:
                return
            self._buffer = self._buffer[used:]
            if answer and self._unit in (0, unit) and (number == self._number or not (number or self._numbers)):
                self._numbers = number > 0
                waiting.set_result(answer)
                return

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a request that waits fail at once."""
        self._transport = None
        self._fail("connection lost")

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(WireError(reason))


async def open_wire(address: DeviceAddress, *, timeout_s: float, tls: ssl.SSLContext | None = None) -> Wire:
    """Connect to a device, or open a serial line.

    Args:
        address: Where it leads.
        timeout_s: Seconds to wait for the connection, and then for each answer.
        tls: Certificates, for tls.

    Raises:
        OSError: It cannot be opened; a `TimeoutError` where nobody answers.
    """
    loop, decoder = asyncio.get_running_loop(), DecodePDU(False)
    if address.protocol == "rtu":
        wire = Wire(FramerRTU(decoder), timeout_s)
        transport, _ = await create_serial_connection(
            loop, lambda: wire, address.host, baudrate=address.baud, bytesize=8, parity=address.parity,
            stopbits=address.stop_bits, timeout=timeout_s,
        )  # fmt: skip
    else:
        wire = Wire(FramerSocket(decoder), timeout_s)
        async with asyncio.timeout(timeout_s):
            transport, _ = await loop.create_connection(lambda: wire, address.host, address.port, ssl=tls)
    wire.opened(transport)
    return wire
