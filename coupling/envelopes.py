"""Operating envelopes without a scenario: publish them for a network and a table of points, or check somebody's.

from feederloop import envelopes

published = envelopes.publish("street_12", "points.csv", rule="max_min")
verdict = envelopes.check("street_12", "points.csv", published.table)
"""

import copy
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandapower as pp
import pandas as pd
from threadpoolctl import threadpool_limits

from feederloop.coupling.envelope_results import (
    CERTIFIED,
    IMPOSSIBLE,
    NOT_PROVEN,
    REFUTED,
    EnvelopeResults,
    IntervalResult,
)
from feederloop.simulators.envelope.box import Box, Interval
from feederloop.simulators.envelope.certificate import Certificate, Certifier
from feederloop.simulators.envelope.controller import EnvelopeController, Options
from feederloop.simulators.envelope.counterexample import Search, Violation
from feederloop.simulators.envelope.points import KnownPoints, read_envelopes, read_points
from feederloop.simulators.envelope.stated import Judged, StatedLimits, judged
from feederloop.simulators.envelope.volt_var_controller import VoltVarCertifier, VoltVarController
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder, Floats
from feederloop.simulators.grid.networks import LOAD_TABLES, SHIPPED, load_network

__all__ = ["EnvelopeResults", "IntervalResult", "StatedLimits", "check", "publish"]

Table: TypeAlias = Path | str | pd.DataFrame
Network: TypeAlias = Any  # Path | str | pp.pandapowerNet; pandapower has no types

_STEPS_PER_KW = 1e6  # published limits are rounded down to these: a part of a safe box is safe


def publish(
    network: Network,
    points: Table,
    *,
    rule: str = "proportional_fair",
    safety: str = "certified",
    alpha: float = 2.0,
    export_weight: float = 1.0,
    import_weight: float = 1.0,
    limits: StatedLimits | None = None,
    source_v_pu: float | None = None,
    jobs: int = 1,
) -> EnvelopeResults:
    """Share a network's room out as envelopes and prove them safe.

    Every interval is worked out by itself, so results depend neither on `jobs` nor on which other intervals there are.

    Args:
        network: A shipped network's name, a pandapower JSON file, or a pandapower network.
        points: Connection points and forecasts, see `read_points`.
        rule: equal, max_min, proportional, proportional_fair, alpha_fair or max_total.
        safety: certified (tightened until proven), robust (for every use, without tightening) or corner (only everybody
            at the export limit, and everybody at the import limit, as the literature does). All are put to the proof.
        alpha: Of the rule alpha_fair.
        export_weight: Claim of export when it competes with import.
        import_weight: Claim of import.
        limits: What the network has to keep; by default 216.2 to 253 V and every rating.
        source_v_pu: Voltage of the external grid; none leaves the network's own.
        jobs: Processes; for more than one a script has to have an `if __name__ == "__main__":`.

    Raises:
        InputError: Something in network, points or options does not fit.
    """
    for key, value in (("alpha", alpha), ("export_weight", export_weight), ("import_weight", import_weight)):
        if not (math.isfinite(value) and value > 0):
            raise InputError("is not a positive number", key=key, value=value, allowed="above 0")
    problem = _Problem.read(network, points, limits or StatedLimits(), source_v_pu)
    options = Options(rule=rule, safety=safety, alpha=alpha, export_weight=export_weight, import_weight=import_weight)
    known, judge = problem.known, problem.judge
    controller: EnvelopeController | VoltVarController = (
        VoltVarController(judge.power_flow.feeder, judge.limits, options, known.volt_var_kva)
        if known.volt_var_kva.any()
        else EnvelopeController(judge.power_flow, judge.limits, options)
    )
    tasks = [_Task(*task) for task in zip(known.starts, known.intervals, known.q_kvar, strict=True)]
    return problem.results(_mapped(partial(_published, judge, problem.search(), controller), tasks, jobs))


def check(
    network: Network,
    points: Table,
    envelopes: Table,
    *,
    limits: StatedLimits | None = None,
    source_v_pu: float | None = None,
    jobs: int = 1,
) -> EnvelopeResults:
    """Prove anybody's envelopes safe, or find a use that breaks a limit.

    Args:
        network: As in `publish`.
        points: As in `publish`.
        envelopes: Columns `interval_start` (not with a single interval), `connection_point`, `export_limit_kw`,
            `import_limit_kw`. Intervals whose limits are all empty have none to check and are left out.
        limits: As in `publish`.
        source_v_pu: As in `publish`.
        jobs: As in `publish`.

    Raises:
        InputError: Something in network, points, envelopes or limits does not fit.
    """
    problem = _Problem.read(network, points, limits or StatedLimits(), source_v_pu)
    known = problem.known
    given = read_envelopes(envelopes, known)
    intervals = [replace(known.intervals[k], active=active) for k, active in enumerate(given.given)]
    judge = problem.judge
    certifier = (
        VoltVarCertifier(judge.power_flow.feeder, judge.limits, known.volt_var_kva)
        if known.volt_var_kva.any()
        else Certifier(judge.power_flow, judge.limits)
    )
    columns = (known.starts, intervals, known.q_kvar, given.export_limit_kw, given.import_limit_kw)
    every = [_Task(*task) for task in zip(*columns, strict=True)]
    tasks = [task for task, withheld in zip(every, given.withheld, strict=True) if not withheld]
    problem = replace(problem, notes=(*problem.notes, *_withheld(known.starts, given.withheld)))
    return problem.results(_mapped(partial(_checked, judge, problem.search(), certifier), tasks, jobs))


@dataclass(frozen=True)
class _Problem:
    """A network with its limits and what is known of its points."""

    known: KnownPoints
    judge: Judged
    stated: StatedLimits
    network: str
    notes: tuple[str, ...]

    @classmethod
    def read(cls, network: Network, points: Table, stated: StatedLimits, source_v_pu: float | None) -> "_Problem":
        """Read network and points; say which of the two a mistake is in."""
        net = copy.deepcopy(network) if isinstance(network, pp.pandapowerNet) else load_network(network)
        name = str(net.name or "network") if isinstance(network, pp.pandapowerNet) else str(network)
        if source_v_pu is not None:
            if not 0.5 < source_v_pu < 1.5:
                raise InputError("no such voltage", key="source_v_pu", value=source_v_pu, allowed="0.5 to 1.5")
            net.ext_grid["vm_pu"] = source_v_pu
        known = read_points(points)
        try:
            feeder = Feeder.from_network(net, known.points)
        except InputError as error:
            in_points = error.key is not None and error.key.endswith(("name", ".bus", ".phase"))
            file = (points if isinstance(points, Path | str) else None) if in_points else name
            value, allowed = error.value, error.allowed
            raise InputError(error.message, file=file, key=error.key, value=value, allowed=allowed) from error
        judge = judged(feeder, stated)
        if judge.volt_per_reference and known.volt_var_kva.any():
            raise InputError(
                "inverters answer to volts, and per-unit limits of buses with different vn_kv are judged in none",
                key="volt_var_kva", allowed="nothing, or limits in volt",
            )  # fmt: skip
        notes = (*(() if name in SHIPPED else _ignored(net)), *feeder.assumed, *_not_checked(feeder))
        return cls(known, judge, stated, name, notes)

    def search(self) -> Search:
        """Return what looks for uses that break these limits."""
        return Search(self.judge.power_flow, self.judge.limits, self.known.volt_var_kva)

    def results(self, intervals: Sequence[IntervalResult]) -> EnvelopeResults:
        names = tuple(str(name) for name in self.known.points["name"])
        return EnvelopeResults(names, tuple(intervals), self.notes, self.network, self.stated)


def _ignored(net: pp.pandapowerNet) -> tuple[str, ...]:
    found = [f"{len(net[table])} {table}" for table in LOAD_TABLES if table in net and len(net[table])]
    return (f"ignored inside the network: {', '.join(found)}; powers come from the points alone",) if found else ()


def _not_checked(feeder: Feeder) -> tuple[str, ...]:
    """Say which loadings cannot be judged for want of a rating."""
    branches = feeder.branches
    unrated = np.unique(branches.row_branch[~np.isfinite(branches.rating_a)])
    names = [branches.names[branch] for branch in unrated]
    if not names:
        return ()
    every = "no line has an ampacity" if len(names) == sum(name.startswith("line") for name in branches.names) else ""
    some = f"no ampacity: {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
    return (f"{every or some} (max_i_ka); the loading there is not checked",)


def _withheld(starts: Sequence[str], withheld: Sequence[bool]) -> tuple[str, ...]:
    """Say which intervals have no envelopes to check.

    Raises:
        InputError: None has.
    """
    found = [start for start, none in zip(starts, withheld, strict=True) if none]
    if not found:
        return ()
    if len(found) == len(starts):
        raise InputError("there are no limits to check: all are empty", key="export_limit_kw", allowed="numbers")
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (f"there is no envelope for {found[0]}{more}: nothing to check there",)


@dataclass(frozen=True)
class _Task:
    """One interval: what is known and, of envelopes to check, the limits."""

    start: str
    interval: Interval
    q_kvar: Floats
    export_limit_kw: Floats | None = None
    import_limit_kw: Floats | None = None


def _published(
    judge: Judged, search: Search, controller: EnvelopeController | VoltVarController, task: _Task
) -> IntervalResult:
    began = time.perf_counter()
    interval = task.interval
    controller.forget()  # so that each interval is independent of its neighbours
    published = controller.publish(interval)
    export_kw, import_kw = (
        np.floor(limit * _STEPS_PER_KW) / _STEPS_PER_KW
        for limit in (published.export_limit_kw, published.import_limit_kw)
    )
    box = Box.of(interval, export_kw, import_kw)
    # What is proven of the limits before rounding holds for the smaller ones, too.
    certificate = published.certificate or controller.certifier.certify(box)
    verdict, violations = _judgement(search, certificate, box)
    nobody = np.zeros(len(export_kw))
    if verdict != CERTIFIED and (passive := search.within(Box.of(interval, nobody, nobody))):
        verdict, violations = IMPOSSIBLE, passive
        export_kw = import_kw = np.where(interval.active, np.nan, 0.0)
    result = _result(judge, search, task, (export_kw, import_kw), certificate, verdict, violations)
    return replace(
        result,
        without_power=verdict == IMPOSSIBLE and bool(search.at(nobody, nobody)),
        floor_cut=published.floor_cut,
        proof_cost_kw=published.proof_cost_kw,
        seconds=time.perf_counter() - began,
    )


def _checked(judge: Judged, search: Search, certifier: Certifier | VoltVarCertifier, task: _Task) -> IntervalResult:
    began = time.perf_counter()
    if task.export_limit_kw is None or task.import_limit_kw is None:
        raise ValueError("there are no limits to check")
    box = Box.of(task.interval, task.export_limit_kw, task.import_limit_kw)
    certifier.forget()
    certificate = certifier.certify(box)
    verdict, violations = _judgement(search, certificate, box)
    limits = (task.export_limit_kw, task.import_limit_kw)
    result = _result(judge, search, task, limits, certificate, verdict, violations)
    return replace(result, seconds=time.perf_counter() - began)


def _judgement(search: Search, certificate: Certificate, box: Box) -> tuple[str, list[Violation]]:
    if certificate.certified:
        return CERTIFIED, []
    violations = search.within(box)
    return (REFUTED if violations else NOT_PROVEN), violations


def _result(
    judge: Judged,
    search: Search,
    task: _Task,
    limits_kw: tuple[Floats, Floats],
    certificate: Certificate,
    verdict: str,
    violations: list[Violation],
) -> IntervalResult:
    interval, (export_kw, import_kw) = task.interval, limits_kw
    narrow = (interval.p_kw - export_kw > 1 / _STEPS_PER_KW) | (-interval.p_kw - import_kw > 1 / _STEPS_PER_KW)
    points = judge.power_flow.feeder.points
    return IntervalResult(
        interval_start=task.start,
        verdict=verdict,
        active=interval.active,
        export_limit_kw=export_kw,
        import_limit_kw=import_kw,
        certificate=judge.certificate_in_volt(certificate),
        violations=judge.violations_in_volt(violations),
        forecast_violations=judge.violations_in_volt(search.at(interval.p_kw, task.q_kvar)),
        held_below_forecast=tuple(str(points[row]) for row in np.flatnonzero(narrow & interval.active)),
    )


def _mapped(work: Callable[[_Task], IntervalResult], tasks: Sequence[_Task], jobs: int) -> list[IntervalResult]:
    """Do every task, in several processes if asked for; the same bits either way."""
    if jobs < 1:
        raise InputError("no such number of processes", key="jobs", value=jobs, allowed="1 or more")
    jobs = min(jobs, len(tasks))
    if jobs == 1:
        return _in_turn(work, tasks)
    # Fresh processes: a fork of one that has threads may hang.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(_in_turn, work, tasks[job::jobs]) for job in range(jobs)]
        done = [part.result() for part in parts]
    return [done[k % jobs][k // jobs] for k in range(len(tasks))]


def _in_turn(work: Callable[[_Task], IntervalResult], tasks: Sequence[_Task]) -> list[IntervalResult]:
    # One thread for matrices: how a product is split among threads changes its last bits.
    with threadpool_limits(limits=1):
        return [work(task) for task in tasks]
