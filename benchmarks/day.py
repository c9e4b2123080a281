"""The default day: time on the wall and memory, and what four feeders (220 homes) cost relative to one (55).

Each run is a process of its own, as a user would start it; its time is the run's own `compute.wall_s`. The floor is the
same day uncoordinated: physics, recorder and clock without managers, envelopes and market.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

GOAL_S, GOAL_MB, GOAL_RATIO, HOMES = 40.0, 1024.0, 5.0, 55


def day(scenario: str, *more: str) -> tuple[float, float, int]:
    """Seconds, megabytes and homes of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [
            sys.executable,
            "-m",
            "feederloop.coupling.cli",
            "run",
            scenario,
            "--quiet",
            "--out",
            str(out),
            *more,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        compute = json.loads((out / "summary.json").read_text())["compute"]
        homes = HOMES * int(next((word.split("=")[1] for word in more if word.startswith("grid.feeders=")), 1))
        return compute["wall_s"], compute["max_rss_mb"], homes


def main() -> int:
    """Print the table; 0 if the goals were met."""
    floor = day("european_lv_uncoordinated")
    one = day("european_lv_doe_lem")
    four = day("european_lv_doe_lem", "--set", "grid.feeders=4")
    per_200 = four[0] / one[0] * 200 / four[2]
    table = Table("run", "homes", "wall s", "MB", "to floor", title="A day, certified envelopes and market")
    for name, (wall_s, memory_mb, homes) in {
        "uncoordinated": floor,
        "doe_lem": one,
        "doe_lem, 4 feeders": four,
    }.items():
        table.add_row(name, str(homes), f"{wall_s:.1f}", f"{memory_mb:.0f}", f"{wall_s / floor[0]:.1f}")
    console = Console(width=100)
    console.print(table)
    goals = {
        f"default day {one[0]:.1f} s (goal {GOAL_S:g})": one[0] <= GOAL_S,
        f"memory {one[1]:.0f} MB (goal {GOAL_MB:g})": one[1] <= GOAL_MB,
        f"200 homes cost {per_200:.1f} times 55 (goal {GOAL_RATIO:g})": per_200 <= GOAL_RATIO,
    }
    for text, met in goals.items():
        console.print(f"[{'green' if met else 'red'}]{'met' if met else 'missed'}[/]: {text}")
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
