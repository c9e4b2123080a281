"""Networks to run on: shipped ones by name, the user's own as pandapower JSON."""

import copy
import difflib
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks
import pandas as pd
from pandapower.topology import connected_component, create_nxgraph

from feederloop.simulators.errors import InputError

PHASES = ("a", "b", "c")
LOAD_TABLES = (
    "load",
    "asymmetric_load",
    "sgen",
    "asymmetric_sgen",
    "gen",
    "storage",
    "ward",
    "xward",
    "motor",
)

# Current ratings in kA of the European LV feeder's cables, whose data set has one value for all. The cross-section
# is inferred from the resistance (imperial sizes interpolated); ratings are those of DIN VDE 0276-603 for cable laid
# in ground, three loaded conductors: NYY for copper, NAYY for aluminium.
EUROPEAN_LV_AMPACITY_KA = {
    "2c_007": 0.044,  # 0.007 sq in copper, 4.5 mm²
    "2c_0225": 0.092,  # 0.0225 sq in copper, 14.5 mm²
    "2c_16": 0.098,  # 16 mm² copper
    "35_SAC_XSC": 0.118,  # 35 mm² aluminium service cable
    "4c_06": 0.163,  # 0.06 sq in copper, 39 mm²
    "4c_1": 0.218,  # 0.1 sq in copper, 65 mm²
    "4c_35": 0.424,  # 0.35 sq in copper, about 206 mm² by its resistance
    "4c_70": 0.176,  # 70 mm² aluminium
    "4c_95_SAC_XC": 0.211,  # 95 mm² aluminium
    "4c_185": 0.308,  # 185 mm² aluminium
}


def european_lv() -> pp.pandapowerNet:
    """Return the IEEE European LV test feeder (906 LV buses, 55 single-phase customers) with two corrections.

    Its transformer's zero-sequence magnetising impedance is made large, as a Dyn unit in OpenDSS has it: pandapower's
    bundled value is 0.13 V off. Its single placeholder ampacity is replaced by one per cable type.
    """
    net = pandapower.networks.ieee_european_lv_asymmetric("on_peak_566")
    net.trafo["mag0_percent"] = 1e6
    net.line["max_i_ka"] = net.line["std_type"].map(EUROPEAN_LV_AMPACITY_KA)
    # pandapower stops its unbalanced iteration at a mismatch relative to this base; 100 MVA would be 4 mV too coarse.
    net.sn_mva = 0.1
    _rename_points(net)
    return net


def street_12() -> pp.pandapowerNet:
    """Return a synthetic street: a 100 kVA transformer, 12 homes on alternating phases, 30 m apart, 12 m services."""
    net = pp.create_empty_network(name="street_12", sn_mva=0.1)
    source = pp.create_bus(net, 11.0, name="source", geodata=(0.0, 0.0))
    pp.create_ext_grid(net, source, s_sc_max_mva=200.0, rx_max=0.1, x0x_max=1.0, r0x0_max=0.1)
    busbar = pp.create_bus(net, 0.4, name="busbar", geodata=(10.0, 0.0))
    pp.create_transformer_from_parameters(
        net, source, busbar, sn_mva=0.1, vn_hv_kv=11.0, vn_lv_kv=0.4, vk_percent=4.0, vkr_percent=1.75, pfe_kw=0.2,
        i0_percent=0.3, shift_degree=30.0, vector_group="Dyn", vk0_percent=4.0, vkr0_percent=1.75, mag0_percent=1e6,
        mag0_rx=0.0, si0_hv_partial=0.9, tap_side="hv", tap_neutral=0, tap_min=-2, tap_max=2, tap_step_percent=2.5,
        tap_pos=0, tap_changer_type="Ratio",
    )  # fmt: skip
    # The European LV feeder's 95 mm² mains and 35 mm² service cable.
    columns = ("r_ohm_per_km", "x_ohm_per_km", "r0_ohm_per_km", "x0_ohm_per_km", "max_i_ka")
    mains = dict(zip(columns, (0.322, 0.074, 0.804, 0.093, 0.211), strict=True))
    service = dict(zip(columns, (0.868, 0.092, 0.760, 0.092, 0.118), strict=True))
    previous = busbar
    for home in range(12):
        x_m = 40.0 + 30.0 * home
        joint = pp.create_bus(net, 0.4, name=f"joint {home + 1}", geodata=(x_m, 0.0))
        end = pp.create_bus(net, 0.4, name=f"home {home + 1}", geodata=(x_m, 12.0 if home % 2 else -12.0))
        for start, stop, length_km, cable in ((previous, joint, 0.030, mains), (joint, end, 0.012, service)):
            pp.create_line_from_parameters(
                net, start, stop, length_km=length_km, c_nf_per_km=0.0, c0_nf_per_km=0.0, **cable
            )
        pp.create_asymmetric_load(net, end, **{f"p_{PHASES[home % 3]}_mw": 0.001})
        previous = joint
    _rename_points(net)
    return net


SHIPPED = {"european_lv": european_lv, "street_12": street_12}


def load_network(name_or_path: str | Path, *, feeders: int = 1, source_v_pu: float | None = None) -> pp.pandapowerNet:
    """Return the network of this name or file, with its low-voltage part repeated behind the transformer if asked.

    Args:
        name_or_path: A shipped network's name or the path of a pandapower JSON file.
        feeders: How many copies of the low-voltage network hang on the transformer's busbar, at least one.
        source_v_pu: Voltage of the external grid per unit of its bus; none leaves the network's own.

    Raises:
        InputError: No such network, a file that pandapower cannot read, or a network without zero-sequence data.
    """
    key = str(name_or_path)
    if key in SHIPPED:
        net = SHIPPED[key]()
    elif Path(key).suffix == ".json" and Path(key).is_file():
        try:
            net = pp.from_json(key, convert=False)
            if isinstance(net, pp.pandapowerNet):
                net = pp.convert_format(net)
        except Exception as error:
            raise InputError(f"pandapower cannot read this network ({error})", file=key) from error
        if not isinstance(net, pp.pandapowerNet):
            raise InputError("this JSON file is not a pandapower network", file=key)
    else:
        near = difflib.get_close_matches(key, SHIPPED, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"no such network{hint}",
            key="network",
            value=key,
            allowed=f"{', '.join(SHIPPED)} or the path of a pandapower JSON",
        )
    if feeders < 1:
        raise InputError("a transformer feeds at least one feeder", key="feeders", value=feeders, allowed="1 or more")
    if feeders > 1:
        net = repeat_feeder(net, feeders)
    if source_v_pu is not None:
        net.ext_grid["vm_pu"] = float(source_v_pu)
    return net


def connection_points(net: pp.pandapowerNet) -> pd.DataFrame:
    """Return the network's connection points, columns `name`, `bus`, `phase` (a, b, c or abc), from its loads.

    An asymmetric load is on the phases on which it draws; a balanced load is on all three.
    """
    rows: list[tuple[str, int, str]] = []
    for load in net.asymmetric_load.itertuples():
        drawn = [phase for phase in PHASES if getattr(load, f"p_{phase}_mw") or getattr(load, f"q_{phase}_mvar")]
        rows.append((str(load.name), int(load.bus), drawn[0] if len(drawn) == 1 else "abc"))
    rows.extend((str(load.name), int(load.bus), "abc") for load in net.load.itertuples())
    points = pd.DataFrame(rows, columns=["name", "bus", "phase"])
    if points["name"].duplicated().any() or points["name"].isin(["None", "nan", ""]).any():
        points["name"] = _point_names(len(points))
    return points


def without_loads(net: pp.pandapowerNet) -> pp.pandapowerNet:
    """Return a copy of the network without anything that draws or feeds in: that is up to the simulators.

    Shunts stay: a capacitor bank is part of the network.
    """
    bare = copy.deepcopy(net)
    for table in LOAD_TABLES:
        if table in bare and len(bare[table]):
            bare[table] = bare[table].iloc[0:0]
    return bare


def repeat_feeder(net: pp.pandapowerNet, feeders: int) -> pp.pandapowerNet:
    """Return the network with its low-voltage part `feeders` times behind the same transformer."""
    if len(net.trafo) != 1:
        raise InputError("feeders can be repeated behind exactly one transformer", key="feeders", value=feeders)
    result = copy.deepcopy(net)
    hv_bus, busbar = int(net.trafo.hv_bus.iloc[0]), int(net.trafo.lv_bus.iloc[0])
    graph = create_nxgraph(net, include_trafos=False, respect_switches=False, include_out_of_service=True)
    own = sorted(connected_component(graph, busbar))
    if hv_bus in own:
        raise InputError("a line bridges the transformer that feeds them", key="feeders", value=feeders)
    own.remove(busbar)
    lines = net.line[net.line["from_bus"].isin(own) | net.line["to_bus"].isin(own)]
    by_line, by_bus = net.switch["et"] == "l", net.switch["et"] == "b"
    at_line, at_bus = by_line & net.switch["element"].isin(lines.index), by_bus & net.switch["element"].isin(own)
    switches = net.switch[net.switch["bus"].isin(own) | at_line | at_bus]
    bus_step, line_step = int(net.bus.index.max()) + 1, int(net.line.index.max()) + 1
    for number in range(1, feeders):
        moved_bus = {bus: bus + number * bus_step for bus in own}
        moved_line = {line: line + number * line_step for line in lines.index}
        element = switches["element"].replace(moved_bus).mask(by_line, switches["element"].replace(moved_line))
        copies = {
            "bus": net.bus.loc[own].rename(index=moved_bus),
            "line": lines.replace({"from_bus": moved_bus, "to_bus": moved_bus}).rename(index=moved_line),
            "switch": switches.assign(bus=switches["bus"].replace(moved_bus), element=element),
        }
        for table in ("asymmetric_load", "load"):
            copies[table] = net[table][net[table]["bus"].isin(own)].replace({"bus": moved_bus})
        for table, moved in copies.items():
            result[table] = pd.concat([result[table], moved], ignore_index=table not in ("bus", "line"))
    _rename_points(result)
    return result


def ensure_zero_sequence(net: pp.pandapowerNet) -> list[str]:
    """Fill in zero-sequence data that the network lacks, in place, and return what was assumed.

    The vector group loses its clock number (Dyn5 becomes Dyn), which `shift_degree` has, too: standard types of
    pandapower have one, its unbalanced power flow knows groups without. Yzn keeps it and is refused: it needs own data.

    Cables: c0 = c, r0 = 4 r1 and x0 = x1, as four-core LV cable with the neutral as return has. Transformers: Dyn,
    vk0 = vk. External grid: 200 MVA of short-circuit power.
    """
    assumed = []
    line = net.line
    of_cable = {"r0_ohm_per_km": 4.0 * line["r_ohm_per_km"], "x0_ohm_per_km": line["x_ohm_per_km"]}
    if _fill(line, of_cable):
        assumed.append("lines have no zero-sequence impedance: assumed r0 = 4 r1, x0 = x1")
    if _fill(line, {"c0_nf_per_km": line["c_nf_per_km"]}) and line["c_nf_per_km"].any():
        assumed.append("lines have no zero-sequence capacitance: assumed c0 = c")
    trafo = net.trafo
    defaults = {"vk0_percent": trafo.get("vk_percent"), "vkr0_percent": trafo.get("vkr_percent"), "mag0_percent": 1e6,
                "mag0_rx": 0.0, "si0_hv_partial": 0.9}  # fmt: skip
    no_group, no_data = _fill(trafo, {"vector_group": "Dyn"}), _fill(trafo, defaults)
    if no_group or no_data:
        what = [*(["Dyn"] if no_group else []), *(["vk0 = vk"] if no_data else [])]
        assumed.append(f"transformers lack zero-sequence data: assumed {' with '.join(what)}")
    if "vector_group" in trafo:
        trafo["vector_group"] = trafo["vector_group"].astype(str).str.replace(r"^(Dyn|YNyn)\d+$", r"\1", regex=True)
    source = net.ext_grid
    grid = {"s_sc_max_mva": 200.0, "rx_max": 0.1, "x0x_max": 1.0, "r0x0_max": 0.1}
    known = source[source["in_service"].astype(bool)].reindex(columns=list(grid)).notna().all()
    _fill(source, grid)
    if not known.all():
        values = ", ".join(f"{column} = {grid[column]:g}" for column in grid if not known[column])
        assumed.append(f"the external grid has no short-circuit data: assumed {values}")
    return assumed


# Of lines and transformers in service: what is above zero, what is so or unknown, and what is any number.
_POSITIVE = {"line": ("length_km",), "trafo": ("sn_mva", "vn_hv_kv", "vn_lv_kv", "vk_percent")}
_POSITIVE_OR_EMPTY = {"line": ("max_i_ka", "df", "parallel"), "trafo": ("df", "parallel")}
_FINITE = {"line": ("r_ohm_per_km", "x_ohm_per_km"), "trafo": ("vkr_percent", "pfe_kw", "i0_percent")}
_VECTOR_GROUPS = ("Dyn", "YNyn", "Yzn")


def check_elements(net: pp.pandapowerNet) -> None:
    """Refuse lines and transformers in service with data that no such element has.

    Raises:
        InputError: A length, rating or impedance that cannot be; a vector group that pandapower's unbalanced power flow
            does not know.
    """
    for table in _POSITIVE:
        elements = net[table][net[table]["in_service"].astype(bool)]
        for columns, fits, allowed in (
            (_POSITIVE[table], lambda values: values > 0, "above 0"),
            (_POSITIVE_OR_EMPTY[table], lambda values: (values > 0) | np.isnan(values), "above 0, or empty"),
            (_FINITE[table], np.isfinite, "a number"),
        ):
            for column in (column for column in columns if column in elements):
                values = elements[column].astype(float)
                for index, value in values[~fits(values)].items():
                    raise InputError(f"is not possible for a {table}", key=f"{table} {index}.{column}", value=value,
                                     allowed=allowed)  # fmt: skip
    groups = net.trafo.get("vector_group", pd.Series(dtype=str))[net.trafo["in_service"].astype(bool)]
    for index, group in groups[~groups.isin(_VECTOR_GROUPS)].items():
        raise InputError("no unbalanced power flow for this vector group", key=f"trafo {index}.vector_group",
                         value=group, allowed=", ".join(_VECTOR_GROUPS))  # fmt: skip


def _fill(table: pd.DataFrame, defaults: dict[str, Any]) -> bool:
    """Fill in missing values only, in place; whether there were any."""
    missing = [column for column in defaults if len(table) and (column not in table or table[column].isna().any())]
    for column in missing:
        default = pd.Series(defaults[column], index=table.index)
        table[column] = table[column].where(table[column].notna(), default) if column in table else default
    return bool(missing)


def _point_names(count: int) -> list[str]:
    width = max(2, len(str(count)))
    return [f"home_{number:0{width}d}" for number in range(1, count + 1)]


def _rename_points(net: pp.pandapowerNet) -> None:
    net.asymmetric_load["name"] = np.array(_point_names(len(net.asymmetric_load)), dtype=object)
