"""A run in a few sentences, for somebody who has never seen one: harms, envelopes, cars, money."""

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.folding import FloatArray
from feederloop.coupling.report.money import CENT, cents
from feederloop.coupling.report.sections.loading import most_loaded
from feederloop.coupling.report.sections.voltage import where_and_when
from feederloop.coupling.report.standards import verdicts
from feederloop.simulators.errors import InputError

_SCHEMES = {
    "uncoordinated": "Nobody coordinated this day: every car charged as soon as it was plugged in, and every roof "
    "exported what it had. ",
    "static_limits": "Every home had the same fixed limits of export and import all day. ",
    "doe": "The network operator gave every home its own limits of export and import, anew for every interval. ",
    "doe_lem": "The network operator gave every home its own limits of export and import, anew for every interval, "
    "and homes traded with each other within these. ",
    "network_aware_p2p": "Homes traded with each other, and the network operator checked every trade. ",
    "ev_coordination": "An aggregator decided when every car charges. ",
    "price_based": "The network operator steered homes by prices that differ from place to place. ",
}
_GROUPS = (
    ("mean_no_device", "with neither PV nor EV"),
    ("mean_pv_only", "with PV only"),
    ("mean_ev_only", "with an EV only"),
    ("mean_pv_and_ev", "with both"),
)


def story(facts: Facts, reference: Facts | None = None) -> list[tuple[str, str]]:
    """Return questions with their answers, for as much as the run has figures for.

    Args:
        facts: The run.
        reference: The same homes without coordination.
    """
    otherwise = "without coordination" if reference is None else reference.manner
    told = (
        ("Was the feeder kept within its limits?", _harms(facts)),
        (f"What was it like {otherwise}?", _without(facts, reference)),
        ("What did the envelopes do?", _envelopes(facts)),
        ("Did the cars get what they needed?", _cars(facts)),
        ("Who paid what?", _money(facts, reference)),
    )
    return [(question, answer) for question, answer in told if answer]


def check_reference(facts: Facts, reference: Facts) -> None:
    """Refuse a reference of other homes.

    Raises:
        InputError: It has other prosumers, another start, length or seed.
    """
    for what, own, other in (
        ("prosumers", facts.names, reference.names),
        ("seed", facts.scenario.get("seed"), reference.scenario.get("seed")),
        ("start", facts.section("time").get("start"), reference.section("time").get("start")),
        ("length", facts.section("time").get("days"), reference.section("time").get("days")),
        ("network", facts.section("grid"), reference.section("grid")),
    ):
        if own != other:
            raise InputError(
                f"this run has not the same {what}, so that it says nothing of the other",
                file=reference.run.folder,
                key="--reference",
                allowed="a run of the same homes, network, start, length and seed",
            )


def _harms(facts: Facts) -> str:
    scheme = _SCHEMES.get(str(facts.scenario.get("scheme", "")), "")
    found = [one for one in verdicts(facts) if one.binding]
    if not found:
        return ""
    broken = [one for one in found if one.word == "violated"]
    volts = _voltages_of(facts)
    if not broken:
        worst = facts.figure("congestion.max_line_loading_percent")
        loaded = "" if worst is None else f" and no line was loaded above {worst:.0f} %"
        return f"Yes. {scheme}{volts}{loaded}."
    said = "; ".join(one.plain for one in broken)
    return f"No. {scheme}{volts}. Broken: {said}."


def _voltages_of(facts: Facts) -> str:
    low, high = facts.figure("voltage.min_v"), facts.figure("voltage.max_v")
    if low is None or high is None:
        return "Voltages were not recorded"
    least, most = facts.limits.voltage_range_v
    return f"Voltages were {low:.1f} to {high:.1f} V (limits {least:g} and {most:g} V)"


def _without(facts: Facts, reference: Facts | None) -> str:
    if reference is None:
        scheme, name = facts.scenario.get("scheme"), facts.scenario.get("name")
        if scheme is None or scheme == "uncoordinated":
            return ""
        return (
            f"That is a run of its own: feederloop run {name} --reference uncoordinated makes both and shows them "
            "here; feederloop report RUN --reference OTHER takes one that is there already."
        )
    stopped = "" if reference.run.status == "complete" else f"That run is {reference.run.status}. "
    broken = [one for one in verdicts(reference) if one.binding and one.word == "violated"]
    said = "; ".join(one.plain for one in broken)
    scheme = _SCHEMES.get(str(reference.scenario.get("scheme", "")), "")
    if not broken:
        return f"{stopped}{scheme}The same homes kept every limit then, too."
    when = f"{where_and_when(reference)} {most_loaded(reference, 'line')}".strip()
    return f"{stopped}{scheme}The same homes broke limits: {said}. {when}".rstrip()


def _envelopes(facts: Facts) -> str:
    line, export = facts.timeline, facts.by_interval("envelope", "export_limit_kw")
    imported = facts.by_interval("envelope", "import_limit_kw")
    if line is None or export is None or imported is None or not np.isfinite(export).any():
        return ""
    sums = [values[np.isfinite(values).all(axis=1)].sum(axis=1) for values in (export, imported)]
    if not all(len(values) for values in sums):
        return ""
    said = (
        f"Every {line.interval_s / 60:g} minutes each home was told how much it may export and import: together "
        f"{sums[0].min():.0f} to {sums[0].max():.0f} kW of export and {sums[1].min():.0f} to {sums[1].max():.0f} kW of "
        "import. No limit is above what a home said that it could come to want."
    )
    said += _proof(facts)
    breach, curtailed = facts.figure("envelope.breach_share"), facts.figure("pv.curtailed_share")
    if breach is not None:
        said += f" Homes were within their envelope in {100 * (1 - breach):.1f} % of the time."
    if curtailed is not None:
        lost = facts.figure("pv.curtailed_kwh") or 0.0
        said += f" The price: {100 * curtailed:.0f} % of what the sun offered ({lost:.0f} kWh) was not produced."
    return said


def _proof(facts: Facts) -> str:
    """What is proven of the envelopes, and what is not."""
    proven, certified = facts.figure("envelope.proven_max_v"), facts.figure("envelope.certified_share")
    if certified is None:
        return " That the network bears every use of them was not proven."
    if certified < 1:
        return f" That the network bears every use of them is proven for {100 * certified:.0f} % of intervals only."
    cost = facts.figure("envelope.proof_cost_share")
    said = f" Whatever homes had done within these, no voltage would have passed {proven:.1f} V"
    said += ": proven for every interval"
    return said + ("." if cost is None else f", which cost {100 * max(cost, 0.0):.2f} % of the limits.")


def _cars(facts: Facts) -> str:
    sessions, missing = facts.figure("ev.sessions"), facts.figure("ev.energy_not_served_kwh")
    needed = facts.figure("ev.energy_required_kwh")
    if not sessions or missing is None or needed is None:
        return ""
    if missing < 0.05:
        return f"Yes: {sessions:.0f} cars left, each with the energy it needed ({needed:.0f} kWh in all)."
    return f"Not quite: {sessions:.0f} cars left and lacked {missing:.1f} of the {needed:.0f} kWh that they needed."


def _money(facts: Facts, reference: Facts | None) -> str:
    paid = _paid(facts)
    if paid is None:
        return ""
    before = None if reference is None else _paid(reference)
    most, least = int(np.argmax(paid)), int(np.argmin(paid))
    groups = [
        f"{cents(money)}{_beside(reference, f'cost.{key}')} {who}"
        for key, who in _GROUPS
        if (money := facts.figure(f"cost.{key}")) is not None
    ]
    said = f"The {len(paid)} homes paid {cents(paid.sum())}"
    said += "" if before is None or reference is None else f" ({reference.manner} {cents(before.sum())})"
    said += f" in all, {cents(paid.mean())}" + ("" if before is None else f" ({cents(before.mean())})") + " on average"
    said += f": {', '.join(groups)}." if groups else "."
    said += f" {facts.names[most]} paid most ({cents(paid[most])}), {facts.names[least]} least ({cents(paid[least])})."
    said += "" if before is None or reference is None else _dearer(facts.names, paid - before, reference.manner)
    traded, price = facts.figure("market.traded_kwh"), facts.figure("price.mean_per_kwh")
    if traded and price is not None:
        said += f" {traded:.0f} kWh were sold from home to home, at {price:.3f} per kWh on average."
    return said


def _paid(facts: Facts) -> FloatArray | None:
    """What each prosumer paid in the run, [prosumers]; None where nothing was settled."""
    total = facts.by_interval("settlement", "total_money")
    return None if total is None or not facts.names else np.asarray(np.nansum(total, axis=0))


def _beside(reference: Facts | None, key: str) -> str:
    """The reference's figure in brackets, as money."""
    money = None if reference is None else reference.figure(key)
    return "" if money is None else f" ({cents(money)})"


def _dearer(names: list[str], more: FloatArray, manner: str) -> str:
    """Who pays more than in the reference, and how much."""
    count, worst = int((more >= CENT).sum()), int(np.argmax(more))
    if not count:
        return f" Nobody paid more than {manner}."
    return f" {count} paid more than {manner}, at most {cents(more[worst])} more ({names[worst]})."
