"""One connection or serial line to one or more Modbus units, over pymodbus.

Public: `Link(address, *, name, timeout_s=0.3, tls=None, ...)` with `await read(unit, table, address, count) -> Answer`,
`await write(unit, function, address, words) -> Answer`, `close()`, `connected`, `Answer`.

pymodbus's own patience is switched off (by default it spends 12 s on a silent device and lets 300 s grow between
attempts to reconnect, and its retries repeat writes): an unanswered request costs one time-out, and nothing is ever
sent twice. There is no background task: a lost link is reopened by the first request after its back-off, and requests
before that fail at once. No answer can be taken for that of another request: after a time-out a TCP or TLS link is
closed, and a serial one, whose frames carry no number, hears nothing from that unit until a late answer must have come
and gone.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient, AsyncModbusTlsClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from feederloop.hil.address import DeviceAddress, TlsFiles
from feederloop.hil.profile import Table

# What a device does is told by qualities and reasons; pymodbus would print it too, for want of a handler.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}
"""Modbus exception codes by their meaning."""

_READS: dict[Table, tuple[str, int]] = {
    "holding": ("read_holding_registers", 3),
    "input": ("read_input_registers", 4),
    "coil": ("read_coils", 1),
    "discrete": ("read_discrete_inputs", 2),
}
_Client = AsyncModbusTcpClient | AsyncModbusTlsClient | AsyncModbusSerialClient


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request.

    Attributes:
        words: Registers, or coils as 0/1; empty unless a read succeeded.
        reason: Why there is no answer to use; empty on success.
        exception_code: The device's exception code where it refused.
        time: `time.monotonic()` of the outcome, seconds.
    """

    words: tuple[int, ...] = ()
    reason: str = ""
    exception_code: int | None = None
    time: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the device did what it was asked."""
        return not self.reason


class Link:
    """A connection that is opened when needed, reopened patiently, and never mixes up answers.

    Args:
        address: Where it leads.
        name: Names the device in reasons and spreads the back-offs of many devices, always the same way.
        timeout_s: Seconds to wait for a connection, and for an answer.
        tls: Certificates, for tls.
        pause_s: Silence between two requests, seconds.
        back_off_s: First and longest time between attempts to connect, seconds.
        late_window_s: On a serial line, how long a unit that did not answer is left alone, seconds.
    """

    def __init__(
        self,
        address: DeviceAddress,
        *,
        name: str = "",
        timeout_s: float = 0.3,
        tls: TlsFiles | None = None,
        pause_s: float = 0.0,
        back_off_s: tuple[float, float] = (2.0, 5.0),
        late_window_s: float = 2.0,
    ) -> None:
        self.address = address
        self.name = name or str(address)
        self.reconnects = 0
        self._timeout_s, self._tls, self._pause_s = timeout_s, tls, pause_s
        self._back_off_s, self._late_window_s = back_off_s, late_window_s
        self._client: _Client | None = None
        self._context: ssl.SSLContext | None = None
        self._lock = asyncio.Lock()
        self._failures = 0
        self._retry_at = 0.0
        self._quiet_until: dict[int, float] = {}
        self._last_request = 0.0
        self._last_failure = ""
        self._open_error = ""

    @property
    def connected(self) -> bool:
        """Whether the connection (or the serial port) is open now."""
        return self._client is not None and self._client.connected

    async def read(self, unit: int, table: Table, address: int, count: int) -> Answer:
        """Read registers or coils."""
        method, function = _READS[table]

        def ask(client: _Client) -> Awaitable[ModbusPDU]:
            request: Awaitable[ModbusPDU] = getattr(client, method)(address, count=count, device_id=unit)
            return request

        return await self._exchange(unit, ask, lambda reply: _read_words(reply, function, count))

    async def write(self, unit: int, function: int, address: int, words: Sequence[int]) -> Answer:
        """Write registers with function 6 or 16, or one coil with function 5."""

        def ask(client: _Client) -> Awaitable[ModbusPDU]:
            if function == 5:
                return client.write_coil(address, bool(words[0]), device_id=unit)
            if function == 6:
                return client.write_register(address, words[0], device_id=unit)
            return client.write_registers(address, list(words), device_id=unit)

        return await self._exchange(unit, ask, lambda reply: _echo(reply, function, address))

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _exchange(
        self,
        unit: int,
        ask: Callable[[_Client], Awaitable[ModbusPDU]],
        extract: Callable[[ModbusPDU], tuple[int, ...] | None],
    ) -> Answer:
        async with self._lock:
            if reason := await self._not_ready(unit):
                return Answer(reason=reason, time=time.monotonic())
            client = self._client
            if client is None:
                return Answer(reason=f"{self.name}: not connected", time=time.monotonic())
            try:
                reply = await ask(client)
            except ConnectionException:
                return self._lost("connection lost")
            except ModbusIOException as error:
                return self._unanswered(unit, "garbled answer" if "garbled" in str(error) else "no answer")
            except asyncio.CancelledError:
                # The answer is still under way and belongs to nobody now.
                self._unanswered(unit, "request abandoned")
                raise
            finally:
                self._last_request = time.monotonic()
            self._failures = 0
            if isinstance(reply, ExceptionResponse):
                code = reply.exception_code
                text = f"exception {code} ({EXCEPTIONS.get(code, 'unknown')})"
                return Answer(reason=text, exception_code=code, time=self._last_request)
            words = extract(reply)
            if words is None:
                return self._unanswered(unit, "answer does not fit the request")
            return Answer(words=words, time=self._last_request)

    async def _not_ready(self, unit: int) -> str:
        now = time.monotonic()
        if now < self._quiet_until.get(unit, 0.0):
            return f"{self.name}: unit {unit} did not answer and is left alone for a moment"
        if not self.connected:
            if now < self._retry_at:
                return (
                    f"{self.name}: not connected ({self._last_failure}); next attempt in {self._retry_at - now:.1f} s"
                )
            if not await self._open():
                return f"{self.name}: {self._last_failure}"
        wait = self._last_request + self._pause_s - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        return ""

    async def _open(self) -> bool:
        self.close()
        self._open_error = ""
        try:
            self._client = self._new_client()
            opened = await self._client.connect()
        except Exception as error:
            # pyserial and pymodbus let errors of many kinds through, termios's own among them.
            opened, self._open_error = False, str(error)
        if not opened:
            self.close()
            self._failed(f"cannot connect{': ' if self._open_error else ''}{self._open_error}")
            return False
        self.reconnects += 1
        return True

    def _new_client(self) -> _Client:
        where = self.address
        common: dict[str, Any] = {"timeout": self._timeout_s, "retries": 0, "reconnect_delay": 0, "name": self.name}
        client: _Client
        if where.protocol == "rtu":
            client = AsyncModbusSerialClient(
                where.host, baudrate=where.baud, parity=where.parity, stopbits=where.stop_bits, **common
            )
        elif where.protocol == "tls":
            if self._context is None:
                self._context = (self._tls or TlsFiles()).client_context()
            client = AsyncModbusTlsClient(where.host, port=where.port, sslctx=self._context, **common)
        else:
            client = AsyncModbusTcpClient(where.host, port=where.port, **common)
        _fail_at_once(client)
        self._remember_why_not(client)
        return client

    def _remember_why_not(self, client: _Client) -> None:
        """Keep the reason why a connection fails, which pymodbus only logs (a certificate, above all)."""
        create = client.ctx.call_create

        async def recorded() -> Any:
            try:
                return await create()
            except OSError as error:
                self._open_error = str(error)
                raise

        client.ctx.call_create = recorded

    def _unanswered(self, unit: int, reason: str) -> Answer:
        now = time.monotonic()
        if self.address.protocol == "rtu":
            # Other units share the line, so it stays open; pymodbus drops what comes without a request.
            self._quiet_until[unit] = now + self._late_window_s
        else:
            self.close()
            self._failed(reason, free=1)
        return Answer(reason=f"{self.name}: {reason}", time=now)

    def _lost(self, reason: str) -> Answer:
        self.close()
        self._failed(reason, free=1)
        return Answer(reason=f"{self.name}: {reason}", time=time.monotonic())

    def _failed(self, reason: str, *, free: int = 0) -> None:
        """Note a failure; all but the first `free` in a row delay the next attempt to connect."""
        self._last_failure = reason
        self._failures += 1
        if self._failures <= free:
            return
        first, longest = self._back_off_s
        wait = min(first * 1.5 ** (self._failures - free - 1), longest)
        # Between nine tenths and all of it, so that many devices do not knock together.
        spread = random.Random(f"{self.name}:{self._failures}").random()
        self._retry_at = time.monotonic() + wait * (0.9 + 0.1 * spread)


def _read_words(reply: ModbusPDU, function: int, count: int) -> tuple[int, ...] | None:
    if reply.function_code != function:
        return None
    if function in (1, 2):
        return tuple(int(bit) for bit in reply.bits[:count]) if len(reply.bits) >= count else None
    return tuple(reply.registers) if len(reply.registers) == count else None


def _echo(reply: ModbusPDU, function: int, address: int) -> tuple[int, ...] | None:
    return () if (reply.function_code, reply.address) == (function, address) else None


def _fail_at_once(client: _Client) -> None:
    """Let undecodable bytes and a lost connection end the request that waits, instead of its time-out.

    Left alone, pymodbus's error about such bytes escapes into the event loop, which logs it as fatal.
    """
    manager = client.ctx
    received, disconnected = manager.callback_data, manager.callback_disconnected

    def end(error: ModbusException) -> None:
        future = getattr(manager, "response_future", None)
        if future is not None and not future.done():
            future.set_exception(error)
            # Nobody may be waiting: an exception that is never fetched would be reported by the loop.
            future.exception()

    def guarded_data(data: bytes, addr: tuple[Any, ...] | None = None) -> int:
        try:
            return received(data, addr)
        except ModbusException:
            end(ModbusIOException("garbled"))
            return len(data)

    def guarded_disconnect(error: Exception | None) -> None:
        disconnected(error)
        end(ConnectionException("connection lost"))

    manager.callback_data = guarded_data  # type: ignore[method-assign]
    manager.callback_disconnected = guarded_disconnect  # type: ignore[method-assign,assignment]
