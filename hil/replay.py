"""Replay: a capture takes the place of the device that it was made of.

Public: `Recording(entry)` with `transport`, `clock`, `length_s`, `cycles_until(...)`; `ReplayTransport`.

A replay goes through the capture cycle by cycle: each answers what the device answered then, and at the device's time
of then, however the replay itself is paced. Which cycles a step of the run had behind it is part of the capture of a
run, so that its replay measures the same numbers to the last bit, accelerated or in real time. A capture that was made
without a run has no steps: then a second of the device is a second of the run.

When the capture is over the device falls silent, as any other that is no longer heard.
"""

import time
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feederloop.hil.bench import DeviceEntry
from feederloop.hil.capture import COLUMNS, READ, STEP
from feederloop.hil.profile import Profile
from feederloop.hil.reading import Quality, Reading, Value, WriteResult
from feederloop.hil.sunspec import nominal_places, resolve
from feederloop.hil.timekeeping import RecordedClock
from feederloop.simulators.errors import InputError
from feederloop.simulators.recorder.tables import read_table

Answers = dict[str, list[Reading]]


class ReplayTransport:
    """Answers from a capture what the device answered in the cycle that is under way.

    A SunSpec device's points lie where they usually would; their captured values need no scale factors.

    Args:
        name: The device.
        profile: Its profile.
        answers: By cycle and role, the readings in their order.
        silences: By cycle, why the device could not be asked.
    """

    def __init__(self, name: str, profile: Profile, answers: dict[int, Answers], silences: dict[int, str]) -> None:
        self.name, self.profile = name, profile
        self.cycle = 0
        self._answers, self._silences = answers, silences

    async def prepare(self) -> str:
        """Return why the device could not be asked in this cycle."""
        return self._silences.get(self.cycle, "")

    async def read(self, roles: Iterable[str]) -> dict[str, Reading]:
        """Return what the device answered: asked again in the same cycle, its next answer."""
        answers = self._answers.get(self.cycle, {})
        return {role: self._next(answers.get(role)) for role in roles}

    async def write(self, role: str, value: Value) -> WriteResult:
        """Refuse: what was, cannot be commanded."""
        return WriteResult(False, "a recording takes no set-points", time=time.monotonic())

    def close(self) -> None:
        """Nothing to close."""

    @staticmethod
    def _next(readings: list[Reading] | None) -> Reading:
        if not readings:
            return Reading(None, Quality.BAD, "not in the capture")
        return readings.pop(0) if len(readings) > 1 else readings[0]


class Recording:
    """One device of a capture, with the time that it lived by.

    Attributes:
        transport: The way to it.
        clock: Its clock.
        length_s: Device time from its first row to its last.

    Args:
        entry: The device; its URL names the capture, which holds a device of its name (or only one).

    Raises:
        InputError: The file is no capture, or not of this device.
    """

    def __init__(self, entry: DeviceEntry) -> None:
        profile = entry.device_profile
        if profile.sunspec is not None:
            profile = resolve(profile, nominal_places(profile))
        self._began: dict[int, float] = {}
        self._steps: dict[int, tuple[int, float]] = {}
        rate, answers, silences = 1.0, {}, {}  # type: float, dict[int, Answers], dict[int, str]
        rows = _rows(entry)
        self._first_s = rows[0]["time_s"]
        self.length_s = max(row["time_s"] for row in rows) - self._first_s
        for row in rows:
            cycle = row["cycle"]
            if row["kind"] == STEP:
                self._steps[int(row["value"])] = (cycle, row["time_s"])
                rate = float(row["text"])
                continue
            self._began.setdefault(cycle, row["time_s"])
            if row["role"]:
                answers.setdefault(cycle, {}).setdefault(row["role"], []).append(_reading(row, profile))
            else:
                silences[cycle] = row["reason"]
        self._cycles = sorted(self._began)
        self.clock = RecordedClock(rate)
        self.clock.put(self._first_s)
        self.transport = ReplayTransport(entry.name, profile, answers, silences)

    def cycles_until(self, time_s: int, seconds: float, *, after: int) -> tuple[list[tuple[int, float]], float]:
        """Return what the run's step had behind it.

        Args:
            time_s: The step's time in the run.
            seconds: Its length.
            after: The last cycle that was gone through.

        Returns:
            The cycles that follow, each with the device time at which it began, and the device time of the step.
        """
        first = bisect_right(self._cycles, after)
        if time_s in self._steps:
            last_cycle, now = self._steps[time_s]
            last = bisect_right(self._cycles, last_cycle)
        else:
            now = self._device_s(time_s + seconds)
            last = bisect_right(self._cycles, now, key=self._began.__getitem__)
        return [(cycle, self._began[cycle]) for cycle in self._cycles[first:last]], now

    def _device_s(self, time_s: float) -> float:
        """Device time at a time of the run that is no step of the captured one."""
        if not self._steps:
            return float(self._first_s + time_s)
        times = sorted(self._steps)
        (_, first_s), (_, last_s) = self._steps[times[0]], self._steps[times[-1]]
        rate = (last_s - first_s) / (times[-1] - times[0]) if len(times) > 1 else 1.0
        return first_s + rate * (time_s - times[0])


def _rows(entry: DeviceEntry) -> list[dict[str, Any]]:
    path = entry.replay_file
    # Of a run that was killed the capture lies in parts still.
    table = pq.ParquetFile(path).read() if path.is_file() else read_table(path.parent, path.stem)
    if not set(COLUMNS.names) <= set(table.column_names):
        raise InputError("this is no capture of a bench", file=path, key="url", value=entry.url)
    devices = pc.unique(table["device"]).to_pylist()
    name = entry.name if entry.name in devices else devices[0] if len(devices) == 1 else None
    if name is None:
        allowed = ", ".join(map(str, devices))
        raise InputError("the capture holds no such device", file=path, value=entry.name, allowed=allowed)
    kinds = pc.is_in(table["kind"], value_set=_KINDS)
    rows: list[dict[str, Any]] = table.filter(pc.and_(pc.equal(table["device"], name), kinds)).to_pylist()
    wrong = {row["profile"] for row in rows} - {entry.device_profile.name}
    if wrong or not any(row["kind"] == READ for row in rows):
        what = f"was made of a {', '.join(sorted(wrong))}" if wrong else "holds no reading"
        raise InputError(f"the capture {what}", file=path, key="profile", value=entry.profile)
    return rows


_KINDS = pa.array([READ, STEP])


def _reading(row: dict[str, Any], profile: Profile) -> Reading:
    value: Value | None = None
    number, text = row["value"], row["text"]
    if isinstance(text, str):
        value = text
    elif isinstance(number, float):
        # Codes and labels were whole numbers before they went through a column of floats.
        kind = profile.point(row["role"]).type if profile.has(row["role"]) else "float64"
        value = int(number) if number.is_integer() and not kind.startswith("float") else number
    words = tuple(int(word) for word in row["raw"] or ())
    return Reading(value, Quality(row["quality"]), row["reason"] or "", words, row["time_s"])
