"""Run every scheme with every seed, in this process or in several, with the same results."""

import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from threading import Event, Thread
from typing import Any

from feederloop.coupling.compare.variants import VARIANTS, folder_name
from feederloop.coupling.results import SUMMARY_FILE, Run
from feederloop.coupling.run import run_scenario
from feederloop.coupling.scenario import Scenario, load_scenario

COMPLETE = "complete"
Advance = Callable[[int, float], None]
"""Called with the number of a job and the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Job:
    """One run of the comparison; travels to other processes.

    Attributes:
        variant: Name in `VARIANTS`.
        seed: The run's seed.
        scenario: A scenario's file or name.
        overrides: What the user puts in place of the scenario's values; the variant's own come on top.
        days: Length in days, in place of the scenario's.
        folder: Where the run's results go.
    """

    variant: str
    seed: int
    scenario: str
    overrides: tuple[str, ...]
    days: float | None
    folder: Path

    def load(self) -> Scenario:
        """Return the scenario to run.

        Raises:
            ScenarioError: It has problems.
        """
        own = tuple(f"{key}={json.dumps(value)}" for key, value in VARIANTS[self.variant].overrides.items())
        return load_scenario(self.scenario, overrides=(*self.overrides, *own), days=self.days, seed=self.seed)

    def load_as_it_is(self) -> Scenario:
        """Return the user's scenario, with its own scheme and seed.

        Raises:
            ScenarioError: It has problems.
        """
        return load_scenario(self.scenario, overrides=self.overrides, days=self.days)


@dataclass(frozen=True)
class Done:
    """How a run ended.

    Attributes:
        job: The run.
        status: `complete`, `failed` or `interrupted`.
        message: Why it is not complete.
        summary: Its figures by group.
    """

    job: Job
    status: str
    message: str
    summary: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether its figures are those of the whole run."""
        return self.status == COMPLETE


def plan(
    scenario: str, variants: Sequence[str], seeds: Sequence[int], out: Path, *,
    overrides: Sequence[str] = (), days: float | None = None,
) -> list[Job]:  # fmt: skip
    """Return the runs of a comparison, in the order of variants and seeds."""
    return [
        Job(variant, seed, scenario, tuple(overrides), days, out / folder_name(variant) / f"seed-{seed}")
        for variant in variants
        for seed in seeds
    ]


def run_jobs(jobs: Sequence[Job], processes: int, advance: Advance) -> Iterator[Done]:
    """Run jobs and yield how each ended, in the order in which they do.

    A run that fails does not keep the others from running; nor does one that cannot even begin.

    Args:
        jobs: The runs.
        processes: How many run at once; 1 runs all in this process.
        advance: Told how far each has come.
    """
    if processes == 1 or len(jobs) == 1:
        for number, job in enumerate(jobs):
            done = _run(job, lambda share, number=number: advance(number, share))  # type: ignore[misc]
            yield done
            if done.status == "interrupted":
                return
        return
    yield from _in_processes(jobs, min(processes, len(jobs)), advance)


def _in_processes(jobs: Sequence[Job], processes: int, advance: Advance) -> Iterator[Done]:
    # New processes and not copies of this one: solvers and threads do not survive being copied.
    context = multiprocessing.get_context("spawn")
    channel, over = context.Queue(), Event()
    listener = Thread(target=_listen, args=(channel, advance, over), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(processes, context, initializer=_remember, initargs=(channel,))
    try:
        waiting: dict[Future[Done], Job] = {
            pool.submit(_run_elsewhere, number, job): job for number, job in enumerate(jobs)
        }
        for future in as_completed(waiting):
            try:
                yield future.result()
            except Exception as error:  # the process itself has died
                yield Done(waiting[future], "failed", f"{type(error).__name__}: {error}", {})
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        over.set()
        listener.join()
        channel.close()


_channel: Any = None


def _remember(channel: Any) -> None:
    """Keep, in a new process, the way by which it says how far it has come."""
    global _channel
    _channel = channel


def _run_elsewhere(number: int, job: Job) -> Done:
    return _run(job, lambda share: _channel.put((number, share)))


def _kept(job: Job, scenario: Scenario) -> Done | None:
    """Return how an earlier run of the same scenario into the same folder ended, None where it is not complete."""
    if not (job.folder / SUMMARY_FILE).is_file():
        return None
    before = Run(job.folder)
    if before.status != COMPLETE or before.scenario != json.loads(json.dumps(scenario.resolved())):
        return None
    return Done(job, COMPLETE, "", before.summary)


def _run(job: Job, told: Callable[[float], None]) -> Done:
    try:
        scenario = job.load()
        if (kept := _kept(job, scenario)) is not None:
            told(1.0)
            return kept
        if job.folder.exists():
            shutil.rmtree(job.folder)
        duration_s = scenario.time.duration_s
        result = run_scenario(
            scenario, out=job.folder, progress=lambda reached_s: told(min(1.0, reached_s / duration_s))
        )
    except Exception as error:
        return Done(job, "failed", f"{type(error).__name__}: {error}", {})
    told(1.0)
    return Done(job, result.status, result.message, result.summary)


def _listen(channel: Any, advance: Advance, over: Event) -> None:
    while not over.is_set():
        try:
            number, share = channel.get(timeout=0.2)
        except Empty:
            continue
        advance(number, share)
