"""Figures of the network: voltage, congestion, phase imbalance."""

import numpy as np
import pandas as pd

from feederloop.coupling.metrics.tables import Group, RunFacts, Tables, number, period_means, rows, share, total, wide
from feederloop.coupling.scenario.network import VUF_LIMIT_PERCENT

LOW_VOLTAGE_V = 1000.0
"""Upper bound of low voltage (IEC 60038); buses above it belong to the supplying network."""
AS_60038_V = (216.2, 253.0)


def voltage(tables: Tables, facts: RunFacts) -> Group:
    """Voltages phase to neutral at connection points (each at its own phase) and at buses.

    - min_v, max_v: extremes of the 5-min means at connection points;
      min_10min_v, max_10min_v: of the 10-min means, which standards judge by.
    - customer_violation_share: customers with any 10-min mean outside the scenario's limits, of all customers;
      customer_violation_share_as_60038: outside 216.2 to 253 V;
      customer_violation_share_0_95_to_1_05_pu: outside 5 % of nominal;
      customer_violation_share_en_50160: more than 5 % of the means outside 10 % of nominal, or any below -15 % or above
      +10 % (EN 50160 counts this over a week, here over the run).
    - violation_vh: volts outside the scenario's limits times hours, summed over customers, of 10-min means.
    - bus_min_v, bus_max_v: extremes over all low-voltage buses and phases, step by step.
    """
    names = (
        "min_v", "max_v", "min_10min_v", "max_10min_v", "customer_violation_share", "customer_violation_share_as_60038",
        "customer_violation_share_en_50160", "customer_violation_share_0_95_to_1_05_pu", "violation_vh",
    )  # fmt: skip
    group: Group = dict.fromkeys(names)
    points = rows(tables, "connection_point", "time", "prosumer", "v_v")
    if points is not None:
        steps = wide(points, "v_v")
        five, ten = period_means(steps, 300), period_means(steps, 600)
        low, high = facts.voltage_range_v
        outside_v = (low - ten).clip(lower=0) + (ten - high).clip(lower=0)
        group |= {
            "min_v": number(five.min(axis=None)),
            "max_v": number(five.max(axis=None)),
            "min_10min_v": number(ten.min(axis=None)),
            "max_10min_v": number(ten.max(axis=None)),
            "customer_violation_share": _share_outside(ten, facts.voltage_range_v),
            "customer_violation_share_as_60038": _share_outside(ten, AS_60038_V),
            "customer_violation_share_en_50160": _share_outside_en_50160(ten, facts.nominal_v),
            "customer_violation_share_0_95_to_1_05_pu": _share_outside(
                ten, (0.95 * facts.nominal_v, 1.05 * facts.nominal_v)
            ),
            "violation_vh": number(total(outside_v) * max(600, facts.step_s) / 3600.0),
        }
    return group | _bus_extremes(tables)


def congestion(tables: Tables, facts: RunFacts) -> Group:
    """Loading of lines and transformers, phase by phase, and losses.

    - max_line_loading_percent, max_transformer_loading_percent: the worst phase in any step.
    - overload_hours: time in which any branch was above its limit; line_overload_hours, transformer_overload_hours:
      summed over the branches of that kind.
    - losses_kwh: in lines and transformers; losses_share: of the energy fed in by the source and by exporting
      connection points.
    """
    group: Group = dict.fromkeys(
        (
            "max_line_loading_percent", "max_transformer_loading_percent", "overload_hours", "line_overload_hours",
            "transformer_overload_hours", "losses_kwh", "losses_share",
        )
    )  # fmt: skip
    phases = [f"loading_{phase}_percent" for phase in "abc"]
    branches = rows(tables, "grid_branch", "time", "branch", *phases)
    if branches is not None:
        loading = branches[phases].max(axis=1)
        is_transformer = branches["branch"].astype(str).str.startswith("trafo")
        over = pd.Series(False, index=branches.index)
        kinds = (("line", ~is_transformer, facts.line_limit_percent),
                 ("transformer", is_transformer, facts.transformer_limit_percent))  # fmt: skip
        for kind, chosen, limit in kinds:
            if chosen.any():
                over |= chosen & (loading > limit)
                group[f"max_{kind}_loading_percent"] = number(loading[chosen].max())
                group[f"{kind}_overload_hours"] = float((chosen & (loading > limit)).sum() * facts.step_h)
        group["overload_hours"] = float(branches["time"][over].nunique() * facts.step_h)
    grid = rows(tables, "grid", "time", "losses_kw", "p_source_kw")
    if grid is not None:
        losses_kwh = float(grid["losses_kw"].sum() * facts.step_h)
        group["losses_kwh"] = number(losses_kwh)
        points = rows(tables, "connection_point", "p_kw")
        if points is not None:
            fed_kw = grid["p_source_kw"].clip(lower=0).sum() + points["p_kw"].clip(lower=0).sum()
            group["losses_share"] = share(losses_kwh, float(fed_kw * facts.step_h))
    return group


def phase_imbalance(tables: Tables, facts: RunFacts) -> Group:
    """Voltage unbalance factor |V2| / |V1| of the buses.

    - max_vuf_percent: the worst bus in any step.
    - share_above_2_percent: of the 10-min means of all buses; worst_bus_share_above_2_percent: of the bus with most.
    - neutral_current_share: |I_a + I_b + I_c| of |I_a| + |I_b| + |I_c|, sums over all steps, of what all connection
      points together draw or feed in, as currents at equal voltages 120 degrees apart (losses aside).
    """
    group: Group = dict.fromkeys(
        (
            "max_vuf_percent", "share_above_2_percent", "worst_bus_share_above_2_percent", "neutral_current_share",
        )
    )  # fmt: skip
    group["neutral_current_share"] = _neutral_current_share(tables)
    buses = rows(tables, "grid_bus", "time", "bus", "vuf_percent")
    if buses is None or buses["vuf_percent"].isna().all():
        return group
    ten = period_means(wide(buses, "vuf_percent", column="bus"), 600)
    counted = ten.notna()
    above = (ten > VUF_LIMIT_PERCENT) & counted
    return group | {
        "max_vuf_percent": number(buses["vuf_percent"].max()),
        "share_above_2_percent": share(total(above), total(counted)),
        "worst_bus_share_above_2_percent": number((above.sum() / counted.sum()).max()),
    }


def _neutral_current_share(tables: Tables) -> float | None:
    points = rows(tables, "connection_point", "time", "prosumer", "p_kw", "q_kvar")
    people = rows(tables, "prosumer", "prosumer", "phase")
    if points is None or people is None:
        return None
    phase = points["prosumer"].map(people.set_index("prosumer")["phase"].astype(str))
    power = (points["p_kw"] - 1j * points["q_kvar"]).to_numpy()
    step = pd.factorize(points["time"])[0]
    currents = []
    for name, turn in zip("abc", np.exp(-2j * np.pi / 3 * np.arange(3)), strict=True):
        part = np.select([phase == name, phase == "abc"], [power, power / 3], 0.0) * turn
        currents.append(np.bincount(step, part.real) + 1j * np.bincount(step, part.imag))
    return share(float(np.abs(sum(currents)).sum()), float(np.abs(currents).sum()))


def _share_outside(means: pd.DataFrame, limits: tuple[float, float]) -> float | None:
    violated = ((means < limits[0]) | (means > limits[1])).any()
    return share(float(violated.sum()), len(violated))


def _share_outside_en_50160(means: pd.DataFrame, nominal_v: float) -> float | None:
    often = ((means < 0.9 * nominal_v) | (means > 1.1 * nominal_v)).sum() > 0.05 * means.notna().sum()
    ever = ((means < 0.85 * nominal_v) | (means > 1.1 * nominal_v)).any()
    return share(float((often | ever).sum()), len(often))


def _bus_extremes(tables: Tables) -> Group:
    phases = [f"v_{phase}_v" for phase in "abc"]
    buses = rows(tables, "grid_bus", *phases)
    if buses is None:
        return {"bus_min_v": None, "bus_max_v": None}
    volts = buses[phases].astype(float)
    volts = volts[volts.max(axis=1) <= LOW_VOLTAGE_V]
    if volts.empty:
        return {"bus_min_v": None, "bus_max_v": None}
    return {"bus_min_v": number(volts.min(axis=None)), "bus_max_v": number(volts.max(axis=None))}
