"""Which voltage or current holds each prosumer's export limit back."""

import numpy as np

from feederloop.coupling.network_of_run import Network
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.envelope.certificate import Certifier
from feederloop.simulators.envelope.watched import (
    LinearModel,
    Watched,
    at_worst_corners,
    branch_rows,
    voltage_rows,
    worst,
)
from feederloop.simulators.grid.feeder import Feeder

CLOSE_SHARE, NEAR_SHARE = 0.25, 0.15
"""Of the distance between a limit and the value without load: rows worth an exact look, and rows that hold limits back.
Envelopes keep a distance: they bear any reactive power that the DSO had to expect, which is not recorded, whereas here
it is what was metered; and a proof may have asked for a little more."""


class Binding:
    """Finds the network's limits that published envelopes come near when they are used at their worst.

    Args:
        network: The network.
    """

    def __init__(self, network: Network) -> None:
        self._power_flow = network.power_flow
        feeder, certifier = network.power_flow.feeder, Certifier(network.power_flow, network.limits)
        self._watched: Watched = voltage_rows(feeder, network.limits).joined(branch_rows(certifier))
        self._names = [*_voltages(feeder), *_currents(feeder, certifier)]

    def behind(self, box: Box) -> list[tuple[str, str] | None]:
        """[points] Element and phase of the limit that each one's export brings nearer most; None where none is near.

        Args:
            box: The published envelopes of an interval.
        """
        nobody: list[tuple[str, str] | None] = [None] * len(box.p_low_kw)
        model = LinearModel.at(self._watched, self._power_flow, *box.centre)
        if model is None:
            return nobody
        value = model.origin + worst(model.by_p, box.p_low_kw, box.p_high_kw)
        value += worst(model.by_q, box.q_low_kvar, box.q_high_kvar)
        close = np.flatnonzero(self._watched.limit - value < CLOSE_SHARE * self._watched.span)
        rows = self._watched.subset(close)
        exact = at_worst_corners(rows, model.by_p[close], model.by_q[close], self._power_flow, box)
        near = rows.limit - exact < NEAR_SHARE * rows.span
        if not near.any():
            return nobody
        pull = model.by_p[close[near]] / rows.span[near][:, None]
        most = pull.argmax(axis=0)
        return [
            self._names[close[near][row]] if pull[row, point] > 0 else None for point, row in enumerate(most.tolist())
        ]


def _voltages(feeder: Feeder) -> list[tuple[str, str]]:
    """In the order of `voltage_rows`."""
    buses = np.unique(feeder.injector_row // 3)
    buses = feeder.buses[buses[feeder.bus_vn_v[buses] < 1000.0]].tolist()
    return [(f"{kind} at bus {bus}", phase) for kind in ("v_max", "v_min") for bus in buses for phase in "abc"]


def _currents(feeder: Feeder, certifier: Certifier) -> list[tuple[str, str]]:
    """In the order of `branch_rows`."""
    branches, conductors = feeder.branches, certifier.conductors
    chosen = np.repeat(conductors.rows[np.isfinite(conductors.allowed_a)], 2).tolist()
    return [
        (f"loading of {branches.names[branches.row_branch[row]]}", "abc"[branches.row_phase[row]]) for row in chosen
    ]
