"""Run the comparisons that the docs show and put tables and pictures into the pages: `make scheme-results`.

The default day and the same day behind a high busbar are compared, each with three seeds. Runs that are complete in
runs/scheme-results are kept, so that it can be stopped and started again; remove that folder to begin anew.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from feederloop.coupling.compare.comparison import Comparison, compare
from feederloop.coupling.compare.market_gain import GOAL_SHARE
from feederloop.coupling.compare.measures import Measure
from feederloop.coupling.compare.variants import VARIANTS, chosen_variants

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "explanation" / "schemes"
OUT = ROOT / "runs" / "scheme-results"


@dataclass(frozen=True)
class Compared:
    """A comparison that the pages show; its fields are those of `compare`."""

    scenario: str
    schemes: str
    seeds: int = 3


COMPARED: Mapping[str, Compared] = {
    "default": Compared("european_lv_doe_lem", "all,bounds,network_aware_p2p:price_ordered,doe:corner,doe_lem:corner"),
    "high-voltage": Compared(
        "european_lv_high_voltage", "uncoordinated,network_aware_p2p,network_aware_p2p:price_ordered,doe,doe_lem"
    ),
}
"""By the name that the pages' markers say."""
COLUMNS = {
    "voltage.max_v": "highest V",
    "voltage.customer_violation_share": "customers outside, %",
    "congestion.max_line_loading_percent": "line, %",
    "comparison.cost_per_prosumer_day": "cost per day",
    "pv.curtailed_share": "PV curtailed, %",
    "blocking.rate": "refused, %",
    "ev.energy_not_served_share": "EV not served, %",
}
STRESS_COLUMNS = {
    "voltage.max_v": "highest V in use",
    "pv.curtailed_share": "PV curtailed, %",
    "comparison.cost_per_prosumer_day": "cost per day",
    "stress.random_violation_probability": "broken by random corners, %",
    "stress.trade_violation_probability": "by balanced trades, %",
    "stress.phase_trade_violation_probability": "by trades between phases, %",
    "stress.adversary_violation_probability": "by an adversary, %",
}


def main() -> None:
    """Compare, and write what came of it between the markers of every page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--only", help="only these schemes, to run a part beforehand; no page is changed")
    options = parser.parse_args()
    wanted = {name: schemes for name in COMPARED if (schemes := schemes_of(name, options.only))}
    found = {name: run(name, schemes, options.jobs) for name, schemes in wanted.items()}
    if any(not one.complete for one in found.values()):
        raise SystemExit("No page was changed.")
    if options.only is None:
        for page in sorted([*PAGES.glob("*.md"), PAGES.with_suffix(".md")]):
            page.write_text(filled(page.read_text(encoding="utf-8"), found), encoding="utf-8")


def schemes_of(name: str, only: str | None) -> list[str]:
    """Return the variants of one of the comparisons, or those of them that are also named in `only`."""
    variants = chosen_variants(COMPARED[name].schemes)
    return variants if only is None else [variant for variant in variants if variant in chosen_variants(only)]


def run(name: str, schemes: Sequence[str], jobs: int) -> Comparison:
    """Run one of the comparisons, or what of it has not been run yet, and say what failed."""
    one = COMPARED[name]
    total = len(schemes) * one.seeds
    finished: set[int] = set()

    def advance(number: int, share: float) -> None:
        if share >= 1.0 and number not in finished:
            finished.add(number)
            print(f"{name}: {len(finished)} of {total} runs", flush=True)

    found = compare(
        one.scenario, schemes=schemes, seeds=one.seeds, jobs=jobs, out=OUT / name, advance=advance, resume=True
    )  # fmt: skip
    for done in found.done:
        if not done.complete:
            print(f"{done.job.variant}, seed {done.job.seed}: {done.status}: {done.message}")
    return found


def filled(text: str, found: Mapping[str, Comparison]) -> str:
    """Return a page with what stands between its markers `<!-- result NAME KIND [SCHEMES] -->` and `<!-- end -->` anew.

    Args:
        text: The page.
        found: The comparisons by name. Kinds are the functions `table`, `stressed`, `refused` and `market`.
    """
    kinds = {"table": table, "stressed": stressed, "refused": refused, "market": market}

    def made(match: "re.Match[str]") -> str:
        name, kind, *schemes = match[2].split()
        return f"{match[1]}\n{kinds[kind](found[name], schemes)}\n{match[3]}"

    return re.sub(r"(<!-- result ([^>]+) -->\n).*?(\n<!-- end -->)", made, text, flags=re.DOTALL)


def of_schemes(found: Comparison, schemes: Sequence[str]) -> list[str]:
    """Return the variants of these schemes, or all."""
    return [variant for variant in found.variants if not schemes or VARIANTS[variant].scheme in schemes]


def table(found: Comparison, schemes: Sequence[str]) -> str:
    """A row per scheme; in bold what breaks a limit with any seed."""
    return rows_of(found, schemes, COLUMNS)


def stressed(found: Comparison, schemes: Sequence[str]) -> str:
    """What the envelopes of each scheme would have withstood."""
    return rows_of(found, schemes, STRESS_COLUMNS)


def rows_of(found: Comparison, schemes: Sequence[str], titles: Mapping[str, str]) -> str:
    """A row per scheme and a column for each of these figures that any of them has."""
    known = {measure.key: measure for measure in found.measures}
    variants = of_schemes(found, schemes)
    columns = {
        key: title for key, title in titles.items()
        if key in known and any(found.estimate(variant, key) is not None for variant in variants)
    }  # fmt: skip
    rows = [["scheme", *columns.values()], ["---"] * (1 + len(columns))]
    for variant in variants:
        rows.append([f"`{variant}`", *(cell(found, variant, known[key]) for key in columns)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(found: Comparison, variant: str, measure: Measure) -> str:
    """A figure with its confidence interval."""
    value = found.estimate(variant, measure.key)
    if value is None:
        return "–"
    shown = measure.shown(value.mean)
    if value.half_width is not None:
        shown += f" ± {measure.shown(value.half_width)}"
    return f"**{shown}**" if found.keeps(variant, measure) is False else shown


def refused(found: Comparison, schemes: Sequence[str]) -> str:
    """Who is refused, where the DSO is asked."""
    keys = {
        "blocking.attempts": "sides of trades asked about", "blocking.blocks": "refused",
        "blocking.retail_blocks": "of these with the retailer", "blocking.refused_kwh": "refused, kWh",
        "blocking.longest_run": "longest run, intervals", "blocking.gini": "Gini of refusals",
        "blocking.never_blocked_share": "never refused, % of prosumers",
    }  # fmt: skip
    asked = [
        variant for variant in of_schemes(found, schemes) if found.estimate(variant, "blocking.attempts") is not None
    ]
    rows = [["", *(f"`{variant}`" for variant in asked)], ["---"] * (1 + len(asked))]
    for key, title in keys.items():
        scale = 100 if key.endswith("share") else 1
        values = [found.estimate(variant, key) for variant in asked]
        rows.append([title, *("–" if value is None else f"{scale * value.mean:.4g}" for value in values)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def market(found: Comparison, schemes: Sequence[str]) -> str:
    """What the market is worth inside the same limits."""
    lines = []
    for gain in found.market_gains:
        met = "reaches" if gain.no_worse_share >= GOAL_SHARE else "misses"
        line = (
            f"`{gain.variant}` against `{gain.reference}`: {100 * gain.no_worse_share:.1f} % of {len(gain.difference)} "
            f"prosumers pay no more with the market, which {met} the goal of {100 * GOAL_SHARE:.0f} %. The mean is "
            f"{-gain.difference.mean():.2f} a day less, the worst {gain.difference.max():.2f} more."
        )
        reasons = [f"{part} {value:+.2f}" for part, value in gain.reasons.items() if abs(value) >= 0.005]
        if reasons:
            line += f" What makes it dearer for those who pay more, on average: {', '.join(reasons)}."
        lines.append(f"- {line}")
    return "\n".join(lines) or "No scheme with a market ran beside its limits without one."


if __name__ == "__main__":
    main()
