"""The live page seen from its websocket: who may look and act, what is told, and that nobody holds up anybody."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_kit import TOKEN, LiveRun
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from feederloop.coupling.live.feed import MOST_STEPS, Feed
from feederloop.coupling.live.history import MOST_POINTS, History
from feederloop.coupling.live.hub import Hub
from feederloop.coupling.results import open_run
from feederloop.coupling.run import run_scenario


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRun]:
    """A run with a bench that stands still."""
    with LiveRun(tmp_path_factory.mktemp("standing"), bench="home_04") as live:
        yield live


def test_a_run_is_paused_resumed_and_shown_at_its_end(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as live, live.viewer() as one:
        greeting = one.next()
        assert greeting["kind"] == "greeting"
        assert greeting["scheme"] == "doe_lem"
        assert [home["name"] for home in greeting["page"]["prosumers"]] == greeting["map"]["points"]["name"]
        first = one.frame(lambda frame: frame["time_s"] == 0)
        assert first["paused"]
        with live.viewer() as other:  # a second viewer, or a reload
            assert other.frame()["time_s"] == 0
            assert one.frame()["time_s"] == 0
            assert one.act("resume") == ""
            one.frame(lambda frame: not frame["paused"])
            other.frame(lambda frame: frame["time_s"] > 0)
        result = live.finish()
        assert one.frame(lambda frame: frame["status"] == "complete")["time_s"] == live.scenario.time.duration_s
        assert one.act("pause") == "the run is not going on"
        points = open_run(live.folder).table("connection_point").groupby("time")["v_v"]
        with live.viewer() as late:
            curves = late.until(lambda message: message["kind"] == "frame")["curves"]
        assert curves["v_max_v"] == pytest.approx(points.max().tolist(), rel=1e-4)
        assert curves["v_min_v"] == pytest.approx(points.min().tolist(), rel=1e-4)
    assert result.status == "complete"

    run_scenario(live.scenario, out=tmp_path / "alone", quiet=True)
    assert open_run(live.folder).tables == open_run(tmp_path / "alone").tables
    for file in live.folder.glob("*.parquet"):
        assert file.read_bytes() == (tmp_path / "alone" / file.name).read_bytes(), f"watching has changed {file.name}"


def test_only_the_token_acts(standing: LiveRun) -> None:
    with standing.viewer() as viewer:
        frame = viewer.frame(lambda frame: frame.get("devices"))
        assert [device["device"] for device in frame["devices"]] == ["home_04/inverter"]
        for action, wrong in (("stop", ""), ("stop", TOKEN[:-1]), ("resume", None), ("pause", ["x"])):
            assert viewer.act(action, wrong) == "wrong token"
        assert viewer.act("format the disk") == "no such action"
        assert viewer.act({"stop": 1}) == "no such action"
        assert viewer.frame()["paused"]
        assert not viewer.frame()["stopped"]


def test_garbage_is_survived(standing: LiveRun) -> None:
    with standing.viewer() as viewer:
        for garbage in ("", "[]", "{", '"pause"', "null", "9" * 4000):
            viewer.socket.send(garbage)
        viewer.socket.send(b"\x00\xff")
        assert viewer.act("format the disk") == "no such action"
    with standing.viewer() as flood:
        flood.socket.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            flood.until(lambda message: False)
    with standing.viewer() as viewer:
        viewer.frame()


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://[", "file://"])
def test_pages_of_others_cannot_connect(standing: LiveRun, origin: Any) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        connect(standing.page.url.replace("http", "ws") + "watch", origin=origin)


def test_a_name_that_was_bound_to_this_machine_does_not_help(standing: LiveRun) -> None:
    port = standing.page.port
    for origin in ("http://evil.example", None):
        with socket.create_connection(("127.0.0.1", port)) as line, pytest.raises(InvalidStatus, match="403"):
            connect(f"ws://evil.example:{port}/watch", sock=line, origin=origin)  # type: ignore[arg-type]


def test_the_emergency_stop_is_the_benchs_own(tmp_path: Path) -> None:
    with LiveRun(tmp_path, bench="home_04") as live, live.viewer() as viewer:
        viewer.frame(lambda frame: frame.get("devices") and frame["devices"][0]["state"] == "armed")
        assert viewer.act("stop") == ""
        assert (tmp_path / "bench.stop").exists()
        assert "live page" in viewer.frame(lambda frame: frame["stopped"])["stopped"]
        assert viewer.act("resume") == ""
        safe = viewer.frame(lambda frame: frame["devices"][0]["state"] == "stopped")
        assert safe["devices"][0]["sent_kw"] == 0
        assert safe["devices"][0]["age_s"] is not None
        assert {line["kind"] for line in safe["audit"]} >= {"armed", "resumed", "stopped"}
    lines = [json.loads(line) for line in (live.folder / "bench" / "audit.jsonl").read_text().splitlines()]
    assert [line["who"] for line in lines if line["kind"] == "resumed"] == ["live page"]


def test_a_viewer_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    with LiveRun(tmp_path, scheme="uncoordinated") as live, live.viewer() as quick:
        asleep = socket.socket()
        asleep.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asleep.connect(("127.0.0.1", live.page.port))
        with connect(f"ws://127.0.0.1:{live.page.port}/watch", sock=asleep, max_queue=1, close_timeout=0.1) as sleeper:
            sleeper.send("{}")
            assert quick.act("stop") == "this run has no bench to stop"
            assert live.finish().status == "complete"
            quick.frame(lambda frame: frame["status"] == "complete")


class _Standing:
    """A run that stands still, without a picture."""

    feed, picture = Feed(), None

    def state(self) -> dict[str, Any]:
        return {"status": "running"}


def test_frames_that_a_viewer_is_too_slow_for_are_skipped() -> None:
    async def skipped() -> list[int]:
        hub = Hub(_Standing())
        frames, seen = hub.frames(), []
        for made in (0, 5, 1):
            for _ in range(made):
                hub.make(at_once=True)
            seen.append(json.loads(await anext(frames))["skipped"])
        await frames.aclose()
        assert hub.viewers == 0
        return seen

    assert asyncio.run(skipped()) == [0, 4, 0]


def test_memory_is_bounded() -> None:
    feed = Feed()
    for time_s in range(3 * MOST_STEPS):
        feed.put(time_s, {})
    assert [step.time_s for step in feed.take()] == list(range(2 * MOST_STEPS, 3 * MOST_STEPS))
    assert feed.take() == []
    history = History(("v",))
    for time_s in range(5 * MOST_POINTS):
        history.add(time_s, {"v": float(time_s)})
    kept = history.since(None)
    assert MOST_POINTS / 2 <= len(kept["v"]) <= MOST_POINTS
    assert kept["time_s"] == sorted(kept["time_s"])
    assert kept["v"] == pytest.approx(kept["time_s"], rel=1e-4)
    assert history.since(history.latest_s)["v"] == []
