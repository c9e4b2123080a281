"""Sections of a scenario about the ways of coordinating a feeder; each scheme reads its own."""

from typing import Literal, get_args

from pydantic import model_validator

from feederloop.coupling.scenario.fields import (
    Count,
    Flag,
    NonNegative,
    Positive,
    Section,
    Share,
    misfit,
    quantity,
    setting,
)

Scheme = Literal[
    "uncoordinated",
    "static_limits",
    "ev_coordination",
    "price_based",
    "network_aware_p2p",
    "doe",
    "doe_lem",
    "unconstrained",
    "central_optimum",
]
SCHEMES: tuple[str, ...] = get_args(Scheme)
SCHEME_DESCRIPTION = (
    "How the feeder is coordinated: uncoordinated (charge on arrival, export everything), static_limits (the same "
    "constant limits for everybody), ev_coordination (an aggregator schedules the chargers), price_based (time-of-use "
    "tariff, or locational prices that the DSO iterates), network_aware_p2p (order book in which the DSO checks every "
    "trade), doe (dynamic operating envelopes, no local market), doe_lem (local energy market inside dynamic operating "
    "envelopes); and two bounds: unconstrained (market and energy managers, no network limit) and central_optimum (one "
    "plan for all with perfect foresight)"
)


class StaticLimits(Section):
    """Of the scheme static_limits."""

    export_kw: NonNegative = quantity(1.5, "kW", "Export limit of every connection point; 5 is usual as well")
    import_kw: Positive = quantity(5.0, "kW", "Import limit of every connection point")
    energy_manager: Flag = setting(
        True,
        "Whether energy managers plan inside the limits; without them EVs charge on arrival and PV exports as far as "
        "the limits allow",
    )
    market: Flag = setting(False, "Whether prosumers also trade locally inside the limits")

    @model_validator(mode="after")
    def _market_needs_managers(self) -> "StaticLimits":
        if self.market and not self.energy_manager:
            allowed = "true, as only energy managers make offers, or static_limits.market: false"
            raise misfit("leaves nobody to trade", key="energy_manager", allowed=allowed)
        return self


class EvCoordination(Section):
    """Of the scheme ev_coordination."""

    variant: Literal["network_aware", "valley_filling"] = setting(
        "network_aware",
        "network_aware: cheapest schedule of all EVs together within every limit of the network, the benchmark that "
        "knows everything; valley_filling: flattest load of the feeder as a whole, blind to the network",
    )
    voltage_margin_v: NonNegative = quantity(
        1.0,
        "V",
        "Distance that the network-aware plan, made of half-hourly means, keeps from the voltage limits",
        lt=50,
    )
    loading_margin_percent: NonNegative = quantity(10.0, "%", "Distance that it keeps from the loading limits", lt=100)
    curtail_pv: Flag = setting(True, "Whether the network-aware aggregator may also limit PV where nothing else helps")


class PriceBased(Section):
    """Of the scheme price_based."""

    variant: Literal["transactive", "time_of_use"] = setting(
        "transactive",
        "transactive: the DSO posts locational prices and iterates them with the energy managers until its limits "
        "hold; time_of_use: energy managers follow the tariff, each for itself",
    )
    max_rounds: Count = quantity(50, "1", "Most rounds of prices and answers in a market interval", ge=1, le=1000)
    step_per_kwh: Positive = quantity(
        0.02,
        "money/kWh/kW",
        "By how much a limit's price moves in the first round per kW of excess at its most sensitive connection point",
    )
    proximal_per_kwh2: NonNegative = quantity(
        0.05, "money/kWh/kW", "What an energy manager minds moving away from its last answer, against chattering"
    )
    tolerance_kw: Positive = quantity(
        0.05, "kW", "Excess at the most sensitive connection point below which a limit counts as held"
    )


class NetworkAwareP2p(Section):
    """Of the scheme network_aware_p2p."""

    arrival: Literal["random", "price_ordered"] = setting("random", "In which order orders arrive")
    check: Literal["linear", "exact"] = setting(
        "linear", "By what the DSO checks a trade: sensitivities at the forecast, or a power flow each time"
    )
    price: Literal["mid", "resting"] = setting("mid", "Price of a trade: half-way, or that of the order that waits")
    rationing: Literal["time", "served_share"] = setting(
        "time", "Who of those who wait at one price comes first: who came first, or who was served worst so far"
    )
    lot_kwh: NonNegative = quantity(0.5, "kWh", "Orders are cut into pieces of at most this size; 0 leaves them whole")
    tries: Count = quantity(3, "1", "A piece that has been refused this often leaves the book", ge=1, le=1000)
    network_fee_per_kwh: NonNegative = quantity(0.0, "money/kWh", "What every trade pays the DSO")
    losses: Flag = setting(True, "Whether a trade pays for the losses that it causes")
    decay: Share = quantity(
        0.0, "1", "Share of the willingness to offer that each further interval in a row with a block takes"
    )
    curtail: Flag = setting(
        True,
        "Whether the DSO curtails what was not traded where the network does not bear that it goes to the retailer",
    )
    check_retail: Flag = setting(
        True,
        "Whether the DSO is asked about sales to and purchases from the retailer as well, lot by lot as they arrive; "
        "otherwise it curtails of these the least energy that the network asks for. Without curtail it is not asked",
    )
