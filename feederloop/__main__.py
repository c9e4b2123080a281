"""Where the command `feederloop` starts: an interruption is answered in a word, even before anything is loaded."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def main() -> None:
    """Run the command line; see `feederloop.coupling.cli.main` for how it ends."""
    before = signal.signal(signal.SIGINT, _end)
    from feederloop.coupling.cli import main as run_command_line

    signal.signal(signal.SIGINT, before)
    run_command_line()


def _end(number: int, frame: FrameType | None) -> None:
    """End at once: nothing has begun, and modules that are being loaded may take an exception for something else."""
    sys.stderr.write("Interrupted.\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
