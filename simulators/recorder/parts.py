"""Where a table lies before it is finished; who only looks for files does without what reads them."""

from pathlib import Path


def part_files(parts: Path) -> list[Path]:
    """Return the files of a table that is not finished, in the order in which they were written."""
    # By length first: part-100000 comes after part-99999.
    return sorted(parts.glob("part-*.parquet"), key=lambda file: (len(file.name), file.name))
