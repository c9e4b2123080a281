"""A run stands still between two steps, a clock on the wall moves its steps by the pause, devices are kept alive."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from bench_kit import INVERTER, bench_of

from feederloop.coupling.pausing import Pause, open_pause
from feederloop.coupling.results import open_run
from feederloop.coupling.scenario import load_scenario
from feederloop.hil.audit import read_audit
from feederloop.hil.clock import ClockSimulator
from feederloop.hil.session import run_on_bench, run_with
from feederloop.hil.snapshot import State
from feederloop.hil.station import Pace, Station
from feederloop.simulators.errors import InputError


def test_a_pause_begins_and_ends_once() -> None:
    pause = Pause()
    assert not pause.on
    assert not pause.end()
    assert pause.begin()
    assert not pause.begin()
    time.sleep(0.02)
    assert pause.end()
    lasted_s = pause.lasted_s
    assert lasted_s >= 0.02
    time.sleep(0.01)
    assert pause.lasted_s == lasted_s
    pause.begin()
    assert pause.lasted_s >= lasted_s


def test_a_pause_is_found_while_its_run_goes_on() -> None:
    with Pause() as pause:
        assert open_pause(pause.key) is pause
        pause.begin()
    assert not pause.on
    with pytest.raises(InputError, match="paused"):
        open_pause(pause.key)


def test_a_clock_that_was_stopped_is_not_late() -> None:
    async def late_after_pause() -> float:
        with Pause() as pause:
            clock = ClockSimulator()
            clock.init("clock", step_s=1, factor=10.0, tolerance_s=100.0, pause=pause.key)
            for nap in clock.step(0, {}, 10):
                await nap
            pause.begin()
            threading.Timer(0.5, pause.end).start()
            began = time.monotonic()
            for nap in clock.step(1, {}, 10):
                await nap
            assert time.monotonic() - began >= 0.5
            late_s: float = clock.get_data({"Clock": ["late_s"]})["Clock"]["late_s"]
            return late_s

    # 0.5 s of pause with steps of 0.1 s: without moving them it would be 0.4 s late; the rest is the machine's.
    assert asyncio.run(late_after_pause()) < 0.35


class _Watcher:
    """Pauses a run in real time, and remembers what its bench does meanwhile."""

    def __init__(self) -> None:
        self.pause = Pause()
        self.keep_alives = 0
        self.states: set[State] = set()
        self.sent_kw: list[float] = []

    def meddle(self, station: Station) -> None:
        def hold() -> None:
            (device,) = station.devices.values()
            while device.snapshot.state is not State.ARMED or device.snapshot.sent_kw is None:
                time.sleep(0.02)
            self.pause.begin()
            command, alive = device.command, device.statistics.keep_alives
            assert command is not None
            while device.clock() < command.expires or device.statistics.keep_alives < alive + 3:
                time.sleep(0.02)
            time.sleep(0.2)
            self.keep_alives = device.statistics.keep_alives - alive
            self.states.add(device.snapshot.state)
            self.sent_kw.append(device.snapshot.sent_kw or 0.0)
            self.pause.end()

        threading.Thread(target=hold, daemon=True).start()


def test_a_paused_bench_falls_back_to_the_default_envelope(tmp_path: Path) -> None:
    scenario = load_scenario("minimal", days=0.0625)
    device = {**INVERTER, "prosumer": "home_04", "ratings": {"power_kw": 3.739}, "poll_s": 5.0}
    bench = bench_of({**device, "failsafe": {"timeout_s": 60}}, default_export_kw=0.5, stop_file=str(tmp_path / "stop"))
    watcher = _Watcher()
    with watcher.pause as pause:
        pace = Pace(real_time=True, factor=600.0, tolerance_s=60.0, pause=pause.key)
        result = run_on_bench(
            scenario, bench, out=tmp_path / "run", progress=False, pace=pace, on_station=watcher.meddle
        )
    assert result.run.status == "complete"
    assert watcher.keep_alives >= 3
    assert watcher.states == {State.ARMED}
    assert max(watcher.sent_kw) <= 0.5 + 1e-9
    whys = {line["why"] for line in read_audit(tmp_path / "run" / "bench" / "audit.jsonl")}
    assert "no fresh set-point: default envelope" in whys
    assert len(open_run(tmp_path / "run").table("clock")) == 18


def test_a_run_without_devices_can_go_by_the_clock_too(tmp_path: Path) -> None:
    scenario = load_scenario("minimal", days=1 / 48, overrides={"scheme": "uncoordinated"})
    began = time.monotonic()
    result, devices = run_with(scenario, None, out=tmp_path / "run", progress=False, real_time=True, factor=900.0)
    assert (result.status, devices) == ("complete", [])
    assert time.monotonic() - began >= 1800 / 900
    assert len(open_run(result.folder).table("clock")) == 6
