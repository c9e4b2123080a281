"""The site of the docs is made without a complaint, needs nothing from elsewhere, and its references are complete."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools" / "site"))

import reference_figures  # noqa: E402
import reference_schema  # noqa: E402

from feederloop.coupling.metrics.groups import GROUPS  # noqa: E402
from feederloop.coupling.scenario import load_scenario  # noqa: E402

GROUP_NAMES = [*GROUPS, "privacy", "exchange", "compute"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning of any kind ends the build."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site):
    loaded = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(https?:)?//|<link\b[^>]*rel=\"?(?:stylesheet|icon|preconnect)\"?[^>]*href=\"?(https?:)?//"
    )
    for page in site.rglob("*.html"):
        assert not loaded.search(page.read_text(encoding="utf-8")), page


def test_every_reference_is_filled_in(site):
    for page in site.rglob("*.html"):
        assert "generated:" not in page.read_text(encoding="utf-8"), page
    for page, expected in [
        ("scenario", "horizon_intervals"),
        ("bench", "flash_writes_per_day"),
        ("command-line", "--real-time"),
        ("figures", "customer_violation_share_as_60038"),
        ("results", "pv_available_kw"),
        ("python", "open_run"),
    ]:
        assert expected in (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
    assert (site / "notebooks" / "certify-any-network.ipynb").is_file()


@pytest.mark.parametrize("group", GROUP_NAMES)
def test_every_figure_is_described(group):
    function, figures = reference_figures.described_groups()[group]
    assert set(figures) <= set(reference_figures.meanings(function, figures))


def test_every_key_of_a_scenario_is_in_the_reference():
    sections = {}
    for section in re.split(r"^#+ ", reference_schema.scenario_reference(), flags=re.MULTILINE)[1:]:
        path = re.match(r"`([^`]*)`", section)
        sections.setdefault(path[1] if path else "", set()).update(
            re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)
        )

    def keys(data, path):
        for key, value in data.items():
            yield path, key
            inner = f"{path}.{key}".lstrip(".")
            if isinstance(value, dict) and inner in sections:
                yield from keys(value, inner)

    resolved = load_scenario("european_lv_doe_lem").resolved()
    assert [(path, key) for path, key in keys(resolved, "") if key not in sections[path]] == []
    assert len(list(keys(resolved, ""))) > 100


def test_a_reference_says_type_default_and_what_is_allowed():
    lives = {"type": "integer", "minimum": 0, "maximum": 9, "default": 9, "description": "Left (1)"}
    above_0 = {"type": "number", "exclusiveMinimum": 0}
    schema = {
        "$defs": {"Cat": {"type": "object", "description": "A cat.", "properties": {"lives": lives}}},
        "description": "Animals.",
        "properties": {
            "cat": {"$ref": "#/$defs/Cat", "description": "The cat"},
            "mood": {"enum": ["good", "bad"], "type": "string", "default": "good"},
            "span": {"type": "array", "prefixItems": [above_0, above_0], "default": [1.0, 2.0]},
            "name": {"anyOf": [{"type": "string", "pattern": "^a"}, {"type": "null"}], "default": None},
        },
        "required": ["name"],
    }
    lines = reference_schema.reference(schema).splitlines()
    assert "| `lives` | `9` | Left (1)<br>*whole number:* ≥ 0, ≤ 9 |" in lines
    assert "| `mood` | `good` | *text:* `good`, `bad` |" in lines
    assert "| `span` | `[1.0, 2.0]` | *pair of numbers:* each > 0 |" in lines
    assert "| `name` | required | *text:* `^a` |" in lines
    assert "## `cat`" in lines
