from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from feederloop.simulators.envelope.allocation import RULES, Packing, allocate, feasible_floor

ALPHA = 2.0
COMMON_LEVEL = ("equal", "proportional")  # the first full row stops everybody
EVERY_RULE = pytest.mark.parametrize("rule", sorted(RULES))


@st.composite
def packings(draw, floors=True, max_limits=8):
    """Random packing problems whose floors fit: some rows and limits without a bound, some caps and rooms of zero."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    rows, limits = draw(st.integers(0, 6)), draw(st.integers(1, max_limits))
    # A coefficient near zero turns the tolerance of a linear programme into a visible piece of a limit.
    a = rng.uniform(0.05, 2, (rows, limits)) * (rng.random((rows, limits)) < 0.7)
    cap = rng.uniform(0, 10, limits) * (rng.random(limits) < 0.9)
    floor = cap * rng.uniform(0, 1, limits) * (rng.random(limits) < 0.4) if floors else np.zeros(limits)
    b = a @ floor + rng.uniform(0, 8, rows) * (rng.random(rows) < 0.9)
    return Packing(a=a, b=b, floor=floor, cap=cap, weight=rng.choice([0.5, 1.0, 2.0], limits))


def assert_feasible(packing, x):
    scale = 1.0 + np.abs(packing.b)
    assert (packing.a @ x <= packing.b + 1e-8 * scale).all()
    assert (x >= packing.floor - 1e-9).all()
    assert (x <= packing.cap + 1e-9).all()


def lexicographic_max_min(packing):
    """[limits] Max-min by one linear programme a level: raise the common level, then fix whom no solution can raise."""
    count = len(packing.cap)
    low, free = packing.floor.copy(), np.ones(count, dtype=bool)
    result = packing.floor.copy()
    while free.any():
        # Maximise t with x_j >= max(floor, t w_j) for the free ones, the others fixed.
        a_ub = np.block(
            [[packing.a, np.zeros((len(packing.b), 1))], [-np.diag(free * 1.0), (free * packing.weight)[:, None]]]
        )
        b_ub = np.concatenate([packing.b, np.zeros(count)])
        # A floor above the level holds without it: leave those out of the level's rows until it reaches them.
        order = np.unique(np.concatenate([result[free] / packing.weight[free], [np.inf]]))
        for upper in order:
            joined = free & (packing.floor / packing.weight < upper - 1e-12)
            rows = np.concatenate([np.ones(len(packing.b), dtype=bool), joined])
            bounds = [(low[j], packing.cap[j] if free[j] else low[j]) for j in range(count)] + [(0, None)]
            if not joined.any():
                continue
            found = linprog(np.r_[np.zeros(count), -1.0], A_ub=a_ub[rows], b_ub=b_ub[rows], bounds=bounds)
            assert found.success
            level = -found.fun
            if level < upper - 1e-9:
                break
        stuck = []
        for j in np.flatnonzero(joined):
            floor_now = np.where(joined, np.maximum(low, np.minimum(level * packing.weight, packing.cap)), low)
            bounds = [(floor_now[k] - 1e-9, packing.cap[k] if free[k] else low[k] + 1e-9) for k in range(count)]
            cost = np.zeros(count)
            cost[j] = -1.0
            most = linprog(cost, A_ub=packing.a, b_ub=packing.b + 1e-9, bounds=bounds)
            assert most.success
            if -most.fun <= level * packing.weight[j] + 1e-6:
                stuck.append(j)
        assert stuck
        for j in stuck:
            result[j] = low[j] = min(max(level * packing.weight[j], packing.floor[j]), packing.cap[j])
            free[j] = False
    return result


def utility(x, packing, alpha):
    claim = packing.weight**alpha
    return float(claim @ np.log(x)) if alpha == 1.0 else float(claim @ x ** (1 - alpha)) / (1 - alpha)


@EVERY_RULE
@settings(max_examples=60, deadline=None)
@given(packing=packings())
def test_no_rule_breaks_a_row_a_floor_or_a_cap(rule, packing):
    assert_feasible(packing, allocate(rule, packing, ALPHA))


@pytest.mark.parametrize("rule", sorted(set(RULES) - set(COMMON_LEVEL)))
@settings(max_examples=40, deadline=None)
@given(packing=packings())
def test_no_rule_leaves_room_that_would_help_somebody_without_hurting_another(rule, packing):
    """Whoever could get more must stand before a row that is full."""
    x = allocate(rule, packing, ALPHA)
    full = packing.a @ x >= packing.b - 1e-4 * (1.0 + packing.b)
    stopped = (packing.a[full] > 1e-12).any(axis=0) | (x >= packing.cap - 1e-4 * (1.0 + packing.cap))
    assert stopped.all()


@EVERY_RULE
@settings(max_examples=40, deadline=None)
@given(packing=packings(), factor=st.sampled_from([0.01, 0.5, 3.0, 40.0]))
def test_limits_follow_the_scale_of_the_problem(rule, packing, factor):
    """Twice the room, floors and caps: twice the limits. And the unit of a row does not matter."""
    x = allocate(rule, packing, ALPHA)
    grown = replace(packing, b=factor * packing.b, floor=factor * packing.floor, cap=factor * packing.cap)
    other_unit = replace(packing, a=factor * packing.a, b=factor * packing.b)
    total = packing.weight @ x
    for problem, expected in ((grown, factor * x), (other_unit, x)):
        y = allocate(rule, problem, ALPHA)
        if rule == "max_total":  # who gets it may change between optima
            assert problem.weight @ y == pytest.approx(
                total * (factor if problem is grown else 1.0), rel=1e-6, abs=1e-6
            )
        else:
            np.testing.assert_allclose(y, expected, rtol=2e-3, atol=2e-4 * (1 + expected.max()))


@settings(max_examples=40, deadline=None)
@given(packing=packings(), more=st.floats(0.0, 3.0))
def test_more_room_is_never_less_for_the_rule_s_own_aim(packing, more):
    wider = replace(packing, b=packing.b + more)
    assert (allocate("equal", wider) >= allocate("equal", packing) - 1e-7).all()
    for rule, aim in (("max_total", lambda x: packing.weight @ x), ("max_min", lambda x: (x / packing.weight).min())):
        assert aim(allocate(rule, wider)) >= aim(allocate(rule, packing)) - 1e-6


@settings(max_examples=60, deadline=None)
@given(packing=packings())
def test_equal_is_the_highest_common_level(packing):
    x = allocate("equal", packing)
    top = float((packing.cap / packing.weight).max())
    low, high = 0.0, top
    for _ in range(60):
        level = (low + high) / 2
        fits = (packing.a @ np.clip(level * packing.weight, packing.floor, packing.cap) <= packing.b + 1e-12).all()
        low, high = (level, high) if fits else (low, level)
    everybody = np.clip(high * packing.weight, packing.floor, packing.cap)
    np.testing.assert_allclose(x, everybody, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(packing=packings(max_limits=6))
def test_max_min_is_what_linear_programmes_give_level_by_level(packing):
    np.testing.assert_allclose(allocate("max_min", packing), lexicographic_max_min(packing), atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(packing=packings())
def test_max_total_is_the_linear_programme_s_optimum(packing):
    bounds = list(zip(packing.floor, packing.cap, strict=True))
    best = linprog(-packing.weight, A_ub=packing.a, b_ub=packing.b, bounds=bounds)
    assert best.success
    assert packing.weight @ allocate("max_total", packing) == pytest.approx(-best.fun, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("rule", "alpha"), [("proportional_fair", 1.0), ("alpha_fair", 0.5), ("alpha_fair", 3.0)])
@settings(max_examples=30, deadline=None)
@given(packing=packings(floors=False, max_limits=6))
def test_fair_rules_maximise_their_utility(rule, alpha, packing):
    assume((packing.cap > 0.05).all())
    assume((packing.b > 0.05).all())
    x = allocate(rule, packing, alpha)
    start = np.full(
        len(x), 0.9 * min(packing.cap.min(), (packing.b / np.maximum(packing.a.sum(axis=1), 1e-9)).min(initial=1e9))
    )
    best = minimize(
        lambda y: -utility(y, packing, alpha),
        start,
        method="SLSQP",
        bounds=[(1e-4, cap) for cap in packing.cap],
        constraints=[{"type": "ineq", "fun": lambda y: packing.b - packing.a @ y}] if len(packing.b) else [],
        options={"maxiter": 500, "ftol": 1e-12},
    )
    inside = np.clip(best.x, 1e-4, packing.cap)
    assume((packing.a @ inside <= packing.b + 1e-7).all())
    assert utility(x, packing, alpha) >= utility(inside, packing, alpha) - 1e-4 * (
        1 + abs(utility(inside, packing, alpha))
    )


@settings(max_examples=80, deadline=None)
@given(packing=packings(), ask=st.floats(0.0, 4.0))
def test_a_floor_that_does_not_fit_is_cut_until_it_does_and_no_other(packing, ask):
    wanted = replace(packing, floor=ask * packing.floor)
    floor = feasible_floor(wanted)
    assert (packing.a @ floor <= packing.b * (1 + 1e-9) + 1e-9).all()
    asked = np.minimum(wanted.floor, packing.cap)
    assert (floor >= -1e-12).all()
    assert (floor <= asked + 1e-12).all()
    filled = 0.995 * packing.b  # a little is left for others
    broken = packing.a @ asked > filled * (1 + 1e-9) + 1e-9
    untouched = ~(packing.a[broken] > 1e-12).any(axis=0)
    assert (packing.a[broken] @ floor <= filled[broken] * (1 + 1e-9) + 1e-9).all()
    if not broken.any():
        np.testing.assert_array_equal(floor, asked)
    np.testing.assert_allclose(floor[untouched], asked[untouched])


@pytest.mark.parametrize("rule", RULES)
def test_who_hardly_acts_on_a_row_is_not_shut_out_by_what_others_need(rule):
    needs, hardly = 12.0, 1e-4
    a, b, cap = np.array([[1.0, hardly]]), np.array([10.0]), np.array([20.0, 8.0])
    packing = Packing(a=a, b=b, floor=np.array([needs, 0.0]), cap=cap, weight=np.ones(2))
    floor = feasible_floor(packing)
    x = allocate(rule, replace(packing, floor=floor), 2.0)
    assert x[0] >= 0.99 * b[0]
    assert x[1] >= 0.4 * cap[1]
    assert (a @ x <= b + 1e-7).all()


def test_a_full_row_leaves_its_customers_nothing_and_the_others_theirs():
    packing = Packing(
        a=np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        b=np.array([0.0, 2.0]),
        floor=np.zeros(3),
        cap=np.full(3, 5.0),
        weight=np.ones(3),
    )
    for rule in RULES:
        expected = [0.0, 0.0, 0.0] if rule in COMMON_LEVEL else [0.0, 0.0, 2.0]
        np.testing.assert_allclose(allocate(rule, packing, ALPHA), expected, atol=1e-6)
