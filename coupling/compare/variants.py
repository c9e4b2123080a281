"""Which schemes and variants can be compared: each a name, what it is, and what it overrides in the scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feederloop.coupling.scenario.problems import nearest_of
from feederloop.simulators.errors import InputError


@dataclass(frozen=True)
class Variant:
    """A way of coordinating the feeder.

    Attributes:
        title: A few words for a column or an axis.
        description: One line.
        overrides: What it puts in place of the scenario's values, by dotted path.
        bound: Whether it bounds what is possible and is nobody's proposal.
    """

    title: str
    description: str
    overrides: Mapping[str, Any]
    bound: bool = False

    @property
    def scheme(self) -> str:
        """The scheme that it is a variant of."""
        return str(self.overrides["scheme"])


def _variant(scheme: str, title: str, description: str, *, bound: bool = False, **sections: Any) -> Variant:
    overrides = {f"{section}.{key}": value for section, options in sections.items() for key, value in options.items()}
    return Variant(title, description, {"scheme": scheme, **overrides}, bound)


def _p2p(title: str, description: str, **options: Any) -> Variant:
    return _variant("network_aware_p2p", title, description, network_aware_p2p=options)


def _doe(title: str, description: str, **envelope: Any) -> Variant:
    return _variant("doe", title, description, envelope=envelope)


def _lem(title: str, description: str, mechanism: str, **options: Any) -> Variant:
    # Emptied first: what the scenario says of its own mechanism's options is not about this one.
    overrides = {"scheme": "doe_lem", "matching": None, "matching.mechanism": mechanism}
    return Variant(title, description, overrides | {f"matching.options.{key}": value for key, value in options.items()})


_MANAGED = {"energy_manager": True, "market": False}
_CORNER, _CERTIFIED = {"safety": "corner"}, {"safety": "certified"}
_RULES = {
    "equal": ("equal", "the same limits for everybody"),
    "max_min": ("max-min", "the lowest limit raised first"),
    "proportional": ("proportional", "the same share of every request"),
    "proportional_fair": ("prop. fair", "greatest sum of logarithms"),
    "alpha_fair": ("alpha-fair", "between max-min and proportional fairness"),
    "max_total": ("max total", "greatest sum of limits, whoever gets it"),
}


def _rules() -> dict[str, Variant]:
    """Every rule of sharing, proven and as the literature has it."""
    found = {}
    for rule, (title, description) in _RULES.items():
        found[f"doe:{rule}"] = _doe(f"DOE, {title}", description, rule=rule, **_CERTIFIED)
        corner = f"{description}, checked only with everybody at the limit"
        found[f"doe:{rule}_corner"] = _doe(f"{title}, corner", corner, rule=rule, **_CORNER)
    return found


VARIANTS: Mapping[str, Variant] = {
    "uncoordinated": _variant("uncoordinated", "Uncoordinated", "charge on arrival, export everything"),
    "static_limits": _variant(
        "static_limits", "Static 1.5 kW", "1.5 kW of export and 5 kW of import for everybody",
        static_limits={"export_kw": 1.5, "import_kw": 5.0, **_MANAGED},
    ),
    "static_limits:5kw": _variant(
        "static_limits", "Static 5 kW", "5 kW of export and of import for everybody",
        static_limits={"export_kw": 5.0, "import_kw": 5.0, **_MANAGED},
    ),
    "static_limits:unmanaged": _variant(
        "static_limits", "Static, unmanaged", "1.5 kW of export for everybody, charge on arrival",
        static_limits={"export_kw": 1.5, "import_kw": 5.0, "energy_manager": False, "market": False},
    ),
    "static_limits:lem": _variant(
        "static_limits", "Static + LEM", "local market inside static limits: a better price without more export",
        static_limits={"export_kw": 1.5, "import_kw": 5.0, "energy_manager": True, "market": True},
    ),
    "ev_coordination:network_aware": _variant(
        "ev_coordination", "EV coordination", "an aggregator that knows the network schedules every EV",
        ev_coordination={"variant": "network_aware"},
    ),
    "ev_coordination:valley_filling": _variant(
        "ev_coordination", "Valley filling", "an aggregator flattens the feeder's load, blind to the network",
        ev_coordination={"variant": "valley_filling"},
    ),
    "price_based:transactive": _variant(
        "price_based", "Locational prices", "the DSO iterates locational prices until its limits hold",
        price_based={"variant": "transactive"},
    ),
    "price_based:time_of_use": _variant(
        "price_based", "Time of use", "energy managers follow the tariff, each for itself",
        price_based={"variant": "time_of_use"},
    ),
    "network_aware_p2p": _p2p("Checked P2P", "order book in which the DSO checks every trade"),
    "network_aware_p2p:price_ordered": _p2p(
        "P2P, by price", "the best offers arrive first, so that the same are refused", arrival="price_ordered"
    ),
    "network_aware_p2p:exact": _p2p("P2P, exact", "a power flow for every trade", check="exact"),
    "network_aware_p2p:exact_price_ordered": _p2p(
        "P2P, exact, by price", "a power flow for every trade, the best offers first",
        check="exact", arrival="price_ordered",
    ),
    "network_aware_p2p:peers_only": _p2p(
        "P2P, peers only", "only trades among peers are checked; of the rest as little as possible is curtailed",
        check_retail=False,
    ),
    "network_aware_p2p:fee": _p2p("P2P with fee", "every trade pays the DSO 0.02 per kWh", network_fee_per_kwh=0.02),
    "network_aware_p2p:decay": _p2p(
        "P2P, patience lost", "who is refused offers less often: by a fifth for every interval in a row", decay=0.2
    ),
    "doe": _doe("DOE", "dynamic operating envelopes, no local market"),
    "doe:corner": _doe("DOE, corner", "envelopes checked only with everybody at the limit", **_CORNER),
    "doe:robust": _doe("DOE, robust", "envelopes for every combination of uses, without a proof", safety="robust"),
    **_rules(),
    "doe_lem": _variant("doe_lem", "DOE-LEM", "local market inside dynamic operating envelopes"),
    "doe_lem:corner": _variant(
        "doe_lem", "DOE-LEM, corner", "local market inside envelopes checked only at the corners", envelope=_CORNER
    ),
    "doe_lem:k_double_auction": _lem(
        "DOE-LEM, one price", "periodic auction with one price for all", "k_double_auction"
    ),
    "doe_lem:mcafee": _lem("DOE-LEM, McAfee", "trade reduction: bidding the truth is best", "mcafee"),
    "doe_lem:continuous": _lem(
        "DOE-LEM, continuous", "order book, orders matched as they arrive", "continuous_double_auction"
    ),
    "doe_lem:mid_market_rate": _lem("DOE-LEM, mid-market", "midway between feed-in and retail", "mid_market_rate"),
    "doe_lem:supply_demand_ratio": _lem(
        "DOE-LEM, SDR", "price falls as supply grows against demand", "supply_demand_ratio"
    ),
    "doe_lem:bilateral": _lem(
        "DOE-LEM, bilateral", "partners negotiate with each other in rounds (ADMM)", "bilateral", method="admm"
    ),
    "doe_lem:bilateral_primal_dual": _lem(
        "Bilateral, primal-dual", "partners negotiate by a primal-dual method", "bilateral", method="primal_dual"
    ),
    "doe_lem:stable_matching": _lem("DOE-LEM, stable", "no pair would rather trade with each other", "stable_matching"),
    "doe_lem:network_checked": _lem(
        "DOE-LEM, checked", "inside envelopes the DSO is asked about every trade as well", "network_checked"
    ),
    "unconstrained": _variant(
        "unconstrained", "Unconstrained", "local market without any network limit: a bound on cost", bound=True
    ),
    "central_optimum": _variant(
        "central_optimum", "Central optimum", "one plan for all with perfect foresight: a bound on cost", bound=True
    ),
}  # fmt: skip
"""Every variant, in the order in which they are shown."""

REPRESENTATIVES: Mapping[str, str] = {
    "uncoordinated": "uncoordinated",
    "static_limits": "static_limits",
    "ev_coordination": "ev_coordination:network_aware",
    "price_based": "price_based:transactive",
    "network_aware_p2p": "network_aware_p2p",
    "doe": "doe",
    "doe_lem": "doe_lem",
}
"""What stands for a scheme where only the scheme is named."""


GROUPS: Mapping[str, tuple[str, ...]] = {
    "all": tuple(REPRESENTATIVES.values()),
    "everything": tuple(VARIANTS),
    "bounds": tuple(name for name, variant in VARIANTS.items() if variant.bound),
    "ablations": ("doe_lem", "doe", "static_limits:lem", "static_limits"),
    **{
        f"{scheme}:all": tuple(name for name, variant in VARIANTS.items() if variant.scheme == scheme)
        for scheme in REPRESENTATIVES
    },
}
"""Names for several variants at once. The ablations take from `doe_lem` its market, or its envelopes, or both."""


def chosen_variants(names: str | Sequence[str]) -> list[str]:
    """Return the variants that are meant, in the order of `VARIANTS`.

    Args:
        names: Names of variants, schemes or `GROUPS`, separated by commas or as a list.

    Raises:
        InputError: There is no such variant.
    """
    wanted = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
    chosen: set[str] = set()
    for name in filter(None, wanted):
        if name in GROUPS:
            chosen |= set(GROUPS[name])
        elif name in REPRESENTATIVES or name in VARIANTS:
            chosen.add(REPRESENTATIVES.get(name, name))
        else:
            nearest = nearest_of(name, [*VARIANTS, *GROUPS])
            hint = f"; did you mean {nearest}" if nearest else ""
            allowed = f"some of {', '.join([*GROUPS, *VARIANTS])}"
            raise InputError(f"There is no such scheme or variant{hint}.", key="schemes", value=name, allowed=allowed)
    if not chosen:
        raise InputError("No scheme is named.", key="schemes", value=names, allowed=f"{', '.join(GROUPS)}, or names")
    return [name for name in VARIANTS if name in chosen]


def folder_name(variant: str) -> str:
    """Return what a variant's folder is called: its name without what file systems do not take."""
    return variant.replace(":", "-")
