"""The figures there are: each a name, what it shows, and a function that draws it into a figure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from matplotlib.figure import Figure

from feederloop.coupling.plots import bench, market, network, people
from feederloop.coupling.plots.choice import Choice
from feederloop.coupling.report.facts import Facts


@dataclass(frozen=True)
class Kind:
    """A figure.

    Attributes:
        shows: One line.
        draw: Draws it; returns whether the run has what it needs.
        height_in: Height in inches.
        takes: Options that choose what is shown: `prosumer`, `at`.
    """

    shows: str
    draw: Callable[[Figure, Facts, Choice], bool]
    height_in: float = 2.6
    takes: tuple[str, ...] = ()


FIGURES: Mapping[str, Kind] = MappingProxyType({
    "voltage": Kind("voltages of the customers on each phase, with their limits", network.voltage, 4.6),
    "loading": Kind("highest loading of transformer and lines on each phase, with the limit", network.loading, 3.8),
    "loading_duration": Kind("for how long the most loaded line and transformer carry how much", network.duration, 2.8),
    "unbalance": Kind("voltage unbalance of the worst bus, with the limit", network.unbalance),
    "map": Kind("the feeder, coloured by the voltage at a time", network.feeder_map, 5.0, ("at",)),
    "feeder": Kind("power of households, PV and EVs together", people.feeder, 3.0),
    "envelopes": Kind("sum of all envelopes with their use", people.envelopes),
    "envelope": Kind("envelope of a prosumer with its use", people.envelope, 2.6, ("prosumer",)),
    "fleet": Kind("charging power of all EVs and the energy in them", people.fleet, 3.4),
    "bills": Kind("what every prosumer paid, by part of the bill", people.bills, 2.8),
    "prices": Kind("price between peers within retail and feed-in price, and energy traded", market.prices, 3.6),
    "merit_order": Kind("offers and bids of an interval", market.merit_order, 2.8, ("at",)),
    "devices": Kind("power asked of the devices of a bench, and measured", bench.devices, 2.6, ("prosumer",)),
})  # fmt: skip
