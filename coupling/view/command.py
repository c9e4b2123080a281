"""`feederloop view`: serve the folder of a run to a browser."""

import contextlib
import threading
from pathlib import Path
from typing import Annotated

import typer


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
    from feederloop.coupling.serve.server import Server
    from feederloop.coupling.view.answers import Answers
    from feederloop.coupling.view.app import make_app

    access = Access(host, port, token, usual_port=8766)
    answers = Answers(Run(run))
    server = Server(make_app(answers, access), access)
    # What takes longest, the network, is loaded while the browser is being opened.
    threading.Thread(target=answers.overview, daemon=True).start()
    typer.echo(f"Viewer: {server.url if access.is_loopback else server.url_to_act} (Ctrl-C ends it)")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve()
