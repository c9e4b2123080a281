"""The files that pages load: a short list by name, so that no request can ask for another.

Pages themselves are made when the server is: each fills the frame that all have in common (`page.html`).
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath

from jinja2 import Environment, FunctionLoader, StrictUndefined
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
    content = _content(package, name)
    kind = TYPES[PurePosixPath(name).suffix]

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(path, answer)


def _content(package: str, name: str) -> bytes:
    if not name.endswith(".html"):
        return files(package).joinpath(name).read_bytes()
    loader = FunctionLoader(lambda frame: files(_SERVE).joinpath(frame).read_text(encoding="utf-8"))
    pages = Environment(autoescape=True, loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return pages.from_string(files(package).joinpath(name).read_text(encoding="utf-8")).render().encode()
