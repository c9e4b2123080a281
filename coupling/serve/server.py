"""Serve an app from a thread of its own, or from this one until somebody ends it."""

import threading
from typing import Any

import uvicorn

from feederloop.coupling.serve.access import Access
from feederloop.coupling.serve.guard import App, Guard
from feederloop.coupling.serve.listener import Listener

_CLOSING_S = 1
_STARTING_S = 10.0


class Server:
    """Serves an app to whom `access` lets in.

    Args:
        app: An ASGI app.
        access: Where, and to whom.
        listener: What listens there already; by default a new one.

    Raises:
        InputError: The port is taken, or the address is none of this machine's.
    """

    def __init__(self, app: Any, access: Access, listener: Listener | None = None) -> None:
        self._listener = listener or Listener(access)
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
        return self._listener.port

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        return self._listener.url

    @property
    def url_to_act(self) -> str:
        """The same with the token, which browsers do not send along: it stands behind the #."""
        return self._listener.url_to_act

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
        self._server.run(sockets=[self._listener.socket])

    def close(self) -> None:
        """End it, and wait until it has."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_CLOSING_S + 5.0)
        self._listener.close()
