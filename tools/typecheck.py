"""Run mypy on the rooms under the names they are imported by.

mypy does not follow the editable install's package map, so it is given a folder of links that is laid out
as the rooms are imported.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOMS = ("simulators", "coupling", "scenarios", "hil")


ROOT = Path(__file__).resolve().parent.parent


def linked_rooms() -> Path:
    """Link the rooms below `.typing/feederloop` as they are imported, and return the folder `.typing`."""
    tree = ROOT / ".typing" / "feederloop"
    tree.mkdir(parents=True, exist_ok=True)
    sources = {room: ROOT / room for room in ROOMS} | {
        path.name: path for path in (ROOT / "feederloop").iterdir() if path.name != "__pycache__"
    }
    for name, source in sources.items():
        if not (tree / name).exists():
            (tree / name).unlink(missing_ok=True)
            (tree / name).symlink_to(source)
    return tree.parent


def main() -> int:
    """Check the rooms; arguments name files relative to the repository."""
    tree = linked_rooms()
    files = [f"feederloop/{name}" for name in sys.argv[1:]] or ["feederloop"]
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *files]
    environment = os.environ | {"MYPYPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
