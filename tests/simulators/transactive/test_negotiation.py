"""Prices of the network's limits: none where nothing binds, and plans that heed them where something does."""

import numpy as np
import pytest

from feederloop.simulators.aggregator.network import NetworkRows
from feederloop.simulators.energy_manager.outlook import Beliefs, Outlook, Vehicles, look_ahead
from feederloop.simulators.energy_manager.planner import Planner
from feederloop.simulators.energy_manager.settings import Options, Sites
from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.transactive.negotiation import PriceNegotiation, Rules

INTERVALS, INTERVAL_S = 6, 1800.0
CHEAP = 2


@pytest.fixture(scope="module")
def street() -> PowerFlow:
    net = load_network("street_12", source_v_pu=1.0)
    return PowerFlow(Feeder.from_network(net, connection_points(net)))


@pytest.fixture(scope="module")
def sites() -> Sites:
    site = {
        "pv_kwp": 5.0, "inverter_kva": 5.0, "ev_capacity_kwh": 40.0, "ev_charge_kw": 7.0, "ev_discharge_kw": 0.0,
        "ev_efficiency": 1.0, "ev_wear_per_kwh": 0.05, "charger_min_kw": 1.4, "import_cap_kw": 14.0,
        "export_cap_kw": 10.0,
    }  # fmt: skip
    return Sites.from_dicts([{**site, "name": f"home_{i}"} for i in range(12)])


def outlook(sites: Sites, sun_kw: float, missing_kwh: float) -> Outlook:
    shape = (len(sites), INTERVALS)
    retail = np.full(INTERVALS, 0.5)
    retail[CHEAP] = 0.3
    feed_in = np.full(INTERVALS, 0.06)
    beliefs = Beliefs(np.full(shape, -1.0), np.full(shape, sun_kw), np.full(shape, 14.0), np.full(shape, 10.0))
    here = np.ones(len(sites), dtype=bool)
    leaves = np.full(len(sites), INTERVALS * INTERVAL_S)
    vehicles = Vehicles(np.full(len(sites), 10.0), here, leaves, np.full(len(sites), 10.0 + missing_kwh))
    starts = INTERVAL_S * np.arange(INTERVALS)
    return look_ahead(sites, beliefs, vehicles, (retail, feed_in), feed_in, starts, INTERVAL_S, 1e-3, 0.0)


def negotiation(street: PowerFlow, sites: Sites, limits: Limits, **rules: float) -> PriceNegotiation:
    planner = Planner(sites, INTERVALS, INTERVAL_S, Options().weights)
    return PriceNegotiation(planner, NetworkRows(street, limits), 0.5, Rules.from_dict(rules))


def q_kvar(sites: Sites) -> np.ndarray:
    return np.full((len(sites), INTERVALS), -0.3)


def test_where_nothing_binds_nothing_is_posted(street: PowerFlow, sites: Sites) -> None:
    agreement = negotiation(street, sites, Limits()).negotiate(0, outlook(sites, 0.0, 1.0), q_kvar(sites))
    assert agreement.rounds == 1
    assert not agreement.adder_per_kwh.any()
    assert agreement.position_kw[:, CHEAP] == pytest.approx(-3.0)


def test_charging_leaves_the_cheap_interval_as_far_as_the_network_asks(street: PowerFlow, sites: Sites) -> None:
    limits = Limits(v_min_v=227.0)
    ahead = outlook(sites, 0.0, 3.0)
    blind = negotiation(street, sites, limits, max_rounds=1).negotiate(0, ahead, q_kvar(sites))
    network = NetworkRows(street, limits)
    before = max(cut.excess_kw for cut in network.cuts(blind.position_kw, q_kvar(sites)))
    agreement = negotiation(street, sites, limits).negotiate(0, ahead, q_kvar(sites))
    after = max([0.0, *(cut.excess_kw for cut in network.cuts(agreement.position_kw, q_kvar(sites)))])
    assert before > 5.0
    assert after < 0.2 * before
    # Importing is dearer where it hurts: exporting would be paid for.
    assert agreement.adder_per_kwh[:, CHEAP].min() < -0.01
    assert (agreement.adder_per_kwh[:, CHEAP] <= 1e-9).all()
    # Everybody is served all the same.
    assert agreement.position_kw.sum() * 0.5 == pytest.approx(-12 * (3.0 + 3.0), abs=0.1)


def test_export_is_given_up_where_its_price_turns(street: PowerFlow, sites: Sites) -> None:
    agreement = negotiation(street, sites, Limits(v_max_v=234.0)).negotiate(0, outlook(sites, 5.0, 0.0), q_kvar(sites))
    assert agreement.adder_per_kwh[:, 0].max() > 0.06
    assert agreement.position_kw[:, 0].sum() < 12 * 4.0 - 1.0


def test_the_next_negotiation_begins_with_the_last_prices(street: PowerFlow, sites: Sites) -> None:
    patient = negotiation(street, sites, Limits(v_min_v=227.0))
    ahead = outlook(sites, 0.0, 3.0)
    first = patient.negotiate(0, ahead, q_kvar(sites))
    again = patient.negotiate(0, ahead, q_kvar(sites))
    assert again.adder_per_kwh[:, CHEAP].min() < -0.01
    assert again.rounds <= first.rounds


@pytest.mark.parametrize("rules", [{"max_rounds": 0}, {"step_per_kwh": 0.0}, {"tolerance_kw": -1.0}])
def test_rules_out_of_range_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(rules))):
        Rules.from_dict(rules)
