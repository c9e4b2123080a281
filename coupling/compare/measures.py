"""Which figures schemes are compared by, harms first, and what is better."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from feederloop.coupling.report.headlines import UNSERVED_LIMIT_SHARE
from feederloop.coupling.scenario.network import VUF_LIMIT_PERCENT, Limits

Better = Literal["low", "high", ""]
HARMS = ("Voltage", "Congestion", "Phase imbalance", "Energy imbalance", "Price fluctuation")


@dataclass(frozen=True)
class Measure:
    """A row of the comparison.

    Attributes:
        group: Heading that it stands under.
        key: Dotted path of the figure.
        label: What it is.
        unit: Its unit; a share whose unit is `%` is shown as percent.
        better: Whether low or high is better; empty where neither is.
        low: Lowest value that keeps the limits.
        high: Highest value that keeps them.
        note: How it comes about, where the label does not say.
    """

    group: str
    key: str
    label: str
    unit: str = ""
    better: Better = "low"
    low: float = -math.inf
    high: float = math.inf
    note: str = ""

    @property
    def scale(self) -> float:
        """What a value is multiplied with to be shown."""
        is_share = "share" in self.key or "probability" in self.key or self.key == "blocking.rate"
        return 100.0 if self.unit == "%" and is_share else 1.0

    @property
    def limits(self) -> list[float]:
        """The limits as they are shown."""
        return [value * self.scale for value in (self.low, self.high) if math.isfinite(value)]

    def shown(self, value: float) -> str:
        """Return a value as it is shown, without its unit."""
        scaled = value * self.scale
        if self.unit in ("", "1") and float(scaled).is_integer():
            return f"{scaled:,.0f}"
        places = 1 if abs(scaled) >= 100 else 3 if self.unit == "per kWh" else 2
        return f"{scaled:,.{places}f}".replace("-0.00", "0.00") if abs(scaled) < 0.005 else f"{scaled:,.{places}f}"

    def keeps(self, value: float) -> bool:
        """Whether a value keeps the limits; rounding of the last digits does not break one."""
        return self.low - 1e-9 <= value <= self.high + 1e-9


def measures(limits: Limits) -> list[Measure]:
    """Return the rows of the comparison.

    Args:
        limits: What the network has to keep.
    """
    low_v, high_v = limits.voltage_range_v
    return [*_harms(limits, low_v, high_v), *_people(), *_exchange()]


def _harms(limits: Limits, low_v: float, high_v: float) -> list[Measure]:
    voltage, congestion, phases, energy, price = HARMS
    line, transformer = limits.line_loading_percent, limits.transformer_loading_percent
    return [
        Measure(voltage, "voltage.customer_violation_share", "Customers outside limits", "%", high=0.0),
        Measure(voltage, "voltage.max_v", "Highest voltage", "V", "", high=high_v),
        Measure(voltage, "voltage.min_v", "Lowest voltage", "V", "", low=low_v),
        Measure(voltage, "voltage.violation_vh", "Outside limits", "V·h"),
        Measure(voltage, "voltage.customer_violation_share_en_50160", "Customers outside EN 50160", "%"),
        Measure(voltage, "voltage.customer_violation_share_0_95_to_1_05_pu", "Customers outside 0.95–1.05 pu", "%"),
        Measure(congestion, "congestion.max_line_loading_percent", "Line loading", "%", high=line),
        Measure(congestion, "congestion.max_transformer_loading_percent", "Transformer loading", "%", high=transformer),
        Measure(congestion, "congestion.overload_hours", "Overloaded", "h", high=0.0),
        Measure(congestion, "congestion.losses_kwh", "Losses", "kWh"),
        Measure(congestion, "congestion.losses_share", "Losses, of what is taken in", "%"),
        Measure(phases, "phase_imbalance.max_vuf_percent", "Worst unbalance", "%", high=VUF_LIMIT_PERCENT),
        Measure(
            phases, "phase_imbalance.worst_bus_share_above_2_percent", "Time above 2 %, worst bus", "%", high=0.05,
            note="EN 50160 allows 5 % of a week",
        ),
        Measure(phases, "phase_imbalance.neutral_current_share", "Neutral current, of phase currents", "%"),
        Measure(energy, "energy_imbalance.share_of_traded", "Deviation from trades", "%"),
        Measure(energy, "energy_imbalance.position_error_share", "Deviation from plans", "%"),
        Measure(price, "price.mean_per_kwh", "Price, mean by volume", "per kWh", ""),
        Measure(price, "price.std_per_kwh", "Price, standard deviation", "per kWh"),
        Measure(price, "price.mean_abs_change_per_kwh", "Price, mean change", "per kWh"),
        Measure(price, "price.dispersion_per_kwh", "Price, spread within an interval", "per kWh"),
    ]  # fmt: skip


def _people() -> list[Measure]:
    blocked, lost, cost, ev = "Blocked trades", "Forgone energy", "Cost and fairness", "EV service"
    return [
        Measure(blocked, "blocking.rate", "Refused, of all tried", "%"),
        Measure(blocked, "blocking.refused_kwh", "Refused energy", "kWh"),
        Measure(blocked, "blocking.gini", "Gini of refusals"),
        Measure(blocked, "blocking.longest_run", "Longest run", "intervals"),
        Measure(blocked, "blocking.never_blocked_share", "Never blocked", "%", "high"),
        Measure(lost, "forgone.pv_curtailed_kwh", "PV curtailed", "kWh"),
        Measure(lost, "pv.curtailed_share", "PV curtailed", "%"),
        Measure(lost, "energy.exported_kwh", "Exported", "kWh", ""),
        Measure(lost, "energy.feeder_self_consumption", "Own use on the feeder", "1", "high"),
        Measure(lost, "energy.feeder_self_sufficiency", "Own supply of the feeder", "1", "high"),
        Measure(
            cost, "comparison.cost_per_prosumer_day", "Cost per prosumer and day", "",
            note="bill and battery wear, less the value of what vehicles have got beyond need",
        ),
        Measure(cost, "comparison.above_optimum_per_prosumer_day", "… above the optimum", ""),
        Measure(cost, "comparison.worse_off_than_uncoordinated_share", "Worse off than uncoordinated", "%"),
        Measure(cost, "comparison.worse_off_than_time_of_use_share", "Worse off than time of use", "%"),
        Measure(cost, "comparison.worse_off_than_doe_share", "Worse off than DOE", "%"),
        Measure(cost, "comparison.no_worse_with_market_share", "No worse than without the market", "%", "high"),
        Measure(cost, "fairness.cost_range", "Dearest less cheapest bill", ""),
        Measure(cost, "fairness.cost_gini", "Gini of bills", "1"),
        Measure(cost, "fairness.export_jain", "Jain, export limits", "1", "high"),
        Measure(cost, "fairness.export_gini", "Gini, export limits", "1"),
        Measure(cost, "fairness.export_min_to_mean", "Lowest to mean export limit", "1", "high"),
        Measure(
            cost, "comparison.least_served", "Least served roof, of its sun", "1", "high",
            note="what whoever lost most could still use or sell of what the sun allowed",
        ),
        Measure(
            cost, "comparison.location_bias", "Location bias", "1", "",
            note="rank correlation of what of each roof's energy was lost with how much its own export lifts its "
            "voltage; 0 is none",
        ),
        Measure(cost, "comparison.price_of_fairness_share", "Price of fairness", "%"),
        Measure(ev, "ev.energy_not_served_share", "Energy not served", "%", high=UNSERVED_LIMIT_SHARE),
        Measure(ev, "ev.departures_short_share", "Departures short by > 5 %", "%"),
        Measure(ev, "ev.cycles", "Battery cycles", "1"),
    ]  # fmt: skip


def _exchange() -> list[Measure]:
    allowed, envelope, privacy, work = "Envelopes", "Envelopes under stress", "Privacy and messages", "Compute"
    return [
        Measure(allowed, "envelope.export_limit_kwh_per_day", "Export allowed, all homes", "kWh a day", "high"),
        Measure(allowed, "envelope.import_limit_kwh_per_day", "Import allowed, all homes", "kWh a day", "high"),
        Measure(allowed, "envelope.export_utilisation", "Export used, of what is allowed", "1", ""),
        Measure(allowed, "envelope.import_utilisation", "Import used, of what is allowed", "1", ""),
        Measure(allowed, "envelope.breach_share", "Left by customers", "%"),
        Measure(envelope, "stress.random_violation_probability", "Broken by random corners", "%", high=0.0),
        Measure(envelope, "stress.trade_violation_probability", "Broken by balanced trades", "%", high=0.0),
        Measure(envelope, "stress.phase_trade_violation_probability", "Broken by trades between phases", "%", high=0.0),
        Measure(envelope, "stress.adversary_violation_probability", "Broken by an adversary", "%", high=0.0),
        Measure(privacy, "privacy.fields", "Fields disclosed", ""),
        Measure(privacy, "privacy.numbers_per_interval", "Numbers per prosumer, interval", ""),
        Measure(privacy, "exchange.rounds_mean", "Rounds per interval", "1"),
        Measure(privacy, "exchange.messages_per_interval", "Messages per interval", "1"),
        Measure(privacy, "privacy.bytes_per_interval", "Bytes per prosumer, interval", ""),
        Measure(privacy, "exchange.fell_back_share", "Negotiations without agreement", "%"),
        Measure(work, "compute.interval_p50_s", "Per interval, median", "s"),
        Measure(work, "compute.interval_p95_s", "Per interval, 95th percentile", "s"),
        Measure(work, "compute.wall_s", "Computing time", "s"),
        Measure(work, "compute.power_flows", "Power flows", ""),
    ]


def looked_up(summary: Mapping[str, Any], key: str) -> float | None:
    """Return a number of a summary by its dotted path, None where there is none."""
    value: Any = summary
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None
