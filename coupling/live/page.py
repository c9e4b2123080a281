"""The live page of a run: follows it, serves it, and carries out what a viewer with the token asks for."""

import contextlib
import secrets
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

from feederloop.coupling.live.app import make_app
from feederloop.coupling.live.bench_view import BenchView
from feederloop.coupling.live.feed import Feed
from feederloop.coupling.live.picture import Picture
from feederloop.coupling.pausing import Pause
from feederloop.coupling.population import draw_population
from feederloop.coupling.report.timeline import Timeline
from feederloop.coupling.run import RunResult
from feederloop.coupling.scenario import Scenario
from feederloop.coupling.serve.access import Access
from feederloop.coupling.serve.server import Server
from feederloop.coupling.topology import Topology
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.recorder.observing import observed

if TYPE_CHECKING:
    from feederloop.hil.station import Station

_WHO = "live page"
_SWITCH_S = 0.0005
_LAST_FRAME_S = 1.0
"""A page that is left open is told how the run ended before the server goes."""


class LivePage:
    """Serves one run, from before it begins until it is left as a context.

    Args:
        access: Where, and to whom.

    Raises:
        InputError: The port is taken.
    """

    def __init__(self, access: Access) -> None:
        self.pause = Pause()
        self.feed = Feed()
        self.picture: Picture | None = None
        self._scenario: Scenario | None = None
        self._bench: BenchView | None = None
        self._status, self._message, self._folder = "starting", "", ""
        self._id = secrets.token_hex(8)
        self._server = Server(make_app(self, access), access)

    def __enter__(self) -> "LivePage":
        self.pause.__enter__()
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status in ("complete", "failed", "interrupted"):
            threading.Event().wait(_LAST_FRAME_S)
        self._server.close()
        self.pause.__exit__()

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        return self._server.url

    @property
    def port(self) -> int:
        """The port it is served on."""
        return self._server.port

    @property
    def url_to_act(self) -> str:
        """The same, with the token that pausing and stopping need."""
        return self._server.url_to_act

    def wait(self) -> None:
        """Serve until Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()

    # --- for the run ---

    def attach(self, station: "Station") -> None:
        """Show a bench, too."""
        self._bench = BenchView(station)

    @contextlib.contextmanager
    def watching(self, scenario: Scenario, folder: Path) -> Iterator[None]:
        """Follow a run while the block runs."""
        self._scenario, self._folder = scenario, str(folder)
        self.picture = Picture(self._map)
        self._status = "running"
        # Else Python lets the page's thread go on for 5 ms while the clock's thread waits for its turn.
        before_s = sys.getswitchinterval()
        sys.setswitchinterval(min(before_s, _SWITCH_S))
        try:
            with observed(folder, self.feed.put):
                yield
        finally:
            sys.setswitchinterval(before_s)

    def ended(self, result: RunResult) -> None:
        """Show how the run ended."""
        self._message = result.message
        self._status = result.status

    # --- for viewers, on the server's thread ---

    def greeting(self) -> dict[str, Any] | None:
        """Return what never changes; None before it is known."""
        scenario = self._scenario
        if scenario is None or self.picture is None:
            return None
        limits = scenario.limits
        return {
            "run": self._id,
            "name": scenario.name,
            "title": scenario.title or scenario.name,
            "scheme": scenario.scheme,
            "seed": scenario.seed,
            "folder": self._folder,
            "limits": {
                "voltage_v": list(limits.voltage_range_v),
                "line_percent": limits.line_loading_percent,
                "transformer_percent": limits.transformer_loading_percent,
            },
            "map": self._map.as_dict(),
            "page": {"time": self._time.as_dict(), "prosumers": self._prosumers},
        }

    def state(self) -> dict[str, Any]:
        """Return how the run stands."""
        bench = self._bench.as_dict() if self._bench is not None else {}
        return {"status": self._status, "message": self._message, "paused": self.pause.on, **bench}

    def act(self, action: str) -> str:
        """Carry out what a viewer asks for; return why not, empty if it was."""
        if action == "stop":
            if self._bench is None:
                return "this run has no bench to stop"
            self._bench.station.stop.trip("button", _WHO)
            return ""
        if self._status != "running":
            return "the run is not going on"
        if action not in ("pause", "resume"):
            return "no such action"
        news = self.pause.begin() if action == "pause" else self.pause.end()
        if news and self._bench is not None:
            self._bench.station.note("paused" if action == "pause" else "resumed", who=_WHO)
        return ""

    @cached_property
    def _map(self) -> Topology:
        grid, known = self._run_scenario.grid, ["name", "bus", "phase"]
        points = pd.DataFrame(self._prosumers)[known]
        return Topology.from_network(load_network(grid.network, feeders=grid.feeders), points)

    @cached_property
    def _prosumers(self) -> list[dict[str, Any]]:
        grid = self._run_scenario.grid
        sites = draw_population(self._run_scenario, connection_points(load_network(grid.network, feeders=grid.feeders)))
        shown = ("name", "bus", "phase", "pv_kwp", "ev_capacity_kwh")
        return [{name: value for name, value in site.as_dict().items() if name in shown} for site in sites]

    @cached_property
    def _time(self) -> Timeline:
        time = self._run_scenario.time
        start = datetime.fromisoformat(time.start_utc)
        steps = -(-time.duration_s // time.step_s)
        return Timeline(start, time.step_s, steps, time.interval_s, ZoneInfo(time.time_zone))

    @property
    def _run_scenario(self) -> Scenario:
        if self._scenario is None:
            raise RuntimeError("no run is being watched yet")
        return self._scenario
