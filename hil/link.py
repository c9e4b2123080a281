"""One connection or serial line to one or more Modbus units.

Public: `Link(address, *, name, timeout_s=0.3, tls=None, ...)` with `await read(unit, table, address, count) -> Answer`,
`await write(unit, function, address, words) -> Answer`, `close()`, `connected`, `Answer`.

An unanswered request costs one time-out, and nothing is ever sent twice. There is no background task: a lost link is
reopened by the first request after its back-off, and requests before that fail at once. No answer can be taken for that
of another request: after a time-out a TCP or TLS link is closed, and a serial one, whose frames carry no number, hears
nothing from that unit until a late answer must have come and gone.
"""

import asyncio
import random
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from feederloop.hil.address import DeviceAddress, TlsFiles
from feederloop.hil.profile import Table
from feederloop.hil.wire import Wire, WireError, open_wire

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

_READS: dict[Table, int] = {"holding": 3, "input": 4, "coil": 1, "discrete": 2}
_COILS = (1, 2)


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
        self._wire: Wire | None = None
        self._context: ssl.SSLContext | None = None
        self._lock = asyncio.Lock()
        self._failures = 0
        self._retry_at = 0.0
        self._quiet_until: dict[int, float] = {}
        self._last_request = 0.0
        self._last_failure = ""

    @property
    def connected(self) -> bool:
        """Whether the connection (or the serial port) is open now."""
        return self._wire is not None and self._wire.is_open

    async def read(self, unit: int, table: Table, address: int, count: int) -> Answer:
        """Read registers or coils."""
        function = _READS[table]
        request = struct.pack(">BHH", function, address, count)
        return await self._exchange(unit, request, lambda body: _words(function, count, body))

    async def write(self, unit: int, function: int, address: int, words: Sequence[int]) -> Answer:
        """Write registers with function 6 or 16, or one coil with function 5."""
        if function == 16:
            request = struct.pack(f">BHHB{len(words)}H", 16, address, len(words), 2 * len(words), *words)
        else:
            value = words[0] if function == 6 else 0xFF00 * bool(words[0])
            request = struct.pack(">BHH", function, address, value)
        return await self._exchange(unit, request, lambda body: () if body[:2] == request[1:3] else None)

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _exchange(self, unit: int, request: bytes, extract: Callable[[bytes], tuple[int, ...] | None]) -> Answer:
        async with self._lock:
            if reason := await self._not_ready(unit):
                return Answer(reason=reason, time=time.monotonic())
            wire = self._wire
            if wire is None:
                return Answer(reason=f"{self.name}: not connected", time=time.monotonic())
            try:
                reply = await wire.ask(unit, request)
            except WireError as error:
                return self._unanswered(unit, str(error))
            except asyncio.CancelledError:
                # The answer is still under way and belongs to nobody now.
                self._unanswered(unit, "request abandoned")
                raise
            finally:
                self._last_request = time.monotonic()
            if reply[0] == request[0] | 0x80 and len(reply) > 1:
                self._failures = 0
                code = reply[1]
                text = f"exception {code} ({EXCEPTIONS.get(code, 'unknown')})"
                return Answer(reason=text, exception_code=code, time=self._last_request)
            words = extract(reply[1:]) if reply[0] == request[0] else None
            if words is None:
                return self._unanswered(unit, "garbled answer")
            self._failures = 0
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
        try:
            if self.address.protocol == "tls" and self._context is None:
                self._context = (self._tls or TlsFiles()).client_context()
            self._wire = await open_wire(self.address, timeout_s=self._timeout_s, tls=self._context)
        except Exception as error:
            # Of many kinds: of sockets, of certificates, and of serial ports termios's own.
            self._failed(f"cannot connect{': ' if str(error) else ''}{error}")
            return False
        self.reconnects += 1
        return True

    def _unanswered(self, unit: int, reason: str) -> Answer:
        now = time.monotonic()
        if self.address.protocol == "rtu" and self.connected:
            # Other units share the line, so it stays open; what comes without a request is dropped.
            self._quiet_until[unit] = now + self._late_window_s
        else:
            self.close()
            self._failed(reason, free=1)
        return Answer(reason=f"{self.name}: {reason}", time=now)

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


def _words(function: int, count: int, body: bytes) -> tuple[int, ...] | None:
    """What the answer to a read holds, None where that is not as much as was asked for."""
    size = (count + 7) // 8 if function in _COILS else 2 * count
    if len(body) <= size or body[0] != size:
        return None
    if function in _COILS:
        bits = int.from_bytes(body[1 : 1 + size], "little")
        return tuple(bits >> number & 1 for number in range(count))
    return struct.unpack_from(f">{count}H", body, 1)
