"""Vehicles at real chargers: their sessions are the scenario's, their energy is what was measured.

Public: `FollowedFleet`, a `Fleet` that follows devices instead of moving by itself.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.ev_fleet.fleet import Fleet

CORRECTED_FROM = 0.02
"""Share of the battery by which a told state of charge has to differ from the counted one to replace it: many devices
tell whole percent."""


class FollowedFleet(Fleet):
    """Counts measured energy into vehicles' batteries; arguments as of `Fleet`."""

    def follow(self, p_kw: NDArray[np.float64], soc_percent: Sequence[float | None]) -> None:
        """Advance by one physical step in which the devices did this.

        Args:
            p_kw: Mean power over the step, export positive [n].
            soc_percent: What devices tell of their vehicles; None where they tell nothing [n].
        """
        hours, efficiency = self._step_s / 3600, self.chargers.efficiency
        charged = np.maximum(-p_kw, 0.0) * efficiency - np.maximum(p_kw, 0.0) / efficiency
        counted = np.clip(self.soc_kwh + hours * charged * self.plugged, 0.0, self._capacity_kwh)
        told = np.array([np.nan if value is None else value / 100 for value in soc_percent]) * self._capacity_kwh
        # While nothing flows some chargers tell 0, or what the vehicle before had.
        believed = self.plugged & (np.abs(p_kw) > 0.1) & (told > 0)
        differs = np.abs(told - counted) > CORRECTED_FROM * self._capacity_kwh
        self.soc_kwh = np.where(believed & differs, told, counted)
        self.time_s += self._step_s
        self.ended = []
        self._change_sessions()

    def unmanaged_kw(self) -> NDArray[np.float64]:
        """Return what a charger that nobody manages is to do: its rating up to what the vehicle requires [n]."""
        aim = self._capacity_kwh if self._full else self.required_kwh
        room = np.maximum(aim - self.soc_kwh, 0.0) / (self.chargers.efficiency * self._step_s / 3600)
        wanted = np.minimum(self.chargers.charge_kw, np.maximum(room, self.chargers.min_kw))
        return np.where(self.plugged & (room > 0), -wanted, 0.0)

    def full_share(self) -> NDArray[np.float64]:
        """Return the state of charge, 0..1 [n]."""
        return np.divide(
            self.soc_kwh, self._capacity_kwh, out=np.zeros_like(self.soc_kwh), where=self._capacity_kwh > 0
        )
