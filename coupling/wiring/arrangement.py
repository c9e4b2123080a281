"""Which simulators each scheme has: the one place that says so.

Homes, roofs, chargers, forecasts, grid, market accounts and recorder are there in every scheme. What differs is who
limits the connection points, who decides what the devices do, who pairs offers, and who coordinates.
"""

from dataclasses import dataclass, replace
from typing import Literal

from feederloop.coupling.scenario import Scenario

Limits = Literal["envelope", "static"]
Manager = Literal["optimise", "tariff", "directed", "limited", "unmanaged"]
Matcher = Literal["market", "network_checked"]
Coordinator = Literal["valley_filling", "network_aware", "perfect_foresight", "transactive"]


@dataclass(frozen=True)
class Arrangement:
    """What a scheme consists of beside what every scheme has.

    Attributes:
        manager: Mode of the energy managers; none where an aggregator sets the devices itself.
        limits: Who limits the connection points.
        matcher: Who pairs offers.
        coordinator: Who coordinates.
    """

    manager: Manager | None
    limits: Limits | None = None
    matcher: Matcher | None = None
    coordinator: Coordinator | None = None

    @property
    def aggregated(self) -> bool:
        """Whether an aggregator sets chargers and inverters."""
        return self.coordinator is not None and self.coordinator != "transactive"


_FIXED = {
    "uncoordinated": Arrangement("unmanaged"),
    "network_aware_p2p": Arrangement("optimise", matcher="network_checked"),
    "doe": Arrangement("tariff", limits="envelope"),
    "doe_lem": Arrangement("optimise", limits="envelope", matcher="market"),
    "unconstrained": Arrangement("optimise", matcher="market"),
    "central_optimum": Arrangement(None, coordinator="perfect_foresight"),
}


def arrangement_of(scenario: Scenario) -> Arrangement:
    """Return what the scenario's scheme consists of."""
    if scenario.scheme == "static_limits":
        return _static_limits(scenario)
    if scenario.scheme == "ev_coordination":
        return Arrangement(None, coordinator=scenario.ev_coordination.variant)
    if scenario.scheme == "price_based":
        if scenario.price_based.variant == "time_of_use":
            return Arrangement("tariff")
        return Arrangement("directed", coordinator="transactive")
    return _with_matcher(_FIXED[scenario.scheme], scenario)


def _static_limits(scenario: Scenario) -> Arrangement:
    options = scenario.static_limits
    if options.market:
        return _with_matcher(Arrangement("optimise", limits="static", matcher="market"), scenario)
    return Arrangement("tariff" if options.energy_manager else "limited", limits="static")


def _with_matcher(arrangement: Arrangement, scenario: Scenario) -> Arrangement:
    """A local market may have a mechanism that asks the DSO as well, inside whatever limits there are."""
    checked = arrangement.matcher == "market" and scenario.matching.mechanism == "network_checked"
    return replace(arrangement, matcher="network_checked") if checked else arrangement
