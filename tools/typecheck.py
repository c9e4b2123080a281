"""Run mypy on the rooms under the names they are imported by.

mypy does not follow the editable install's package map, so it is given a folder of links that is laid out
as the rooms are imported.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOMS = ("simulators", "coupling", "scenarios", "hil")


def main() -> int:
    """Link the rooms below `.typing/feederloop` and check them; arguments name files relative to the repository."""
    root = Path(__file__).resolve().parent.parent
    tree = root / ".typing" / "feederloop"
    tree.mkdir(parents=True, exist_ok=True)
    sources = {room: root / room for room in ROOMS} | {
        path.name: path for path in (root / "feederloop").iterdir() if path.name != "__pycache__"
    }
    for name, source in sources.items():
        if not (tree / name).exists():
            (tree / name).unlink(missing_ok=True)
            (tree / name).symlink_to(source)
    files = [f"feederloop/{name}" for name in sys.argv[1:]] or ["feederloop"]
    command = [sys.executable, "-m", "mypy", "--config-file", str(root / "pyproject.toml"), *files]
    environment = os.environ | {"MYPYPATH": str(tree.parent)}
    return subprocess.run(command, cwd=tree.parent, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
