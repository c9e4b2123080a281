"""Envelopes as the literature has them, kept for comparison: checked only with everybody at the limit."""

from collections.abc import Callable

import numpy as np

from feederloop.simulators.envelope.box import Interval
from feederloop.simulators.envelope.watched import LinearModel, Watched
from feederloop.simulators.grid.feeder import Floats
from feederloop.simulators.grid.powerflow import PowerFlow

_ROUNDS = 5
_SCALES = np.linspace(0.0, 1.0, 65)


def corner_limits(
    power_flow: PowerFlow,
    watched: Watched,
    interval: Interval,
    share_out: Callable[[Interval, Floats, Floats], Floats],
) -> Floats:
    """[2 * points] Export limits that hold when all export at their limit, and import limits that hold when all import.

    Args:
        power_flow: Exact power flow.
        watched: What must hold.
        interval: What is known of the points.
        share_out: Returns the rule's limits for [rows, 2 * points] signed coefficients and [rows] room.
    """
    points = len(interval.p_kw)
    result = np.zeros(2 * points)
    q_kvar = (interval.q_low_kvar + interval.q_high_kvar) / 2
    for part, sign in ((slice(0, points), 1.0), (slice(points, None), -1.0)):
        limits = np.zeros(points)
        for _ in range(_ROUNDS):
            model = LinearModel.at(watched, _powers(interval, sign, limits), q_kvar)
            if model is None:
                limits = limits / 2
                continue
            rows = np.zeros((len(watched.limit), 2 * points))
            rows[:, part] = sign * model.by_p
            base = model.origin + model.by_p @ _powers(interval, sign, np.zeros(points)) + model.by_q @ q_kvar
            limits = share_out(interval, rows, watched.limit - base)[part]
        result[part] = limits * _largest_scale(power_flow, watched, interval, sign, limits, q_kvar)
    return result


def _powers(interval: Interval, sign: float, limits: Floats) -> Floats:
    return np.where(interval.active, sign * limits, interval.p_kw)


def _largest_scale(
    power_flow: PowerFlow, watched: Watched, interval: Interval, sign: float, limits: Floats, q_kvar: Floats
) -> float:
    """The largest share of the limits at which the corner itself is within every limit, exactly."""
    low, high = 0.0, 1.0
    for _ in range(3):
        scales = low + (high - low) * _SCALES
        p_kw = np.stack([_powers(interval, sign, scale * limits) for scale in scales], axis=1)
        s = power_flow.injected_va(p_kw, np.repeat(q_kvar[:, None], len(scales), axis=1))
        solution = power_flow.solve_sections(s[power_flow.sections.order])
        length = watched.lengths(solution.current)
        holds = solution.converged & (length <= watched.limit[:, None] + 1e-6).all(axis=0)
        if holds[-1]:
            return float(scales[-1])
        last = int(np.flatnonzero(holds)[-1]) if holds.any() else 0
        low, high = float(scales[last]), float(scales[min(last + 1, len(scales) - 1)])
    return low
