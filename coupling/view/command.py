"""`feederloop view`: serve the folder of a run to a browser."""

from pathlib import Path
from typing import Annotated

import typer


def view(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run: finished, going on, or failed.")],
) -> None:
    """Explore a run in a browser, however long it was; ends with Ctrl-C."""
