"""Run a comparison and keep what it came to."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from feederloop.coupling.compare.across import People, compared, location_bias, people
from feederloop.coupling.compare.jobs import Advance, Done, Job, plan, run_jobs
from feederloop.coupling.compare.market_gain import MarketGain, market_gains
from feederloop.coupling.compare.measures import Measure, looked_up, measures
from feederloop.coupling.compare.statistics import Estimate, estimate
from feederloop.coupling.compare.stress import stress
from feederloop.coupling.compare.variants import VARIANTS, chosen_variants, folder_name
from feederloop.coupling.folders import make_folder
from feederloop.coupling.metrics.exchange import refused_share
from feederloop.coupling.metrics.tables import Group, number
from feederloop.coupling.network_of_run import Network
from feederloop.coupling.results import Run
from feederloop.coupling.scenario import Scenario, ScenarioError, check_scenario
from feederloop.coupling.scenario.problems import Problem
from feederloop.coupling.status import write_whole
from feederloop.simulators.errors import InputError

TABLE_FILE, PAGE_FILE = "comparison.csv", "comparison.html"


@dataclass(frozen=True)
class Comparison:
    """Schemes side by side.

    Attributes:
        folder: Where all results are; every run has a folder of its own in it.
        scenario: The scenario of the first run.
        variants: Names in `VARIANTS`, in the order in which they are shown.
        seeds: The seeds.
        done: How every run ended.
        people: What each complete run came to for its prosumers, by variant and seed.
        extra: Figures that single runs do not have, by variant and seed, then by group.
    """

    folder: Path
    scenario: Scenario
    variants: list[str]
    seeds: list[int]
    done: list[Done]
    people: dict[tuple[str, int], People]
    extra: dict[tuple[str, int], dict[str, Group]]

    @property
    def complete(self) -> bool:
        """Whether every run ended well."""
        return len(self.done) == len(self.variants) * len(self.seeds) and all(one.complete for one in self.done)

    @property
    def interrupted(self) -> bool:
        """Whether somebody stopped it."""
        return any(one.status == "interrupted" for one in self.done)

    @cached_property
    def market_gains(self) -> list[MarketGain]:
        """What the local market is worth in the schemes that have one."""
        return market_gains(self.variants, self.people)

    @cached_property
    def measures(self) -> list[Measure]:
        """The figures that at least one scheme has."""
        return [
            measure for measure in measures(self.scenario.limits)
            if any(self.estimate(variant, measure.key) for variant in self.variants)
        ]  # fmt: skip

    def values(self, variant: str, key: str) -> list[float | None]:
        """A figure of a scheme by seed; None where a run failed or does not have it."""
        found = {one.job.seed: one for one in self.done if one.job.variant == variant and one.complete}
        return [
            looked_up(found[seed].summary | self.extra.get((variant, seed), {}), key) if seed in found else None
            for seed in self.seeds
        ]

    def refused_shares(self, variant: str) -> list[float]:
        """Share of its trades that the DSO refused, of each prosumer who tried any, in percent, all seeds, sorted."""
        shares: list[float] = []
        for one in self.done:
            asked = looked_up(one.summary, "blocking.attempts") is not None
            if one.job.variant == variant and one.complete and asked:
                shares += (100.0 * refused_share(Run(one.job.folder).table("blocking")).round(4)).tolist()
        return sorted(shares)

    def estimate(self, variant: str, key: str) -> Estimate | None:
        """A figure of a scheme over the seeds."""
        return estimate(self.values(variant, key))

    def failures(self, variant: str) -> list[Done]:
        """The runs of a scheme that are not complete."""
        return [one for one in self.done if one.job.variant == variant and not one.complete]

    def best(self, measure: Measure) -> set[str]:
        """The schemes with the best value as it is shown; nobody where all are alike or neither way is better.

        Bounds do not compete, and a scheme some of whose runs failed does not either.
        """
        found = {
            variant: one.mean
            for variant in self.variants
            if not VARIANTS[variant].bound and not self.failures(variant)
            and (one := self.estimate(variant, measure.key)) is not None
        }  # fmt: skip
        shown = {variant: measure.shown(value) for variant, value in found.items()}
        if not measure.better or len(set(shown.values())) < 2:
            return set()
        most = (max if measure.better == "high" else min)(found.values())
        return {variant for variant in found if shown[variant] == measure.shown(most)}

    def keeps(self, variant: str, measure: Measure) -> bool | None:
        """Whether a scheme keeps a limit with every seed; None without a limit or a value."""
        found = self.estimate(variant, measure.key)
        if found is None or not measure.limits:
            return None
        return measure.keeps(found.least) and measure.keeps(found.most)


def compare(
    scenario: str | Path,
    *,
    schemes: str | Sequence[str] = "all",
    seeds: int = 1,
    days: float | None = None,
    jobs: int = 1,
    out: Path | str = "comparison",
    overrides: Sequence[str] = (),
    advance: Advance = lambda number, share: None,
    resume: bool = False,
) -> Comparison:
    """Run a scenario under several schemes and write `comparison.csv` and `comparison.html`.

    Args:
        scenario: A YAML file, or the bare name of a shipped scenario.
        schemes: See `chosen_variants`.
        seeds: How many seeds: the scenario's own and those that follow it.
        days: Length of each run, in place of the scenario's.
        jobs: How many runs at once; the results are the same.
        out: Folder for the results, new or empty.
        overrides: Texts `dotted.path=value` in place of the scenario's values; what makes a scheme comes on top.
        advance: Told the number of a run and the share of it that is done.
        resume: Whether the folder may be that of an earlier comparison, whose complete runs of the same scenarios are
            kept; others are done again.

    Raises:
        InputError: The scenario has problems under one of the schemes, a scheme is unknown, or the folder holds
            something already. Nothing is left behind.
    """
    if seeds < 1 or jobs < 1:
        key, value = ("seeds", seeds) if seeds < 1 else ("jobs", jobs)
        raise InputError("Not a number to count with.", key=key, value=value, allowed="1 and more")
    variants, folder = chosen_variants(schemes), Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not (resume and _is_ours(folder)):
        raise InputError("The folder is not empty.", file=folder, key="out", allowed="a new or an empty folder")
    planned, first = _checked(str(scenario), variants, seeds, folder, tuple(overrides), days)
    make_folder(folder)
    done = list(run_jobs(planned, jobs, advance))
    order = {(job.variant, job.seed): place for place, job in enumerate(planned)}
    done.sort(key=lambda one: order[one.job.variant, one.job.seed])
    found = _evaluated(folder, first, variants, sorted({job.seed for job in planned}), done)
    write_whole(folder / TABLE_FILE, _csv(found))
    from feederloop.coupling.compare.page import render

    write_whole(folder / PAGE_FILE, render(found))
    return found


def _is_ours(folder: Path) -> bool:
    """Whether there is nothing but what a comparison leaves behind: nothing else shall be removed."""
    known = {TABLE_FILE, PAGE_FILE, *map(folder_name, VARIANTS)}
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= known


def _checked(
    scenario: str, variants: list[str], seeds: int, folder: Path, overrides: tuple[str, ...], days: float | None
) -> tuple[list[Job], Scenario]:
    """Check every scheme with its first seed before anything runs.

    Raises:
        ScenarioError: With every problem once.
    """
    base = Job(variants[0], 0, scenario, overrides, days, folder).load_as_it_is()
    planned = plan(scenario, variants, range(base.seed, base.seed + seeds), folder, overrides=overrides, days=days)
    problems: list[Problem] = []
    for job in planned[::seeds]:
        try:
            problems += [one for one in check_scenario(job.load()) if one not in problems]
        except ScenarioError as error:
            problems += [one for one in error.problems if one not in problems]
    if problems:
        raise ScenarioError(problems)
    return planned, base


def _evaluated(folder: Path, scenario: Scenario, variants: list[str], seeds: list[int], done: list[Done]) -> Comparison:
    runs = {(one.job.variant, one.job.seed): Run(one.job.folder) for one in done if one.complete}
    known = {key: found for key, run in runs.items() if (found := people(run)) is not None}
    groups = compared(done, known)
    extra: dict[tuple[str, int], dict[str, Group]] = {}
    networks: dict[int, Network] = {}
    for (variant, seed), run in runs.items():
        if seed not in networks:
            networks[seed] = Network.of(run)
        group = groups.get((variant, seed), {})
        if (variant, seed) in known:
            alone = {key: one for key, one in known.items() if key[1] == seed}
            gains = market_gains([variant], alone)
            group["no_worse_with_market_share"] = gains[0].no_worse_share if gains else None
            lost = known[variant, seed].lost_share
            group["least_served"] = number(1.0 - lost.max()) if len(lost) else None
            group["location_bias"] = location_bias(lost, networks[seed].sensitivity_v_per_kw)
        extra[variant, seed] = {"comparison": group, "stress": stress(networks[seed], run)}
    return Comparison(folder, scenario, variants, seeds, done, known, extra)


def _csv(found: Comparison) -> str:
    """One row per scheme, seed and figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("scheme", "seed", "metric", "value"))
    for one in found.done:
        if not one.complete:
            continue
        figures = one.summary | found.extra.get((one.job.variant, one.job.seed), {})
        for group, values in figures.items():
            for name in values if isinstance(values, dict) else ():
                number = looked_up(figures, f"{group}.{name}")
                if number is not None:
                    writer.writerow((one.job.variant, one.job.seed, f"{group}.{name}", repr(number)))
    return text.getvalue()


def read_comparison(folder: Path | str) -> pd.DataFrame:
    """Read the figures of a comparison: `scheme`, `seed`, `metric`, `value`.

    Args:
        folder: The comparison's folder.
    """
    return pd.read_csv(Path(folder) / TABLE_FILE, float_precision="round_trip")
