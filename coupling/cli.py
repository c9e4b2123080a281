"""The command line: run, check and list scenarios.

Heavy imports happen inside the commands, so that help and a mistake in a scenario answer at once.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from feederloop.coupling.compare.command import compare
from feederloop.coupling.envelope_cli import app as envelope_app
from feederloop.coupling.live.command import LiveHost, LiveKeep, LiveOption, LivePort, LiveToken
from feederloop.coupling.market_cli import market
from feederloop.coupling.show_cli import plot, report
from feederloop.coupling.view.command import view
from feederloop.hil.cli import app as hil_app

if TYPE_CHECKING:
    from rich.console import Console

    from feederloop.coupling.live.page import LivePage
    from feederloop.coupling.scenario.model import Scenario

COMPLETE, RUN_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class _Commands(TyperGroup):
    """Says that it was interrupted where nobody has more to say, as before a run has begun."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line."""
        with _interruption_told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _interruption_told():
            return super().invoke(ctx)


@contextlib.contextmanager
def _interruption_told() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="feederloop",
    cls=_Commands,
    help="Local energy markets of prosumers with EVs and PV inside dynamic operating envelopes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(envelope_app)
app.add_typer(hil_app)
app.command()(compare)
app.command()(market)
app.command()(report)
app.command()(plot)
app.command()(view)

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A YAML file, or the bare name of a shipped scenario.")
]
Days = Annotated[float | None, typer.Option(metavar="N", help="Length of the run in days, in place of time.days.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="In place of the scenario's seed.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, e.g. prosumers.pv.share=0.3. May be repeated."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    if version:
        from feederloop import __version__

        typer.echo(f"feederloop {__version__}")
        raise typer.Exit


@app.command()
def run(
    scenario: ScenarioName,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the results go; by default runs/<scenario>-<time>.")
    ] = None,
    days: Days = None,
    seed: Seed = None,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the folder of the results and no more.")] = False,
    bench: Annotated[
        str | None, typer.Option(metavar="BENCH", help="Bench file: devices that take simulated ones' places.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            help="Afterwards run the same under this scheme, e.g. uncoordinated, simulated and as fast as it goes, and "
            "show both in the report.",
        ),
    ] = None,
    real_time: Annotated[bool, typer.Option("--real-time", help="By the clock on the wall.")] = False,
    factor: Annotated[float, typer.Option(metavar="X", help="With --real-time: so many times as fast.")] = 1.0,
    live: LiveOption = False,
    live_port: LivePort = None,
    live_host: LiveHost = "127.0.0.1",
    live_token: LiveToken = None,
    live_keep: LiveKeep = False,
    debug: Debug = False,
) -> None:
    """Run a scenario and show its main figures."""
    loaded = _checked(scenario, overrides, days, seed)
    twin = None
    if reference is not None and _differs(reference, loaded):
        twin = _checked(scenario, [*(overrides or ()), *_other_scheme(reference, loaded)], days, seed)
    from feederloop.coupling.live.command import live_page
    from feederloop.coupling.scenario.check import unsafe_defaults

    for note in unsafe_defaults(loaded):
        typer.echo(f"note: {note}", err=True)
    with live_page(live, host=live_host, port=live_port, token=live_token, keep=live_keep) as page:
        code = _run(loaded, bench, twin, out=out, quiet=quiet, real_time=real_time, factor=factor, page=page)
    raise typer.Exit(code)


def _run(
    loaded: "Scenario",
    bench: str | None,
    twin: "Scenario | None",
    *,
    out: Path | None,
    quiet: bool,
    real_time: bool,
    factor: float,
    page: "LivePage | None",
) -> int:
    """Run a scenario, show its figures and return the exit code."""
    from feederloop.coupling.console import print_figures, print_places
    from feederloop.coupling.run import run_scenario

    devices: list[dict[str, Any]] = []
    if bench is None and not real_time and factor == 1:
        result = run_scenario(loaded, out=out, progress=not quiet, onlooker=page)
    else:
        from feederloop.hil.session import run_with

        result, devices = run_with(
            loaded, bench, out=out, progress=not quiet, real_time=real_time, factor=factor, live=page
        )
    if result.message:
        typer.echo(f"Run {result.status}: {result.message}", err=True)
    beside = None
    if twin is not None and result.status == "complete":
        from feederloop.coupling.reference import run_reference

        beside = run_reference(twin, result, progress=not quiet)
        if not beside.complete:
            typer.echo(f"The run is complete, its reference {beside.status}: {beside.message}", err=True)
    if quiet:
        typer.echo(result.folder)
    else:
        title = loaded.title or loaded.name
        if result.status != "complete":
            title = f"{result.status.upper()}, figures only of what was simulated: {title}"
        others = {beside.scheme: beside.summary} if beside is not None and beside.complete else None
        print_figures(_console(), title, result.summary, loaded.limits, others)
        if devices:
            from feederloop.hil.screens import report_table

            _console().print(report_table(devices))
        print_places(_console(), result.folder)
    codes = {"complete": COMPLETE, "interrupted": INTERRUPTED}
    ended = result if beside is None or result.status != "complete" else beside
    return codes.get(ended.status, RUN_FAILED)


def _other_scheme(reference: str, loaded: "Scenario") -> list[str]:
    """Return overrides that make a scenario its reference, which is not to be taken for the run itself."""
    import json

    title = f"{loaded.name}, {reference}: what the run is compared with"
    description = f"The feeder, homes, weather and cars of the run, {reference} instead of {loaded.scheme}."
    told = {"scheme": reference, "title": title, "description": description}
    return [f"{key}={json.dumps(value)}" for key, value in told.items()]


def _differs(reference: str, loaded: "Scenario") -> bool:
    """Return whether a reference has anything to show; say so where it has the run's own scheme.

    Raises:
        InputError: There is no such scheme.
    """
    from feederloop.coupling.scenario.problems import nearest_of
    from feederloop.coupling.scenario.schemes import SCHEMES
    from feederloop.simulators.errors import InputError

    if reference not in SCHEMES:
        nearest = nearest_of(reference, SCHEMES)
        hint = f"; did you mean {nearest}?" if nearest else ""
        message = f"there is no such scheme{hint}"
        raise InputError(message, key="--reference", value=reference, allowed=", ".join(SCHEMES))
    if reference == loaded.scheme:
        typer.echo(f"note: the run is {reference} itself, so there is no reference beside it", err=True)
    return reference != loaded.scheme


@app.command()
def check(
    scenario: ScenarioName, days: Days = None, seed: Seed = None, overrides: Overrides = None, debug: Debug = False
) -> None:
    """Check a scenario and the files that it names, without running it."""
    loaded = _checked(scenario, overrides, days, seed)
    steps = loaded.time.duration_s // loaded.time.step_s
    from feederloop.coupling.scenario.check import assumed_of_network, unsafe_defaults

    for note in (*assumed_of_network(loaded), *unsafe_defaults(loaded)):
        typer.echo(f"note: {note}")
    typer.echo(f"{loaded.name}: valid ({loaded.scheme}, {steps} steps of {loaded.time.step_s} s)")


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    import json

    from feederloop.coupling.scenario.model import scenario_schema

    typer.echo(json.dumps(scenario_schema(), indent=2, ensure_ascii=False))


@app.command()
def scenarios() -> None:
    """List the shipped scenarios."""
    from feederloop.coupling.console import print_scenarios
    from feederloop.coupling.scenario.load import load_scenario, shipped_scenarios

    print_scenarios(_console(), {name: load_scenario(file).title for name, file in shipped_scenarios().items()})


def main() -> None:
    """Run the command line; end with 0 (done), 1 (run failed), 2 (bad input) or 130 (interrupted)."""
    try:
        app()
    except KeyboardInterrupt:  # before a command has begun, or after
        typer.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(_explained(error))


def _checked(scenario: str, overrides: list[str] | None, days: float | None, seed: int | None) -> "Scenario":
    """Return a scenario without problems.

    Raises:
        ScenarioError: It has some.
    """
    from feederloop.coupling.scenario.load import load_scenario
    from feederloop.coupling.scenario.problems import ScenarioError

    loaded = load_scenario(scenario, overrides=overrides or (), days=days, seed=seed)
    from feederloop.coupling.scenario.check import check_scenario

    if problems := check_scenario(loaded):
        raise ScenarioError(problems)
    return loaded


def _explained(error: Exception) -> int:
    """Print an error in the user's terms and return the exit code."""
    from feederloop.coupling.console import print_problems
    from feederloop.coupling.scenario.problems import problems_in
    from feederloop.simulators.errors import InputError

    if isinstance(error, InputError):
        print_problems(_console(stderr=True), problems_in(error))
        return BAD_INPUT
    typer.echo(f"Error: {type(error).__name__}: {error} (--debug shows where)", err=True)
    return RUN_FAILED


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


if __name__ == "__main__":
    main()
