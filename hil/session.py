"""Run a scenario with devices of a bench in the places of simulated ones.

Public: `run_on_bench(scenario, bench, ...) -> BenchResult`, `BenchResult`, `run_with` for the command line.
"""

import contextlib
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from feederloop.coupling.population import draw_population
from feederloop.coupling.run import Onlooker, RunResult, run_scenario
from feederloop.coupling.scenario import Scenario, ScenarioError
from feederloop.coupling.watched import WatchedWorld
from feederloop.coupling.wiring import build
from feederloop.hil.bench import Bench, load_bench
from feederloop.hil.bench_check import check_against
from feederloop.hil.emergency import stop_on_signal
from feederloop.hil.station import Pace, Station
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.networks import connection_points, load_network

if TYPE_CHECKING:
    from feederloop.coupling.live.page import LivePage

FOLDER = "bench"
"""Folder within the results for audit log, capture and state."""


@dataclass(frozen=True)
class BenchResult:
    """What a run with a bench has come to.

    Attributes:
        run: The run.
        devices: How each device stood at the end, and what it came to.
    """

    run: RunResult
    devices: list[dict[str, Any]]


def run_on_bench(
    scenario: Scenario,
    bench: Bench,
    *,
    out: Path | str | None = None,
    progress: bool = True,
    pace: Pace | None = None,
    capture: bool = True,
    on_station: Callable[[Station], None] | None = None,
    onlooker: Onlooker | None = None,
) -> BenchResult:
    """Run a valid scenario with a bench.

    However the run ends (at its end, by an exception, Ctrl-C, SIGTERM or SIGHUP), every device is brought to its safe
    state before this returns; where this process is killed, the devices' own fail-safes do it.

    Args:
        scenario: The scenario.
        bench: The bench.
        out: Folder for the results, as of `run_scenario`; audit log and capture go there too, into `bench/`.
        progress: Whether to show how far it has come.
        pace: How time goes by; as fast as everything answers by default.
        capture: Whether to capture everything read and written.
        on_station: Called with the station once its devices are connected, e.g. to make trouble for simulated ones.
        onlooker: Who follows the run while it goes on.

    Raises:
        ScenarioError: The bench does not fit the scenario, needs real time, or its emergency stop is set off.
    """
    points = connection_points(load_network(scenario.grid.network, feeders=scenario.grid.feeders))
    sites = [site.as_dict() for site in draw_population(scenario, points)]
    if problems := check_against(bench, sites):
        raise ScenarioError(problems)
    station = Station(bench, pace=pace, start_utc=scenario.time.start_utc)
    with _terminating(), station, stop_on_signal(station.stop):
        wired = partial(_build, station=station, capture=capture, on_station=on_station)
        result = run_scenario(scenario, out=out, progress=progress, build=wired, onlooker=onlooker)
        rows = station.report()
    return BenchResult(result, rows)


def run_with(
    scenario: Scenario,
    bench_name: str | None,
    *,
    out: Path | str | None,
    progress: bool,
    real_time: bool,
    factor: float,
    live: "LivePage | None" = None,
) -> tuple[RunResult, list[dict[str, Any]]]:
    """Run a valid scenario as the command line does, with a bench named by file, by the clock on the wall, or both.

    Args:
        scenario: The scenario.
        bench_name: The bench; none: only the clock.
        out: Folder for the results.
        progress: Whether to show how far it has come.
        real_time: Whether it goes by the clock on the wall.
        factor: How many times as fast.
        live: The page that shows it.

    Returns:
        The run, and how each device of the bench stood at the end.

    Raises:
        InputError: The bench is none or does not fit, or the factor is none.
    """
    if not factor > 0 or (factor != 1 and not real_time):
        raise InputError("not a factor", key="--factor", value=factor, allowed="above 0, with --real-time")
    bench = load_bench(bench_name) if bench_name is not None else None
    pace = Pace(
        real_time=real_time,
        factor=factor,
        # Without devices nothing is lost by being late: it is shown, and made up for.
        tolerance_s=bench.tolerance_s if bench is not None else math.inf,
        pause=live.pause.key if live is not None else "",
    )
    if bench is None:
        timed = partial(build, bench=_Timed(pace))
        return run_scenario(scenario, out=out, progress=progress, build=timed, onlooker=live), []
    attach = live.attach if live is not None else None
    result = run_on_bench(scenario, bench, out=out, progress=progress, pace=pace, on_station=attach, onlooker=live)
    return result.run, result.devices


@dataclass(frozen=True)
class _Timed:
    """A bench without devices: only its clock is used."""

    pace: Pace
    key: str = ""

    @property
    def clock(self) -> Mapping[str, Any] | None:
        return self.pace.clock

    def holds(self, prosumer: str, slot: str) -> bool:
        return False


async def _build(
    world: WatchedWorld,
    scenario: Scenario,
    folder: Path,
    *,
    station: Station,
    capture: bool,
    on_station: Callable[[Station], None] | None,
) -> None:
    station.start(folder / FOLDER, capture=capture)
    if on_station is not None:
        on_station(station)
    await build(world, scenario, folder, bench=station)


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """Let SIGTERM end this process as an exception does, so that devices are made safe; only in the main thread.

    SIGHUP, which comes when the terminal is gone, means what SIGTERM means at that moment.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def on_hangup(number: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, on_signal), signal.signal(signal.SIGHUP, on_hangup)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])
