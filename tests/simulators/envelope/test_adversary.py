"""Nothing that is found by looking for it may go beyond what was proven, on whatever network."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import adversary
from peers.networks import meshed, stiffened, two_transformers
from peers.random_feeders import Recipe, box, network

from feederloop.simulators.envelope.box import Box, Interval, Limits
from feederloop.simulators.envelope.certificate import Certificate, Certifier
from feederloop.simulators.envelope.controller import EnvelopeController, Options
from feederloop.simulators.envelope.volt_var import VoltVar
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow

OWN_V = 1e-6
PEER_V = 2e-3  # at twice the rated load, engines differ in the transformer by more than a millivolt
PERCENT = 1e-4  # of a rating, another engine's modelling included
RULES = ["equal", "max_min", "proportional_fair", "max_total"]

RECIPES = st.builds(
    Recipe,
    seed=st.integers(0, 10**6),
    feeders=st.integers(1, 3),
    joints=st.integers(1, 5),
    customers=st.integers(1, 12),
    three_phase_share=st.sampled_from([0.0, 0.3, 1.0]),
    loops=st.integers(0, 2),
    span_m=st.sampled_from([30.0, 60.0, 150.0, 400.0]),
    decoupled=st.booleans(),
    charging=st.booleans(),
    vn_kv=st.sampled_from([0.4, 0.416, 0.433]),
    tap_pos=st.integers(-2, 2),
    power_kw=st.sampled_from([1.0, 3.0, 6.0, 15.0]),
    q_kvar=st.sampled_from([0.0, 0.5, 3.0]),
)
# With limits as they are, and with limits so tight that every bus and branch needs the whole proof.
WHOLE_PROOF = Limits(v_min_v=239.0, v_max_v=240.0, line_loading_percent=1.0, transformer_loading_percent=1.0)
LIMITS = st.sampled_from([Limits(), WHOLE_PROOF])


def assert_within(found: adversary.Found, certificate: Certificate, tolerance_v: float) -> None:
    assert found.v_max_v <= certificate.v_max_v + tolerance_v
    assert found.v_min_v >= certificate.v_min_v - tolerance_v
    assert found.loading_percent <= certificate.loading_max_percent + PERCENT


def attack_both(net, points, uses: Box, limits: Limits, *, seed: int = 0, inside: bool = False) -> Certificate:
    """Certify a box and attack what was proven of it, by the package's own power flow and by the other engine's."""
    feeder = Feeder.from_network(net, points)
    certificate = Certifier(PowerFlow(feeder), limits).certify(uses)
    if not np.isfinite(certificate.v_max_v):
        assert not certificate.certified
        return certificate
    # A bounded box has a solution for every use in it: no engine may fail to find one.
    for engine, tolerance_v in (
        (adversary.OwnEngine(feeder), OWN_V),
        (adversary.PowerGridModelEngine(net, points), PEER_V),
    ):
        found = adversary.attack(engine, uses, points["phase"], seed=seed, inside=inside)
        assert_within(found, certificate, tolerance_v)
    return certificate


def joint_box(count: int, kw: float, kvar: float = 0.3) -> Box:
    return Box(np.full(count, -kw), np.full(count, kw), np.full(count, -kvar), np.full(count, kvar))


def everybody_active(count: int, cap_kw: float = 14.0, floor_kw: float = 0.0) -> Interval:
    ones = np.ones(count)
    return Interval(
        -0.4 * ones, -0.1 * ones, 0 * ones, ones > 0, cap_kw * ones, cap_kw * ones, floor_kw * ones, 0 * ones
    )


@settings(max_examples=10, deadline=None)
@given(recipe=RECIPES, limits=LIMITS)
def test_nothing_found_on_random_feeders_exceeds_what_was_proven(recipe, limits):
    attack_both(*network(recipe), box(recipe), limits, seed=recipe.seed)


@pytest.mark.nightly
@settings(max_examples=300, deadline=None)
@given(recipe=RECIPES, limits=LIMITS, inside=st.booleans())
def test_nothing_found_on_many_random_feeders_exceeds_what_was_proven(recipe, limits, inside):
    attack_both(*network(recipe), box(recipe), limits, seed=recipe.seed, inside=inside)


@pytest.mark.parametrize("limits", [Limits(), WHOLE_PROOF], ids=["limits", "whole_proof"])
@pytest.mark.parametrize("kw", [1.0, 4.0, 12.0])
@pytest.mark.parametrize("build", [meshed, two_transformers, lambda: load_network("street_12", feeders=2)])
def test_meshes_with_three_phase_customers_and_several_transformers(build, kw, limits):
    net = stiffened(build())
    points = connection_points(net)
    attack_both(net, points, joint_box(len(points), kw), limits, inside=True)


@pytest.mark.parametrize("seed", range(4))
def test_no_box_is_bounded_beyond_the_power_flow_s_reach(seed):
    """Up to collapse and beyond it, a box is either proven, and then holds, or reported as unproven."""
    recipe = Recipe(seed, customers=6, span_m=(100.0, 400.0)[seed % 2], three_phase_share=float(seed == 3))
    net, points = network(recipe)
    feeder = Feeder.from_network(net, points)
    certifier, engine = Certifier(PowerFlow(feeder), Limits()), adversary.OwnEngine(feeder)
    for width in (0.05, 1.0):
        unproven = 0
        for kw in 0.5 * 1.4 ** np.arange(20):
            centre = np.full(6, -kw)
            uses = Box(centre * (1 + width), centre * (1 - width), 0.2 * centre, 0.2 * centre)
            certificate = certifier.certify(uses)
            unproven += not np.isfinite(certificate.v_max_v)
            if np.isfinite(certificate.v_max_v):
                assert not unproven
                assert_within(adversary.attack(engine, uses, points["phase"], starts=2), certificate, OWN_V)
            else:
                assert not certificate.certified
        assert unproven


def test_a_use_without_any_width_is_bounded_up_to_collapse():
    """Near collapse the power flow converges slowly, and what it stops at is not yet the solution."""
    recipe = Recipe(0, customers=6, span_m=100.0, three_phase_share=1.0, passive_share=0.0)
    net, points = network(recipe)
    feeder = Feeder.from_network(net, points)
    certifier, engine = Certifier(PowerFlow(feeder), Limits()), adversary.OwnEngine(feeder)
    bounded = 0
    for kw in np.linspace(70.0, 78.7, 12):
        uses = Box(*[np.full(6, -kw)] * 2, *[np.full(6, -0.2 * kw)] * 2)
        certificate = certifier.certify(uses)
        bounded += np.isfinite(certificate.v_max_v)
        if np.isfinite(certificate.v_max_v):
            assert_within(adversary.attack(engine, uses, points["phase"], starts=1), certificate, OWN_V)
    assert bounded


@pytest.mark.parametrize("rule", RULES)
def test_published_envelopes_of_random_feeders_hold(rule):
    for seed in range(2):
        recipe = Recipe(seed, feeders=1 + seed, customers=9, three_phase_share=0.3, loops=seed % 2, span_m=90.0)
        net, points = network(recipe)
        assert_published_holds(net, points, rule, seed)


@pytest.mark.parametrize("rule", RULES)
def test_published_envelopes_of_the_european_feeder_hold(rule):
    net = stiffened(load_network("european_lv", source_v_pu=1.01))
    assert_published_holds(net, connection_points(net), rule, 0, rounds=3, peer_rounds=1)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [RULES[0], *(pytest.param(rule, marks=pytest.mark.nightly) for rule in RULES[1:])])
def test_published_envelopes_of_four_feeders_behind_one_transformer_hold(rule):
    net = stiffened(load_network("european_lv", feeders=4, source_v_pu=1.01))
    assert_published_holds(net, connection_points(net), rule, 0, rounds=3, peer_rounds=1)


def assert_published_holds(net, points, rule: str, seed: int, rounds: int = 12, peer_rounds: int = 12) -> None:
    """Publish, then attack: by the own engine at length, and by the other engine with those attacks as starts."""
    feeder = Feeder.from_network(net, points)
    interval = everybody_active(len(points))
    published = EnvelopeController(PowerFlow(feeder), Limits(), Options(rule=rule)).publish(interval)
    certificate = published.certificate
    assert certificate is not None
    assert certificate.certified
    assert published.export_limit_kw.sum() + published.import_limit_kw.sum() > 0
    uses = Box.of(interval, published.export_limit_kw, published.import_limit_kw)
    found = adversary.attack(adversary.OwnEngine(feeder), uses, points["phase"], seed=seed, rounds=rounds)
    assert_within(found, certificate, OWN_V)
    assert found.v_max_v <= 253.0 + OWN_V
    assert found.v_min_v >= 216.2 - OWN_V
    peer = adversary.PowerGridModelEngine(net, points)
    if peer_rounds < rounds:  # a large network: only what the own engine found, and random corners
        rng = np.random.default_rng(seed)
        p_kw, q_kvar = adversary.random_corners(uses, 8, rng)
        values = peer.evaluate(
            np.concatenate([found.p_kw, p_kw], axis=1), np.concatenate([found.q_kvar, q_kvar], axis=1)
        )
        top, bottom, loading = (values[part].max() for part in adversary.kinds(peer))
        again = replace(found, v_max_v=top, v_min_v=-bottom, loading_percent=loading)
    else:
        again = adversary.attack(peer, uses, points["phase"], seed=seed)
    assert_within(again, certificate, PEER_V)


@settings(max_examples=5, deadline=None)
@given(recipe=RECIPES, limit_percent=st.sampled_from([0.1, 2.0]))
def test_no_unbalance_found_exceeds_what_was_proven(recipe, limit_percent):
    net, points = network(recipe)
    feeder, uses = Feeder.from_network(net, points), box(recipe)
    certificate = Certifier(PowerFlow(feeder), Limits(vuf_percent=limit_percent)).certify(uses)
    if np.isfinite(certificate.v_max_v):
        found = adversary.attack(adversary.UnbalanceEngine(feeder), uses, points["phase"], seed=recipe.seed)
        assert found.v_max_v <= certificate.vuf_max_percent + 1e-7


@settings(max_examples=5, deadline=None)
@given(
    recipe=RECIPES,
    rated_kva=st.sampled_from([1.0, 5.0, 10.0]),
    limits=LIMITS,
    reactors_v=st.sampled_from([None, (216.0, 253.0), (238.0, 250.0)]),
)
def test_nothing_found_with_volt_var_inverters_exceeds_what_was_proven(recipe, rated_kva, limits, reactors_v):
    recipe = replace(recipe, three_phase_share=0.0)
    net, points = network(recipe)
    feeder, uses = Feeder.from_network(net, points), box(recipe)
    rated = np.where(np.arange(recipe.customers) % 3 < 2, rated_kva, 0.0)
    volt_var = VoltVar.without_reactors(rated)
    if reactors_v is not None:
        volt_var = VoltVar.over(feeder, rated, *(np.full(len(rated), volt) for volt in reactors_v))
    certificate = Certifier(PowerFlow(volt_var.in_network(feeder)), limits).certify(uses, volt_var)
    if np.isfinite(certificate.v_max_v):
        found = adversary.attack(
            adversary.VoltVarEngine(feeder, rated), uses, points["phase"], seed=recipe.seed, rounds=4
        )
        assert_within(found, certificate, 1e-5)
