"""The live page's server: the page, the files it loads, and one websocket by which everything else goes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from feederloop.coupling.live.hub import Hub, Watched
from feederloop.coupling.serve.access import Access
from feederloop.coupling.serve.files import COMMON_FILES, file_routes

_LIVE = "feederloop.coupling.live"
FILES = {
    "/": (_LIVE, "live.html"),
    "/live.css": (_LIVE, "live.css"),
    "/live.js": (_LIVE, "live.js"),
    "/panels.js": (_LIVE, "panels.js"),
    "/controls.js": (_LIVE, "controls.js"),
    **COMMON_FILES,
}
MOST_VIEWERS = 50
_GREETING_S = 10.0
_BEGINNING_S = 0.1
_STALLED_S = 60.0
_WRONG_TOKEN_S = 0.5
WRONG_TOKEN, CROWDED = 4401, 4429


class Controlled(Watched, Protocol):
    """A run that viewers may act on."""

    def greeting(self) -> dict[str, Any] | None:
        """What never changes: names, places, limits; None before the run has begun."""
        ...

    def act(self, action: str) -> str:
        """Carry out `pause`, `resume` or `stop`; return why not, empty if it was."""
        ...


def make_app(run: Controlled, access: Access) -> Starlette:
    """Return the app.

    Args:
        run: The run to show.
        access: Who may see it and act on it.
    """
    hub = Hub(run)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        making = asyncio.create_task(hub.run())
        yield
        making.cancel()

    async def watch(socket: WebSocket) -> None:
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect, TimeoutError, RuntimeError, OSError):
            await _Viewer(socket, hub, run, access).serve()

    return Starlette(routes=[*file_routes(FILES), WebSocketRoute("/watch", watch)], lifespan=lifespan)


class _Viewer:
    """One websocket: tells its token first, then gets frames and may send actions."""

    def __init__(self, socket: WebSocket, hub: Hub, run: Controlled, access: Access) -> None:
        self._socket, self._hub, self._run, self._access = socket, hub, run, access

    async def serve(self) -> None:
        hello = await asyncio.wait_for(self._receive(), _GREETING_S)
        if not self._access.may_see(_text(hello, "token")):
            await asyncio.sleep(_WRONG_TOKEN_S)
            await self._socket.close(WRONG_TOKEN)
            return
        if self._hub.viewers >= MOST_VIEWERS:
            await self._socket.close(CROWDED)
            return
        while (greeting := self._run.greeting()) is None:
            await asyncio.sleep(_BEGINNING_S)
        await self._send(json.dumps({"kind": "greeting", **greeting}, allow_nan=False))
        showing = asyncio.create_task(self._show())
        try:
            while True:
                await self._obey(await self._receive())
        finally:
            showing.cancel()

    async def _show(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            async with contextlib.aclosing(self._hub.frames()) as frames:
                async for frame in frames:
                    try:
                        await asyncio.wait_for(self._send(frame), _STALLED_S)
                    except TimeoutError:
                        await self._socket.close()
                        return

    async def _obey(self, wish: dict[str, Any]) -> None:
        if "action" not in wish:
            return
        action = _text(wish, "action")
        if self._access.may_act(_text(wish, "token")):
            why = self._run.act(action)
        else:
            await asyncio.sleep(_WRONG_TOKEN_S)
            why = "wrong token"
        await self._send(json.dumps({"kind": "answer", "action": action, "why": why}))

    async def _send(self, text: str) -> None:
        await self._socket.send_text(text)

    async def _receive(self) -> dict[str, Any]:
        """Return what the viewer says; what is no JSON object says nothing."""
        try:
            said = json.loads(await self._socket.receive_text())
        except (ValueError, KeyError):  # no JSON, or bytes
            return {}
        return said if isinstance(said, dict) else {}


def _text(message: dict[str, Any], key: str) -> str:
    value = message.get(key)
    return value if isinstance(value, str) else ""
