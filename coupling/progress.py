"""Show how far a run has come: a bar in a terminal or notebook, plain lines elsewhere, nothing when asked."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINES = 10
"""Plain lines come whenever another tenth of the run is done."""


@contextlib.contextmanager
def progress_display(
    name: str, start_utc: str, time_zone: str, duration_s: int, *, console: Console | None = None
) -> Iterator[Callable[[float], None]]:
    """Show progress while the block runs.

    Args:
        name: What runs.
        start_utc: Start of the run, ISO 8601 with offset.
        time_zone: Zone in which simulated time is shown.
        duration_s: Length of the run, s.
        console: Where to show it; standard error by default, so that standard output stays free for results.

    Yields:
        What to call with the simulated seconds reached.
    """
    console = console or Console(stderr=True)
    zone = ZoneInfo(time_zone)

    def shown(reached_s: float) -> str:
        instant = datetime.fromisoformat(start_utc) + timedelta(seconds=reached_s)
        return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"

    if not (console.is_terminal or console.is_jupyter):
        yield _Lines(name, shown, duration_s, console).update
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[simulated]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(name, total=duration_s, simulated=shown(0.0))

        def update(reached_s: float) -> None:
            reached_s = min(reached_s, duration_s)
            bar.update(task, completed=reached_s, simulated=shown(reached_s))

        yield update


class _Lines:
    """A line at the start and whenever another tenth of the run is done."""

    def __init__(self, name: str, shown: Callable[[float], str], duration_s: int, console: Console) -> None:
        self._name, self._shown, self._duration_s, self._console = name, shown, duration_s, console
        self._began = time.monotonic()
        self._next_line = 0

    def update(self, reached_s: float) -> None:
        """Print a line if one is due."""
        done = min(1.0, reached_s / self._duration_s)
        line_number = int(done * LINES + 1e-9)
        if line_number < self._next_line:
            return
        self._next_line = line_number + 1
        elapsed_s = time.monotonic() - self._began
        left = f"{timedelta(seconds=round(elapsed_s / done * (1 - done)))}" if done > 0 else "-:--:--"
        line = f"{self._name}  {done:4.0%}  {self._shown(min(reached_s, self._duration_s))}"
        elapsed = timedelta(seconds=round(elapsed_s))
        self._console.print(f"{line}  elapsed {elapsed}  left {left}", highlight=False, markup=False, soft_wrap=True)
