"""Folders that results are written to."""

from pathlib import Path

from feederloop.simulators.errors import InputError


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing.

    Raises:
        InputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"The folder cannot be made: {reason}.", file=folder, key="out") from error
