"""The test bench: what a step of its adapters costs, what its I/O thread sustains, and how late a run begins its steps.

Goals: 20 us per device and step; 100 devices with two reads and a write each within 30 ms; lateness at 0.2 s steps
with 20 devices, three of which are dead, within 5 ms for 99 of 100 steps. Beside it, in the same run, the naive adapter
that reads in its step, as the public mosaik adapters for Modbus do. A round's median counts, not its fastest step or
cycle. What else runs on the machine only ever adds: of several rounds the best counts, and the lateness of the clock
alone is shown.
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pymodbus.client import ModbusTcpClient
from rich.console import Console
from rich.table import Table

from feederloop.hil.adapters import InverterAdapter
from feederloop.hil.bench import Bench, bench_from
from feederloop.hil.clock import ClockSimulator
from feederloop.hil.profile import load_profile
from feederloop.hil.serving import BenchServer
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.physics import Ratings
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.station import Pace, Station
from feederloop.hil.transport import open_transport

STEP_LIMIT_US, CYCLE_LIMIT_MS, LATE_LIMIT_MS = 20.0, 30.0, 5.0
DEVICES, DEAD, STEP_S, STEPS = 20, 3, 0.2, 60
MANY, CYCLES = 100, 40
ROUNDS = 3
NAIVE_TIMEOUT_S = 0.3
"""Kinder than pymodbus's own 12 s for a device that does not answer."""
PROFILE = "sunspec_inverter_three_phase"
PLACE = {"latitude_deg": 53.43, "longitude_deg": -2.14, "altitude_m": 60}
WEATHER = {"kind": "clear_sky_index", "mean": 0.8, "std": 0.25, "correlation_min": 60, "site_share": 0.05}


def entries(count: int, urls: dict[str, str] | None = None) -> list[dict[str, Any]]:
    rows = []
    for number in range(count):
        name = f"home_{number:03}"
        url = (urls or {}).get(f"{name}/inverter", "simulated")
        rows.append(
            {"prosumer": name, "slot": "inverter", "profile": PROFILE, "url": url, "mode": "armed", "poll_s": 0.2,
             "ratings": {"power_kw": 5.0}}
        )  # fmt: skip
    return rows


def serve(count: int, dead: int, urls: Any, over: Any) -> None:
    """Serve simulated devices from a process of their own, the first of them silent."""
    with BenchServer(bench_from({"devices": entries(count)})) as server:
        for name in list(server.urls)[:dead]:
            server.server.fault(name, "silent")
        urls.put(server.urls)
        over.wait()


def serve_chargers(count: int, dead: int, urls: Any, over: Any) -> None:
    """Serve simulated chargers from a process of their own."""
    profile = load_profile("alfen_ng9xx")
    devices = {
        str(number): SimulatedDevice(profile, ratings=Ratings(phases=1), any_unit=True) for number in range(count)
    }
    with DeviceServer(devices) as server:
        urls.put(server.urls)
        over.wait()


class Devices:
    """Devices in another process."""

    def __init__(self, count: int, dead: int = 0, target: Any = serve) -> None:
        context = multiprocessing.get_context("spawn")
        urls, self._over = context.Queue(), context.Event()
        self._process = context.Process(target=target, args=(count, dead, urls, self._over), daemon=True)
        self._process.start()
        self.urls: dict[str, str] = urls.get(timeout=60)

    def __enter__(self) -> "Devices":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._process.join(10)

    def bench(self, folder: Path) -> Bench:
        """Return the bench that holds them."""
        return bench_from({"devices": entries(len(self.urls), self.urls), "stop_file": str(folder / "stop")})


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def finish(waiting: Any) -> Any:
    """Run a step that never waits to its end."""
    try:
        next(waiting)
    except StopIteration as done:
        return done.value
    raise RuntimeError("the step waited")


def adapter_of(station: Station, count: int) -> InverterAdapter:
    adapter = InverterAdapter()
    adapter.init("bench_inverter", station=station.key, start="2016-06-15T11:00:00+00:00", duration_s=86400, step_s=300,
                 seed=1, place=PLACE, weather=WEATHER)  # fmt: skip
    sites = [
        {"name": f"home_{number:03}", "pv_kwp": 5.0, "pv_tilt_deg": 35.0, "pv_azimuth_deg": 180.0, "inverter_kva": 5.0}
        for number in range(count)
    ]
    adapter.create(count, "Inverter", sites=sites)
    return adapter


async def paced(
    adapter: InverterAdapter | None, late_ms: list[float], step_us: list[float], blocking: Any = None
) -> None:
    """Let the clock on the wall pace the adapter as a run does, and note lateness and cost of each step."""
    clock = ClockSimulator()
    clock.init("clock", step_s=1, factor=1 / STEP_S, tolerance_s=1e9)
    eids = list(adapter.initial_states()) if adapter is not None else []
    inputs = {eid: {"p_limit_kw": {"energy_manager": 3.0}} for eid in eids}
    for number in range(STEPS):
        waiting = clock.step(number, {}, 0)
        try:
            awaited = next(waiting)
            while True:
                awaited = waiting.send(await awaited)
        except StopIteration:
            pass
        late_ms.append(1000 * clock.get_data({"Clock": ["late_s"]})["Clock"]["late_s"])
        began = time.perf_counter()
        if blocking is not None:
            blocking()
        elif adapter is not None:
            for row in inputs.values():
                row["p_limit_kw"]["energy_manager"] = 2.0 + 0.01 * number
            finish(adapter.step(300 * number, inputs, 0))
            adapter.get_data({eid: ["p_kw", "q_kvar", "available_kw"] for eid in eids})
        step_us.append(1e6 * (time.perf_counter() - began))


class Naive:
    """What reads in its step does: asks one device after the other, and waits for each."""

    def __init__(self, urls: dict[str, str]) -> None:
        ports = [int(url.rpartition(":")[2]) for url in urls.values()]
        self._clients = [ModbusTcpClient("127.0.0.1", port=port, timeout=NAIVE_TIMEOUT_S, retries=0) for port in ports]

    def step(self) -> None:
        """Read and write every device, one after the other."""
        for client in self._clients:
            try:
                client.connect()
                client.read_holding_registers(40083, count=2, device_id=1)
                client.write_register(40242, 60, device_id=1)
            except Exception:  # dead devices: the naive adapter goes on, as it should
                client.close()


class Canned(asyncio.Protocol):
    """A device that costs next to nothing: answers reads with zeros and takes every write."""

    def connection_made(self, transport: Any) -> None:
        """Keep the connection."""
        self._transport, self._waiting = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._waiting += data
        while len(self._waiting) >= 6 and len(self._waiting) >= 6 + (length := int.from_bytes(self._waiting[4:6])):
            frame, self._waiting = self._waiting[: 6 + length], self._waiting[6 + length :]
            if frame[7] in (3, 4):
                size = 2 * int.from_bytes(frame[10:12])
                body = frame[6:8] + bytes([size]) + bytes(size)
            else:
                body = frame[6:12]
            self._transport.write(frame[:4] + len(body).to_bytes(2) + body)


def serve_canned(count: int, dead: int, urls: Any, over: Any) -> None:
    """Serve devices that cost nothing from a process of their own, until it is ended."""

    async def go() -> None:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Canned, "127.0.0.1", 0) for _ in range(count)]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        urls.put({str(number): f"tcp://127.0.0.1:{port}" for number, port in enumerate(ports)})
        await loop.run_in_executor(None, over.wait)

    asyncio.run(go())


async def cycle_ms(urls: dict[str, str], cpu_ms: list[float]) -> list[float]:
    """Two reads and a write of every device at a time, again and again; `cpu_ms` takes this process's time of each."""
    profile = load_profile("alfen_ng9xx")
    transports = [open_transport(profile, url, timeout_s=2.0) for url in urls.values()]

    async def one(transport: Any, amps: float) -> None:
        await transport.read(["power_total"])
        written = await transport.write("current_limit_set", amps)
        shown = await transport.read(["current_limit_applied"])
        if not (written.ok and shown["current_limit_applied"].good):
            raise RuntimeError(f"{written.reason} {shown}")

    await asyncio.gather(*(one(transport, 6.0) for transport in transports))
    took = []
    for number in range(CYCLES):
        began, began_cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one(transport, 6.0 + number / 10) for transport in transports))
        took.append(1000 * (time.perf_counter() - began))
        cpu_ms.append(1000 * (time.process_time() - began_cpu))
    for transport in transports:
        transport.close()
    await asyncio.sleep(0.1)
    return took


def main() -> int:
    console = Console(width=120)
    table = Table("what", "found", "goal", "")
    results = []

    def row(what: str, found: str, goal: str = "", met: bool | None = None) -> None:
        table.add_row(what, found, goal, "" if met is None else "[green]met" if met else "[red]missed")
        if met is not None:
            results.append(met)

    with tempfile.TemporaryDirectory() as name, Devices(DEVICES, DEAD) as devices:
        folder = Path(name)
        with Station(devices.bench(folder), pace=Pace(real_time=True)) as station:
            station.start(folder)
            time.sleep(3.0)
            adapter = adapter_of(station, DEVICES)
            rounds: list[float] = []
            medians, fastest = [], []
            for _ in range(ROUNDS):
                late: list[float] = []
                step: list[float] = []
                asyncio.run(paced(adapter, late, step))
                rounds.append(percentile(late, 0.99))
                medians.append(percentile(step, 0.5) / DEVICES)
                fastest.append(min(step) / DEVICES)
            alive = sum(item["state"] == "armed" for item in station.rows())
        row(
            f"adapter step, per device, {DEVICES} devices: median, best of {ROUNDS} (fastest {min(fastest):.1f} us)",
            f"{min(medians):.1f} us",
            f"{STEP_LIMIT_US:g} us",
            min(medians) <= STEP_LIMIT_US,
        )
        row(
            f"lateness p99, {STEPS} steps of {STEP_S:g} s, {DEAD} of {DEVICES} dead ({alive} armed), best of {ROUNDS}",
            f"{min(rounds):.3f} ms",
            f"{LATE_LIMIT_MS:g} ms",
            min(rounds) <= LATE_LIMIT_MS,
        )
        alone: list[float] = []
        asyncio.run(paced(None, alone, []))
        row("  the clock alone, on this machine now", f"{percentile(alone, 0.99):.3f} ms")
        naive_late, naive_step = [], []
        naive = Naive(devices.urls).step
        asyncio.run(paced(None, naive_late, naive_step, naive))
        row("  the same, reading in the step", f"{percentile(naive_late, 0.99):.0f} ms")
        row(f"  nominal {STEPS * STEP_S:g} s took", f"{STEPS * STEP_S + naive_late[-1] / 1000:.1f} s")
    cpu_ms: list[float] = []
    with Devices(MANY, target=serve_canned) as devices:
        cycles = [asyncio.run(cycle_ms(devices.urls, cpu_ms)) for _ in range(ROUNDS)]
    median, fastest_ms = min(percentile(took, 0.5) for took in cycles), min(map(min, cycles))
    row(f"{MANY} devices, 2 reads + 1 write: median of {CYCLES}, best of {ROUNDS} (fastest {fastest_ms:.1f} ms)",
        f"{median:.1f} ms", f"{CYCLE_LIMIT_MS:g} ms", median <= CYCLE_LIMIT_MS)  # fmt: skip
    row("  processor time of ours in it, median (what the machine does besides adds little to it)",
        f"{percentile(cpu_ms, 0.5):.1f} ms")  # fmt: skip
    with Devices(MANY, target=serve_chargers) as devices:
        took = asyncio.run(cycle_ms(devices.urls, []))
    row(f"  the same with our simulated devices (fastest {min(took):.1f} ms)", f"{percentile(took, 0.5):.1f} ms")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    row(f"  load of this machine of {os.cpu_count()} cores in the last 1, 5 and 15 minutes", load)
    console.print(table)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
