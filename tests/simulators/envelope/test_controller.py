from dataclasses import replace

import numpy as np
import pytest
from peers import adversary
from peers.networks import meshed, stiffened
from peers.random_feeders import Recipe, network

from feederloop.simulators.envelope.allocation import RULES
from feederloop.simulators.envelope.box import Box, Interval, Limits
from feederloop.simulators.envelope.certificate import Certifier
from feederloop.simulators.envelope.controller import EnvelopeController, Options
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow

NET = stiffened(load_network("street_12"))
POINTS = connection_points(NET)
STREET = PowerFlow(Feeder.from_network(NET, POINTS))
COUNT = len(POINTS)


def interval(**changes) -> Interval:
    ones = np.ones(COUNT)
    standard = Interval(-0.5 * ones, -0.2 * ones, 0.1 * ones, ones > 0, 8 * ones, 12 * ones, 0.5 * ones, 0 * ones)
    return replace(standard, **changes)


def publish(given: Interval, limits: Limits | None = None, **options):
    return EnvelopeController(STREET, limits or Limits(), Options(**options)).publish(given)


@pytest.mark.parametrize("rule", RULES)
def test_limits_stay_within_caps_and_leave_inflexible_demand(rule):
    caps = np.linspace(0.0, 8.0, COUNT)
    active = np.arange(COUNT) % 4 > 0
    published = publish(interval(export_cap_kw=caps, active=active), rule=rule)
    assert published.certificate is not None
    assert published.certificate.certified
    assert not published.floor_cut
    assert (published.export_limit_kw <= np.where(active, caps, 0.0) + 1e-9).all()
    assert (published.import_limit_kw <= 12.0 + 1e-9).all()
    assert (published.import_limit_kw[active] >= 0.5 - 1e-9).all()
    assert (published.export_limit_kw >= 0.0).all()
    assert not published.import_limit_kw[~active].any()


def test_demand_that_does_not_fit_is_cut_and_said_so():
    published = publish(interval(import_floor_kw=np.full(COUNT, 12.0)), Limits(v_min_v=227.0))
    assert published.floor_cut
    assert published.certificate is not None
    assert published.certificate.certified


def test_a_box_too_wide_for_the_proof_is_narrowed_and_says_how_loose_the_proof_is():
    controller, wide = wide_mesh()
    published, power_flow, limits = controller.publish(wide), controller.power_flow, controller.limits
    certificate = published.certificate
    assert certificate is not None
    assert certificate.certified
    assert not published.floor_cut
    box = Box.of(wide, published.export_limit_kw, published.import_limit_kw)
    count = len(wide.p_kw)
    corners = (np.arange(2**count) >> np.arange(count)[:, None]) & 1
    p_kw = np.where(corners, box.p_high_kw[:, None], box.p_low_kw[:, None])
    engine = adversary.OwnEngine(power_flow.feeder)
    highest, *_ = adversary.kinds(engine)
    worst_v = engine.evaluate(p_kw, np.zeros(p_kw.shape))[highest].max()
    assert certificate.v_max_v > limits.v_max_v - 1.0
    assert certificate.v_max_v - certificate.looseness_v - 1e-4 <= worst_v <= certificate.v_max_v


def test_room_that_one_interval_needed_is_not_kept_from_all_that_follow():
    controller, wide = wide_mesh()
    narrow = replace(wide, import_cap_kw=wide.import_cap_kw / 100)
    fresh = controller.publish(narrow)
    controller.forget()
    assert controller.publish(wide).proof_cost_kw > 0.05 * fresh.export_limit_kw.sum()
    published = [controller.publish(narrow) for _ in range(6)]
    assert all(one.certificate is not None and one.certificate.certified for one in published)
    exports = [one.export_limit_kw.sum() for one in published]
    assert exports[0] < 0.97 * fresh.export_limit_kw.sum()
    assert exports[-1] == pytest.approx(fresh.export_limit_kw.sum(), rel=2e-3)


def test_what_cannot_be_proven_at_all_teaches_nothing():
    controller = EnvelopeController(STREET, Limits(), Options())
    expected = controller.publish(interval()).export_limit_kw.sum()
    some = np.arange(COUNT) % 2 == 0
    controller.forget()
    hopeless = controller.publish(interval(active=some, p_kw=np.where(some, 0.0, 18.0)))
    assert hopeless.certificate is not None
    assert not hopeless.certificate.certified
    assert controller.publish(interval()).export_limit_kw.sum() == pytest.approx(expected, rel=2e-3)


def wide_mesh() -> tuple[EnvelopeController, Interval]:
    """With customers on three phases, who may use so much that their worst use is hard to prove."""
    net = meshed()
    points = connection_points(net)
    power_flow, nothing = PowerFlow(Feeder.from_network(net, points)), np.zeros(len(points))
    limits = Limits(v_max_v=258.0, line_loading_percent=300.0, transformer_loading_percent=300.0)
    wide = Interval(nothing, nothing, nothing, nothing < 1, nothing + 200, nothing + 200, nothing + 0.5, nothing)
    return EnvelopeController(power_flow, limits, Options()), wide


def test_passive_customers_who_break_a_limit_alone_are_blamed():
    everybody = interval(active=np.zeros(COUNT, dtype=bool), p_kw=np.full(COUNT, -15.0))
    published = publish(everybody)
    assert published.certificate is not None
    assert not published.certificate.certified
    assert published.blame
    assert not published.export_limit_kw.any()


@pytest.mark.parametrize("rule", RULES)
def test_what_was_published_before_never_makes_an_envelope_unsafe(rule):
    """The controller keeps what it learned; each of its envelopes is proven and attacked on its own."""
    controller = EnvelopeController(STREET, Limits(), Options(rule=rule))
    certifier, engine = Certifier(STREET, Limits()), adversary.OwnEngine(STREET.feeder)
    rng = np.random.default_rng(5)
    for _ in range(5):
        given = interval(
            export_cap_kw=rng.uniform(0, 12, COUNT),
            import_cap_kw=rng.uniform(1, 20, COUNT),
            active=rng.random(COUNT) < 0.8,
            p_kw=rng.uniform(-3, 2, COUNT),
            uncertainty_kw=rng.uniform(0, 0.5, COUNT),
        )
        published = controller.publish(given)
        uses = Box.of(given, published.export_limit_kw, published.import_limit_kw)
        assert published.certificate is not None
        assert published.certificate.certified
        assert certifier.certify(uses).certified
        found = adversary.attack(engine, uses, POINTS["phase"])
        assert found.v_max_v <= 253.0 + 1e-6
        assert found.v_min_v >= 216.2 - 1e-6
        assert found.loading_percent <= 100.0 + 1e-4


def test_envelopes_checked_only_with_everybody_at_the_limit_are_refuted():
    net = stiffened(load_network("european_lv", source_v_pu=1.0))
    points = connection_points(net)
    power_flow = PowerFlow(Feeder.from_network(net, points))
    ones = np.ones(len(points))
    given = Interval(-0.5 * ones, 0 * ones, 0 * ones, ones > 0, 5 * ones, 0 * ones, 0 * ones, 0 * ones)
    published = EnvelopeController(power_flow, Limits(), Options(rule="equal", safety="corner")).publish(given)
    uses = Box.of(given, published.export_limit_kw, published.import_limit_kw)
    assert not Certifier(power_flow, Limits()).certify(uses).certified
    assert adversary.attack(adversary.OwnEngine(power_flow.feeder), uses, points["phase"], rounds=3).v_max_v > 254.0


def test_where_phases_do_not_couple_the_proof_costs_nothing():
    net, points = network(Recipe(3, customers=9, decoupled=True, span_m=90.0, passive_share=0.0))
    power_flow = PowerFlow(Feeder.from_network(net, points))
    ones = np.ones(9)
    given = Interval(-0.5 * ones, 0 * ones, 0 * ones, ones > 0, 9 * ones, 9 * ones, 0 * ones, 0 * ones)
    # Currents are bounded by a polygon, which costs half a percent where they bind: that is another matter.
    limits = Limits(line_loading_percent=1e6, transformer_loading_percent=1e6)
    published = EnvelopeController(power_flow, limits, Options(rule="equal")).publish(given)
    assert published.certificate is not None
    assert published.certificate.certified
    assert published.certificate.looseness_v < 1e-3
    assert published.proof_cost_kw <= 2e-3 * (published.export_limit_kw.sum() + published.import_limit_kw.sum())


def test_unknown_rules_and_limits_without_room_are_refused():
    with pytest.raises(InputError, match="rule"):
        EnvelopeController(STREET, Limits(), Options(rule="fairest"))
    with pytest.raises(InputError, match="room"):
        EnvelopeController(STREET, Limits(v_min_v=253.0), Options())


@pytest.mark.parametrize("percent", [40.0, 60.0])
def test_currents_are_shared_out_by_what_they_are_where_most_flows(percent):
    """Customers of other phases act on a current only where much flows: by slopes of the middle, 1 % was missed."""
    limits = Limits(transformer_loading_percent=percent, line_loading_percent=1e3)
    given = interval(export_cap_kw=np.full(COUNT, 30.0), import_cap_kw=np.full(COUNT, 30.0))
    published = publish(given, limits, safety="robust")
    box = Box.of(given, published.export_limit_kw, published.import_limit_kw)
    found = adversary.attack(adversary.OwnEngine(STREET.feeder), box, POINTS["phase"], rounds=6, rows_each=3)
    is_trafo = np.array([name.startswith("trafo") for name in STREET.feeder.branches.names])
    worst = STREET.branch_loading_percent(STREET.solve(found.p_kw, found.q_kvar).current)[is_trafo].max()
    assert worst == pytest.approx(percent, abs=0.02)
