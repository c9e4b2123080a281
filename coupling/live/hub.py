"""Makes frames of a run and passes them to every viewer, each as fast as it can take them.

A frame is made once for all. A viewer that is not done with its last one skips those that are made meanwhile: nothing
queues up for it, and nobody waits for it.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any, Protocol

from feederloop.coupling.live.feed import Feed
from feederloop.coupling.live.history import History
from feederloop.coupling.live.picture import Picture

FRAME_S = 0.1
"""Least time between two frames."""
QUIET_S = 0.5
"""Time between frames while the clock stands still; devices and lateness move all the same."""


class Watched(Protocol):
    """The run as the hub sees it."""

    feed: Feed
    picture: Picture | None

    def state(self) -> dict[str, Any]:
        """What is to be told besides the picture."""
        ...


class Hub:
    """Viewers of one run.

    Args:
        run: What they look at.
    """

    def __init__(self, run: Watched) -> None:
        self._run = run
        self.viewers = 0
        self._number, self._frame = 0, ""
        self._made_at = 0.0
        self._news = asyncio.Event()
        self._closing = False

    async def run(self) -> None:
        """Make frames until cancelled."""
        while True:
            self.make()
            await asyncio.sleep(FRAME_S)

    def make(self, *, at_once: bool = False) -> None:
        """Take what the clock has handed over, and make a frame where somebody looks and there is something new."""
        picture, steps = self._run.picture, self._run.feed.take()
        if picture is not None and steps:
            picture.take(steps)
        now = time.monotonic()
        if not (self.viewers or at_once) or not (steps or at_once or now - self._made_at >= QUIET_S):
            return
        frame = self._run.state() | (picture.as_dict() if picture is not None else {})
        self._frame = json.dumps(frame, allow_nan=False)
        self._number += 1
        self._made_at = now
        self._news.set()
        self._news = asyncio.Event()

    async def frames(self) -> AsyncGenerator[str, None]:
        """Yield messages for one viewer, always the newest, with what its curves lack."""
        self.viewers += 1
        self.make(at_once=True)
        known_s: float | None = None
        of: History | None = None
        seen = 0
        try:
            while True:
                if seen == self._number:
                    await self._news.wait()
                    continue
                skipped, seen = (self._number - seen - 1 if seen else 0), self._number
                history = self._run.picture.history if self._run.picture is not None else None
                curves = "null"
                if history is not None:
                    curves = json.dumps(history.since(known_s if history is of else None), allow_nan=False)
                    of, known_s = history, history.latest_s
                yield f'{{"kind":"frame","skipped":{skipped},"curves":{curves},"frame":{self._frame}}}'
        finally:
            self.viewers -= 1
