"""The live page on the command line; what serves it is imported only when it is asked for."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from feederloop.simulators.errors import InputError

if TYPE_CHECKING:
    from feederloop.coupling.live.page import LivePage

LiveOption = Annotated[bool, typer.Option("--live", help="Serve a page that shows the run while it goes on.")]
LivePort = Annotated[
    int | None, typer.Option(metavar="N", help="Port of the live page; by default 8765, or any that is free.")
]
LiveHost = Annotated[
    str, typer.Option(metavar="HOST", help="Address of the live page; any but this machine's own needs --live-token.")
]
LiveToken = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        envvar="FEEDERLOOP_LIVE_TOKEN",
        show_envvar=True,
        help="What pausing and stopping need, and from elsewhere looking; by default a new one is made and printed.",
    ),
]
LiveKeep = Annotated[bool, typer.Option("--live-keep", help="Go on serving the page after the run, until Ctrl-C.")]


@contextlib.contextmanager
def live_page(
    wanted: bool, *, host: str, port: int | None, token: str | None, keep: bool
) -> "Iterator[LivePage | None]":
    """Serve the live page while the block runs; none where it is not wanted.

    Raises:
        InputError: It cannot be served as asked, or options were stated for a page that is not wanted.
    """
    if not wanted:
        stated = {"--live-port": port is not None, "--live-host": host != "127.0.0.1", "--live-keep": keep}
        for option in (name for name, is_stated in stated.items() if is_stated):
            raise InputError("there is no live page", key=option, allowed="with --live")
        yield None
        return
    from feederloop.coupling.live.page import LivePage
    from feederloop.coupling.serve.access import Access

    with LivePage(Access(host, port, token, option="--live-")) as page:
        typer.echo(f"Live page: {page.url_to_act}", err=True)
        yield page
        if keep:
            typer.echo("The run is over; its page is served until Ctrl-C.", err=True)
            page.wait()
