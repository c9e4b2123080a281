"""How much of what was shared out can be proven: room is kept from the limits until the proof of the rest holds."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from feederloop.simulators.envelope.allocation import Packing
from feederloop.simulators.envelope.box import Box, Interval
from feederloop.simulators.envelope.certificate import Certificate, Certifier
from feederloop.simulators.envelope.watched import Watched
from feederloop.simulators.grid.feeder import Floats

_FAR_OVER = 0.1  # of the distance between the voltage limits, or of what is allowed
_TIGHTENINGS = 12
_SHRINK_BY = 0.15  # of the limits
_FLOORS_HOLD = 0.6  # shrunk by less than this, limits stay above inflexible demand
_GROWN_BACK = 2  # halvings between what failed and what is proven
_MUCH = 0.1  # of what is far over
_AHEAD = 1.02, 1.5  # of what the proof is over by: at first, and where that was not enough
_WORTH_IT = 0.002
# What is needed changes with the hours: of what was kept in vain, more than a little, half is forgotten.
_SPARE, _FORGOTTEN = 0.01, 0.5
_A_LITTLE = np.array([2e-4, 2e-4, 1e-5])  # volt, volt, share

Allocated = tuple[Floats, bool]
"""[2 points] export, then import limits, and whether some inflexible demand does not fit into them."""


@dataclass(frozen=True)
class Tried:
    """Limits and their proof.

    Attributes:
        limits: [2 points] Export, then import limits.
        cut: Some inflexible demand does not fit into them.
        certificate: What is proven of them.
        kept: [4] Room kept from what was shared out: volts above and below, a share of what else is limited, and a
            share of all limits.
    """

    limits: Floats
    cut: bool
    certificate: Certificate
    kept: Floats


class Prover:
    """Proves limits, and where that fails keeps what the proof is over by away from them and shares out again.

    Args:
        certifier: Of the network, with the limits to stay within.
        watched: The rows of the packing problems.
        allocate: The rule.
    """

    def __init__(self, certifier: Certifier, watched: Watched, allocate: Callable[[Packing], Allocated]) -> None:
        self._certifier, self._watched, self._allocate = certifier, watched, allocate
        limits = certifier.limits
        self._far_over = _FAR_OVER * np.array([limits.v_max_v - limits.v_min_v] * 2 + [1.0])
        self.forget()

    def forget(self) -> None:
        """Forget what earlier proofs needed; later ones need it again, or nearly."""
        self._learned = np.zeros(4)

    def prove(self, packing: Packing, allocated: Allocated, interval: Interval) -> Tried:
        """Return limits that are proven; if none are, the last that were tried.

        Args:
            packing: What was shared out.
            allocated: How.
            interval: What is known of the connection points.
        """
        failed, proven = self._search(packing, allocated, interval)
        if proven is not None and failed is not None:
            proven = self._grown_back(packing, allocated, interval, failed, proven)
        result = proven or failed
        assert result is not None
        if result.certificate.certified:
            left = np.clip(-self._over(result.certificate) - _SPARE * self._far_over, 0.0, result.kept[:3])
            self._learned = np.append(result.kept[:3] - _FORGOTTEN * left, 0.0)
        return result

    def _search(self, packing: Packing, allocated: Allocated, interval: Interval) -> tuple[Tried | None, Tried | None]:
        """Return the last limits whose proof failed, and the widest whose proof holds."""
        kept, ahead = self._learned, _AHEAD[0]
        failed: Tried | None = None
        proven: Tried | None = None
        for _ in range(_TIGHTENINGS + 1):
            limits, cut = self._with_room_kept(packing, allocated, kept)
            box = _box(interval, limits)
            if proven is not None and not self._certifier.knows(box):
                break
            tried = Tried(limits, cut, self._certifier.certify(box, interval.volt_var), kept)
            over = self._over(tried.certificate)
            if tried.certificate.certified:
                # In a smaller box the proof is tighter, so that some room may be left. It is given back, once, where no
                # other proof is needed for that, which might be as loose as before.
                left = np.clip(-0.9 * over, 0.0, kept[:3])
                given_back, proven = proven is not None, tried
                if given_back or (left < _WORTH_IT * self._far_over).all():
                    break
                kept = kept - np.append(left, 0.0)
            elif proven is not None:
                break
            else:
                failed, kept = tried, kept.copy()
                # Far over, the bound is loose because the box is wide; to keep all of it would shut everybody out.
                if not (over < self._far_over).all():
                    kept[3] = min(kept[3] + _SHRINK_BY, 1.0 - _SHRINK_BY / 3)
                else:
                    kept[:3] += ahead * np.maximum(over, 0.0) + np.where(over > 0, _A_LITTLE, 0.0)
                    ahead = _AHEAD[1]
        return failed, proven

    def _grown_back(
        self, packing: Packing, allocated: Allocated, interval: Interval, failed: Tried, proven: Tried
    ) -> Tried:
        """Return what is proven with less room kept, between what failed and what did not, while much is left."""
        unproven = failed.kept
        for _ in range(_GROWN_BACK):
            if not (self._over(proven.certificate) < -_MUCH * self._far_over).all():
                break
            kept = (unproven + proven.kept) / 2
            limits, cut = self._with_room_kept(packing, allocated, kept)
            certificate = self._certifier.certify(_box(interval, limits), interval.volt_var)
            if certificate.certified:
                proven = Tried(limits, cut, certificate, kept)
            else:
                unproven = kept
        return proven

    def _with_room_kept(self, packing: Packing, allocated: Allocated, kept: Floats) -> Allocated:
        limits, cut = allocated
        if kept[:3].any():
            watched = self._watched
            volts = np.where(watched.sign > 0, kept[0], kept[1])
            room = np.where(watched.is_voltage, volts, kept[2] * watched.limit)
            limits, cut = self._allocate(replace(packing, b=packing.b - room))
        wanted = np.minimum(packing.floor, packing.cap)
        floor = np.minimum(limits, wanted) * min(1.0, (1.0 - kept[3]) / (1.0 - _FLOORS_HOLD))
        limits = np.maximum(limits * (1.0 - kept[3]), floor)
        return limits, cut or bool((limits < wanted - 1e-6).any())

    def _over(self, certificate: Certificate) -> Floats:
        """By how many volts the proven bounds are over and under, and by which share of what is allowed."""
        limits = self._certifier.limits
        over_share = certificate.loading_max_percent / 100.0 - 1.0
        if limits.vuf_percent is not None:
            over_share = max(over_share, certificate.vuf_max_percent / limits.vuf_percent - 1.0)
        return np.array([certificate.v_max_v - limits.v_max_v, limits.v_min_v - certificate.v_min_v, over_share])


def _box(interval: Interval, limits: Floats) -> Box:
    export, load = np.split(limits, 2)
    return Box.of(interval, export, load)
