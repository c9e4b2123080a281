"""Random low-voltage networks and boxes of use, to look for one in which something that was proven does not hold."""

from dataclasses import dataclass

import numpy as np
import pandapower as pp
import pandas as pd
from peers.networks import CHARGING, NO_CHARGING, SOURCE, TRANSFORMER, stiffened

from feederloop.simulators.envelope.box import Box

# ohm per km: positive sequence, zero sequence; ampacity in kA. From thick cable to a long thin overhead line.
CABLES = {
    "185 mm² cable": (0.166, 0.068, 0.58, 0.078, 0.308),
    "95 mm² cable": (0.322, 0.074, 0.804, 0.093, 0.211),
    "35 mm² service": (0.868, 0.092, 0.76, 0.092, 0.118),
    "50 mm² overhead": (0.64, 0.33, 0.90, 1.30, 0.17),
    "16 mm² overhead": (1.91, 0.36, 2.10, 1.45, 0.08),
}
_COLUMNS = ("r_ohm_per_km", "x_ohm_per_km", "r0_ohm_per_km", "x0_ohm_per_km", "max_i_ka")


@dataclass(frozen=True)
class Recipe:
    """What a random network and the box of uses on it are made from.

    Attributes:
        seed: Of everything that is drawn.
        feeders: How many trees hang on the transformer's busbar.
        joints: Joints per feeder.
        customers: Connection points in all.
        three_phase_share: Share of customers on three phases.
        passive_share: Share of customers who stay at their forecast.
        loops: Extra lines that close loops.
        span_m: Typical distance of joints; 30 in a street, 300 in the country.
        decoupled: Zero-sequence equal to positive-sequence impedances, so that phases of lines do not couple.
        charging: Lines have capacitance.
        vn_kv: Nominal voltage of the low-voltage buses; the transformer's own may differ.
        tap_pos: Of the transformer, in steps of 2.5 %.
        power_kw: Widest range of a customer to either side.
        q_kvar: Widest band of reactive power to either side.
    """

    seed: int
    feeders: int = 1
    joints: int = 4
    customers: int = 8
    three_phase_share: float = 0.0
    passive_share: float = 0.2
    loops: int = 0
    span_m: float = 60.0
    decoupled: bool = False
    charging: bool = False
    vn_kv: float = 0.4
    tap_pos: int = 0
    power_kw: float = 5.0
    q_kvar: float = 0.5


def network(recipe: Recipe) -> tuple[pp.pandapowerNet, pd.DataFrame]:
    """Return the network, behind a source that no unbalance moves, and its connection points."""
    rng = np.random.default_rng([recipe.seed, 1])
    net = pp.create_empty_network(sn_mva=0.1)
    source = pp.create_bus(net, 11.0)
    busbar = pp.create_bus(net, recipe.vn_kv)
    pp.create_ext_grid(net, source, vm_pu=float(rng.uniform(0.98, 1.03)), **SOURCE)
    # The transformer's own rating may differ from its buses': pandapower and its peers then have an off-nominal ratio.
    data = {**TRANSFORMER, "sn_mva": float(rng.choice([0.1, 0.25, 0.63])), "vn_lv_kv": float(rng.choice([0.4, 0.42]))}
    pp.create_transformer_from_parameters(net, source, busbar, tap_pos=recipe.tap_pos, **data)
    joints = [busbar]
    for _ in range(recipe.feeders):
        own = [busbar]
        for _ in range(recipe.joints):
            # Mostly a string, with branches now and then.
            parent = own[-1] if rng.random() < 0.7 else int(rng.choice(own))
            own.append(pp.create_bus(net, recipe.vn_kv))
            _add_line(net, recipe, rng, parent, own[-1], recipe.span_m)
        joints += own[1:]
    for _ in range(recipe.loops):
        ends = rng.choice(len(joints), 2, replace=False)
        _add_line(net, recipe, rng, joints[ends[0]], joints[ends[1]], 2 * recipe.span_m)
    buses, phases = [], []
    for _ in range(recipe.customers):
        bus = joints[int(rng.integers(1, len(joints)))]
        if rng.random() < 0.6:  # a service of its own; the others share the joint
            end = pp.create_bus(net, recipe.vn_kv)
            _add_line(net, recipe, rng, bus, end, 15.0)
            bus = end
        buses.append(bus)
        phases.append("abc" if rng.random() < recipe.three_phase_share else "abc"[rng.integers(3)])
    names = [f"customer {number}" for number in range(recipe.customers)]
    return stiffened(net), pd.DataFrame({"name": names, "bus": buses, "phase": phases})


def box(recipe: Recipe) -> Box:
    """Return a box of uses: ranges that mostly contain zero, some one-sided, some of passive customers."""
    rng = np.random.default_rng([recipe.seed, 2])
    count = recipe.customers
    low, high = -recipe.power_kw * rng.uniform(0, 1, count), recipe.power_kw * rng.uniform(0, 1, count)
    one_sided = rng.random(count) < 0.15
    low = np.where(one_sided, high * rng.uniform(0, 1, count), low)
    passive = rng.random(count) < recipe.passive_share
    middle = (low + high) / 2
    low, high = np.where(passive, middle, low), np.where(passive, middle, high)
    q = np.sort(recipe.q_kvar * rng.uniform(-1, 1, (2, count)), axis=0)
    q[1] = np.where(rng.random(count) < 0.3, q[0], q[1])
    return Box(low, high, q[0], q[1])


def _add_line(
    net: pp.pandapowerNet, recipe: Recipe, rng: np.random.Generator, start: int, stop: int, metres: float
) -> None:
    names = list(CABLES)[:3] if recipe.span_m < 150 else list(CABLES)
    cable = dict(zip(_COLUMNS, CABLES[str(rng.choice(names))], strict=True))
    if recipe.decoupled:
        cable["r0_ohm_per_km"], cable["x0_ohm_per_km"] = cable["r_ohm_per_km"], cable["x_ohm_per_km"]
    length_km = metres * float(rng.uniform(0.5, 1.5)) / 1e3
    shunt = CHARGING if recipe.charging else NO_CHARGING
    pp.create_line_from_parameters(net, start, stop, length_km=length_km, **cable, **shunt)
