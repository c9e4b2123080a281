"""The I/O thread: one event loop, one task per link, nothing that the simulation's clock ever waits for.

Public: `Runtime(lines, stop)` with `start(poll=True)`, `exchange(devices, ...) -> Future`, `make_safe(why)`, `close()`.

Two ways to use it. In real time each link has a task that polls its devices for ever and serves new set-points at
once. In an accelerated run nobody polls: `exchange` lets the devices of the run's own, whose clocks are pushed, live
through a step, with signs of life as often as they need them. Recordings live by `exchange` always.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from feederloop.hil.emergency import EmergencyStop
from feederloop.hil.held import HeldDevice
from feederloop.hil.replay import Recording
from feederloop.hil.snapshot import State
from feederloop.hil.supervisor import Command
from feederloop.hil.timekeeping import PushedClock, WallClock

FIRST_LOOK_S = 5.0
"""After a set-point, accelerated devices are looked at once they had time to follow it."""
LONGEST_PART_S = 60.0
SAFE_LIMIT_S = 8.0
"""Time that all devices together have to be brought to their safe state."""
_LOOK_AGAIN_S = 0.5
_WATCH_S = 0.01
_LEAST_PERIOD_S = 0.02
_SETTLE_S = 2.0
_ROOM = 1.25


@dataclass
class Line:
    """Devices that share a connection or a serial line, and so are served one after the other."""

    devices: list[HeldDevice]
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    due: dict[str, float] = field(default_factory=dict)
    seen: dict[str, Command | None] = field(default_factory=dict)


class Runtime:
    """Keeps the devices of a bench going.

    Args:
        lines: The devices, those that share a link together.
        stop: The emergency stop.
    """

    def __init__(self, lines: Sequence[Sequence[HeldDevice]], stop: EmergencyStop) -> None:
        self._lines = [Line(list(devices)) for devices in lines]
        self._stop = stop
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="bench I/O", daemon=True)
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = self._ending = False

    def start(self, *, poll: bool) -> None:
        """Start the thread.

        Args:
            poll: Whether devices are polled from now on (real time), or only when `exchange` is called.
        """
        self._thread.start()
        if poll:
            asyncio.run_coroutine_threadsafe(self._start_polling(), self._loop).result(5.0)

    def exchange(
        self, devices: Sequence[HeldDevice], time_s: int, seconds: float, recordings: Mapping[str, Recording]
    ) -> "Future[None]":
        """Let devices with pushed clocks, or recorded ones, live through a step.

        Args:
            devices: Which of them.
            time_s: The step's time in the run.
            seconds: Its length.
            recordings: Those that are recordings, by name.

        Returns:
            Done when all have.
        """
        living = [
            _relive(device, recordings[device.name], time_s, seconds)
            if device.name in recordings
            else _live_through(device, seconds)
            for device in devices
        ]
        return asyncio.run_coroutine_threadsafe(_all(living), self._loop)

    def make_safe(self, why: str) -> dict[str, bool]:
        """Bring every device to its safe state and leave it there; return by name whether it took it."""
        if self._closed or not self._thread.is_alive():
            return {}
        done = asyncio.run_coroutine_threadsafe(self._make_all_safe(why), self._loop)
        with contextlib.suppress(TimeoutError):
            return done.result(SAFE_LIMIT_S + 2.0)
        return {}

    def close(self) -> None:
        """Close every link and end the thread."""
        if self._closed:
            return
        self._closed = True
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5.0)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5.0)
        self._loop.close()

    # --- on the I/O thread ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _start_polling(self) -> None:
        polled = [line for line in self._lines if not any(device.entry.is_replay for device in line.devices)]
        self._tasks = [asyncio.create_task(self._follow(line)) for line in polled]
        self._tasks.append(asyncio.create_task(self._watch()))

    async def _watch(self) -> None:
        """Look into the mailboxes, and for the emergency stop.

        Nobody rings: a thread that hands over set-points would wake this one, and then wait for the interpreter.
        """
        stopped = False
        while not self._ending:
            for line in self._lines:
                if any(device.command is not line.seen.get(device.name) for device in line.devices):
                    line.wanted.set()
            if not stopped and self._stop.tripped:
                stopped = True
                for line in self._lines:
                    line.due.clear()
                    line.wanted.set()
            await asyncio.sleep(_WATCH_S)

    async def _follow(self, line: Line) -> None:
        """Serve a link's devices for ever, each when it is due or its command is new."""
        while not self._ending:
            line.wanted.clear()
            for device in line.devices:
                command = device.command
                if command is line.seen.get(device.name) and device.clock() < line.due.get(device.name, 0.0):
                    continue
                # Who was just given a set-point will be given one a step later: its next poll makes room for that, so
                # that reading does not compete with the very step that hands out new set-points.
                room = 1.0 if command is line.seen.get(device.name) else _ROOM
                line.seen[device.name] = command
                line.due[device.name] = device.clock() + self._period_s(device, room)
                await _cycle(device)
            pause = min(self._pause_s(device, line) for device in line.devices)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(line.wanted.wait(), max(pause, _LEAST_PERIOD_S))

    def _period_s(self, device: HeldDevice, room: float) -> float:
        alive, period_s = device.keep_alive_s, room * device.entry.poll_s
        return period_s if alive is None else min(period_s, alive)

    def _pause_s(self, device: HeldDevice, line: Line) -> float:
        rate = device.clock.rate if isinstance(device.clock, WallClock) else 1.0
        return (line.due.get(device.name, 0.0) - device.clock()) / rate

    async def _make_all_safe(self, why: str) -> dict[str, bool]:
        await self._settle()
        taken: dict[str, bool] = {device.name: False for line in self._lines for device in line.devices}

        async def make_safe(line: Line) -> None:
            for device in line.devices:
                if not taken[device.name]:
                    with contextlib.suppress(Exception):  # the others come first, whatever is wrong with this one
                        taken[device.name] = await device.make_safe(why)

        async def until_done() -> None:
            while True:
                await asyncio.gather(*(make_safe(line) for line in self._lines))
                # Who was lost may be back in a moment; a simulated device of the run's own may not.
                missing = [device for line in self._lines for device in line.devices if not taken[device.name]]
                if not any(device.entry.is_elsewhere for device in missing):
                    return
                await asyncio.sleep(_LOOK_AGAIN_S)

        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(until_done(), SAFE_LIMIT_S)
        return taken

    async def _settle(self) -> None:
        """Let every task finish the cycle that is under way; a cancelled request would not always end (before 3.12)."""
        self._ending = True
        for line in self._lines:
            line.wanted.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_SETTLE_S)
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def _end(self) -> None:
        await self._settle()
        for line in self._lines:
            for device in line.devices:
                device.transport.close()
        # Transports close in the loop's next round.
        await asyncio.sleep(0.02)


async def _all(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*work)


async def _live_through(device: HeldDevice, seconds: float) -> None:
    """Write what is due, then let time pass in parts short enough for signs of life."""
    clock = device.clock
    if not isinstance(clock, PushedClock):
        raise TypeError(f"{device.name} lives by the clock on the wall; only a real-time run can hold it")
    await _cycle(device)
    passed = 0.0
    while passed < seconds:
        part = min(_part_s(device, passed), seconds - passed)
        clock.push(part)
        passed += part
        await _cycle(device, writes=passed < seconds)


async def _relive(device: HeldDevice, recording: Recording, time_s: int, seconds: float) -> None:
    """Go through what was recorded until a step of the run."""
    cycles, now = recording.cycles_until(time_s, seconds, after=device.cycles)
    for number, began in cycles:
        recording.clock.put(began)
        device.cycles = number - 1
        await _cycle(device, writes=False)
    recording.clock.put(now)


def _part_s(device: HeldDevice, passed: float) -> float:
    if device.snapshot.state in (State.NEVER, State.LOST):
        # Nobody to keep alive, and each attempt costs a time-out.
        return float("inf")
    longest = min(device.keep_alive_s or LONGEST_PART_S, LONGEST_PART_S)
    return min(FIRST_LOOK_S, longest) if passed == 0 else longest


async def _cycle(device: HeldDevice, *, writes: bool = True) -> None:
    try:
        await device.cycle(writes=writes)
    except Exception as error:  # one device's trouble is never another's
        device.give_up(error)
