"""Sections of a scenario about the DSO's controller and the local market."""

from typing import Any, Literal

from feederloop.coupling.scenario.fields import NonNegative, Positive, Section, Text, quantity, section, setting


class Envelope(Section):
    """How the DSO's controller shares the feeder out."""

    rule: Literal["equal", "max_min", "proportional_fair", "max_total"] = setting(
        "proportional_fair",
        "How room is shared: equal (the same for all), max_min (raise the lowest as far as it goes, then the next), "
        "proportional_fair (greatest sum of logarithms) or max_total (greatest sum, whoever gets it)",
    )
    safety: Literal["robust"] = setting("robust", "robust: safe for every independent use of all limits together")
    export_weight: Positive = quantity(1.0, "1", "Weight of export when it competes with import")
    import_weight: Positive = quantity(1.0, "1", "Weight of import when it competes with export")
    default_export_kw: NonNegative = quantity(1.5, "kW", "Export limit of who has no valid envelope")
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
