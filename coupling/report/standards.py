"""What standards ask of the network, what a run has come to, and whether that is kept."""

from dataclasses import dataclass

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.sections.section import Table
from feederloop.coupling.scenario.network import STANDARD_RANGES_V, VUF_LIMIT_PERCENT

_VOLTAGE = (
    ("as_60038", "AS 60038", "216.2 to 253 V (230 V -6 % to +10 %), every 10-minute mean"),
    ("en_50160", "EN 50160", "207 to 253 V (230 V ±10 %), 95 % of the 10-minute means"),
    ("0_95_to_1_05_pu", "0.95 to 1.05 pu", "218.5 to 241.5 V (230 V ±5 %), every 10-minute mean"),
)
VUF_SHARE = 0.05
"""EN 50160 lets the unbalance be above its limit in this share of the 10-minute means."""


@dataclass(frozen=True)
class Verdict:
    """One thing asked of the network.

    Attributes:
        standard: Who asks.
        asks: What for.
        found: What the run has come to.
        word: `kept` or `violated`.
        binding: Whether this run's scenario had to keep it.
        subject: What it is about, for those who do not know the standard.
    """

    standard: str
    asks: str
    found: str
    word: str
    binding: bool = True
    subject: str = ""

    @property
    def plain(self) -> str:
        """What the run has come to in a few words, with what is asked."""
        if not self.subject:
            return f"{self.standard[0].lower()}{self.standard[1:]} {self.found} ({self.asks} is asked)"
        return f"{self.subject} {self.found} ({self.standard} asks for {self.asks})"


def verdicts(facts: Facts) -> list[Verdict]:
    """Return a verdict for each standard that the run has figures for."""
    return [*_voltages(facts), *_unbalance(facts), *_loadings(facts)]


def verdict_table(facts: Facts, reference: Facts | None) -> Table | None:
    """Return the verdicts as a table, with those of a reference beside them where there is one."""
    found = verdicts(facts)
    if not found:
        return None
    beside = {} if reference is None else {one.standard: one for one in verdicts(reference)}
    rows = []
    for one in found:
        name = one.standard if one.binding else f"{one.standard} (not asked of this run)"
        other = beside.get(one.standard)
        compared = (
            ()
            if reference is None
            else (f"{'✗' if other.word == 'violated' else '✓'} {other.found}" if other else "–",)
        )
        rows.append((name, one.asks, *compared, one.found, one.word))
    other_title = () if reference is None else (reference.manner.capitalize(),)
    return Table(("Standard", "Asks for", *other_title, "Found", "Verdict"), rows)


def _voltages(facts: Facts) -> list[Verdict]:
    low, high = facts.figure("voltage.min_10min_v"), facts.figure("voltage.max_10min_v")
    span = "" if low is None or high is None else f"{low:.1f} to {high:.1f} V, "
    chosen = facts.limits.standard
    asked = [(key, name, text, f"voltage.customer_violation_share_{key}") for key, name, text in _VOLTAGE]
    if chosen not in STANDARD_RANGES_V:
        least, most = facts.limits.voltage_range_v
        text = f"{least:g} to {most:g} V, every 10-minute mean"
        asked.insert(0, (chosen, "This scenario's own", text, "voltage.customer_violation_share"))
    found, subject = [], "10-minute means of voltages were" if span else "voltages:"
    for key, name, text, figure in asked:
        share = facts.figure(figure)
        if share is not None:
            who = f"{span}{round(share * len(facts.names))} of {len(facts.names)} customers outside"
            found.append(Verdict(name, text, who, "violated" if share > 0 else "kept", key == chosen, subject))
    return found


def _unbalance(facts: Facts) -> list[Verdict]:
    worst = facts.figure("phase_imbalance.max_vuf_percent")
    if worst is None:
        return []
    share = facts.figure("phase_imbalance.worst_bus_share_above_2_percent") or 0.0
    asks = f"at most {VUF_LIMIT_PERCENT:g} % in 95 % of the 10-minute means"
    found = f"at most {worst:.2f} %" + (f", above in {100 * share:.1f} % of the time" if share else "")
    return [
        Verdict("Unbalance, EN 50160", asks, found, "violated" if share > VUF_SHARE else "kept", subject="unbalance")
    ]


def _loadings(facts: Facts) -> list[Verdict]:
    found = []
    for kind, limit in (
        ("line", facts.limits.line_loading_percent),
        ("transformer", facts.limits.transformer_loading_percent),
    ):
        worst = facts.figure(f"congestion.max_{kind}_loading_percent")
        if worst is not None:
            hours = facts.figure(f"congestion.{kind}_overload_hours") or 0.0
            text = f"at most {worst:.1f} %" + (f", overloaded for {hours:.1f} h" if hours else "")
            word = "violated" if worst > limit else "kept"
            found.append(Verdict(f"{kind.capitalize()} loading", f"at most {limit:g} % on any phase", text, word))
    return found
