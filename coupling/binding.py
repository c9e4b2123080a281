"""Which voltage or current holds each prosumer's export limit back."""

from dataclasses import replace

import numpy as np

from feederloop.coupling.network_of_run import Network
from feederloop.simulators.envelope.box import Box
from feederloop.simulators.envelope.certificate import Certifier
from feederloop.simulators.envelope.watched import LinearModel, Watched, WatchedPart, WorstCorners, worst

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
        certifier = Certifier(network.power_flow, replace(network.limits, vuf_percent=None))
        self._watched = Watched.of(certifier)
        self._names = [
            _name(certifier, part, place) for part in self._watched.parts for place in part.rows.place.tolist()
        ]

    def behind(self, box: Box) -> list[tuple[str, str] | None]:
        """[points] Element and phase of the limit that each one's export brings nearer most; None where none is near.

        Args:
            box: The published envelopes of an interval.
        """
        nobody: list[tuple[str, str] | None] = [None] * len(box.p_low_kw)
        model = LinearModel.at(self._watched, *box.centre)
        if model is None:
            return nobody
        value = model.origin + worst(model.by_p, box.p_low_kw, box.p_high_kw)
        value += worst(model.by_q, box.q_low_kvar, box.q_high_kvar)
        close = np.flatnonzero(self._watched.limit - value < CLOSE_SHARE * self._watched.span)
        exact = WorstCorners(self._watched, close, model.by_p[close], model.by_q[close]).values(box)
        near = self._watched.limit[close] - exact < NEAR_SHARE * self._watched.span[close]
        if not near.any():
            return nobody
        pull = model.by_p[close[near]] / self._watched.span[close[near]][:, None]
        most = pull.argmax(axis=0)
        return [
            self._names[close[near][row]] if pull[row, point] > 0 else None for point, row in enumerate(most.tolist())
        ]


def _name(certifier: Certifier, part: WatchedPart, place: int) -> tuple[str, str]:
    """Element and phase of a row."""
    if part.way is None:
        bus, phase = certifier.node_name(place)
        return f"{'v_max' if part.sign > 0 else 'v_min'} at bus {bus}", phase
    branches, row = certifier.power_flow.feeder.branches, certifier.conductors.rows[place]
    return f"loading of {branches.names[branches.row_branch[row]]}", "abc"[branches.row_phase[row]]
