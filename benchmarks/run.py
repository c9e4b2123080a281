"""Run every benchmark of this folder, each in a process of its own, and sum up which goals were met.

`python benchmarks/run.py` runs all; `python benchmarks/run.py power_flow matcher` runs these. A benchmark is a program
that prints its own table and exits with 0 if its goals were met, 1 if not. This one exits with 1 if any was missed.
"""

import subprocess
import sys
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).resolve().parent
VERDICTS = {0: "[green]goals met", 1: "[red]goals missed"}


def benchmarks() -> list[str]:
    own = Path(__file__).stem
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != own and not path.stem.startswith("_"))


def main(wanted: list[str]) -> int:
    console = Console(width=120)
    known = benchmarks()
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        console.print(f"no such benchmark: {', '.join(unknown)} (there are: {', '.join(known)})")
        return 2
    summary = Table("benchmark", "", "wall s", title="Benchmarks")
    codes = []
    for name in wanted or known:
        console.rule(name)
        start = perf_counter()
        codes.append(subprocess.run([sys.executable, str(FOLDER / f"{name}.py")], check=False).returncode)
        verdict = VERDICTS.get(codes[-1], f"[red]failed with exit code {codes[-1]}")
        summary.add_row(name, verdict, f"{perf_counter() - start:.1f}")
    console.print(summary)
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
