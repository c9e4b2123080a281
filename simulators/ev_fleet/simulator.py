"""EVs at their chargers on the shared clock: take set-points, charge and discharge, come and go."""

from collections.abc import Mapping, Sequence
from typing import Any

import mosaik_api_v3
import numpy as np

from feederloop.simulators.ev_fleet.fleet import Fleet
from feederloop.simulators.ev_fleet.sessions import ev_sessions, unmanaged_target

FLEET = "Fleet"
STATE = ("p_kw", "q_kvar", "soc_kwh", "plugged", "departure_s", "required_kwh")
META: dict[str, Any] = {
    "type": "time-based",
    "extra_methods": ["initial_states"],
    "models": {
        "Charger": {"public": True, "params": ["sites"], "attrs": ["p_set_kw", *STATE]},
        "Fleet": {"public": True, "params": [], "attrs": ["sessions_ended"]},
    },
}


class EvFleetSimulator(mosaik_api_v3.Simulator):
    """Speaks mosaik for `Fleet`; steps every physical step."""

    def __init__(self) -> None:
        super().__init__(META)
        self._options: dict[str, Any] = {}
        self._step_s = 0
        self._rows: dict[str, int] = {}
        self._fleet: Fleet
        self._state: dict[str, list[Any]] = {}
        self._over = False

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        start: str,
        duration_s: int,
        step_s: int,
        seed: int,
        time_zone: str,
        sessions: Mapping[str, Any],
    ) -> Any:
        """Take the run's time and the rules of sessions; arguments as of `ev_sessions` (`sessions`: its `rules`)."""
        self._step_s = step_s
        self._options = {
            "start": start, "duration_s": duration_s, "seed": seed, "time_zone": time_zone, "rules": sessions,
        }  # fmt: skip
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """Create all chargers (`sites` are `num` site dictionaries with an EV), or the one fleet."""
        if model == "Fleet":
            if num != 1:
                raise ValueError(f"there is one fleet, not {num}")
            return [{"eid": FLEET, "type": model}]
        if num != len(sites) or self._rows:
            raise ValueError(f"all {model} entities are created at once: num is {num}, sites are {len(sites)}")
        options = self._options
        drawn = ev_sessions(sites, **options)
        target = unmanaged_target(options["rules"])
        self._fleet = Fleet(sites, drawn, start=options["start"], step_s=self._step_s, unmanaged_target=target)
        self._rows = {site["name"]: row for row, site in enumerate(sites)}
        self._remember(np.zeros(len(sites)))
        return [{"eid": site["name"], "type": model} for site in sites]

    def initial_states(self) -> dict[str, dict[str, Any]]:
        """Return each charger's state at the run's start, for edges that carry the previous step's value.

        To be called before the first step.
        """
        return self.get_data(dict.fromkeys(self._rows, STATE))

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> int:
        """Carry out the physical step that begins at `time`; a charger without set-point is not managed.

        A step at the run's very end belongs to no run: the state stays as it is.
        """
        if time >= self._options["duration_s"]:
            self._over = True
            return time + self._step_s
        set_kw = np.full(len(self._rows), np.nan)
        for eid, values in inputs.items():
            given = [value for value in values.get("p_set_kw", {}).values() if value is not None]
            if len(given) > 1:
                raise ValueError(f"charger {eid} gets {len(given)} set-points; it obeys one")
            if given:
                set_kw[self._rows[eid]] = given[0]
        if self._rows:
            self._remember(self._fleet.step(set_kw))
        return time + self._step_s

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
        """Return power over the step and the state at its end."""
        data: dict[str, dict[str, Any]] = {}
        for eid, names in outputs.items():
            if eid == FLEET:
                ended = [list(row) for row in self._fleet.ended] if self._rows and not self._over else []
                data[eid] = {"sessions_ended": ended}
            else:
                data[eid] = {name: self._state[name][self._rows[eid]] for name in names}
        return data

    def _remember(self, p_kw: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        self._state = {
            "p_kw": p_kw.tolist(),
            "q_kvar": [0.0] * len(p_kw),
            "soc_kwh": self._fleet.soc_kwh.tolist(),
            "plugged": self._fleet.plugged.tolist(),
            "departure_s": self._fleet.departure_s.tolist(),
            "required_kwh": self._fleet.required_kwh.tolist(),
        }


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(EvFleetSimulator())
