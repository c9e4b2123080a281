"""What mkdocs does beyond pages as they lie in docs/: pages from the root, and references made from the code.

A page says where a reference goes by a line such as `<!-- generated: scenario -->`.
"""

import posixpath
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "site")]

import reference_commands  # noqa: E402
import reference_figures  # noqa: E402
import reference_schema  # noqa: E402
import reference_tables  # noqa: E402
from typecheck import linked_rooms  # noqa: E402

FROM_THE_ROOT = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
GENERATED: dict[str, Callable[[], str]] = {
    "command-line": reference_commands.reference,
    "scenario": reference_schema.scenario_reference,
    "bench": reference_schema.bench_reference,
    "figures": reference_figures.reference,
    "tables": reference_tables.reference,
}
MARK = re.compile(r"^<!-- generated: ([a-z-]+) -->$", flags=re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
FENCED = re.compile(r"(^```.*?^```)", flags=re.DOTALL | re.MULTILINE)


def on_startup(**_: Any) -> None:
    """Lay the rooms out as they are imported, for the reference of the Python interface."""
    linked_rooms()


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of the root that readers of the site look for."""
    for name, page in FROM_THE_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Fill in what is generated, and point links to where the pages of the site are."""
    path = page.file.src_uri
    folder = "" if path in FROM_THE_ROOT.values() else posixpath.join("docs", posixpath.dirname(path))
    parts = FENCED.split(markdown)
    parts[::2] = [LINK.sub(lambda link: _pointed(link, folder), part) for part in parts[::2]]
    return MARK.sub(lambda mark: GENERATED[mark[1]](), "".join(parts))


def _pointed(link: re.Match[str], folder: str) -> str:
    """Return a link as the site has it; what the site does not hold is named without a link."""
    text, target = link.groups()
    if re.match(r"[a-z]+:|#", target):
        return link[0]
    path, hash_, anchor = target.partition("#")
    place = posixpath.normpath(posixpath.join(folder, path))
    if place.startswith("docs/"):
        page = place.removeprefix("docs/")
    elif place in FROM_THE_ROOT:
        page = FROM_THE_ROOT[place]
    else:
        return text
    here = folder.removeprefix("docs").strip("/") or "."
    return f"[{text}]({posixpath.relpath(page, here)}{hash_}{anchor})"
