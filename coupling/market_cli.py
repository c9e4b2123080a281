"""The command line for a market without a scenario: clear a table of orders.

Heavy imports happen inside the command, as in the rest of the command line.
"""

from pathlib import Path
from typing import Annotated

import typer


def market(
    orders: Annotated[
        Path,
        typer.Argument(metavar="ORDERS.csv", help="Columns trader, side (ask or bid), price_per_kwh and kwh."),
    ],
    mechanism: Annotated[str, typer.Option(metavar="M", help="Name of the matching mechanism.")] = "k_double_auction",
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the mechanism, e.g. k=0.3. May be repeated."),
    ] = None,
    feed_in: Annotated[
        float | None,
        typer.Option(metavar="PRICE", help="What the retailer pays for a kWh.", show_default="lowest limit"),
    ] = None,
    retail: Annotated[
        float | None,
        typer.Option(
            metavar="PRICE",
            help="What it takes, less the network charge on local trade.",
            show_default="highest limit",
        ),
    ] = None,
    traders: Annotated[
        Path | None,
        typer.Option(
            metavar="TRADERS.csv",
            help="Who may trade, column trader; for mechanisms that look at the network also bus and phase, and if "
            "wanted p_kw and q_kvar (what is drawn anyway, export positive) and pv_kwp.",
        ),
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NETWORK", help="A shipped network's name, or a pandapower JSON file.")
    ] = None,
    interval_s: Annotated[int, typer.Option(metavar="S", help="Length of the interval.", min=1)] = 1800,
    seed: Annotated[int, typer.Option(metavar="N", help="For mechanisms that draw lots.", min=0)] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where trades.csv, orders.csv, market.json and merit_order.svg go.",
            show_default="nowhere",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Clear a table of orders and show who trades what at which price."""
    from rich.console import Console

    from feederloop.coupling.cleared import Cleared, read_options
    from feederloop.coupling.order_file import read_orders, read_traders
    from feederloop.simulators.matcher.mechanism import make_mechanism

    made = make_mechanism(mechanism, read_options(options or []))
    sites = read_traders(traders) if traders is not None else None
    book = read_orders(orders, sites=sites, floor_per_kwh=feed_in, ceiling_per_kwh=retail)
    cleared = Cleared.by(made, book, sites=sites, network=network, interval_s=interval_s, seed=seed)
    console = Console(highlight=False)
    cleared.show(console, title=f"{orders.name}, {mechanism}")
    if out is not None:
        cleared.write(out, title=f"{orders.stem}: {mechanism}")
        console.print(f"results  [bold]{out}[/bold]", soft_wrap=True)
