"""Small networks with what the shipped ones lack: meshes, taps, charging cables, switches, three-phase customers."""

from itertools import pairwise

import pandapower as pp
from pandapower.toolbox import reindex_buses

MAINS = {"r_ohm_per_km": 0.32, "x_ohm_per_km": 0.075, "r0_ohm_per_km": 1.1, "x0_ohm_per_km": 0.12, "max_i_ka": 0.21}
NO_CHARGING = {"c_nf_per_km": 0.0, "c0_nf_per_km": 0.0}
CHARGING = {"c_nf_per_km": 410.0, "c0_nf_per_km": 260.0}
TRANSFORMER = {
    "sn_mva": 0.25, "vn_hv_kv": 11.0, "vn_lv_kv": 0.42, "vk_percent": 4.2, "vkr_percent": 1.3, "pfe_kw": 0.4,
    "i0_percent": 0.5, "shift_degree": 30.0, "vector_group": "Dyn", "vk0_percent": 4.2, "vkr0_percent": 1.3,
    "mag0_percent": 1e6, "mag0_rx": 0.0, "si0_hv_partial": 0.9, "tap_side": "hv", "tap_neutral": 0, "tap_min": -2,
    "tap_max": 2, "tap_step_percent": 2.5, "tap_changer_type": "Ratio",
}  # fmt: skip
SOURCE = {"s_sc_max_mva": 500.0, "rx_max": 0.1, "x0x_max": 1.0, "r0x0_max": 0.1}


def meshed(*, tap_pos: int = 0) -> pp.pandapowerNet:
    """Return a ring of six joints with a chord, one customer on each, the fourth and the last on three phases."""
    net = _substation(tap_pos=tap_pos)
    joints = [pp.create_bus(net, 0.4, name=f"joint {number}") for number in range(6)]
    ring = [1, *joints, 1]
    for start, stop in (*pairwise(ring), (joints[1], joints[4])):
        pp.create_line_from_parameters(net, start, stop, length_km=0.06, **MAINS, **NO_CHARGING)
    for number, joint in enumerate(joints):
        phases = "abc" if number in (3, 5) else "abc"[number % 3]
        powers = {f"p_{phase}_mw": 0.002 for phase in phases}
        pp.create_asymmetric_load(net, joint, name=f"customer {number}", **powers)
    return net


def everything() -> pp.pandapowerNet:
    """Return a network with a stepped tap, charging cables, parallel cables, spur out of service and three switches."""
    net = meshed(tap_pos=-1)
    joints = list(range(2, 8))
    net.line[list(CHARGING)] = list(CHARGING.values())
    net.line.loc[2, "parallel"] = 2
    # An open end leaves the cable charged from its other end; an open ring of two feeders is how LV is run.
    pp.create_switch(net, joints[4], 7, et="l", closed=False)
    pp.create_switch(net, joints[1], 2, et="l", closed=True)
    twin = pp.create_bus(net, 0.4, name="behind the coupler")
    pp.create_switch(net, joints[3], twin, et="b", closed=True)
    pp.create_asymmetric_load(net, twin, name="coupled", p_b_mw=0.003)
    dead = pp.create_bus(net, 0.4, name="dead spur")
    pp.create_line_from_parameters(net, twin, dead, length_km=0.05, in_service=False, **MAINS, **CHARGING)
    return net


def behind_medium_voltage_cable() -> pp.pandapowerNet:
    """Return a substation at the end of an 11 kV cable, two joints, a switch, and a balanced load at the second."""
    net = _substation(tap_pos=0)
    supply = pp.create_bus(net, 11.0, name="primary")
    net.ext_grid["bus"] = supply
    pp.create_line_from_parameters(net, supply, 0, length_km=2.0, **MAINS, **CHARGING)
    first, second, other = (pp.create_bus(net, 0.4, name=f"joint {number}") for number in range(3))
    for start, stop in ((1, first), (first, second), (first, other), (other, second)):
        pp.create_line_from_parameters(net, start, stop, length_km=0.08, **MAINS, **NO_CHARGING)
    pp.create_switch(net, second, 4, et="l", closed=False)
    pp.create_asymmetric_load(net, first, name="single", p_a_mw=0.002)
    pp.create_load(net, second, name="workshop", p_mw=0.006)
    return net


def compensated() -> pp.pandapowerNet:
    """Return the mesh with a capacitor bank at a joint, which is part of the network and no load."""
    net = meshed()
    pp.create_shunt(net, 4, q_mvar=-0.03, p_mw=0.0, name="capacitor bank")
    return net


def awkward() -> pp.pandapowerNet:
    """Return a network with odd bus numbers, derated leaky cables, two Dyn5 units in parallel and a weak source."""
    net = meshed()
    net.trafo[["shift_degree", "parallel", "df"]] = [150.0, 2, 0.9]
    net.trafo["tap_side"], net.trafo["tap_pos"] = "lv", 2
    net.line[["df", "g_us_per_km", "g0_us_per_km"]] = [0.8, 20.0, 10.0]
    net.ext_grid[["s_sc_max_mva", "x0x_max", "va_degree"]] = [5.0, 3.0, 20.0]
    reindex_buses(net, {bus: 7 * bus + 3 for bus in net.bus.index})
    net.line.index += 10
    return net


def two_transformers() -> pp.pandapowerNet:
    """Return a ring fed by two transformers side by side, one of them on another tap."""
    net = meshed()
    pp.create_transformer_from_parameters(net, 0, 1, tap_pos=1, **TRANSFORMER)
    return net


def stiffened(net: pp.pandapowerNet) -> pp.pandapowerNet:
    """Return the network with a source that no unbalance moves, in place.

    pandapower holds the positive-sequence voltage at the source and leaves the other sequences its short-circuit
    impedance; other engines have one impedance in all three. Where both are as good as zero, they say the same.
    """
    net.ext_grid["s_sc_max_mva"] = 1e7
    return net


def _substation(*, tap_pos: int) -> pp.pandapowerNet:
    net = pp.create_empty_network(sn_mva=0.1)
    source = pp.create_bus(net, 11.0, name="source")
    busbar = pp.create_bus(net, 0.4, name="busbar")
    pp.create_ext_grid(net, source, vm_pu=1.02, **SOURCE)
    pp.create_transformer_from_parameters(net, source, busbar, tap_pos=tap_pos, **TRANSFORMER)
    return net
