"""Replay: a capture takes the place of the device that it was made of.

Public: `ReplayTransport(entry, clock)`.

What it answers at a device time is what the device answered then, the latest reading of each point until that time with
its value, quality, reason and registers. A SunSpec device's points lie where they usually would; their captured values
need no scale factors.
"""

import time
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feederloop.hil.bench import DeviceEntry
from feederloop.hil.capture import COLUMNS
from feederloop.hil.profile import Profile
from feederloop.hil.reading import Quality, Reading, Value, WriteResult
from feederloop.hil.sunspec import nominal_places, resolve
from feederloop.simulators.errors import InputError


class ReplayTransport:
    """Answers from a capture.

    Args:
        entry: The device; its URL names the capture, which holds a device of its name (or only one).
        clock: Device time, seconds; the capture begins when the transport is made.

    Raises:
        InputError: The file is no capture, or not of this device.
    """

    def __init__(self, entry: DeviceEntry, clock: Callable[[], float]) -> None:
        self.name = entry.name
        self._clock, self._start = clock, clock()
        self.profile: Profile = entry.device_profile
        if self.profile.sunspec is not None:
            self.profile = resolve(self.profile, nominal_places(self.profile))
        self._times: dict[str, np.ndarray] = {}
        self._readings: dict[str, list[Reading]] = {}
        self._load(entry)

    @property
    def length_s(self) -> float:
        """Device time from the capture's start to its last reading."""
        return max(float(times[-1]) for times in self._times.values())

    async def prepare(self) -> str:
        """Nothing to do: the capture has been read."""
        return ""

    async def read(self, roles: Iterable[str]) -> dict[str, Reading]:
        """Return what the device answered last until now; bad before its first answer."""
        now = self._clock() - self._start
        return {role: self._at(role, now) for role in roles}

    async def write(self, role: str, value: Value) -> WriteResult:
        """Refuse: what was, cannot be commanded."""
        return WriteResult(False, "a recording takes no set-points", time=time.monotonic())

    def close(self) -> None:
        """Nothing to close."""

    def _at(self, role: str, now: float) -> Reading:
        times = self._times.get(role)
        if times is None:
            return Reading(None, Quality.BAD, "not in the capture", time=time.monotonic())
        index = int(np.searchsorted(times, now + 1e-9, side="right")) - 1
        if index < 0:
            return Reading(None, Quality.BAD, "before the capture's first reading", time=time.monotonic())
        return self._readings[role][index]

    def _load(self, entry: DeviceEntry) -> None:
        path = entry.replay_file
        table = pq.ParquetFile(path).read()
        if not set(COLUMNS.names) <= set(table.column_names):
            raise InputError("this is no capture of a bench", file=path, key="url", value=entry.url)
        devices = pc.unique(table["device"]).to_pylist()
        name = entry.name if entry.name in devices else devices[0] if len(devices) == 1 else None
        if name is None:
            allowed = ", ".join(map(str, devices))
            raise InputError("the capture holds no such device", file=path, value=entry.name, allowed=allowed)
        rows = table.filter(pc.and_(pc.equal(table["device"], name), pc.equal(table["kind"], "read"))).to_pylist()
        wrong = {row["profile"] for row in rows} - {entry.device_profile.name}
        if wrong or not rows:
            what = f"was made of a {', '.join(sorted(wrong))}" if wrong else "holds no reading"
            raise InputError(f"the capture {what}", file=path, key="profile", value=entry.profile)
        first = rows[0]["time_s"]
        for row in rows:
            self._readings.setdefault(row["role"], []).append(_reading(row, self.profile))
        for role in self._readings:
            self._times[role] = np.array([row["time_s"] - first for row in rows if row["role"] == role])


def _reading(row: dict[str, object], profile: Profile) -> Reading:
    value: Value | None = None
    number, text = row["value"], row["text"]
    if isinstance(text, str):
        value = text
    elif isinstance(number, float):
        # Codes and labels were whole numbers before they went through a column of floats.
        kind = profile.point(str(row["role"])).type if profile.has(str(row["role"])) else "float64"
        value = int(number) if number.is_integer() and not kind.startswith("float") else number
    raw = row["raw"]
    words = tuple(int(word) for word in raw) if isinstance(raw, list) else ()
    return Reading(value, Quality(str(row["quality"])), str(row["reason"] or ""), words)
