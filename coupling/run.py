"""Run a scenario from its validated model to a folder of results."""

import contextlib
import json
import platform
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import yaml
from mosaik_api_v3.connection import RemoteException
from threadpoolctl import threadpool_limits

from feederloop.coupling.folders import make_folder
from feederloop.coupling.metrics import RunFacts, compute, summarise
from feederloop.coupling.metrics.exchange import exchange, privacy
from feederloop.coupling.pausing import Pause
from feederloop.coupling.progress import progress_display
from feederloop.coupling.results import SCENARIO_FILE, SUMMARY_FILE, Run
from feederloop.coupling.scenario import Scenario, ScenarioError, check_scenario, load_scenario
from feederloop.coupling.scenario.load import Overrides
from feederloop.coupling.status import RunStatus, failure_message, utc_time, wall_time, write_whole
from feederloop.coupling.watched import WatchedWorld
from feederloop.coupling.world import WorldOutcome, run_world
from feederloop.simulators.errors import InputError


class Onlooker(Protocol):
    """Somebody who follows a run while it goes on, and may let it stand still."""

    pause: Pause

    def watching(self, scenario: Scenario, folder: Path) -> AbstractContextManager[None]:
        """Follow a run that writes into a folder while the block runs."""
        ...

    def ended(self, result: "RunResult") -> None:
        """Learn what it has come to."""
        ...


Build = Callable[[WatchedWorld, Scenario, Path], Awaitable[None]]

SETTLING_S = 1
"""The last interval is settled from meters that arrive one step later: everybody steps once more at the very end."""
PATIENT = ("clock",)
"""A clock on the wall sleeps within its step."""
PACKAGES = ("feederloop", "mosaik", "mosaik-api-v3", "pandapower", "highspy", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True)
class RunResult:
    """What a run has come to.

    Attributes:
        folder: Where the results are.
        status: `complete`, `failed` or `interrupted`.
        message: Who stopped the run, when and why; empty when complete.
        summary: The main figures by group, as in `summary.json`.
        outcome: How the world ended, with the traceback of a failure.
    """

    folder: Path
    status: str
    message: str
    summary: dict[str, Any]
    outcome: WorldOutcome

    def open(self) -> Run:
        """Open the results."""
        return Run(self.folder)


def run(
    scenario: Scenario | Path | str,
    *,
    out: Path | str | None = None,
    days: float | None = None,
    seed: int | None = None,
    overrides: Overrides = (),
    progress: bool = True,
) -> RunResult:
    """Load, check and run a scenario.

    Args:
        scenario: A scenario, a YAML file, or the bare name of a shipped scenario.
        out: Folder for the results, new or empty; `runs/<scenario>-<time>` by default.
        days: Length of the run, in place of the file's.
        seed: Seed, in place of the file's.
        overrides: What to put in place of the file's values, see `load_scenario`.
        progress: Whether to show how far it has come.

    Raises:
        InputError: The scenario has problems, or the folder holds something already.
    """
    if isinstance(scenario, Scenario):
        if days is not None or seed is not None or overrides:
            raise InputError("A scenario that is loaded already cannot be changed by days, seed or overrides.")
    else:
        scenario = load_scenario(scenario, overrides=overrides, days=days, seed=seed)
    if problems := check_scenario(scenario):
        raise ScenarioError(problems)
    return run_scenario(scenario, out=out, progress=progress)


def run_scenario(
    scenario: Scenario,
    *,
    out: Path | str | None = None,
    progress: bool | Callable[[float], None] | None = None,
    quiet: bool = False,
    build: Build | None = None,
    onlooker: Onlooker | None = None,
) -> RunResult:
    """Run a valid scenario.

    Args:
        scenario: The scenario.
        out: Folder for the results, new or empty; `runs/<scenario>-<time>` by default.
        progress: Whether to show how far it has come, by default unless quiet; or what to call with the simulated
            seconds reached instead.
        quiet: Show nothing.
        build: What starts and connects the simulators; by default the wiring of the scenario's scheme.
        onlooker: Who follows it while it goes on.

    Returns:
        How it ended; a simulator's failure is a result, not an exception.

    Raises:
        InputError: The folder holds something already, or a simulator refuses its input. Nothing is left behind.
    """
    chosen = build if build is not None else _wiring()
    folder, created = _make_folder(scenario, out)
    status = RunStatus("running", duration_s=scenario.time.duration_s, versions=_versions())
    try:
        write_whole(folder / SCENARIO_FILE, _scenario_text(scenario, status.versions))
        status.write(folder)
        # Matrices here are too small for several threads to help, and how many there are changes the last bit.
        watching = onlooker.watching(scenario, folder) if onlooker else contextlib.nullcontext()
        with threadpool_limits(limits=1), watching, _display(scenario, progress, quiet=quiet) as on_progress:
            outcome = run_world(
                lambda world: chosen(world, scenario, folder),
                until=scenario.time.duration_s + SETTLING_S,
                step_time_limit_s=scenario.run.step_time_limit_s,
                log_folder=folder / "logs",
                on_progress=on_progress,
                patient=PATIENT,
                pause=onlooker.pause if onlooker else None,
            )
        _raise_input_error(outcome)
    except InputError:
        _remove(folder, created)
        raise
    except BaseException as error:
        ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        replace(status, status=ended, message=f"{type(error).__name__}: {error}", ended=wall_time()).write(folder)
        raise
    result = _finish(scenario, folder, status, outcome)
    if onlooker is not None:
        onlooker.ended(result)
    return result


def _finish(scenario: Scenario, folder: Path, status: RunStatus, outcome: WorldOutcome) -> RunResult:
    """Write summary, report and, last, status: nobody finds a run complete before it is."""
    status = _ended(scenario, status, outcome)
    try:
        summary = _summary(scenario, folder, status, outcome)
    except Exception as error:
        summary = {}
        status = _spoilt(
            status, f"the tables are whole, but the summary could not be made: {type(error).__name__}: {error}"
        )
    write_whole(folder / SUMMARY_FILE, json.dumps(summary, indent=2, allow_nan=False) + "\n")
    status.write(folder)
    for name, write in (("statements", _write_statements), ("report", _write_report)):
        try:
            write(folder)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            status = _spoilt(status, f"the tables are whole, but the {name} could not be made: {why}")
            status.write(folder)
    return RunResult(folder, status.status, status.message, summary, outcome)


def _write_statements(folder: Path) -> None:
    from feederloop.coupling.statements import write_statements

    write_statements(folder)


def _write_report(folder: Path) -> None:
    from feederloop.coupling.report import write_report

    write_report(folder)


def _ended(scenario: Scenario, status: RunStatus, outcome: WorldOutcome) -> RunStatus:
    start_utc = scenario.time.start_utc
    message, time = outcome.message, None
    if outcome.time_s is not None:
        time = utc_time(start_utc, outcome.time_s)
    if outcome.status == "failed":
        reached_end = outcome.reached_s >= scenario.time.duration_s + SETTLING_S
        message = failure_message(
            outcome.simulator, outcome.time_s, start_utc, outcome.message, reached_end=reached_end
        )
    elif outcome.status == "interrupted":
        message = f"stopped on request at {time} ({outcome.reached_s} s after the start)"
    return replace(
        status,
        status=outcome.status,
        message=message,
        simulator=outcome.simulator,
        time_s=outcome.time_s,
        time=time,
        reached_s=min(outcome.reached_s, scenario.time.duration_s),
        traceback=outcome.traceback,
        warnings=list(outcome.warnings),
        later_errors=list(outcome.later_errors),
        remote_output=dict(outcome.remote_output),
        ended=wall_time(),
    )


def _spoilt(status: RunStatus, what: str) -> RunStatus:
    """A complete run whose results could not be finished has failed; one that had failed keeps its reason."""
    if status.status == "complete":
        return replace(status, status="failed", message=what)
    return replace(status, later_errors=[*status.later_errors, what])


def _summary(scenario: Scenario, folder: Path, status: RunStatus, outcome: WorldOutcome) -> dict[str, Any]:
    from feederloop.coupling.wiring.arrangement import arrangement_of

    results = Run(folder)
    tables = {name: results.table(name) for name in results.tables}
    arrangement = arrangement_of(scenario)
    told = (arrangement.limits, arrangement.matcher, arrangement.coordinator)
    roles = tuple(role for role in told if role is not None)
    facts = RunFacts(
        step_s=scenario.time.step_s,
        interval_s=scenario.time.interval_s,
        voltage_range_v=scenario.limits.voltage_range_v,
        line_limit_percent=scenario.limits.line_loading_percent,
        transformer_limit_percent=scenario.limits.transformer_loading_percent,
    )
    return {
        "scenario": scenario.name,
        "scheme": scenario.scheme,
        "seed": scenario.seed,
        "start": scenario.time.start_utc,
        "duration_s": scenario.time.duration_s,
        "status": status.status,
        "reached_s": status.reached_s,
        **summarise(tables, facts),
        "privacy": privacy(roles, scenario.time.horizon_intervals, scenario.energy_manager.curve_points),
        "exchange": exchange(tables, roles),
        "compute": compute(outcome.wall_s, outcome.timings, outcome.began_at, scenario.time.interval_s),
    }


def _raise_input_error(outcome: WorldOutcome) -> None:
    """Raise what a simulator has to say about its input before the first step."""
    error = outcome.error
    if outcome.time_s is not None or outcome.reached_s > 0:
        return
    if isinstance(error, InputError):
        raise error
    if isinstance(error, RemoteException) and error.remote_type in ("InputError", "ScenarioError"):
        raise InputError(f"{outcome.simulator}: {error.remote_msg}") from error


def _make_folder(scenario: Scenario, out: Path | str | None) -> tuple[Path, list[Path]]:
    """Make the folder for the results and say which folders that took, the deepest first.

    Raises:
        InputError: There is something in it, or it cannot be made.
    """
    folder = Path(out) if out is not None else _free_name(Path("runs"), scenario.name)
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError("The folder is not empty.", file=folder, key="out", allowed="a new or an empty folder")
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    return folder, created


def _free_name(parent: Path, name: str) -> Path:
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = (parent / (stem if count == 1 else f"{stem}-{count}") for count in range(1, 10_000))
    return next(path for path in candidates if not path.exists())


def _remove(folder: Path, created: list[Path]) -> None:
    """Remove what was made for a run that did not begin; folders that others use meanwhile stay."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for path in created:
        with contextlib.suppress(OSError):
            path.rmdir()


def _scenario_text(scenario: Scenario, versions: dict[str, str]) -> str:
    """The resolved scenario, which runs as it is; versions stand in a comment, as they are no part of it."""
    heading = "# As resolved, every default filled in. Made with " + ", ".join(
        f"{name} {number}" for name, number in versions.items()
    )
    return f"{heading}\n{yaml.safe_dump(scenario.resolved(), sort_keys=False, allow_unicode=True, width=120)}"


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def _wiring() -> Build:
    from feederloop.coupling.wiring import build

    chosen: Build = build
    return chosen


@contextlib.contextmanager
def _display(
    scenario: Scenario, progress: bool | Callable[[float], None] | None, *, quiet: bool
) -> Iterator[Callable[[float], None] | None]:
    if callable(progress):
        yield progress
        return
    if progress is False or quiet:
        yield None
        return
    time = scenario.time
    with progress_display(scenario.name, time.start_utc, time.time_zone, time.duration_s) as update:
        yield update
