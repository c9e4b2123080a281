"""`feederloop view`: serve the folder of a run to a browser."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from feederloop.coupling.results import Run
    from feederloop.coupling.view.answers import Answers


def view(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run: finished, going on, or failed.")],
    port: Annotated[int | None, typer.Option(metavar="N", help="Port; by default 8766, or any that is free.")] = None,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address; any but this machine's own needs --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", envvar="FEEDERLOOP_VIEW_TOKEN", help="What is needed to look from elsewhere."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Explore a run in a browser, however long it was; ends with Ctrl-C."""
    from feederloop.coupling.results import Run
    from feederloop.coupling.serve.access import Access
    from feederloop.coupling.serve.listener import Listener

    access = Access(host, port, token, usual_port=8766)
    opened = Run(run)
    _ = opened.summary  # what cannot be read is told here, not in the browser
    listener = Listener(access)
    # From here on a browser can come; the server is loaded and the run opened while it does.
    typer.echo(f"Viewer: {listener.url if access.is_loopback else listener.url_to_act} (Ctrl-C ends it)")
    with contextlib.suppress(KeyboardInterrupt):
        from feederloop.coupling.serve.server import Server
        from feederloop.coupling.view.app import make_app

        answers = ThreadPoolExecutor(1).submit(_opened, opened)
        Server(make_app(answers.result, access), access, listener).serve()


def _opened(run: "Run") -> "Answers":
    from feederloop.coupling.view.answers import Answers

    answers = Answers(run)
    answers.overview()  # every page asks for it first
    return answers
