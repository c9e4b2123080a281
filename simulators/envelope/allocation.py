"""Rules by which the network's room is shared out as export and import limits.

All rules work on the same packing problem: limits x >= 0 (export and import of every customer side by side), rows
`A x <= b` with A >= 0, because the worst use of a box is closed-form in its limits, and bounds floor <= x <= cap.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import highspy
import numpy as np

from feederloop.simulators.compiled import compiled
from feederloop.simulators.grid.feeder import Floats

_MAX_STEPS = 120
_LEFT = 0.005  # of the room of rows that floors would fill


@dataclass(frozen=True)
class Packing:
    """Rows and bounds of one allocation.

    Attributes:
        a: [rows, limits] Non-negative.
        b: [rows] What is left for the limits.
        floor: [limits] Least value, feasible together.
        cap: [limits] Greatest value, at least the floor.
        weight: [limits] A customer's claim relative to others'; export and import weights are part of it.
    """

    a: Floats
    b: Floats
    floor: Floats
    cap: Floats
    weight: Floats


def feasible_floor(packing: Packing) -> Floats:
    """[limits] The floor, cut in the same proportion for all that act on a row which the floors alone would fill.

    A little room is left in each row: whoever hardly acts on it would be shut out by what others need, for nothing.
    """
    floor, room = np.minimum(packing.floor, packing.cap), (1.0 - _LEFT) * np.maximum(packing.b, 0.0)
    for _ in range(20):
        used = packing.a @ floor
        over = used > room * (1 + 1e-12) + 1e-12
        if not over.any():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(over, room / used, 1.0)
        involved = packing.a > 1e-12
        floor = floor * np.where(involved, factor[:, None], 1.0).min(axis=0)
    return floor


def equal(packing: Packing) -> Floats:
    """[limits] The same multiple of the weight for everybody, within floor and cap, as large as the rows bear."""
    with np.errstate(divide="ignore", invalid="ignore"):
        full = np.where(packing.weight > 0, packing.cap / packing.weight, 0.0)
        left = np.where(packing.weight > 0, packing.floor / packing.weight, 0.0)
    # Between these levels everybody's limit is linear in the level.
    levels = np.unique(np.concatenate([full, left, [0.0]]))
    result: Floats = _at_common_level(packing.a, packing.b, packing.floor, packing.cap, packing.weight, levels)
    return result


@compiled
def _at_common_level(a, b, floor, cap, weight, levels):  # type: ignore[no-untyped-def]
    """Bisect over the levels until rows bind between two neighbours, then go as far between them as the rows bear."""
    count = len(floor)
    start, end, middle = floor.copy(), np.empty(count), np.empty(count)
    for j in range(count):
        end[j] = min(max(levels[-1] * weight[j], floor[j]), cap[j])
    low, high = 0, len(levels) - 1
    if _fits(a, b, end):
        return end
    while high - low > 1:
        between = (low + high) // 2
        for j in range(count):
            middle[j] = min(max(levels[between] * weight[j], floor[j]), cap[j])
        if _fits(a, b, middle):
            low = between
            start[:] = middle
        else:
            high = between
            end[:] = middle
    step = 1.0
    for r in range(len(b)):
        room, rise = b[r], 0.0
        for j in range(count):
            room -= a[r, j] * start[j]
            rise += a[r, j] * (end[j] - start[j])
        if rise > 0 and room < step * rise:
            step = max(room / rise, 0.0)
    return start + step * (end - start)


@compiled
def _fits(a, b, limits):  # type: ignore[no-untyped-def]
    for r in range(len(b)):
        used = 0.0
        for j in range(len(limits)):
            used += a[r, j] * limits[j]
        if used > b[r] * (1 + 1e-12) + 1e-12:
            return False
    return True


def max_min(packing: Packing) -> Floats:
    """[limits] Lexicographic max-min: raise all in proportion to their weight, stop those whom a row or cap stops."""
    limits = packing.floor.copy()
    level = 0.0
    free = (packing.weight > 0) & (packing.cap > limits)
    for _ in range(2 * len(limits) + len(packing.b) + 1):  # each customer joins and stops at most once
        if not free.any():
            break
        # A customer above the common level because of the floor waits until the level reaches it.
        growing = free & (limits <= level * packing.weight + 1e-12)
        waiting = free & ~growing
        speed = np.where(growing, packing.weight, 0.0)
        rise = packing.a @ speed
        room = np.maximum(packing.b - packing.a @ limits, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            by_row = np.where(rise > 1e-12, room / rise, np.inf)
            by_cap = np.where(growing, (packing.cap - limits) / np.maximum(packing.weight, 1e-300), np.inf)
            by_join = np.where(waiting, limits / np.maximum(packing.weight, 1e-300) - level, np.inf)
        step = min(by_row.min(initial=np.inf), by_cap.min(initial=np.inf), by_join.min(initial=np.inf))
        limits = limits + step * speed
        level += step
        bound = by_row <= step * (1 + 1e-9) + 1e-12
        stopped = (packing.a[bound] > 1e-12).any(axis=0) | (packing.cap - limits <= 1e-12)
        free &= ~stopped
    return limits


def alpha_fair(packing: Packing, alpha: float = 1.0) -> Floats:
    """[limits] Maximise the sum of `weight^alpha x^(1 - alpha) / (1 - alpha)`, for alpha = 1 of `weight log x`.

    Proportional fairness is alpha = 1; larger alpha comes nearer to max-min (Mo, Walrand, "Fair end-to-end window-based
    congestion control", IEEE/ACM Trans. Networking 8(5), 2000).
    """
    result = packing.floor.copy()
    room = packing.b - packing.a @ packing.floor
    shut = room <= 1e-9 * np.maximum(packing.b, 1e-9)
    open_ = (packing.cap - packing.floor > 1e-9) & (packing.weight > 0) & ~(packing.a[shut] > 1e-12).any(axis=0)
    if not open_.any():
        return result
    low, cap = packing.floor[open_], packing.cap[open_]
    a, b = packing.a[np.ix_(~shut, open_)], room[~shut] + packing.a[np.ix_(~shut, open_)] @ low
    binding = a @ cap > b
    claim = packing.weight[open_] ** alpha

    def loss(x: Floats) -> tuple[float, Floats, Floats]:
        """Value, gradient and curvature of the utility's negative."""
        gradient = -claim * x**-alpha
        value = -claim @ np.log(x) if alpha == 1.0 else -claim @ x ** (1.0 - alpha) / (1.0 - alpha)
        return float(value), gradient, -alpha * gradient / x

    if binding.any():
        # Whom no binding row touches may have all that is asked for.
        touched = (a[binding] > 1e-12).any(axis=0)
        result[open_] = np.where(touched, _minimise(loss, a[binding], b[binding], low, cap), cap)
    else:
        result[open_] = cap
    return _pulled_in(packing, result)


def max_total(packing: Packing) -> Floats:
    """[limits] The greatest weighted sum of limits, whoever gets them: a linear programme."""
    rows, columns = packing.a.shape
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = columns, rows
    model.col_cost_ = -packing.weight
    model.col_lower_, model.col_upper_ = packing.floor, packing.cap
    model.row_lower_, model.row_upper_ = np.full(rows, -highspy.kHighsInf), packing.b
    filled = packing.a != 0.0
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
    model.a_matrix_.index_ = np.nonzero(filled)[1].astype(np.int32)
    model.a_matrix_.value_ = packing.a[filled]
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    # Rows are dense: the search for what can be removed takes as long as solving.
    highs.setOptionValue("presolve", "off")
    highs.passModel(model)
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"the allocation has no optimum: {highs.modelStatusToString(highs.getModelStatus())}")
    return _pulled_in(packing, np.asarray(highs.getSolution().col_value))


def proportional(packing: Packing) -> Floats:
    """[limits] The same share of everybody's cap."""
    return equal(replace(packing, weight=packing.weight * packing.cap))


RULES = ("equal", "max_min", "proportional", "proportional_fair", "alpha_fair", "max_total")


def allocate(rule: str, packing: Packing, alpha: float = 2.0) -> Floats:
    """[limits] Share the room out by the rule of this name; `alpha` is for `alpha_fair`."""
    simple: dict[str, Callable[[Packing], Floats]] = {
        "equal": equal,
        "max_min": max_min,
        "proportional": proportional,
        "proportional_fair": alpha_fair,
        "max_total": max_total,
    }
    return alpha_fair(packing, alpha) if rule == "alpha_fair" else simple[rule](packing)


def _pulled_in(packing: Packing, limits: Floats) -> Floats:
    """Move limits towards the floor until every row holds: solvers end a little outside."""
    extra = np.clip(limits, packing.floor, packing.cap) - packing.floor
    used = packing.a @ extra
    room = np.maximum(packing.b - packing.a @ packing.floor, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(used > room, room / used, 1.0)
    scale = np.where(packing.a > 1e-12, factor[:, None], 1.0).min(axis=0, initial=1.0)
    result: Floats = packing.floor + scale * extra
    return result


def _minimise(
    loss: Callable[[Floats], tuple[float, Floats, Floats]], a: Floats, b: Floats, low: Floats, cap: Floats
) -> Floats:
    """Minimise a separable convex loss over `a x <= b`, `low <= x <= cap` by the barrier method.

    Follows Boyd, Vandenberghe, "Convex Optimization", 2004, section 11.3; `low` must be strictly inside the rows.
    """
    share = 0.5 * min(1.0, float(((b - a @ low) / np.maximum(a @ (cap - low), 1e-300)).min()))
    x = low + share * (cap - low)
    slack, value, newton = _barrier(loss, a, b, low, cap, x)
    barrier = float(np.abs(newton.gradient) @ (x - low)) / len(slack)
    last = 1e-7 * barrier
    for _ in range(_MAX_STEPS):
        move, decrement = newton.step(barrier)
        slack_move = np.concatenate([-(a @ move), move, -move])
        shrinking = slack_move < 0
        step = min(1.0, 0.95 * float((-slack[shrinking] / slack_move[shrinking]).min(initial=1e30)))
        objective = value - barrier * np.log(slack).sum()
        while step > 1e-10:
            trial_slack, trial_value, trial = _barrier(loss, a, b, low, cap, x + step * move)
            lower = objective - 0.1 * step * decrement
            if trial_slack.min() > 0 and trial_value - barrier * np.log(trial_slack).sum() <= lower + 1e-12 * abs(
                lower
            ):
                x, slack, value, newton = x + step * move, trial_slack, trial_value, trial
                break
            step /= 2
        if decrement <= 0.3 * barrier or step <= 1e-10:
            if barrier <= last:
                break
            barrier = max(barrier * 0.02, last)
    return x


@dataclass(frozen=True)
class _Newton:
    """Pieces of the barrier problem's Newton system at a point."""

    a: Floats
    gradient: Floats
    curvature: Floats
    slack: Floats

    def step(self, barrier: float) -> tuple[Floats, float]:
        """Return the Newton step and its decrement squared."""
        rows, columns = self.a.shape
        inverse = barrier / self.slack
        right = -(
            self.gradient + self.a.T @ inverse[:rows] - inverse[rows : rows + columns] + inverse[rows + columns :]
        )
        weight = inverse / self.slack
        diagonal = self.curvature + weight[rows : rows + columns] + weight[rows + columns :]
        # Few rows, many limits: solve (diagonal + a' W a) through the rows (Woodbury).
        thin = self.a / diagonal
        inner = thin @ self.a.T
        inner.flat[:: rows + 1] += 1.0 / weight[:rows]
        move = right / diagonal - thin.T @ np.linalg.solve(inner, thin @ right)
        return move, float(right @ move)


def _barrier(
    loss: Callable[[Floats], tuple[float, Floats, Floats]], a: Floats, b: Floats, low: Floats, cap: Floats, x: Floats
) -> tuple[Floats, float, _Newton]:
    slack = np.concatenate([b - a @ x, x - low, cap - x])
    if slack.min() <= 0:
        return slack, np.inf, _Newton(a, x, x, slack)
    value, gradient, curvature = loss(x)
    return slack, value, _Newton(a, gradient, curvature, slack)
