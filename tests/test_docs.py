"""What the pages for users show is what happens: commands, code, links, targets of make.

Commands run in this process, as what they import takes most of them longer than what they do.
"""

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
import yaml

from feederloop.coupling.cli import app, main
from feederloop.coupling.scenario import load_scenario, shipped_scenarios
from feederloop.coupling.scenario.model import scenario_schema

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ANYTHING = "…"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for language, text in found if language in languages]


def commands(console: str) -> Iterator[tuple[str, str]]:
    """Split a console block into what is typed and what is shown below it."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        typed, _, shown = part.partition("\n")
        yield typed, shown.strip("\n")


def runnable(page: Path) -> bool:
    typed = [typed for _, text in blocks(page, "console") for typed, _ in commands(text)]
    return bool(blocks(page, "python")) or any(line.startswith("feederloop ") for line in typed)


def check_command(typed: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", shlex.split(typed))
    said, code = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    told = said.getvalue().strip("\n")
    refused = re.search(r"^\d+ problems?$", shown, flags=re.MULTILINE) is not None
    assert code == (2 if refused else 0), f"$ {typed}\n{told}"
    if shown:
        pattern = re.escape(shown).replace(re.escape(ANYTHING), ".*?")
        assert re.fullmatch(pattern, told, flags=re.DOTALL), f"$ {typed}\n{told}"


def check_code(code: str, page: Path) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, name(page), "exec"), {"__name__": "__main__"})
    promised = re.findall(r"^print\(.*  # (.*)$", code, flags=re.MULTILINE)
    if promised:
        assert said.getvalue().splitlines() == promised


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Find the command that a line calls, and the words that are left for it."""
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if below := getattr(command, "commands", None):
        if "publish" in below:  # `envelope NETWORK POINTS` is `envelope publish NETWORK POINTS`
            return below["publish"], words
        assert not words or words[0].startswith("-") or words[0] == ANYTHING, f"no command {words[0]}"
    return command, words


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def options_in(words: list[str]) -> set[str]:
    return {word.partition("=")[0].rstrip(",") for word in words if word.startswith("--")}


def every_command(command: Any) -> Iterator[Any]:
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from every_command(below)


ALL_OPTIONS = set().union(*map(options_of, every_command(typer.main.get_command(app))))


def homes_with_tables(page: Path, folder: Path) -> None:
    (folder / "mine.yaml").write_text(blocks(page, "yaml")[0][1], encoding="utf-8")
    tables = [text for _, text in blocks(page, "csv")]
    for file, table in zip(("load.csv", "pv.csv", "sessions.csv"), tables, strict=True):
        (folder / file).write_text(table, encoding="utf-8")


def half_a_day_of_prices(page: Path, folder: Path) -> None:
    scenario = shipped_scenarios()["minimal"].read_text(encoding="utf-8") + blocks(page, "yaml")[1][1]
    (folder / "mine.yaml").write_text(scenario, encoding="utf-8")
    times = pd.date_range("2016-06-15T00:00:00+01:00", periods=49, freq="30min")
    prices = pd.DataFrame({"time": times.map(pd.Timestamp.isoformat), "retail_per_kwh": 0.2, "feed_in_per_kwh": 0.09})
    prices["retail_per_kwh"] = [0.21, 0.19, 0.18] + [0.2] * 46
    prices.to_csv(folder / "prices.csv", index=False)


def book_of_orders(page: Path, folder: Path) -> None:
    (folder / "orders.csv").write_text(blocks(page, "csv")[0][1], encoding="utf-8")


def day_of_the_lane(page: Path, folder: Path) -> None:
    (folder / "mill_lane.yaml").write_text(blocks(page, "yaml")[0][1], encoding="utf-8")


GIVEN: dict[str, Callable[[Path, Path], None]] = {
    "docs/explanation/mechanisms.md": book_of_orders,
    "docs/how-to/own-data.md": homes_with_tables,
    "docs/how-to/own-tariff.md": half_a_day_of_prices,
    "docs/tutorial/own-feeder.md": day_of_the_lane,
}

# Guides whose commands need more than a folder; each has a test of its own that runs them.
ELSEWHERE = {"docs/how-to/envelopes-without-a-scenario.md": "tests/coupling/test_envelope_guide.py"}
# What these show takes minutes.
WHOLE_DAYS = {"docs/tutorial/first-run.md"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.nightly) if name(page) in WHOLE_DAYS else page
        for page in PAGES
        if runnable(page) and name(page) not in ELSEWHERE
    ],
    ids=name,
)
def test_what_a_page_says_to_type_does_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name(page) in GIVEN:
        GIVEN[name(page)](page, tmp_path)
    for language, text in blocks(page, "console", "python"):
        if language == "python":
            check_code(text, page)
            continue
        for typed, shown in commands(text):
            if typed.startswith("feederloop "):
                check_command(typed, shown, monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_in_the_text_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", BLOCK.sub("", text))]
    shown = [typed for _, block in blocks(page, "console") for typed, _ in commands(block)]
    shown += [re.sub(r"\s+#.*", "", line) for _, block in blocks(page, "sh") for line in block.splitlines()]
    typed = [part.strip() for line in (*prose, *shown) for part in line.split("&&")]
    for line in typed:
        if line.startswith("feederloop ") and "COMMAND" not in line:
            command, words = command_of(shlex.split(line)[1:])
            assert options_in(words) <= options_of(command), line
        elif line.startswith("--"):
            assert options_in([line.split()[0]]) <= ALL_OPTIONS, line


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_scenarios_shown_are_accepted(page: Path, tmp_path: Path) -> None:
    for _, text in blocks(page, "yaml"):
        keys = yaml.safe_load(text)
        if isinstance(keys, dict) and set(keys) <= set(scenario_schema()["properties"]):
            (tmp_path / "shown.yaml").write_text(yaml.safe_dump({"extends": "minimal.yaml", **keys}), encoding="utf-8")
            (tmp_path / "minimal.yaml").write_bytes(shipped_scenarios()["minimal"].read_bytes())
            load_scenario(tmp_path / "shown.yaml")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and not re.match(r"https?://|mailto:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_targets_of_make_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", text, flags=re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named <= targets


def test_the_readme_lists_every_command_and_scenario() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert [command for command in commands if f"`feederloop {command}" not in text] == []
    assert [scenario for scenario in shipped_scenarios() if f"`{scenario}`" not in text] == []
