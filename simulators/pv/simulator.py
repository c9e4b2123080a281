"""Photovoltaic plants on the shared clock: take their limit, feed in."""

from collections.abc import Mapping, Sequence
from typing import Any

import mosaik_api_v3
import numpy as np

from feederloop.simulators.pv.available import available_power
from feederloop.simulators.pv.inverters import Floats, Inverters

META: dict[str, Any] = {
    "type": "time-based",
    "extra_methods": ["initial_states"],
    "models": {
        "Inverter": {
            "public": True,
            "params": ["sites"],
            "attrs": ["p_limit_kw", "v_v", "p_kw", "q_kvar", "available_kw"],
        }
    },
}


class PvSimulator(mosaik_api_v3.Simulator):
    """Speaks mosaik for `Inverters`; steps every physical step."""

    def __init__(self) -> None:
        super().__init__(META)
        self._options: dict[str, Any] = {}
        self._step_s = 0
        self._rows: dict[str, int] = {}
        self._inverters: Inverters
        self._state: dict[str, list[float]] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        start: str,
        duration_s: int,
        step_s: int,
        seed: int,
        place: Mapping[str, Any],
        weather: Mapping[str, Any],
    ) -> Any:
        """Take the run's time, place and weather; arguments as of `available_power`."""
        self._step_s = step_s
        self._options = {
            "start": start, "duration_s": duration_s, "step_s": step_s, "seed": seed, "place": place,
            "weather": weather,
        }  # fmt: skip
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Create all plants; `sites` are `num` site dictionaries.

        Those with a `volt_var_kva` answer to the voltage `v_v` that they are told.
        """
        if num != len(sites) or self._rows:
            raise ValueError(f"all {model} entities are created at once: num is {num}, sites are {len(sites)}")
        rated = np.array([float(site.get("volt_var_kva", 0.0)) for site in sites])
        self._inverters = Inverters(available_power(sites, **self._options), rated)
        self._rows = {site["name"]: row for row, site in enumerate(sites)}
        self._move(0, np.full(len(sites), np.nan))
        return [{"eid": site["name"], "type": model} for site in sites]

    def initial_states(self) -> dict[str, dict[str, float]]:
        """Return what each plant would show at the run's start, for edges that carry the previous step's value."""
        return self.get_data(dict.fromkeys(self._rows, ("p_kw", "q_kvar", "available_kw")))

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> int:
        """Carry out the physical step that begins at `time`; of several limits the lowest holds, none is no limit.

        At the run's very end the sun stays as it was in the last step.
        """
        limit = np.full(len(self._rows), np.nan)
        for eid, values in inputs.items():
            limits = [value for value in values.get("p_limit_kw", {}).values() if value is not None]
            if limits:
                limit[self._rows[eid]] = min(limits)
        volts = np.full(len(self._rows), np.nan)
        for eid, values in inputs.items():
            for value in values.get("v_v", {}).values():
                volts[self._rows[eid]] = np.nan if value is None else value
        self._move(min(time // self._step_s, self._inverters.available_kw.shape[1] - 1), limit, volts)
        return time + self._step_s

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
        """Return power and available power of each plant over the current step."""
        return {eid: {name: self._state[name][self._rows[eid]] for name in names} for eid, names in outputs.items()}

    def _move(self, step: int, limit: Floats, volts: Floats | None = None) -> None:
        self._state = {
            "p_kw": self._inverters.power(step, limit, volts).tolist(),
            "q_kvar": [0.0] * len(self._rows),
            "available_kw": self._inverters.available_kw[:, step].tolist(),
        }


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(PvSimulator())
