"""Make the compact extract of SimBench's household profiles that the household simulator ships with.

Run once, with `pip install simbench==1.6.3` beside the project: `python tools/extract_household_profiles.py`.
The result and what was found about the source's clock are described in simulators/household/data/README.md.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import simbench

PROFILES = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-H", "H0-L")
# H0-H follows the clock of its labels; the others repeat every day of 96 rows without regard to summer time.
FOLLOWS_LABELS = ("H0-H",)
NETWORK = "1-complete_data-mixed-all-0-sw"
TARGET = Path(__file__).resolve().parent.parent / "simulators" / "household" / "data" / "simbench_households.parquet"


def main() -> None:
    """Read SimBench's table, bring it to days of 96 quarter-hours by the clock on the wall, and write the extract."""
    source = Path(simbench.__path__[0]) / "networks" / NETWORK / "LoadProfile.csv"
    table = pd.read_csv(source, sep=";", usecols=["time", *(f"{name}_pload" for name in PROFILES)])
    wall = pd.date_range("2016-01-01", periods=366 * 96, freq="15min")
    labels = pd.DatetimeIndex(pd.to_datetime(table["time"], format="%d.%m.%Y %H:%M"))
    by_label = table.set_index(labels)[~labels.duplicated()].reindex(wall, method="ffill")
    extract = {}
    for name in PROFILES:
        values = by_label[f"{name}_pload"] if name in FOLLOWS_LABELS else table[f"{name}_pload"]
        extract[name] = values.to_numpy(dtype=np.float32)
    frame = pd.DataFrame(extract)
    if len(frame) != len(wall) or not np.isfinite(frame.to_numpy()).all() or (frame.to_numpy() < 0).any():
        raise SystemExit(f"{source} is not the table this was written for")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(TARGET, compression="zstd", index=False)


if __name__ == "__main__":
    main()
