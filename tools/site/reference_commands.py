"""The reference of the command line, made by typer from the commands themselves."""

import re
import subprocess
import sys


def reference() -> str:
    """Return a section per command."""
    command = [sys.executable, "-m", "typer", "feederloop.coupling.cli", "utils", "docs", "--name", "feederloop"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return re.sub(r"\A# .*\n", "", done.stdout)
