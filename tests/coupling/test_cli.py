"""The command line: exit codes, messages, and that it answers at once."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from feederloop.coupling import cli
from feederloop.coupling.scenario import shipped_scenarios
from feederloop.simulators.errors import InputError

SUMMARY = {
    "voltage": {"max_v": 254.1, "min_v": 231.0, "customer_violation_share": 0.02},
    "congestion": {"max_line_loading_percent": 48.0, "max_transformer_loading_percent": 21.5},
    "price": {"mean_per_kwh": float("nan")},
    "market": {"traded_kwh": 123.4},
}


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["feederloop", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the checks that build the network, which have tests of their own."""
    monkeypatch.setattr("feederloop.coupling.scenario.check.check_scenario", lambda scenario: [])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """Stand in for the run itself: note what it is asked for, end with the status that the folder's name says."""
    asked: list[dict[str, Any]] = []

    def run_scenario(scenario: Any, *, out: Path | None, progress: bool, onlooker: Any) -> Any:
        assert onlooker is None
        asked.append({"scenario": scenario, "out": out, "progress": progress})
        status = out.name if out else "complete"
        if status == "interrupt":
            raise KeyboardInterrupt
        if status == "broken":
            raise RuntimeError("out of luck")
        if status == "full":
            raise InputError("The folder is not empty.", file=out, key="out", allowed="a new or an empty folder")
        message = "" if status == "complete" else "grid at 600 s: no solution"
        return SimpleNamespace(folder=tmp_path, status=status, summary=SUMMARY, message=message)

    monkeypatch.setitem(sys.modules, "feederloop.coupling.run", SimpleNamespace(run_scenario=run_scenario))
    return asked


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from feederloop import __version__

    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"feederloop {__version__}\n"


def test_shipped_scenarios_are_listed_one_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "scenarios") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_scenarios())
    assert all(len(line.split()) > 3 for line in lines)


def test_schema_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"extends", "name", "grid", "prosumers"} <= set(schema["properties"])


def test_valid_scenario_by_its_bare_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "check", "minimal") == 0
    assert capsys.readouterr().out == "minimal: valid (doe_lem, 144 steps of 300 s)\n"


def test_default_limits_that_are_not_safe_for_all_at_once_are_told_where_some_may_be_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "check", "minimal", "--set", "envelope.default_export_kw=20") == 0
    assert "note" not in capsys.readouterr().out
    options = ("--set", "envelope.outage_share=0.2", "--set", "envelope.default_export_kw=20")
    assert call(monkeypatch, "check", "minimal", *options) == 0
    assert "20 kW export and 1.5 kW import are not safe with all prosumers out of reach" in capsys.readouterr().out
    assert call(monkeypatch, "check", "minimal", *options[:2]) == 0
    assert "note" not in capsys.readouterr().out


def test_bad_scenario_ends_with_2_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, runs: list[dict[str, Any]]
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("scheme: doe_lem\ngrid:\n  feders: 2\n", encoding="utf-8")
    for command in ("check", "run"):
        assert call(monkeypatch, command, str(file), "--set", "prosumers.pv.kw=[b]") == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        for text in (f"{file}:3", "grid.feders = 2", "did you mean grid.feeders?", "prosumers.pv.kwp", "2 problems"):
            assert text in captured.err
        assert "Traceback" not in captured.err
    assert runs == []


def test_scenario_that_does_not_fit_its_network_is_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], runs: list[dict[str, Any]]
) -> None:
    assert call(monkeypatch, "run", "minimal", "--set", "prosumers.count=13") == 2
    assert "more prosumers (13) than connection points (12)" in capsys.readouterr().err
    assert runs == []


@pytest.mark.parametrize("name", ["minimul", "nowhere/minimal.yaml"])
def test_unknown_scenario(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert call(monkeypatch, "check", name) == 2
    assert "did you mean minimal?" in capsys.readouterr().err


@pytest.mark.usefixtures("unchecked")
def test_run_shows_figures_with_units_limits_and_places(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    runs: list[dict[str, Any]],
) -> None:
    (tmp_path / "report.html").touch()
    monkeypatch.setenv("COLUMNS", "200")
    assert call(monkeypatch, "run", "minimal", "--days", "0.25", "--seed", "5", "--set", "envelope.rule=equal") == 0
    scenario = runs[0]["scenario"]
    assert (scenario.time.days, scenario.seed, scenario.envelope.rule) == (0.25, 5, "equal")
    assert (runs[0]["out"], runs[0]["progress"]) == (None, True)
    lines = {line.split("  ")[0].strip("│ "): line for line in capsys.readouterr().out.splitlines()}
    assert "254.1 V" in lines["highest voltage"]
    assert "≤ 253 V" in lines["highest voltage"]
    assert "violated" in lines["highest voltage"]
    assert "kept" in lines["lowest voltage"]
    assert "2.00 %" in lines["customers outside voltage limits"]
    assert "123.4 kWh" in lines["traded between peers"]
    assert "mean local price" not in lines
    assert str(tmp_path / "report.html") in lines["report"]


@pytest.mark.usefixtures("unchecked")
def test_quiet_run_prints_the_folder_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, runs: list[dict[str, Any]]
) -> None:
    assert call(monkeypatch, "run", "minimal", "--quiet") == 0
    assert capsys.readouterr().out == f"{tmp_path}\n"
    assert runs[0]["progress"] is False


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("status", "code"), [("complete", 0), ("failed", 1), ("interrupted", 130), ("interrupt", 130)])
def test_exit_code_says_how_the_run_ended(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    runs: list[dict[str, Any]],
    status: str,
    code: int,
) -> None:
    assert call(monkeypatch, "run", "minimal", "--out", status) == code
    assert len(runs) == 1
    assert ("Run failed: grid at 600 s: no solution\n" in capsys.readouterr().err) == (status == "failed")


def test_an_interrupted_start_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for what in ("feederloop.coupling.cli._checked", "typer.core.TyperGroup.make_context"):
        monkeypatch.setattr(what, interrupted)
        assert call(monkeypatch, "run", "minimal", "--quiet") == 130
        assert capsys.readouterr() == ("", "Interrupted.\n")


@pytest.mark.usefixtures("unchecked")
def test_input_that_is_refused_when_the_run_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], runs: list[dict[str, Any]]
) -> None:
    assert call(monkeypatch, "run", "minimal", "--out", "full") == 2
    assert capsys.readouterr().err == (
        "full\n  out: The folder is not empty\n    allowed: a new or an empty folder\n1 problem\n"
    )


@pytest.mark.usefixtures("unchecked")
def test_unexpected_error_is_one_line_unless_debugging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], runs: list[dict[str, Any]]
) -> None:
    assert call(monkeypatch, "run", "minimal", "--out", "broken") == 1
    assert capsys.readouterr().err == "Error: RuntimeError: out of luck (--debug shows where)\n"
    monkeypatch.setattr(sys, "argv", ["feederloop", "run", "minimal", "--out", "broken", "--debug"])
    with pytest.raises(RuntimeError, match="out of luck"):
        cli.main()


def test_unknown_option_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "run", "minimal", "--dayz", "3") == 2


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "bad.yaml"]])
def test_help_and_mistakes_answer_without_what_only_runs_need(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "bad.yaml").write_text("seeed: 1\n", encoding="utf-8")
    code = (
        "import sys; from feederloop.coupling import cli\n"
        f"sys.argv = ['feederloop', *{arguments}]\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'pandapower', 'mosaik', 'pyomo'} & set(sys.modules)\n"
        "print('heavy:', *heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "heavy:"


def test_main_figures_are_in_every_summary() -> None:
    from feederloop.coupling.console import main_figures
    from feederloop.coupling.metrics import RunFacts, compute, summarise
    from feederloop.coupling.metrics.exchange import exchange
    from feederloop.coupling.scenario.network import Limits

    limits = Limits()
    facts = RunFacts(
        step_s=300,
        interval_s=1800,
        voltage_range_v=limits.voltage_range_v,
        line_limit_percent=limits.line_loading_percent,
        transformer_limit_percent=limits.transformer_loading_percent,
    )
    summary = {**summarise({}, facts), "compute": compute(1.0, {}), "exchange": exchange({}, ())}
    known = {f"{group}.{name}" for group, figures in summary.items() for name in figures}
    assert {figure.key for figure in main_figures(limits)} <= known


def test_a_reference_is_run_as_well_and_stands_beside_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "both"
    wanted = ("run", "minimal", "--days", "0.125", "--reference", "uncoordinated", "--out", str(out))
    assert call(monkeypatch, *wanted) == 0
    printed, progress = capsys.readouterr()
    assert "uncoordinated" in printed
    assert f"report   {out / 'report.html'}\nbeside   {out / 'reference' / 'report.html'}\n" in printed
    assert "minimal, uncoordinated  100%" in progress
    assert "Without coordination" in (out / "report.html").read_text(encoding="utf-8")
    own, other = (json.loads((folder / "summary.json").read_text()) for folder in (out, out / "reference"))
    assert own["reference"] == {"scheme": "uncoordinated", "status": "complete", "folder": "reference"}
    assert (own["scheme"], other["scheme"], own["seed"]) == ("doe_lem", "uncoordinated", other["seed"])
    assert "minimal, uncoordinated: what the run is compared with" in (out / "reference" / "report.html").read_text()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(KeyboardInterrupt(), 130, "interrupted: stopped on request"), (OSError("full"), 1, "failed: OSError: full")],
)
def test_whatever_happens_to_a_reference_the_run_stays(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    error: BaseException,
    code: int,
    said: str,
) -> None:
    done = SimpleNamespace(folder=tmp_path, status="complete", summary=SUMMARY, message="")

    def run_scenario(scenario: Any, **_: Any) -> Any:
        if scenario.scheme == "uncoordinated":
            raise error
        return done

    monkeypatch.setattr("feederloop.coupling.run.run_scenario", run_scenario)
    monkeypatch.setattr("feederloop.coupling.reference.run_scenario", run_scenario)
    assert call(monkeypatch, "run", "minimal", "--quiet", "--reference", "uncoordinated") == code
    assert capsys.readouterr() == (f"{tmp_path}\n", f"The run is complete, its reference {said}\n")


@pytest.mark.usefixtures("unchecked")
def test_a_reference_needs_another_scheme_that_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, runs: list[dict[str, Any]]
) -> None:
    assert call(monkeypatch, "run", "minimal", "--reference", "uncoordnated") == 2
    told = capsys.readouterr().err
    assert "did you mean uncoordinated?" in told
    assert "static_limits, ev_coordination" in told
    assert runs == []
    assert call(monkeypatch, "run", "minimal", "--quiet", "--reference", "doe_lem") == 0
    assert "the run is doe_lem itself" in capsys.readouterr().err
    assert len(runs) == 1


def test_an_interruption_while_the_command_loads_is_answered_in_a_word() -> None:
    code = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from feederloop.__main__ import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")
