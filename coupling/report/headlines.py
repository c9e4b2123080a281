"""The figures at the top of a report: harms first, each held against its limit."""

from dataclasses import dataclass

from feederloop.coupling.report.figures import Figures
from feederloop.coupling.scenario.network import VUF_LIMIT_PERCENT

UNSERVED_LIMIT_SHARE = 0.01
"""A fleet that misses more of the energy it needs has been harmed."""


@dataclass(frozen=True)
class Card:
    """One figure.

    Attributes:
        group: Heading that it stands under.
        label: What it is.
        value: As shown, with unit.
        note: What it is held against, or how it comes about.
        section: Part of the page that shows more.
        verdict: `kept`, `near`, `violated`, or empty where there is no limit.
    """

    group: str
    label: str
    value: str
    note: str
    section: str
    verdict: str = ""

    @property
    def verdict_text(self) -> str:
        """The verdict in words."""
        return {"kept": "kept", "near": "near the limit", "violated": "violated"}.get(self.verdict, "")


def cards(facts: Figures, customers: int) -> list[Card]:
    """Return the cards of all figures that a run with so many customers has, harms first."""
    made = [*_harms(facts, customers), *_people(facts), *_trade(facts)]
    return [card for card in made if card is not None]


def _harms(facts: Figures, customers: int) -> list[Card | None]:
    return [
        _voltage(facts, customers),
        _loading(facts, "line", facts.limits.line_loading_percent),
        _loading(facts, "transformer", facts.limits.transformer_loading_percent),
        _unbalance(facts),
        _breach(facts),
    ]


def _voltage(facts: Figures, customers: int) -> Card | None:
    low, high = facts.figure("voltage.min_v"), facts.figure("voltage.max_v")
    outside = facts.figure("voltage.customer_violation_share")
    if low is None or high is None or outside is None:
        return None
    least, most = facts.limits.voltage_range_v
    # Standards judge by 10-minute means; a shorter excursion is worth a word, but keeps them.
    verdict = "violated" if outside > 0 else "near" if low < least or high > most else "kept"
    who = f"{round(outside * customers)} of {customers} customers outside"
    return Card(
        "Harms", "Voltage", f"{low:.1f}\u2013{high:.1f} V", f"{who} {least:g} to {most:g} V", "voltage", verdict
    )


def _loading(facts: Figures, kind: str, limit: float) -> Card | None:
    worst = facts.figure(f"congestion.max_{kind}_loading_percent")
    if worst is None:
        return None
    hours = facts.figure(f"congestion.{kind}_overload_hours") or 0.0
    verdict = "violated" if worst > limit else "near" if worst > 0.9 * limit else "kept"
    note = f"at most, limit {limit:g} %" + (f", {hours:.1f} h overloaded" if hours else "")
    return Card("Harms", f"{kind.capitalize()} loading", f"{worst:.1f} %", note, "loading", verdict)


def _unbalance(facts: Figures) -> Card | None:
    worst = facts.figure("phase_imbalance.max_vuf_percent")
    if worst is None:
        return None
    verdict = "kept" if worst <= VUF_LIMIT_PERCENT else "violated"
    return Card(
        "Harms",
        "Voltage unbalance",
        f"{worst:.2f} %",
        f"limit {VUF_LIMIT_PERCENT:g} % (EN 50160)",
        "unbalance",
        verdict,
    )


def _breach(facts: Figures) -> Card | None:
    share, kwh = facts.figure("envelope.breach_share"), facts.figure("envelope.breach_kwh")
    if share is None or kwh is None:
        return None
    note = f"of the time, {kwh:.1f} kWh outside"
    return Card("Harms", "Envelopes left", f"{100 * share:.2f} %", note, "envelopes")


def _people(facts: Figures) -> list[Card | None]:
    total, mean = facts.figure("cost.total"), facts.figure("cost.mean")
    unserved = facts.figure("ev.energy_not_served_share")
    curtailed, lost_kwh = facts.figure("pv.curtailed_share"), facts.figure("pv.curtailed_kwh")
    return [
        Card("People", "Total cost", f"{total:,.2f}", f"{mean:.2f} each on average", "bills")
        if total is not None and mean is not None
        else None,
        Card(
            "People",
            "EV energy not served",
            f"{100 * unserved:.1f} %",
            f"of what drivers need, limit {100 * UNSERVED_LIMIT_SHARE:g} %",
            "fleet",
            "kept" if unserved <= UNSERVED_LIMIT_SHARE else "violated",
        )
        if unserved is not None
        else None,
        Card("People", "PV curtailed", f"{100 * curtailed:.1f} %", f"{lost_kwh:.0f} kWh not produced", "feeder")
        if curtailed is not None and lost_kwh is not None
        else None,
    ]


def _trade(facts: Figures) -> list[Card | None]:
    traded, local = facts.figure("market.traded_kwh"), facts.figure("market.local_share")
    mean, std = facts.figure("price.mean_per_kwh"), facts.figure("price.std_per_kwh")
    imbalance = facts.figure("energy_imbalance.share_of_traded")
    note = "" if local is None else f"{100 * local:.0f} % of what was imported"
    return [
        Card("Market", "Traded between peers", f"{traded:,.0f} kWh", note, "market") if traded is not None else None,
        Card("Market", "Mean local price", f"{mean:.3f}", f"per kWh, standard deviation {std:.3f}", "market")
        if mean is not None and std is not None
        else None,
        Card("Market", "Deviation from trades", f"{100 * imbalance:.1f} %", "of the traded energy", "market")
        if imbalance is not None
        else None,
    ]
