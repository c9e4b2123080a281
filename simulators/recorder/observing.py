"""Let somebody see what is recorded at the moment it is, in the same process and thread.

An observer is found by the folder that a recorder writes to, because a simulator's parameters are texts and numbers.
It is called on the clock's thread: it is to keep a reference and return.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Observer = Callable[[int, Mapping[str, Any]], None]
"""Told the time in seconds since the start, and by table the pyarrow record batch written then."""

_OBSERVERS: dict[Path, Observer] = {}


@contextlib.contextmanager
def observed(folder: Path, observer: Observer) -> Iterator[None]:
    """Let an observer see what is recorded into a folder while the block runs."""
    place = folder.resolve()
    _OBSERVERS[place] = observer
    try:
        yield
    finally:
        _OBSERVERS.pop(place, None)


def observer_of(folder: Path) -> Observer | None:
    """Return who observes a folder."""
    return _OBSERVERS.get(folder.resolve())
