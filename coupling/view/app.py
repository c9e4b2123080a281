"""The viewer's server: the page, the files it loads, and questions about the run."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from feederloop.coupling.serve.access import Access
from feederloop.coupling.serve.files import COMMON_FILES, file_routes
from feederloop.simulators.errors import InputError

# The page is answered before the run is open.
if TYPE_CHECKING:
    from feederloop.coupling.view.answers import Answers
    from feederloop.coupling.view.store import Span

_VIEW = "feederloop.coupling.view"
FILES = {
    "/": (_VIEW, "view.html"),
    "/view.css": (_VIEW, "view.css"),
    "/view.js": (_VIEW, "view.js"),
    "/curves.js": (_VIEW, "curves.js"),
    **COMMON_FILES,
}
Answer = Callable[["Answers", Mapping[str, str]], Any]


def make_app(opened: "Callable[[], Answers]", access: Access) -> Starlette:
    """Return the app.

    Args:
        opened: Returns what is known of the run; asked from a thread of its own, it may take its time.
        access: Who may see it.
    """
    questions: dict[str, Answer] = {
        "/api/run": lambda answers, asked: answers.overview(),
        "/api/curves": lambda answers, asked: answers.curves(_span(asked), asked.get("prosumer")),
        "/api/loading": lambda answers, asked: answers.loading(_span(asked)),
        "/api/moment": lambda answers, asked: answers.moment(_number(asked, "at")),
        "/api/table": lambda answers, asked: answers.store.page(
            asked.get("table", ""), _span(asked), _which(asked), int(_number(asked, "offset")), 50
        ),
        "/api/table.csv": lambda answers, asked: answers.store.csv(asked.get("table", ""), _span(asked), _which(asked)),
    }
    routes = [Route(path, _endpoint(opened, answer, access), name=path) for path, answer in questions.items()]
    return Starlette(routes=[*file_routes(FILES), *routes])


def _endpoint(
    opened: "Callable[[], Answers]", answer: Answer, access: Access
) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if not access.may_see(token if kind.lower() == "bearer" else ""):
            return _json({"error": "this page needs a token"}, 401)
        try:
            told = await run_in_threadpool(lambda: answer(opened(), request.query_params))
            if request.url.path.endswith(".csv"):
                first = await run_in_threadpool(next, told)  # what is wrong is said before anything is sent
                headers = {"content-disposition": "attachment"}
                return StreamingResponse(_joined(first, told), media_type="text/csv", headers=headers)
            return _json(told, 200)
        except InputError as error:
            return _json({"error": str(error)}, 400)

    return respond


async def _joined(first: bytes, rest: Any) -> Any:
    yield first
    while (more := await run_in_threadpool(next, rest, None)) is not None:
        yield more


def _json(told: Any, status: int) -> Response:
    return Response(json.dumps(told, allow_nan=False), status, media_type="application/json")


def _span(asked: Mapping[str, str]) -> "Span | None":
    return (_number(asked, "from"), _number(asked, "to")) if "from" in asked else None


def _which(asked: Mapping[str, str]) -> dict[str, str]:
    return {"prosumer": asked["prosumer"]} if "prosumer" in asked else {}


def _number(asked: Mapping[str, str], key: str) -> float:
    try:
        value = float(asked.get(key, "0"))
    except ValueError as error:
        raise InputError("not a number", key=key, value=asked.get(key)) from error
    if not 0 <= value < 1e11:
        raise InputError("not a number that makes sense", key=key, value=asked.get(key), allowed="0 to 1e11")
    return value
