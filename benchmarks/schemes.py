"""All seven schemes on the default day, one seed: processor time of each, and together against the goal.

Each run is a process of its own, one after the other. The goal is for two processors that have nothing else to do, on
which `feederloop compare` runs two schemes at once: half the sum of all processor times, or the longest run if that is
more. Processor time, unlike time on the wall, is what it is on a machine that others use as well. The floor is the same
day uncoordinated: physics, recorder and clock.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from feederloop.coupling.compare.variants import REPRESENTATIVES, VARIANTS

GOAL_S, PROCESSORS = 180.0, 2
SCENARIO = "european_lv_doe_lem"


def day(variant: str) -> tuple[float, float, str]:
    """Processor seconds and seconds on the wall of a run, and which simulator took most of them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        overrides = [f"{key}={json.dumps(value)}" for key, value in VARIANTS[variant].overrides.items()]
        words = [word for override in overrides for word in ("--set", override)]
        command = [sys.executable, "-m", "feederloop.coupling.cli", "run", SCENARIO, "--quiet", "--out", str(out)]
        before = os.times()
        subprocess.run([*command, *words], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        compute = json.loads((out / "summary.json").read_text(encoding="utf-8"))["compute"]
    spent_s = after.children_user - before.children_user + after.children_system - before.children_system
    dearest = max(compute["simulators"], key=lambda name: compute["simulators"][name]["step_s"])
    share = compute["simulators"][dearest]["step_s"] / compute["wall_s"]
    return spent_s, after.elapsed - before.elapsed, f"{dearest} {100 * share:.0f} %"


def main() -> int:
    """Print the table; 0 if the goal was met."""
    console, spent = Console(width=120), {}
    table = Table("scheme", "processor s", "wall s", "to floor", "most of it", title="The default day, one seed")
    for variant in REPRESENTATIVES.values():
        spent[variant], wall_s, dearest = day(variant)
        floor_s = spent["uncoordinated"]
        table.add_row(
            variant, f"{spent[variant]:.1f}", f"{wall_s:.1f}", f"{spent[variant] / floor_s:.1f}", dearest
        )  # fmt: skip
    console.print(table)
    needed_s = max(sum(spent.values()) / PROCESSORS, *spent.values())
    met = needed_s <= GOAL_S
    said = f"all schemes {needed_s:.0f} s on {PROCESSORS} free processors (goal {GOAL_S:g})"
    console.print(f"[{'green' if met else 'red'}]{'met' if met else 'missed'}[/]: {said}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
