"""The controller on the clock: what binds stays, customers out of reach fall back, nothing is published unproven."""

from typing import Any

import numpy as np
import pytest

from feederloop.simulators.envelope.outage import Outages
from feederloop.simulators.envelope.simulator import EnvelopeSimulator
from feederloop.simulators.grid.networks import connection_points, load_network

HORIZON, INTERVAL_S = 6, 1800
SITES = [
    {**row, "export_cap_kw": 10.0, "import_cap_kw": 14.0}
    for row in connection_points(load_network("street_12")).to_dict("records")
]
NAMES = [site["name"] for site in SITES]


def controller(**more: Any) -> EnvelopeSimulator:
    simulator = EnvelopeSimulator()
    limits = {"v_min_v": 216.2, "v_max_v": 253.0}
    simulator.init(
        "envelope", interval_s=INTERVAL_S, horizon=HORIZON, network="street_12", source_v_pu=1.0, limits=limits,
        **{"options": {"rule": "equal"}, **more},
    )  # fmt: skip
    simulator.create(len(SITES), "ConnectionPoint", sites=SITES)
    simulator.create(1, "Controller")
    return simulator


def told(
    demand_kw: float = 0.5, need_kw: float = 0.0, export_kw: float = 10.0, import_kw: float = 14.0
) -> dict[str, Any]:
    values = {
        "household_p_kw": -demand_kw, "household_p_low_kw": -2 * demand_kw, "household_q_kvar": -0.2 * demand_kw,
        "export_request_kw": export_kw, "import_request_kw": import_kw, "import_need_kw": need_kw,
    }  # fmt: skip
    return {name: {attr: {"x": [value] * HORIZON} for attr, value in values.items()} for name in NAMES}


def limits_of(simulator: EnvelopeSimulator) -> tuple[np.ndarray, np.ndarray]:
    data = simulator.get_data({name: ["export_limit_kw", "import_limit_kw"] for name in NAMES})
    return tuple(np.array([data[name][side] for name in NAMES]) for side in ("export_limit_kw", "import_limit_kw"))  # type: ignore[return-value]


def test_what_was_published_for_an_interval_holds_whatever_is_learnt_later() -> None:
    simulator = controller()
    simulator.step(0, told(), 0)
    export, load = limits_of(simulator)
    simulator.step(INTERVAL_S, told(demand_kw=2.0), 0)
    later_export, later_load = limits_of(simulator)
    assert (later_export[:, 0] == export[:, 1]).all()
    assert (later_load[:, 0] == load[:, 1]).all()
    assert not np.allclose(later_load[:, 1], load[:, 2])


def test_no_right_beyond_what_a_site_can_use_and_none_below_what_it_cannot_do_without() -> None:
    simulator = controller()
    simulator.step(0, told(demand_kw=0.4, export_kw=0.0, import_kw=1.0), 0)
    export, load = limits_of(simulator)
    assert (export == 0.0).all()
    assert (load <= 1.0 + 1e-9).all()
    assert (load >= 0.8 - 1e-9).all()


def test_energy_that_vehicles_need_before_they_leave_raises_the_import_floor() -> None:
    with_need, without = controller(), controller(energy_aware=False)
    for simulator in (with_need, without):
        simulator.step(0, told(demand_kw=0.4, need_kw=1.5, import_kw=3.0, export_kw=10.0), 0)
    assert limits_of(with_need)[1].min() >= 0.8 + 1.5 - 1e-6
    assert limits_of(without)[1].sum() <= limits_of(with_need)[1].sum() + 1e-6


def test_who_is_out_of_reach_gets_the_default_and_the_others_stay_proven_safe() -> None:
    simulator = controller(outage_share=0.4, outage_intervals=3, default_export_kw=1.5, default_import_kw=2.0, seed=3)
    seen = 0
    for k in range(8):
        simulator.step(k * INTERVAL_S, told(), 0)
        export, load = limits_of(simulator)
        offline = simulator._offline
        seen += offline.sum()
        if k:  # at the start nobody has a valid envelope yet
            assert (export[offline, 1] == 1.5).all()
            assert (load[offline, 1] == 2.0).all()
        assert simulator.get_data({"controller": ["certified"]})["controller"]["certified"]
    assert seen > 0


def test_nothing_is_certified_where_nothing_was_proven() -> None:
    simulator = controller(options={"rule": "equal", "safety": "robust"})
    simulator.step(0, told(), 0)
    row = simulator.get_data({"controller": ["certified", "v_max_v"]})["controller"]
    assert row["certified"] is False
    assert np.isnan(row["v_max_v"])


def test_outages_have_the_stated_share_and_length_and_do_not_depend_on_neighbours() -> None:
    names = [f"home_{i}" for i in range(40)]
    outages = Outages(names, seed=1, share=0.2, mean_intervals=5)
    seen = np.array([outages.advance() for _ in range(2000)])
    assert seen.mean() == pytest.approx(0.2, abs=0.02)
    begun = (seen[1:] & ~seen[:-1]).sum()
    assert seen.sum() / begun == pytest.approx(5, rel=0.1)
    alone = Outages(names[:1], seed=1, share=0.2, mean_intervals=5)
    assert [bool(alone.advance()[0]) for _ in range(50)] == seen[:50, 0].tolist()
    assert not Outages(names, seed=1).advance().any()
