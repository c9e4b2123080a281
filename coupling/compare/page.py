"""The comparison as one page that needs nothing else and can be mailed."""

from typing import Any

import numpy as np

from feederloop.coupling.compare.across import CENT
from feederloop.coupling.compare.comparison import Comparison
from feederloop.coupling.compare.market_gain import GOAL_SHARE, MarketGain
from feederloop.coupling.compare.measures import HARMS, Measure
from feederloop.coupling.compare.variants import VARIANTS
from feederloop.coupling.report.packing import json_for_script
from feederloop.coupling.report.shell import asset, policy, template

PACKAGE = "feederloop.coupling.compare"
BASIS = ("vendor/echarts.common.min.js", "time.js", "kit.js")
PANELS = (
    "voltage.customer_violation_share", "voltage.max_v", "voltage.min_v", "congestion.max_line_loading_percent",
    "congestion.max_transformer_loading_percent", "phase_imbalance.max_vuf_percent", "energy_imbalance.share_of_traded",
    "price.std_per_kwh",
)  # fmt: skip
"""The harms that are drawn, each in a panel of its own."""
FORGONE = (
    ("PV curtailed", "forgone.pv_curtailed_kwh"),
    ("EV energy not served", "forgone.ev_not_served_kwh"),
    ("trades refused", "forgone.blocked_kwh"),
)


def render(found: Comparison) -> str:
    """Return the page as text."""
    scripts = [*map(asset, BASIS), asset("charts.js", PACKAGE), asset("page.js")]
    styles = [asset("report.css"), asset("compare.css", PACKAGE), _heights(found)]
    panels = [measure for measure in found.measures if measure.key in PANELS]
    page: str = template("compare.html.j2", PACKAGE).render(
        title=found.scenario.title or found.scenario.name,
        name=found.scenario.name,
        seeds=found.seeds,
        verdicts=[_verdict(found, variant) for variant in found.variants],
        failures=[one for one in found.done if not one.complete],
        panels=panels,
        groups=_groups(found),
        gains=[_gain(gain) for gain in found.market_gains],
        goal=f"{100 * GOAL_SHARE:.0f}",
        variants=[(name, VARIANTS[name]) for name in found.variants],
        policy=policy(scripts, styles),
        styles=styles,
        scripts=scripts,
        refused=_refused(found)["names"],
        data=json_for_script(_data(found, panels)),
    )
    return page


def _data(found: Comparison, panels: list[Measure]) -> dict[str, Any]:
    return {
        "schemes": [VARIANTS[variant].title for variant in found.variants],
        "seeds": found.seeds,
        "panels": {measure.key: _panel(found, measure) for measure in panels},
        "forgone": {
            label: [_shown(found, variant, key, 1.0) for variant in found.variants]
            for label, key in FORGONE
        },
        "cost": [_costs(found, variant) for variant in found.variants],
        "gain": {
            "names": [VARIANTS[gain.variant].title for gain in found.market_gains],
            "values": [[round(value, 4) for value in sorted(gain.difference)] for gain in found.market_gains],
        },
        "refused": _refused(found),
    }  # fmt: skip


def _heights(found: Comparison) -> str:
    """Room for a bar or a strip of dots per scheme, however many there are."""
    rows, gains, refused = len(found.variants), len(found.market_gains), len(_refused(found)["names"])
    heights = {
        ".panel .plot": max(15.0, 4 + 1.45 * rows),
        ".plot.tall": max(16.0, 4 + 2.4 * rows),
        ".plot.gain": 6 + 3.2 * gains,
        ".plot.refused": 6 + 3.2 * refused,
    }
    return "".join(f"{selector} {{ height: {rem:g}rem; }}" for selector, rem in heights.items())


def _refused(found: Comparison) -> dict[str, Any]:
    """Share of each prosumer's trades that the DSO refused, in the schemes in which it is asked."""
    asked = {variant: found.refused_shares(variant) for variant in found.variants}
    asked = {variant: shares for variant, shares in asked.items() if shares}
    return {"names": [VARIANTS[variant].title for variant in asked], "values": list(asked.values())}


def _gain(gain: MarketGain) -> dict[str, Any]:
    """What is said of the market's worth in a scheme."""
    return {
        "title": VARIANTS[gain.variant].title,
        "reference": VARIANTS[gain.reference].title,
        "share": f"{100 * gain.no_worse_share:.1f}",
        "kept": gain.no_worse_share >= GOAL_SHARE,
        "mean": f"{abs(gain.difference.mean()):.2f} {'less' if gain.difference.mean() <= 0 else 'more'}",
        "worst": f"{gain.difference.max():.2f}",
        "reasons": [(name, f"{value:+.2f}") for name, value in gain.reasons.items() if abs(value) >= CENT / 2],
    }


def _panel(found: Comparison, measure: Measure) -> dict[str, Any]:
    estimates = [found.estimate(variant, measure.key) for variant in found.variants]
    return {
        "unit": measure.unit if measure.unit != "1" else "",
        "limits": measure.limits,
        "values": [_shown(found, variant, measure.key, measure.scale) for variant in found.variants],
        "half_widths": [
            None if one is None or one.half_width is None else one.half_width * measure.scale for one in estimates
        ],
        "broken": [found.keeps(variant, measure) is False for variant in found.variants],
    }


def _shown(found: Comparison, variant: str, key: str, scale: float) -> float | None:
    one = found.estimate(variant, key)
    return None if one is None else one.mean * scale


def _costs(found: Comparison, variant: str) -> list[float]:
    """Each prosumer's cost per day, of all seeds, the lowest first."""
    known = [found.people[variant, seed].cost for seed in found.seeds if (variant, seed) in found.people]
    costs = np.concatenate([one.to_numpy(float) for one in known]) if known else np.empty(0)
    return [round(float(cost), 4) for cost in np.sort(costs[np.isfinite(costs)])]


def _verdict(found: Comparison, variant: str) -> dict[str, Any]:
    """What a scheme's card says: how many harms it does, and what it costs."""
    broken = sorted(
        {measure.group for measure in found.measures if found.keeps(variant, measure) is False},
        key=lambda group: (group not in HARMS, group),
    )
    cost = found.estimate(variant, "comparison.cost_per_prosumer_day")
    return {
        "title": VARIANTS[variant].title,
        "word": "failed" if found.failures(variant) else "violated" if broken else "kept",
        "broken": broken,
        "cost": "" if cost is None else f"{cost.mean:.2f}",
        "bound": VARIANTS[variant].bound,
    }


def _groups(found: Comparison) -> list[dict[str, Any]]:
    """The whole table, by heading."""
    groups: list[dict[str, Any]] = []
    for measure in found.measures:
        if not groups or groups[-1]["title"] != measure.group:
            groups.append({"title": measure.group, "rows": []})
        best = found.best(measure)
        cells = [_cell(found, variant, measure, best=variant in best) for variant in found.variants]
        groups[-1]["rows"].append({"measure": measure, "cells": cells})
    return groups


def _cell(found: Comparison, variant: str, measure: Measure, *, best: bool) -> dict[str, Any]:
    value = found.estimate(variant, measure.key)
    if value is None:
        return {"text": "–", "interval": "", "kind": "none"}
    interval = "" if value.half_width is None else f"± {measure.shown(value.half_width)}"
    kind = "violated" if found.keeps(variant, measure) is False else "best" if best else ""
    return {"text": measure.shown(value.mean), "interval": interval, "kind": kind}
