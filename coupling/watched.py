"""mosaik's starter, proxy and world, each telling the watch what it does."""

import asyncio
import inspect
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mosaik import AsyncWorld
from mosaik.exceptions import ConnectionClosedError, ScenarioError, SimulationError
from mosaik.proxies import BaseProxy, LocalProxy
from mosaik.simmanager import MosaikRemote
from mosaik.starters import CmdStarter, Starter, get_starter_from_starter_config

from feederloop.coupling.remote import ProcessProxy, ProcessStarter, ends_within, exit_text, log_tail
from feederloop.coupling.watch import DEAD_PROCESS_S, Watch, describe

_STOP_LIMIT_S = 5.0
_HELD_S = 0.02


class WatchedProxy(BaseProxy):
    """Passes every request on to the simulator's own proxy and tells the watch about it.

    Args:
        simulator: The simulator's id.
        inner: The proxy that mosaik made for it.
        watch: Who to tell.
    """

    def __init__(self, simulator: str, inner: BaseProxy, watch: Watch) -> None:
        self.simulator = simulator
        self.inner = inner
        self._watch = watch
        self._time_s: int | None = None
        self._finalized = False
        self.unresponsive = False
        watch.register(self)

    @property
    def meta(self) -> Any:
        """The simulator's own description."""
        return self.inner.meta

    async def init(self, sid: str, **parameters: Any) -> list[int]:
        """Initialize the simulator within the time that starting may take."""
        call = self._watch.begin(self.simulator, "init", None, blocking=self._blocks("init"))
        try:
            # mosaik ends the interpreter when a remote init fails, so both of its reasons are met here first
            return await asyncio.wait_for(self.inner.init(sid, **parameters), self._watch.limit_s)
        except TimeoutError as error:
            self._watch.fail_overdue(call)
            raise SimulationError(f"{self.simulator} did not answer init in time") from error
        except Exception as error:
            await self._let_process_end(error)
            self._watch.fail_call(call, error)
            if isinstance(error, ConnectionClosedError):
                raise SimulationError(f"{self.simulator} closed its connection during init") from error
            raise
        finally:
            self._watch.end(call)

    async def send(self, request: Any) -> Any:
        """Pass a request on; a step waits while the run is paused, and for ever once the run has stopped before it."""
        name, arguments, _ = request
        watch = self._watch
        if name == "step":
            self._time_s = arguments[0]
            while watch.is_held(self.simulator, self._time_s):
                await asyncio.sleep(_HELD_S)
            if watch.stop_before is not None and self._time_s >= watch.stop_before:
                await asyncio.get_running_loop().create_future()
        call = watch.begin(self.simulator, name, self._time_s, blocking=self._blocks(name))
        try:
            answer = await self.inner.send(request)
        except Exception as error:
            await self._let_process_end(error)
            watch.fail_call(call, error)
            raise
        except (SystemExit, KeyboardInterrupt) as error:
            watch.fail_call(call, error)
            raise SimulationError(f"{self.simulator} tried to end the program") from error
        finally:
            watch.end(call)
        if watch.given_up:
            raise SimulationError("the run has been given up")
        if call.blocking and time.monotonic() - call.began > watch.limit_s:
            watch.fail_overdue(call)
            raise SimulationError(f"{self.simulator}: {name} took too long")
        if name == "step":
            watch.stepped(self.simulator, arguments[0], answer)
        return answer

    async def stop(self) -> None:
        """Finalize the simulator, once; what goes wrong is recorded so that the others are finalized too."""
        if self._finalized:
            return
        self._finalized = True
        if self.unresponsive:
            self.kill_process()  # it would not hear a request to finalize
        call = self._watch.begin(self.simulator, "finalize", None, blocking=isinstance(self.inner, LocalProxy))
        try:
            await self.inner.stop()
        except (Exception, SystemExit) as error:  # a simulator may raise anything
            if not isinstance(error, ConnectionError):
                self._watch.fail_call(call, error)
        finally:
            self._watch.end(call)

    def finalize_from_outside(self) -> None:
        """Finalize an in-process simulator while the worker is stuck in another one."""
        if isinstance(self.inner, LocalProxy) and not self._finalized:
            self._finalized = True
            try:
                self.inner.sim.finalize()
            except (Exception, SystemExit) as error:
                self._watch.later_errors.append(f"{self.simulator}: in finalize: {describe(error)}")

    @property
    def is_remote(self) -> bool:
        """Whether the simulator runs in another process."""
        return not isinstance(self.inner, LocalProxy)

    def process_ended(self) -> bool:
        """Whether the simulator's process was started here and is gone."""
        return isinstance(self.inner, ProcessProxy) and self.inner.process.poll() is not None

    def process_note(self) -> str:
        """What is known about a remote simulator's process, to be added to a message."""
        if not isinstance(self.inner, ProcessProxy):
            return ""
        last_line = self.output_tail().rpartition("\n")[2]
        said = f'; its last line was "{last_line}"' if last_line else ""
        return f" (the process {exit_text(self.inner.process)}{said})"

    def kill_process(self) -> None:
        """End a remote simulator's process without asking."""
        if isinstance(self.inner, ProcessProxy) and self.inner.process.poll() is None:
            self.inner.process.kill()
            self.inner.process.wait(1.0)

    def output_tail(self) -> str:
        """The last lines a remote simulator has printed."""
        return log_tail(self.inner.log_path) if isinstance(self.inner, ProcessProxy) else ""

    async def _let_process_end(self, error: BaseException) -> None:
        """A broken connection precedes the end of the process, which has the reason to tell."""
        if isinstance(error, ConnectionError | ConnectionClosedError) and isinstance(self.inner, ProcessProxy):
            await ends_within(self.inner.process, DEAD_PROCESS_S)

    def _blocks(self, name: str) -> bool:
        """Whether a call holds up the worker: in process, and no generator, which may sleep."""
        return isinstance(self.inner, LocalProxy) and not inspect.isgeneratorfunction(
            getattr(self.inner.sim, name, None)
        )


class WatchedStarter(Starter):
    """Starts a simulator as another starter would, and takes it under watch.

    Args:
        inner: How to start it.
        watch: The watch.
    """

    def __init__(self, inner: Starter, watch: Watch) -> None:
        self.inner = inner
        self.api_version = inner.api_version
        self._watch = watch

    @classmethod
    def from_starter_config(cls, starter_config: Any) -> Starter | None:
        """Never built from a dictionary: it wraps another starter."""
        return None

    async def start(self, sim_id: str, mosaik_remote: MosaikRemote, mosaik_config: Any) -> BaseProxy:
        """Start the simulator.

        Raises:
            SimulationError: It cannot be started, or not in time.
        """
        call = self._watch.begin(sim_id, "start", None, blocking=False)
        try:
            starting = self.inner.start(sim_id, mosaik_remote, mosaik_config)
            return WatchedProxy(sim_id, await asyncio.wait_for(starting, self._watch.limit_s), self._watch)
        except TimeoutError as error:
            self._watch.fail_overdue(call)
            raise SimulationError(f"{sim_id} could not be started in time") from error
        except Exception as error:
            self._watch.fail_call(call, error)
            raise
        finally:
            self._watch.end(call)


class WatchedWorld(AsyncWorld):
    """A mosaik world that takes every simulator it starts under watch.

    Args:
        watch: The watch.
        log_folder: Where remote simulators' output goes.
        start_limit_s: Seconds that a remote simulator may take to connect.
    """

    def __init__(self, watch: Watch, log_folder: Path, start_limit_s: float) -> None:
        # mosaik's own time-out only has to come after the watch's
        super().__init__(mosaik_config={"start_timeout": 2 * start_limit_s + 10})
        self._watch = watch
        self._log_folder = log_folder
        self._start_limit_s = start_limit_s

    async def start(
        self, starter: Starter | Mapping[str, Any] | str, /, sim_id: str | None = None, **sim_params: Any
    ) -> Any:
        """Start a simulator.

        Args:
            starter: A mosaik starter; or its dictionary (`{"python": "module:Class"}`, `{"cmd": …}`,
                `{"connect": "host:port"}`); or "module:Class"; or a key of `sim_config`.
            sim_id: The simulator's name in messages and on the clock; the key of `sim_config` by default.
            sim_params: What its `init` gets.
        """
        if isinstance(starter, str):
            sim_id = sim_id or starter
            config = (self.sim_config or {}).get(starter)
            if config is None and ":" not in starter:
                raise ScenarioError(f'there is no simulator called "{starter}" in sim_config')
            starter = config if config is not None else {"python": starter}
        if not isinstance(starter, Starter):
            starter = get_starter_from_starter_config(dict(starter))  # type: ignore[arg-type]
        if sim_id is None:
            raise ScenarioError("a simulator needs a sim_id")
        if isinstance(starter, CmdStarter):
            starter = self._process_starter(starter, sim_id)
        return await super().start(WatchedStarter(starter, self._watch), sim_id=sim_id, **sim_params)

    def _process_starter(self, starter: CmdStarter, sim_id: str) -> ProcessStarter:
        self._log_folder.mkdir(parents=True, exist_ok=True)
        return ProcessStarter(
            starter.cmd,
            log_path=self._log_folder / f"{sim_id}.log",
            connect_limit_s=starter.connect_timeout or self._start_limit_s,
            stop_limit_s=_STOP_LIMIT_S,
            cwd=starter.cwd,
            env=starter.env,
            api_version=starter.api_version,
        )
