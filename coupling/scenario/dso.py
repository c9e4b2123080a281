"""Sections of a scenario about the DSO's controller and the local market."""

from typing import Any, Literal

from feederloop.coupling.scenario.fields import NonNegative, Positive, Section, Share, Text, quantity, section, setting


class Envelope(Section):
    """How the DSO's controller shares the feeder out."""

    rule: Literal["equal", "max_min", "proportional", "proportional_fair", "alpha_fair", "max_total"] = setting(
        "proportional_fair",
        "How room is shared: equal (the same for all), max_min (raise the lowest as far as it goes, then the next), "
        "proportional (the same share of everybody's request), proportional_fair (greatest sum of logarithms), "
        "alpha_fair (between proportional_fair, alpha 1, and max_min, large alpha) or max_total (greatest sum, whoever "
        "gets it)",
    )
    alpha: Positive = quantity(2.0, "1", "Of the rule alpha_fair: how much the poorest count", le=20)
    safety: Literal["certified", "robust", "corner"] = setting(
        "certified",
        "certified: proven safe for every combination of independent uses, or tightened until it is; robust: allocated "
        "for every combination without a proof; corner: checked only with everybody at the limit, as in the "
        "literature, kept for comparison",
    )
    vuf_percent: Positive | None = quantity(
        None, "%", "Highest voltage unbalance factor that envelopes allow; left out, unbalance is not limited", le=100
    )
    export_weight: Positive = quantity(1.0, "1", "Weight of export when it competes with import")
    import_weight: Positive = quantity(1.0, "1", "Weight of import when it competes with export")
    energy_aware: bool = setting(
        True, "Whether import limits leave room for the energy that plugged vehicles need before they leave"
    )
    outage_share: Share = quantity(
        0.0, "1", "Share of time that a customer is out of reach; the others' limits stay safe all the same", lt=1
    )
    outage_intervals: Positive = quantity(4.0, "1", "How many intervals an outage lasts on average", ge=1)
    default_export_kw: NonNegative = quantity(
        1.5, "kW", "Export limit of who has no valid envelope; `feederloop check` tells where all at once are not safe"
    )
    default_import_kw: NonNegative = quantity(1.5, "kW", "Import limit of who has no valid envelope")
    voltage_margin_v: NonNegative = quantity(0.0, "V", "Distance that envelopes keep from the voltage limits", lt=50)


class Matching(Section):
    """How offers are paired and a price is formed."""

    mechanism: Text = setting(
        "k_double_auction",
        "Name of the mechanism: k_double_auction (periodic, one price for all, rationed pro rata at the margin), or "
        "one that an installed package registers in the entry point group feederloop.mechanisms",
        min_length=1,
    )
    options: dict[str, Any] = section(
        dict,
        "Options of the mechanism; of k_double_auction: k, where the price lies between the lowest (0) and the highest "
        "(1) that clears",
    )


class Settlement(Section):
    """What deviations cost."""

    imbalance_kappa_per_kwh: NonNegative = quantity(
        0.02, "money/kWh", "Distance of the imbalance price from the worse of local and retail price"
    )
    breach_price_per_kwh: NonNegative = quantity(0.5, "money/kWh", "Price of energy outside the envelope")
