"""The files that pages load: a short list by name, so that no request can ask for another."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_REPORT, _SERVE = "feederloop.coupling.report", "feederloop.coupling.serve"
COMMON_FILES = {
    "/pages.css": (_SERVE, "pages.css"),
    "/theme.js": (_SERVE, "theme.js"),
    "/report.css": (_REPORT, "report.css"),
    "/map.css": (_REPORT, "map.css"),
    "/map.js": (_REPORT, "map.js"),
    "/time.js": (_REPORT, "time.js"),
    "/kit.js": (_REPORT, "kit.js"),
    "/echarts.js": (_REPORT, "vendor/echarts.common.min.js"),
}
"""By path in the URL, package and name: what both pages load."""
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
