"""A fleet of EVs at their chargers, advanced one physical step at a time.

Sessions are snapped to physical steps: a car that arrives within a step can charge from the next one on, a car that
leaves within a step has charged until the one before. The state is that of an instant: after a step, that of its end,
with cars gone that leave then and cars there that arrive then.

Battery: E[t+h] = E[t] + h (efficiency · p_charge - p_discharge / efficiency). Power is reduced in the step in which the
battery would become full or empty; it then is the mean of a step within which the charger stops, and may be below the
charger's minimum.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feederloop.simulators import timeseries
from feederloop.simulators.ev_fleet.chargers import Chargers

SessionRow = list[str | float]
"""A row of the `ev_session` table: prosumer, arrival, departure (ISO 8601 UTC), capacity_kwh, arrival_kwh,
required_kwh, departure_kwh, not_served_kwh."""

SESSION_COLUMNS = (
    "prosumer",
    "arrival",
    "departure",
    "capacity_kwh",
    "arrival_kwh",
    "required_kwh",
    "departure_kwh",
    "not_served_kwh",
)
_NEVER = np.iinfo(np.int64).max


class Fleet:
    """State of all cars and chargers.

    Args:
        sites: Site dictionaries of prosumers with an EV (see `Chargers.of`).
        sessions: Their sessions (see `sessions.ev_sessions`).
        start: Start of the run, ISO 8601 with offset.
        step_s: Physical step in seconds.
        unmanaged_target: Up to what a car without set-point charges: `required` or `full`.

    Attributes:
        time_s: The instant of the state, seconds since the run's start.
        plugged: Whether a car is there [n].
        soc_kwh: Energy in its battery; 0 when unplugged [n].
        required_kwh: Energy it requires at departure; 0 when unplugged [n].
        departure_s: When it leaves, seconds since the run's start; -1 when unplugged [n].
        ended: Rows of the sessions that ended in the last step.
    """

    def __init__(
        self,
        sites: Sequence[Mapping[str, Any]],
        sessions: pd.DataFrame,
        *,
        start: str,
        step_s: int,
        unmanaged_target: str = "required",
    ) -> None:
        self.chargers = Chargers.of(sites)
        self._step_s = step_s
        self._full = unmanaged_target == "full"
        self._load(sessions, timeseries.utc_seconds(start))
        count = len(self.chargers.names)
        self.time_s = 0
        self.plugged = np.zeros(count, dtype=bool)
        self.soc_kwh = np.zeros(count)
        self.required_kwh = np.zeros(count)
        self.departure_s = np.full(count, -1, dtype=np.int64)
        self.ended: list[SessionRow] = []
        self._capacity_kwh = np.zeros(count)
        self._change_sessions()

    def _load(self, sessions: pd.DataFrame, start_s: int) -> None:
        """Lay the sessions out by charger and time, behind each charger's last a session that never comes."""
        row = {name: row for row, name in enumerate(self.chargers.names)}
        charger = sessions["prosumer"].map(row).to_numpy(dtype=np.int64)
        seconds = {
            name: sessions[name]
            .dt.tz_convert("UTC")
            .dt.tz_localize(None)
            .to_numpy()
            .astype("datetime64[s]")
            .astype(np.int64)
            for name in ("arrival", "departure")
        }
        order = np.lexsort((seconds["arrival"], charger))
        first = np.searchsorted(charger[order], np.arange(len(row) + 1))
        ends = first[1:]  # one dummy is inserted behind each charger's sessions
        self._next = first[:-1] + np.arange(len(row))
        snapped_arrival = -((start_s - seconds["arrival"]) // self._step_s) * self._step_s
        snapped_departure = (seconds["departure"] - start_s) // self._step_s * self._step_s
        self._arrival_s = np.insert(np.maximum(snapped_arrival, 0)[order], ends, _NEVER)
        self._departure_s = np.insert(snapped_departure[order], ends, _NEVER)
        energies = sessions[["capacity_kwh", "arrival_kwh", "required_kwh"]].to_numpy(dtype=np.float64)[order]
        self._energies = np.insert(energies, ends, 0.0, axis=0)
        stamps = np.stack([seconds["arrival"][order], seconds["departure"][order]], axis=1)
        self._stamps = np.insert(stamps, ends, 0, axis=0)

    def step(self, p_set_kw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Advance by one physical step.

        Args:
            p_set_kw: Power asked of each charger, export positive; NaN: nobody manages it, and a car charges at full
                rating from its arrival up to the unmanaged target [n].

        Returns:
            Mean power over the step, export positive [n].
        """
        chargers, hours = self.chargers, self._step_s / 3600
        managed = ~np.isnan(p_set_kw)
        wanted = np.where(managed, p_set_kw, -chargers.charge_kw)
        charge = np.clip(-wanted, 0.0, chargers.charge_kw)
        discharge = np.clip(wanted, 0.0, chargers.discharge_kw)
        charge[charge < chargers.min_kw - 1e-9] = 0.0
        discharge[discharge < chargers.min_kw - 1e-9] = 0.0
        unmanaged_aim = self._capacity_kwh if self._full else self.required_kwh
        room = np.maximum(np.where(managed, self._capacity_kwh, unmanaged_aim) - self.soc_kwh, 0.0)
        charge = np.minimum(charge, room / (chargers.efficiency * hours)) * self.plugged
        discharge = np.minimum(discharge, self.soc_kwh * chargers.efficiency / hours) * self.plugged
        change = hours * (charge * chargers.efficiency - discharge / chargers.efficiency)
        self.soc_kwh = np.clip(self.soc_kwh + change, 0.0, self._capacity_kwh)
        self.time_s += self._step_s
        self.ended = []
        self._change_sessions()
        return np.asarray(discharge - charge)

    def _change_sessions(self) -> None:
        """Let cars leave and arrive at this instant; a car that comes and goes within a step does both."""
        while True:
            leaving = self.plugged & (self.departure_s <= self.time_s)
            for charger in np.flatnonzero(leaving):
                self.ended.append(self._row(int(charger)))
            self.plugged &= ~leaving
            self._next += leaving
            coming = ~self.plugged & (self._arrival_s[self._next] <= self.time_s)
            self.plugged |= coming
            energies = np.where(coming[:, None], self._energies[self._next], 0.0)
            self._capacity_kwh = np.where(self.plugged & ~coming, self._capacity_kwh, energies[:, 0])
            self.soc_kwh = np.where(self.plugged & ~coming, self.soc_kwh, energies[:, 1])
            self.required_kwh = np.where(self.plugged & ~coming, self.required_kwh, energies[:, 2])
            self.departure_s = np.where(self.plugged, self._departure_s[self._next], -1)
            if not coming.any():
                return

    def _row(self, charger: int) -> SessionRow:
        """Return the row of the session that ends at a charger."""
        session = self._next[charger]
        arrival, departure = (timeseries.iso_utc(float(stamp)) for stamp in self._stamps[session])
        capacity, came_with, required = (float(value) for value in self._energies[session])
        left_with = float(self.soc_kwh[charger])
        name = self.chargers.names[charger]
        return [name, arrival, departure, capacity, came_with, required, left_with, max(0.0, required - left_with)]
