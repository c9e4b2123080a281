"""Serve an app from a thread of its own, or from this one until somebody ends it."""

import socket
import threading
from typing import Any

import uvicorn

from feederloop.coupling.serve.access import Access
from feederloop.coupling.serve.guard import App, Guard
from feederloop.simulators.errors import InputError

_CLOSING_S = 1
_STARTING_S = 10.0


class Server:
    """Serves an app to whom `access` lets in.

    Args:
        app: An ASGI app.
        access: Where, and to whom.

    Raises:
        InputError: The port is taken, or the address is none of this machine's.
    """

    def __init__(self, app: Any, access: Access) -> None:
        self._access = access
        self._socket = _bound(access)
        guarded: App = Guard(app, access.host_names)
        self._server = uvicorn.Server(
            uvicorn.Config(
                guarded,
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                lifespan="on",
                ws="websockets-sansio",
                ws_max_size=4096,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=_CLOSING_S,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = self._access.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else host
        return f"http://{f'[{shown}]' if ':' in shown and '[' not in shown else shown}:{self.port}/"

    @property
    def url_to_act(self) -> str:
        """The same with the token, which browsers do not send along: it stands behind the #."""
        return f"{self.url}#token={self._access.token}"

    def start(self) -> None:
        """Serve from a thread of its own.

        Raises:
            RuntimeError: It did not come up.
        """
        self._thread = threading.Thread(target=self.serve, name="feederloop pages", daemon=True)
        self._thread.start()
        waiting = threading.Event()
        for _ in range(round(_STARTING_S / 0.01)):
            if self._server.started:
                return
            waiting.wait(0.01)
        raise RuntimeError("the server of the page did not come up")

    def serve(self) -> None:
        """Serve from this thread until it is ended."""
        self._server.run(sockets=[self._socket])

    def close(self) -> None:
        """End it, and wait until it has."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_CLOSING_S + 5.0)
        self._socket.close()


def _bound(access: Access) -> socket.socket:
    try:
        family = socket.getaddrinfo(access.host or None, None, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise InputError("no such address", key=f"{access.option}host", value=access.host) from error
    ports = [access.usual_port, 0] if access.port is None else [access.port]
    for port in ports:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((access.host, port))
            listening.listen()  # whoever is quicker than the server waits, and is not refused
        except OSError as error:
            listening.close()
            reason = error.strerror or error
            if port == ports[-1]:
                message = f"cannot listen there: {reason}"
                key, value = f"{access.option}port", f"{access.host}:{port}"
                raise InputError(message, key=key, value=value, allowed="a free port, or 0 for any") from error
        else:
            listening.set_inheritable(False)
            return listening
    raise AssertionError("there is always a last port")
