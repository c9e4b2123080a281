"""Hold a run between two steps, from another thread, for as long as somebody wishes.

Two places look here: whoever passes steps on to the simulators (`coupling/watched.py`), which stops a run that goes as
fast as it can; and the clock on the wall (`hil/clock.py`), which all others follow and which moves its steps by the
time that was lost. What is under way is finished. Simulators get plain texts, so the clock finds its pause by key.
"""

import threading
import time

from feederloop.simulators.errors import InputError

_OPEN: dict[str, "Pause"] = {}


class Pause:
    """Whether a run is to stand still, and for how long it has."""

    def __init__(self) -> None:
        self.key = f"pause {id(self)}"
        self._lock = threading.Lock()
        # Seconds before the present pause, and when that began: one reference, as others read while one writes.
        self._state: tuple[float, float | None] = (0.0, None)

    @property
    def on(self) -> bool:
        """Whether no further step may begin."""
        return self._state[1] is not None

    @property
    def lasted_s(self) -> float:
        """Seconds on the wall that it has been on in all."""
        before_s, since = self._state
        return before_s + (0.0 if since is None else time.monotonic() - since)

    def begin(self) -> bool:
        """Let no further step begin; return whether that is news."""
        with self._lock:
            if self.on:
                return False
            self._state = self._state[0], time.monotonic()
            return True

    def end(self) -> bool:
        """Go on; return whether that is news."""
        with self._lock:
            if not self.on:
                return False
            self._state = self.lasted_s, None
            return True

    def __enter__(self) -> "Pause":
        _OPEN[self.key] = self
        return self

    def __exit__(self, *_: object) -> None:
        _OPEN.pop(self.key, None)
        self.end()


def open_pause(key: str) -> Pause:
    """Return the pause of a run in this process.

    Raises:
        InputError: There is none with this key.
    """
    if key not in _OPEN:
        raise InputError("no run in this process can be paused by this key", key="pause", value=key)
    return _OPEN[key]
