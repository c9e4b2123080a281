"""The command line of the test bench: `feederloop hil …`.

Heavy imports happen inside the commands, so that help answers at once.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from feederloop.hil.transport import ModbusTransport

NOT_SAFE = 1
SILENT_S = 5.0
"""A run that goes on says how its devices stand twice a second."""

app = typer.Typer(name="hil", help="Real inverters and chargers on the loop.", no_args_is_help=True)

BenchFile = Annotated[str, typer.Argument(metavar="BENCH", help="A bench file, or the bare name of a shipped one.")]


@app.command()
def profiles() -> None:
    """List the device profiles that ship."""
    from feederloop.hil.screens import profiles_table

    _console().print(profiles_table())


@app.command()
def profile(name: Annotated[str, typer.Argument(help="Name of a profile, or the path of one's own.")]) -> None:
    """Show a profile: its points, how it is driven, what it does when nobody talks to it, and its sources."""
    from feederloop.hil.profile import load_profile
    from feederloop.hil.screens import points_table
    from feederloop.hil.sunspec import nominal_places, resolve

    shown = load_profile(name)
    if shown.sunspec is not None:
        shown = resolve(shown, nominal_places(shown))
    console = _console()
    console.print(f"{shown.title} ({shown.kind}, verified: {shown.verified})", style="bold")
    console.print(points_table(shown))
    fail = shown.failsafe
    silence = "when nobody talks to it" if fail.timeout_s is None else f"after {fail.timeout_s:g} s of silence"
    console.print(f"fail-safe {silence}: {fail.fallback}; sign of life: {shown.heartbeat.kind}")
    for title, lines in (("notes", shown.notes), ("sources", shown.sources)):
        for line in lines:
            console.print(f"{title}: {line}", soft_wrap=True)


@app.command()
def scan(
    host: Annotated[str, typer.Argument(help="Host, host:port, or a whole URL such as rtu:///dev/ttyUSB0.")],
    units: Annotated[str, typer.Option(metavar="LIST", help="Unit ids to try, e.g. 1,2,5-10.")] = "1,2,126,255",
    timeout: Annotated[float, typer.Option(metavar="S", help="Time to wait for each answer.")] = 0.5,
) -> None:
    """Look for devices at an address: unit ids, SunSpec models, likely profiles. Nothing is written."""
    from feederloop.hil.scan import scan as look
    from feederloop.hil.screens import scan_table

    found = look(host, units=_units(units), timeout_s=timeout)
    if not found:
        typer.echo(f"no device answers at {host}", err=True)
        raise typer.Exit(NOT_SAFE)
    _console().print(scan_table(found))


@app.command()
def read(
    device: Annotated[str, typer.Argument(help="URL of a device (with --profile), or BENCH:prosumer/slot.")],
    profile: Annotated[str | None, typer.Option(help="Its profile, with a URL.")] = None,
    unit: Annotated[int | None, typer.Option(help="Its unit id, with a URL.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Read once instead of every second.")] = False,
) -> None:
    """Show everything that a device says, every second. Nothing is written."""
    import asyncio

    transport = _device(device, profile, unit)

    async def follow() -> None:
        from feederloop.hil.screens import readings_table

        with _screen(changing=not once) as show:
            while True:
                reason = await transport.prepare()
                if reason and once:
                    transport.close()
                    typer.echo(reason, err=True)
                    raise typer.Exit(NOT_SAFE)
                known = transport.profile
                readings = await transport.read([point.role for point in known.points if point.readable])
                show(readings_table(known, readings, f"{device} · {time.strftime('%H:%M:%S')}"))
                if once:
                    transport.close()
                    await asyncio.sleep(0)
                    return
                await asyncio.sleep(1.0)

    asyncio.run(follow())


@app.command()
def preflight(bench: BenchFile) -> None:
    """Contact every device once and say whether it may be armed; ends with 1 where one may not. Nothing is written."""
    from feederloop.hil.bench import load_bench
    from feederloop.hil.emergency import EmergencyStop
    from feederloop.hil.preflight import misfits
    from feederloop.hil.preflight import preflight as look
    from feederloop.hil.screens import preflight_table

    loaded = load_bench(bench)
    findings = look(loaded)
    _console().print(preflight_table(findings))
    for problem in misfits(loaded, findings):
        typer.echo(str(problem), err=True)
    stop = EmergencyStop(loaded.stop_path)
    if stop.tripped:
        typer.echo(f"emergency stop is set off: {stop.reason} ({stop.path})", err=True)
    if stop.tripped or any(finding.problems for finding in findings):
        raise typer.Exit(NOT_SAFE)


@app.command()
def serve(
    bench: BenchFile,
    seconds: Annotated[float | None, typer.Option(metavar="S", help="End after so long; by default on Ctrl-C.")] = None,
) -> None:
    """Serve a simulated device for every entry, on this machine, over real Modbus."""
    from feederloop.hil.bench import load_bench
    from feederloop.hil.serving import BenchServer

    with BenchServer(load_bench(bench)) as server:
        for name, url in server.urls.items():
            typer.echo(f"{name:<28} {url}")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_for(seconds)


@app.command()
def capture(
    bench: BenchFile,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Parquet file to make.")],
    seconds: Annotated[float | None, typer.Option(metavar="S", help="End after so long; by default on Ctrl-C.")] = None,
) -> None:
    """Read every device and keep all that it says, to be replayed in its place. Nothing is written to devices."""
    from feederloop.hil.bench import load_bench
    from feederloop.hil.recording import record

    count = record(load_bench(bench), out, seconds)
    typer.echo(f"{out}: {count} answers")


@app.command()
def stop(
    bench: BenchFile,
    release: Annotated[bool, typer.Option("--release", help="Release the emergency stop.")] = False,
) -> None:
    """Emergency stop: every device of the bench to its safe state, now, and nothing armed until it is released."""
    from feederloop.hil.bench import load_bench
    from feederloop.hil.bench_file import stop_path_of
    from feederloop.hil.emergency import EmergencyStop
    from feederloop.hil.preflight import stop_devices

    # Before the bench is checked: who changed its file while a run goes on must be able to stop that all the same.
    latch = EmergencyStop(stop_path_of(bench))
    if release:
        typer.echo("released" if latch.release() else "it was not set off")
        return
    latched = latch.trip("command", "feederloop hil stop")
    if latched:
        typer.echo(f"emergency stop is set off: {latch.path}")
    else:
        typer.echo(f"NO RUN WAS TOLD: {latch.path} cannot be made; use kill -USR1", err=True)
    taken = stop_devices(load_bench(bench), latch)
    for name, ok in taken.items():
        typer.echo(f"{name:<28} {'in its safe state' if ok else 'NOT CONFIRMED'}")
    if not (latched and all(taken.values())):
        raise typer.Exit(NOT_SAFE)


@app.command()
def monitor(
    folder: Annotated[Path | None, typer.Argument(help="Folder of the run; by default the latest in runs/.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Show once and end.")] = False,
) -> None:
    """Show the devices of a run while it goes on."""
    from feederloop.hil.recording import newest_state, read_state
    from feederloop.hil.screens import monitor_table

    file = newest_state(folder)
    with contextlib.suppress(KeyboardInterrupt), _screen(changing=not once) as show:
        while True:
            state = read_state(file)
            silent_s = time.time() - state["wall"] if state["status"] == "running" else 0.0
            status = f"NO NEWS FOR {silent_s:.0f} s: was it killed?" if silent_s > SILENT_S else state["status"]
            title = f"{file.parent.parent} · {status}" + (f" · STOPPED: {state['stop']}" if state["stop"] else "")
            show(monitor_table(state, title))
            if once or state["status"] == "ended":
                return
            time.sleep(0.5)


def _device(device: str, profile: str | None, unit: int | None) -> "ModbusTransport":
    """Return the way to a device that is named by URL and profile, or by bench and name."""
    from feederloop.hil.bench import load_bench
    from feederloop.hil.preflight import bench_transports
    from feederloop.hil.profile import load_profile
    from feederloop.hil.transport import ModbusTransport, open_transport
    from feederloop.simulators.errors import InputError

    if "://" in device:
        if profile is None:
            raise InputError("a URL needs a profile", key="--profile", allowed="see: feederloop hil profiles")
        opened = open_transport(load_profile(profile), device, unit=unit, name=device)
        if not isinstance(opened, ModbusTransport):
            raise InputError("no device to read", key="device", value=device)
        return opened
    bench_name, colon, name = device.rpartition(":")
    if not colon:
        raise InputError("no such device", key="device", value=device, allowed="a URL, or BENCH:prosumer/slot")
    bench = load_bench(bench_name)
    entry = bench.entry(name)
    if not entry.is_elsewhere:
        raise InputError("only a device that lives by itself can be read", key="url", value=entry.url)
    return bench_transports(bench)[name]


def _units(text: str) -> list[int]:
    from feederloop.simulators.errors import InputError

    units: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) > 255:
            raise InputError(
                "not a list of unit ids", key="--units", value=text, allowed="numbers and ranges to 255: 1,2,5-10"
            )
        units += range(int(first), int(last or first) + 1)
    return units


@contextlib.contextmanager
def _screen(*, changing: bool) -> Iterator[Callable[["Table"], None]]:
    """Show tables, each in the place of the one before; where there is no place (a file, a pipe), one after another."""
    from rich.live import Live

    console = _console()
    if not (changing and console.is_terminal):
        yield console.print
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda table: live.update(table, refresh=True)


def _console() -> "Console":
    from rich.console import Console

    # A pipe has no width; then tables take what they need.
    width = None if sys.stdout.isatty() else 200
    return Console(highlight=False, width=width)
