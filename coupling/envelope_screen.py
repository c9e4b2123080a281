"""What the command line shows of envelopes: a table of intervals, counterexamples, and what has to be said beside."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from feederloop.coupling.envelope_of_run import RunFiles
from feederloop.coupling.envelope_results import (
    CERTIFICATE_FILE,
    CERTIFIED,
    ENVELOPES_FILE,
    IMPOSSIBLE,
    NOT_PROVEN,
    REFUTED,
    EnvelopeResults,
    IntervalResult,
)
from feederloop.simulators.envelope.counterexample import Violation
from feederloop.simulators.envelope.stated import StatedLimits

_SHOWN_ROWS = 48
_SHOWN_USERS = 12
_WORTH_SAYING = 1e-4
_VOLTS = ("v_min_v", "v_max_v")
_FILE_WIDTH = 140
_STYLES = {CERTIFIED: "green", REFUTED: "bold red", IMPOSSIBLE: "bold red", NOT_PROVEN: "yellow"}
_QUANTITIES = {
    "v_max": ("voltage", "V", 3),
    "v_min": ("voltage", "V", 3),
    "line_loading": ("loading", "%", 1),
    "transformer_loading": ("loading", "%", 1),
    "vuf": ("voltage unbalance", "%", 2),
}
_MOST_DIGITS = 9


def print_published(results: EnvelopeResults, folder: Path) -> None:
    """Print what was published, what was not and why."""
    console, errors = _consoles()
    _print_notes(errors, results)
    if len(results.intervals) == 1 and results.intervals[0].verdict != IMPOSSIBLE:
        console.print(_limits_table(results, results.intervals[0]))
    console.print(_intervals_table(results, "Envelopes"))
    _print_proof_cost(console, results)
    _print_about_forecasts(console, results)
    for verdict, heading in (
        (IMPOSSIBLE, _no_envelope(results)),
        (REFUTED, "these limits are not safe: a use within them breaks a network limit"),
    ):
        _print_worst(console, results, verdict, heading)
    for name in (ENVELOPES_FILE, CERTIFICATE_FILE):
        console.print(Text(str(folder / name)), soft_wrap=True)


def _no_envelope(results: EnvelopeResults) -> str:
    """Why there is none."""
    if all(interval.without_power for interval in results.intervals if interval.verdict == IMPOSSIBLE):
        return "no envelope: a limit breaks even with every customer at 0 kW"
    return "no envelope: the passive customers alone break a limit"


def print_files(files: RunFiles) -> None:
    """Print what was written of a run, and how to go on."""
    console, _ = _consoles()
    stated, usual = asdict(files.limits.in_full), asdict(StatedLimits().in_full)
    options = "".join(
        f" --{name.removesuffix('_v').replace('_', '-') if name in _VOLTS else name.replace('_', '-')} {value:g}"
        for name, value in stated.items()
        if value != usual[name]
    )
    names = f"{files.network} {files.points}"
    for command in (f"envelope check {names} {files.envelopes}{options}", f"envelope {names} --out DIR{options}"):
        console.print(Text(f"feederloop {command}"), soft_wrap=True)


def print_checked(results: EnvelopeResults) -> None:
    """Print whether envelopes are safe, and how they break where they are not."""
    console, errors = _consoles()
    _print_notes(errors, results)
    console.print(_intervals_table(results, "Checked envelopes"))
    _print_worst(console, results, REFUTED, "refuted: this use is within the envelopes and breaks a limit")
    count = Counter(interval.verdict for interval in results.intervals)
    if results.certified:
        console.print(Text("certified: every use within these envelopes keeps the limits", "green"), soft_wrap=True)
    if count[NOT_PROVEN]:
        reasons = {interval.certificate.reason for interval in results.intervals if interval.verdict == NOT_PROVEN}
        text = f"not proven, no counterexample found in {_intervals(count[NOT_PROVEN])} ({'; '.join(sorted(reasons))})"
        console.print(Text(text, "yellow"), soft_wrap=True)


def _consoles() -> tuple[Console, Console]:
    console = Console(highlight=False)
    if not console.is_terminal:  # a file has room for whole lines
        console = Console(highlight=False, width=_FILE_WIDTH)
    return console, Console(stderr=True, highlight=False)


def _print_notes(console: Console, results: EnvelopeResults) -> None:
    for note in results.notes:
        console.print(Text(f"Note: {note}", "yellow"), soft_wrap=True)


def _limits_table(results: EnvelopeResults, interval: IntervalResult) -> Table:
    """Return a table of one interval's limits, who has the least export first where there are too many to show."""
    table = Table(title="Limits in kW", title_justify="left", title_style="bold")
    for name in ("connection point", "export", "import"):
        table.add_column(name, justify="left" if name == "connection point" else "right")
    rows = np.flatnonzero(interval.active)
    for row in rows[:_SHOWN_ROWS]:
        export_kw, import_kw = interval.export_limit_kw[row], interval.import_limit_kw[row]
        table.add_row(Text(results.names[row]), f"{export_kw:.3f}", f"{import_kw:.3f}")
    if len(rows) > _SHOWN_ROWS:
        table.add_row(f"… {len(rows) - _SHOWN_ROWS} more", "", "")
    return table


def _intervals_table(results: EnvelopeResults, title: str) -> Table:
    table = Table(title=f"{title}, {results.network}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in ("interval", "", "export kW", "import kW", "proven voltage in V", "proven loading"):
        table.add_column(name, justify="right" if name.endswith("kW") else "left", no_wrap=name != "proven loading")
    for interval in results.intervals[:_SHOWN_ROWS]:
        certificate, active = interval.certificate, interval.active
        (low, low_phase), (high, high_phase) = certificate.v_min_at, certificate.v_max_at
        from_v, to_v = (
            f"{certificate.v_min_v:.2f} ({low}{low_phase})",
            f"{certificate.v_max_v:.2f} ({high}{high_phase})",
        )
        loading, where = certificate.loading_max_percent, " ".join(certificate.loading_max_at)
        table.add_row(
            Text(interval.interval_start or "all"),
            Text(interval.verdict, _STYLES[interval.verdict]),
            _total(interval.export_limit_kw[active]),
            _total(interval.import_limit_kw[active]),
            f"{from_v} … {to_v}" if high_phase else "no bound",
            f"{loading:.1f} % ({where})" if np.isfinite(loading) else "no bound",
        )
    if len(results.intervals) > _SHOWN_ROWS:
        table.add_row(f"… {len(results.intervals) - _SHOWN_ROWS} more", *[""] * 5)
    return table


def _print_proof_cost(console: Console, results: EnvelopeResults) -> None:
    """Say by how much the proof lowered the limits, where it did."""
    proven = [interval for interval in results.intervals if interval.verdict == CERTIFIED]
    cost_kw = sum(interval.proof_cost_kw for interval in proven)
    left_kw = sum(np.nansum(interval.export_limit_kw) + np.nansum(interval.import_limit_kw) for interval in proven)
    if (share := cost_kw / max(cost_kw + left_kw, 1e-9)) >= _WORTH_SAYING:
        console.print(Text(f"The proof lowered the limits by {100 * share:.2f} % of their sum"), soft_wrap=True)


def _total(limit_kw: np.ndarray) -> str:
    return "none" if np.isnan(limit_kw).any() else f"{limit_kw.sum():.2f}"


def _print_about_forecasts(console: Console, results: EnvelopeResults) -> None:
    """Say where the forecast breaks limits and who is held below it."""
    broken = [interval for interval in results.intervals if interval.forecast_violations]
    published = [interval for interval in broken if interval.verdict != IMPOSSIBLE]
    if published:
        first = published[0]
        what = _sentence(first.forecast_violations[0])
        held = ", ".join(first.held_below_forecast[:_SHOWN_USERS])
        more = len(first.held_below_forecast) - _SHOWN_USERS
        text = (
            f"In {_intervals(len(published))} the forecast itself breaks a limit ({_when(first)}{what}); the envelopes "
            f"hold customers below their forecast: {held}{f' and {more} more' if more > 0 else ''}"
        )
        console.print(Text(text, "yellow"), soft_wrap=True)
    cut = sum(interval.floor_cut for interval in results.intervals if interval.verdict != IMPOSSIBLE)
    if cut:
        console.print(Text(f"In {_intervals(cut)} some import_floor_kw did not fit", "yellow"), soft_wrap=True)


def _print_worst(console: Console, results: EnvelopeResults, verdict: str, heading: str) -> None:
    """Print the worst violation of the intervals with this verdict in full, and how many more there are."""
    chosen = [interval for interval in results.intervals if interval.verdict == verdict and interval.violations]
    if not chosen:
        return
    worst = max(chosen, key=lambda interval: interval.violations[0].excess)
    console.print(Text(f"{_when(worst)}{heading}", "bold red"), soft_wrap=True)
    for violation in worst.violations:
        console.print(Text(f"  {_sentence(violation)}", "bold"), soft_wrap=True)
        if violation.v_v:
            exact = ", ".join(f"{phase} {v:.3f} V" for phase, v in zip("abc", violation.v_v, strict=True))
            console.print(Text(f"    exact voltages at bus {violation.bus}: {exact}"), soft_wrap=True)
        _print_use(console, results, worst, violation)
    if len(chosen) > 1:
        text = f"  and {_intervals(len(chosen) - 1)} more with the verdict {verdict}"
        console.print(Text(text), soft_wrap=True)


def _print_use(console: Console, results: EnvelopeResults, interval: IntervalResult, violation: Violation) -> None:
    """Print the corner: who exports and imports how much, then who is to blame."""
    for sign, word in ((1.0, "export"), (-1.0, "import")):
        power = sign * violation.p_kw
        rows = np.flatnonzero(interval.active & (power > 0))
        if len(rows) == 0:
            continue
        rows = rows[np.argsort(-power[rows], kind="stable")]
        named = ", ".join(f"{results.names[row]} {power[row]:.2f}" for row in rows[:_SHOWN_USERS])
        more = f" and {len(rows) - _SHOWN_USERS} more" if len(rows) > _SHOWN_USERS else ""
        console.print(Text(f"    {len(rows)} {word} {power[rows].sum():.2f} kW: {named}{more}"), soft_wrap=True)
    if violation.kind == "no_solution":
        return
    _, unit, _ = _QUANTITIES[violation.kind]
    blamed = ", ".join(
        f"{name} ({'exporting' if p_kw > 0 else 'importing'} {abs(p_kw):.2f} kW: {part:.3f} {unit})"
        for name, p_kw, part in results.blamed(violation)
    )
    if blamed:
        console.print(Text(f"    to blame most: {blamed}"), soft_wrap=True)


def _sentence(violation: Violation) -> str:
    if violation.kind == "no_solution":
        return "the power flow has no solution: more power than the network can carry"
    quantity, unit, digits = _QUANTITIES[violation.kind]
    where = f"{violation.element} phase {violation.phase}" if violation.phase else violation.element
    side = "below" if violation.kind == "v_min" else "above"
    # Barely beyond its limit, a value must not read like the limit.
    while digits < _MOST_DIGITS and f"{violation.value:.{digits}f}" == f"{violation.limit:.{digits}f}":
        digits += 1
    value, limit = f"{violation.value:.{digits}f}", f"{violation.limit:.{digits}f}"
    return f"{quantity} {value} {unit} at {where}, {side} the limit of {limit} {unit}"


def _when(interval: IntervalResult) -> str:
    return f"{interval.interval_start}: " if interval.interval_start else ""


def _intervals(count: int) -> str:
    return f"{count} interval{'' if count == 1 else 's'}"
