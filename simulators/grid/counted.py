"""How many power flows were solved. Apart from those who solve them, so that counting imports nothing compiled."""

import threading

_here = threading.local()


def solved_here() -> int:
    """Return how many power flows this thread has solved so far; each scenario of a batch is one."""
    return getattr(_here, "count", 0)


def count_solved(scenarios: int) -> None:
    """Add to what this thread has solved."""
    _here.count = solved_here() + scenarios
