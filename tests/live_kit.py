"""What tests of the pages share: a short run in a thread of its own, a websocket, a browser."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench_kit import bench_of
from websockets.sync.client import ClientConnection, connect

from feederloop.coupling.live.page import LivePage
from feederloop.coupling.run import RunResult, run_scenario
from feederloop.coupling.scenario import Scenario, load_scenario
from feederloop.coupling.serve.access import Access
from feederloop.hil.session import run_on_bench

TOKEN = "a-token-for-tests-only"
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


class LiveRun:
    """A short street with a live page, run by a thread; it stands still after its first step until it is let go on.

    `bench` names a home whose inverter is a device of a bench.
    """

    def __init__(self, folder: Path, *, days: float = 1 / 24, bench: str = "", **overrides: Any) -> None:
        self.folder = folder / "run"
        self.page = LivePage(Access(port=0, chosen_token=TOKEN))
        self.scenario: Scenario = load_scenario("minimal", days=days, overrides=overrides)
        self._bench = _bench_for(folder, bench) if bench else None
        self.result: RunResult | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "LiveRun":
        self.page.__enter__()
        self.page.pause.begin()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        self.page.__exit__(None, None, None)

    def finish(self) -> RunResult:
        """Let the run go on to its end, and return what it has come to."""
        self.page.pause.end()
        self._thread.join(120)
        assert self.result is not None, "the run did not end, or not begin"
        return self.result

    def _run(self) -> None:
        if self._bench is None:
            self.result = run_scenario(self.scenario, out=self.folder, quiet=True, onlooker=self.page)
        else:
            self.result = run_on_bench(
                self.scenario, self._bench, out=self.folder, progress=False, onlooker=self.page,
                on_station=self.page.attach,
            ).run  # fmt: skip

    @contextmanager
    def viewer(self, token: str = "", **options: Any) -> Iterator["Viewer"]:
        """Connect to the page's websocket."""
        with connect(self.page.url.replace("http", "ws") + "watch", **options) as socket:
            socket.send(json.dumps({"token": token}))
            yield Viewer(socket)


class Viewer:
    """A viewer that is no browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def next(self) -> dict[str, Any]:
        """Return the next message."""
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=60))
        return message

    def until(self, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return the first message that is wanted."""
        while True:
            message = self.next()
            if wanted(message):
                return message

    def frame(self, wanted: Callable[[dict[str, Any]], object] = lambda frame: True) -> dict[str, Any]:
        """Return the first frame that is wanted."""
        found = self.until(lambda message: message["kind"] == "frame" and wanted(message["frame"]))
        frame: dict[str, Any] = found["frame"]
        return frame

    def act(self, action: Any, token: Any = TOKEN) -> str:
        """Ask for an action; return why it was not carried out."""
        self.socket.send(json.dumps({"action": action, "token": token}))
        return str(self.until(lambda message: message["kind"] == "answer")["why"])


def _bench_for(folder: Path, prosumer: str) -> Any:
    inverter = {
        "slot": "inverter",
        "profile": "sunspec_inverter_three_phase",
        "prosumer": prosumer,
        "ratings": {"power_kw": 3.739},
    }
    return bench_of({**inverter, "failsafe": {"timeout_s": 600}}, stop_file=str(folder / "bench.stop"))
