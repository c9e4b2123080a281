"""What a device did in a step, from what is known of it.

Public: `measure(device, known, now, before) -> Measured`, `Measured`.

Of a device that is not heard the last power is held for as long as a reading counts, and marked stale; after that it
is taken to be 0 kW, and marked bad. What a device does against what it was told counts as it is, and is marked bad too.
"""

from dataclasses import dataclass

from feederloop.hil.held import HeldDevice
from feederloop.hil.reading import Quality
from feederloop.hil.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Measured:
    """One step of one device.

    Attributes:
        p_kw: Mean power since the step before, export positive.
        quality: How far to trust it.
        age_s: Age of the last reading behind it, device time; None before the first.
        energy_kwh: The device's energy counter at that reading.
        counted_s: The time it had counted by then.
    """

    p_kw: float = 0.0
    quality: Quality = Quality.NEVER
    age_s: float | None = None
    energy_kwh: float = 0.0
    counted_s: float = 0.0


def measure(device: HeldDevice, known: Snapshot, now: float, before: Measured) -> Measured:
    """Return what a device did since `before`.

    Args:
        device: The device.
        known: What is known of it.
        now: Device time, seconds.
        before: Its step before.
    """
    if known.power_kw is None:
        return before
    age_s = now - known.time
    limit_s = device.stale_after_s
    counted_s = known.measured_s - before.counted_s
    if age_s > limit_s:
        return Measured(0.0, Quality.BAD, age_s, known.energy_kwh, known.measured_s)
    p_kw = 3600 * (known.energy_kwh - before.energy_kwh) / counted_s if counted_s > 0 else known.power_kw
    quality = known.quality if known.quality is Quality.GOOD or known.disobeys else Quality.STALE
    return Measured(p_kw, quality, age_s, known.energy_kwh, known.measured_s)
