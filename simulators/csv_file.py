"""Reading CSV files whose rows are as long as their header says."""

from pathlib import Path
from typing import Any

import pandas as pd


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a table as pandas does, but for rows of more values than there are columns.

    pandas would take the first value of such rows for a name, and every column would hold its neighbour's values.

    Args:
        path: The file.
        options: As pandas has them.

    Raises:
        ValueError: It cannot be read.
        OSError: It cannot be opened.
    """
    table: pd.DataFrame = pd.read_csv(path, **options)
    if not isinstance(table.index, pd.RangeIndex):
        raise pd.errors.ParserError("rows have more values than there are columns")
    return table
