"""What a matching mechanism is, and the registry in which built-in ones and users' own are found by name."""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher.clearing import Clearing
from feederloop.simulators.matcher.orders import FloatArray, OrderBook
from feederloop.simulators.matcher.surroundings import Surroundings

GROUP = "feederloop.mechanisms"
"""The entry point group under which an installed package offers mechanisms of its own."""

BUILT_IN = {
    "bilateral": "feederloop.simulators.matcher.bilateral:BilateralNegotiation",
    "continuous_double_auction": "feederloop.simulators.matcher.continuous:ContinuousDoubleAuction",
    "k_double_auction": "feederloop.simulators.matcher.k_double_auction:KDoubleAuction",
    "mcafee": "feederloop.simulators.matcher.trade_reduction:TradeReduction",
    "mid_market_rate": "feederloop.simulators.matcher.administered:MidMarketRate",
    "network_checked": "feederloop.simulators.matcher.network_check:NetworkCheckedAuction",
    "stable_matching": "feederloop.simulators.matcher.stable:StableMatching",
    "supply_demand_ratio": "feederloop.simulators.matcher.administered:SupplyDemandRatio",
}


@runtime_checkable
class Mechanism(Protocol):
    """A way of pairing orders: an object that is made once per run from its options and clears every interval."""

    def clear(self, book: OrderBook, *, served_share: FloatArray, rng: np.random.Generator) -> Clearing:
        """Match the orders of one interval.

        Args:
            book: The orders.
            served_share: Which share of its orders each trader was served in the run so far, 0 to 1, 1 for those who
                have ordered nothing yet, [traders]; for mechanisms that ration by it.
            rng: The matcher's own random stream, for mechanisms that draw lots.
        """
        ...


@runtime_checkable
class Placed(Protocol):
    """What a mechanism is beside, that asks who its traders are and where.

    Attributes:
        needs_network: Whether it asks for the network as well, which takes a while to load.
    """

    needs_network: bool

    def place(self, surroundings: Surroundings) -> None:
        """Take note of the traders, once, before the first clearing."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """What a mechanism is beside, that asks what the network will carry anyway."""

    def foresee(self, p_kw: FloatArray, q_kvar: FloatArray) -> None:
        """Take note of the powers that are forecast for the interval to be cleared next.

        Args:
            p_kw: Net power of each trader apart from what the orders are about, export positive, [traders].
            q_kvar: Its reactive power, [traders].
        """
        ...


def mechanism_names() -> list[str]:
    """List the mechanisms that are built in or installed."""
    return sorted(_found())


def make_mechanism(name: str, options: Mapping[str, Any] | None = None) -> Mechanism:
    """Make the mechanism of this name.

    Args:
        name: A built-in name, or one that an installed package registers in the group ``feederloop.mechanisms``.
        options: The mechanism's own options.

    Raises:
        InputError: There is no such mechanism, or it has no such option.
    """
    found = _found()
    if name not in found:
        near = get_close_matches(name, found, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"There is no such matching mechanism{hint}", key="mechanism", value=name, allowed=", ".join(sorted(found))
        )
    factory = cast(Callable[..., Mechanism], found[name].load())
    known = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for key, value in (options or {}).items():
        if key not in known and not takes_any:
            raise InputError(
                f"The mechanism {name!r} has no such option", key=key, value=value, allowed=", ".join(known) or "none"
            )
    mechanism = factory(**(options or {}))
    if not isinstance(mechanism, Mechanism):
        raise InputError(
            f"{found[name].value} makes no matching mechanism",
            key="mechanism",
            value=name,
            allowed="a class with clear()",
        )
    return mechanism


def _found() -> dict[str, EntryPoint]:
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    return installed | {name: EntryPoint(name, target, GROUP) for name, target in BUILT_IN.items()}
