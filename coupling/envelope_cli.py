"""The command line for envelopes without a scenario: publish them for a network and a table of points, or check some.

Heavy imports happen inside the commands, as in the rest of the command line.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from feederloop.coupling.envelope_results import EnvelopeResults
    from feederloop.simulators.envelope.stated import StatedLimits

DONE, NOT_SAFE, IMPOSSIBLE_CODE = 0, 1, 3


class _PublishByDefault(TyperGroup):
    """`envelope NETWORK POINTS` is `envelope publish NETWORK POINTS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["publish", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    name="envelope",
    cls=_PublishByDefault,
    no_args_is_help=True,
    help="Operating envelopes without a scenario: `feederloop envelope NETWORK POINTS.csv --out DIR` publishes them, "
    "`feederloop envelope check NETWORK POINTS.csv ENVELOPES.csv` proves or refutes any, "
    "`feederloop envelope of-run RUN` makes these files of a run.",
)

NetworkName = Annotated[
    str, typer.Argument(metavar="NETWORK", help="A pandapower JSON file, or the name of a shipped network.")
]
PointsFile = Annotated[
    Path,
    typer.Argument(
        metavar="POINTS.csv",
        help="Columns connection_point, bus, phase (a, b, c or abc), p_kw, q_kvar (forecast, export positive), "
        "export_cap_kw, import_cap_kw (both empty: a passive customer); interval_start, uncertainty_kw, q_low_kvar, "
        "q_high_kvar, import_floor_kw and weight if wanted.",
    ),
]
LowestV = Annotated[
    float | None, typer.Option("--v-min", metavar="V", help="Lowest voltage phase to neutral.", show_default="216.2")
]
HighestV = Annotated[
    float | None, typer.Option("--v-max", metavar="V", help="Highest voltage phase to neutral.", show_default="253")
]
LowestPu = Annotated[
    float | None, typer.Option("--v-min-pu", metavar="X", help="Per unit of each bus's vn_kv, in place of --v-min.")
]
HighestPu = Annotated[
    float | None, typer.Option("--v-max-pu", metavar="Y", help="Per unit of each bus's vn_kv, in place of --v-max.")
]
Margin = Annotated[float, typer.Option(metavar="V", help="Distance kept from both voltage limits.")]
LineLoading = Annotated[float, typer.Option(metavar="%", help="Highest loading of a line's phase.")]
TransformerLoading = Annotated[float, typer.Option(metavar="%", help="Highest loading of a transformer's winding.")]
Unbalance = Annotated[
    float | None,
    typer.Option("--vuf-percent", metavar="%", help="Highest voltage unbalance factor.", show_default="unlimited"),
]
SourceVoltage = Annotated[
    float | None,
    typer.Option("--source-v-pu", metavar="X", help="Voltage of the external grid.", show_default="the network's own"),
]
Jobs = Annotated[int, typer.Option(metavar="N", help="Processes that share the intervals.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


@app.command()
def publish(
    network: NetworkName,
    points: PointsFile,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where envelopes.csv and certificate.json go.")],
    rule: Annotated[
        str,
        typer.Option(metavar="R", help="equal, max_min, proportional, proportional_fair, alpha_fair or max_total."),
    ] = "proportional_fair",
    safety: Annotated[
        str,
        typer.Option(
            metavar="S",
            help="certified (tightened until proven), robust (for every use, untightened) or corner (as the literature "
            "does: everybody at a limit at once). All are put to the proof.",
        ),
    ] = "certified",
    alpha: Annotated[float | None, typer.Option(metavar="A", help="Of the rule alpha_fair; 2 if not given.")] = None,
    export_weight: Annotated[float, typer.Option(metavar="W", help="Claim of export against import.")] = 1.0,
    import_weight: Annotated[float, typer.Option(metavar="W", help="Claim of import against export.")] = 1.0,
    v_min: LowestV = None,
    v_max: HighestV = None,
    v_min_pu: LowestPu = None,
    v_max_pu: HighestPu = None,
    margin_v: Margin = 0.0,
    line_loading_percent: LineLoading = 100.0,
    transformer_loading_percent: TransformerLoading = 100.0,
    vuf_percent: Unbalance = None,
    source_v_pu: SourceVoltage = None,
    jobs: Jobs = 1,
    debug: Debug = False,
) -> None:
    """Publish envelopes and prove them safe; `publish` may be left out.

    Ends with 0, with 1 where certified envelopes were asked for and the proof did not come off, with 2 on bad input,
    with 3 where passive customers alone break a limit.
    """
    limits = _stated(
        v_min, v_max, v_min_pu, v_max_pu, margin_v, line_loading_percent, transformer_loading_percent, vuf_percent
    )
    from feederloop.coupling import envelopes
    from feederloop.coupling.envelope_results import IMPOSSIBLE
    from feederloop.coupling.envelope_screen import print_published
    from feederloop.simulators.errors import InputError

    if alpha is not None and rule != "alpha_fair":
        raise InputError("is of another rule", key="alpha", value=alpha, allowed="with --rule alpha_fair only")
    results = envelopes.publish(
        network, points, rule=rule, safety=safety, alpha=2.0 if alpha is None else alpha, export_weight=export_weight,
        import_weight=import_weight, limits=limits, source_v_pu=source_v_pu, jobs=jobs,
    )  # fmt: skip
    results.write(out)
    print_published(results, out)
    if any(interval.verdict == IMPOSSIBLE for interval in results.intervals):
        raise typer.Exit(IMPOSSIBLE_CODE)
    raise typer.Exit(NOT_SAFE if safety == "certified" and not results.certified else DONE)


@app.command()
def check(
    network: NetworkName,
    points: PointsFile,
    envelopes: Annotated[
        Path,
        typer.Argument(
            metavar="ENVELOPES.csv",
            help="Anybody's: columns interval_start, connection_point, export_limit_kw, import_limit_kw.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where verdict.json goes, if wanted.")] = None,
    v_min: LowestV = None,
    v_max: HighestV = None,
    v_min_pu: LowestPu = None,
    v_max_pu: HighestPu = None,
    margin_v: Margin = 0.0,
    line_loading_percent: LineLoading = 100.0,
    transformer_loading_percent: TransformerLoading = 100.0,
    vuf_percent: Unbalance = None,
    source_v_pu: SourceVoltage = None,
    jobs: Jobs = 1,
    debug: Debug = False,
) -> None:
    """Prove envelopes safe for every use, or show a use that breaks a limit.

    Ends with 0 (proven), 1 (refuted, or neither proof nor counterexample) or 2 (bad input).
    """
    limits = _stated(
        v_min, v_max, v_min_pu, v_max_pu, margin_v, line_loading_percent, transformer_loading_percent, vuf_percent
    )
    from feederloop.coupling import envelopes as without_scenario
    from feederloop.coupling.envelope_screen import print_checked

    results: EnvelopeResults = without_scenario.check(
        network, points, envelopes, limits=limits, source_v_pu=source_v_pu, jobs=jobs
    )
    if out is not None:
        results.write(out, checked=True)
    print_checked(results)
    raise typer.Exit(DONE if results.certified else NOT_SAFE)


@app.command("of-run")
def of_run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run whose scheme has envelopes.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where network.json, points.csv and envelopes.csv go.")],
    debug: Debug = False,
) -> None:
    """Write a run's network, homes and envelopes as files that `envelope check` and `envelope publish` read."""
    from feederloop.coupling.envelope_of_run import write_files
    from feederloop.coupling.envelope_screen import print_files
    from feederloop.coupling.results import open_run

    print_files(write_files(open_run(run), out))


def _stated(*values: float | None) -> "StatedLimits":
    from feederloop.simulators.envelope.stated import StatedLimits

    return StatedLimits(*values)  # type: ignore[arg-type]
