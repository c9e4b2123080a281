"""Start a simulator in a process of its own, keep what it prints, and make sure that it ends.

mosaik's own `CmdStarter` lets the process write into the terminal of the run, hands it a Ctrl-C that was meant
for the run, waits the whole time-out for a process that has died at once, and allows 0.1 s for `finalize`.
"""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mosaik.exceptions import SimulationError
from mosaik.proxies import BaseProxy, RemoteProxy
from mosaik.simmanager import MosaikRemote
from mosaik.starters import Starter
from mosaik_api_v3.connection import Channel

_POLL_S = 0.02
_KEPT_CHARACTERS = 4000

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Like in this process: how many threads share a product of matrices changes its last bit."""


class ProcessProxy(RemoteProxy):
    """mosaik's proxy for a simulator in another process, with the process and its log attached.

    Args:
        channel: The open connection.
        mosaik_remote: What the simulator may call back.
        process: The process that was started.
        log_path: The file that takes its standard output and standard error.
        stop_limit_s: Seconds that it may take to end by itself once told to stop.
    """

    def __init__(
        self,
        channel: Channel,
        mosaik_remote: MosaikRemote,
        process: "subprocess.Popen[bytes]",
        log_path: Path,
        stop_limit_s: float,
    ) -> None:
        super().__init__(channel, mosaik_remote)
        self.process = process
        self.log_path = log_path
        self._stop_limit_s = stop_limit_s

    async def stop(self) -> None:
        """Ask the simulator to finalize, then end its process, by force if it does not answer."""
        try:
            if self.process.poll() is None:
                await asyncio.wait_for(super().stop(), self._stop_limit_s)
                await ends_within(self.process, self._stop_limit_s)
        except (TimeoutError, ConnectionError):
            pass  # it is gone or will not listen: the process is ended below
        finally:
            self._channel._writer.close()
            self._reader_task.cancel()
            await end_process(self.process)


class ProcessStarter(Starter):
    """How to start a simulator by a command.

    Args:
        command: The command line; `%(python)s` becomes this interpreter and `%(addr)s` the `host:port` to connect to.
        log_path: The file that takes the process's standard output and standard error.
        connect_limit_s: Seconds that it may take to connect.
        stop_limit_s: Seconds that it may take to end by itself once told to stop.
        cwd: Its working directory.
        env: Environment variables on top of this process's own.
        api_version: Its mosaik API version, if it is outdated.
    """

    def __init__(
        self,
        command: str,
        *,
        log_path: Path,
        connect_limit_s: float,
        stop_limit_s: float,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        api_version: str | None = None,
    ) -> None:
        self.command = command
        self.log_path = log_path
        self.connect_limit_s = connect_limit_s
        self.stop_limit_s = stop_limit_s
        self.cwd = cwd
        self.env = dict(env or {})
        self.api_version = api_version

    @classmethod
    def from_starter_config(cls, starter_config: Any) -> Starter | None:
        """Never built from a dictionary: a log file and limits are needed."""
        return None

    async def start(self, sim_id: str, mosaik_remote: MosaikRemote, mosaik_config: Any) -> BaseProxy:
        """Start the process and wait for its connection.

        Raises:
            SimulationError: The command cannot be run, ends before it connects, or does not connect in time.
        """
        connected: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()

        async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if connected.done():
                writer.close()
            else:
                connected.set_result(Channel(reader, writer, name=sim_id))

        server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
        process: subprocess.Popen[bytes] | None = None
        try:
            address = "{}:{}".format(*server.sockets[0].getsockname()[:2])
            process = self._open_process(sim_id, address)
            channel = await self._connection(sim_id, process, connected)
        except BaseException:
            if process is not None:
                await end_process(process)
            raise
        finally:
            server.close()
        return ProcessProxy(channel, mosaik_remote, process, self.log_path, self.stop_limit_s)

    def _open_process(self, sim_id: str, address: str) -> "subprocess.Popen[bytes]":
        arguments = [part % {"addr": address, "python": sys.executable} for part in shlex.split(self.command)]
        try:
            with self.log_path.open("wb") as log:
                return subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.cwd,
                    env=os.environ | _ONE_THREAD | self.env,
                    start_new_session=True,  # a Ctrl-C in the terminal is for the run, which then tells the simulator
                )
        except OSError as error:
            raise SimulationError(f'Simulator "{sim_id}" could not be started: {error}') from error

    async def _connection(
        self, sim_id: str, process: "subprocess.Popen[bytes]", connected: "asyncio.Future[Channel]"
    ) -> Channel:
        deadline = time.monotonic() + self.connect_limit_s
        while not connected.done():
            if process.poll() is not None:
                raise SimulationError(f'Simulator "{sim_id}" {exit_text(process)} before it connected')
            if time.monotonic() > deadline:
                raise SimulationError(f'Simulator "{sim_id}" did not connect within {self.connect_limit_s:g} s')
            await asyncio.wait([connected], timeout=_POLL_S)
        return connected.result()


async def end_process(process: "subprocess.Popen[bytes]", patience_s: float = 1.0) -> None:
    """Terminate a process, and kill it if it has not ended after `patience_s`."""
    if process.poll() is None:
        process.terminate()
        if not await ends_within(process, patience_s):
            process.kill()
            await ends_within(process, patience_s)


def exit_text(process: "subprocess.Popen[bytes]") -> str:
    """How a process ended, in words, for example 'was killed by SIGKILL'."""
    code = process.poll()
    if code is None:
        return "is running"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def log_tail(path: Path) -> str:
    """The last lines of a log (at most 4000 characters), empty if there are none."""
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _KEPT_CHARACTERS))
        return log.read().decode(errors="replace").strip()


async def ends_within(process: "subprocess.Popen[bytes]", limit_s: float) -> bool:
    """Whether a process ends within `limit_s` seconds from now."""
    deadline = time.monotonic() + limit_s
    while process.poll() is None and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_S)
    return process.poll() is not None
