"""The files that pages load: a short list by name, so that no request can ask for another."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


def file_routes(listed: Mapping[str, tuple[str, str]]) -> list[Route]:
    """Return a route for each file.

    Args:
        listed: By path in the URL: package and name within it.
    """
    return [_route(path, package, name) for path, (package, name) in listed.items()]


def _route(path: str, package: str, name: str) -> Route:
    content = files(package).joinpath(name).read_bytes()
    kind = TYPES[PurePosixPath(name).suffix]

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(path, answer)
