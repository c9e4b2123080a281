"""What is known of a device of the bench at one moment.

Public: `Snapshot`, `State`.
"""

from dataclasses import dataclass
from enum import StrEnum

from feederloop.hil.reading import Quality


class State(StrEnum):
    """How a device stands."""

    NEVER = "never"
    """Has not answered yet."""
    READING = "reading"
    """Is read and not written to: it is not armed, or must not be."""
    ARMED = "armed"
    """Takes set-points."""
    LOST = "lost"
    """No longer answers."""
    STOPPED = "stopped"
    """Is in its safe state and stays there."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of a device.

    Attributes:
        time: Device time of the last good reading of its power, seconds.
        power_kw: The power then, export positive; None as long as there never was one.
        quality: How far to trust it.
        reason: Why not further.
        energy_kwh: Energy since the first reading, export positive, by readings of power.
        measured_s: Device time over which it was measured.
        plugged: Whether a vehicle is there; None where the device does not say.
        soc_percent: Its state of charge; None where the device does not say.
        sent_kw: What the device was last told; None before that.
        state: How it stands.
        disobeys: How it disobeys; empty while it obeys.
        cycle: Which of the device's cycles it is from, counted from 1.
    """

    time: float = 0.0
    power_kw: float | None = None
    quality: Quality = Quality.NEVER
    reason: str = ""
    energy_kwh: float = 0.0
    measured_s: float = 0.0
    plugged: bool | None = None
    soc_percent: float | None = None
    sent_kw: float | None = None
    state: State = State.NEVER
    disobeys: str = ""
    cycle: int = 0
