"""What comes back from a device: a value, how far it may be trusted, and when it was taken.

Public: `Quality`, `Reading`, `WriteResult`, `Value`.
"""

from dataclasses import dataclass
from enum import StrEnum

Value = float | int | str | bool
"""A number in the base unit of its role (W, Wh, A, V, s, Hz, %, degC), a state's label, or text."""


class Quality(StrEnum):
    """How far a value may be trusted."""

    GOOD = "good"
    """Answered by the device, decoded, and plausible."""
    STALE = "stale"
    """Was good, but is older than its reader allows (set by whoever keeps readings, never by a transport)."""
    BAD = "bad"
    """No answer, an exception, a value that the device marks as missing, one that cannot be true, or one that shows
    that the device does not do what it was told."""
    NEVER = "never"
    """Nothing has been read yet."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One point of a device, read once.

    Attributes:
        value: The value in the role's base unit and feederloop's sign (export positive); None unless good or stale.
        quality: How far to trust it.
        reason: Why it is not good, for people; empty when good.
        raw: The registers (or the coil as 0/1) as received; empty without an answer.
        time: `time.monotonic()` at which the answer came or was given up, in seconds.
    """

    value: Value | None
    quality: Quality
    reason: str = ""
    raw: tuple[int, ...] = ()
    time: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the value may be used as it is."""
        return self.quality is Quality.GOOD


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one write.

    Attributes:
        ok: The device acknowledged the write (which is not yet the proof that it obeys).
        reason: Why not, for people; empty when ok.
        exception_code: The Modbus exception code the device answered with, if it did.
        retry_after_s: Seconds after which the write is allowed again, where it was held back for coming too soon.
        raw: The registers (or coil) that were sent, or would have been.
        time: `time.monotonic()` of the acknowledgement or refusal, in seconds.
    """

    ok: bool
    reason: str = ""
    exception_code: int | None = None
    retry_after_s: float = 0.0
    raw: tuple[int, ...] = ()
    time: float = 0.0
