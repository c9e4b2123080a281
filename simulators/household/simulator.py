"""Households on the shared clock: what each home draws now, for no decision of anybody."""

from collections.abc import Mapping, Sequence
from typing import Any

import mosaik_api_v3

from feederloop.simulators.household.demand import HouseholdPower, household_power

META: dict[str, Any] = {
    "type": "time-based",
    "models": {"Household": {"public": True, "params": ["sites"], "attrs": ["time_s", "p_kw", "q_kvar"]}},
}


class HouseholdSimulator(mosaik_api_v3.Simulator):
    """Speaks mosaik for `household_power`; steps every physical step."""

    def __init__(self) -> None:
        super().__init__(META)
        self._options: dict[str, Any] = {}
        self._step_s = 0
        self._step = 0
        self._rows: dict[str, int] = {}
        self._power: HouseholdPower

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
        source: Mapping[str, Any],
    ) -> Any:
        """Take the run's time and the source of demand; arguments as of `household_power`."""
        self._step_s = step_s
        self._options = {
            "start": start, "duration_s": duration_s, "step_s": step_s, "seed": seed, "time_zone": time_zone,
            "source": source,
        }  # fmt: skip
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Create all homes; `sites` are `num` site dictionaries."""
        if num != len(sites) or self._rows:
            raise ValueError(f"all {model} entities are created at once: num is {num}, sites are {len(sites)}")
        self._power = household_power(sites, **self._options)
        self._rows = {site["name"]: row for row, site in enumerate(sites)}
        return [{"eid": site["name"], "type": model} for site in sites]

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> int:
        """Move to the physical step that begins at `time`; at the run's very end the last step's values stay."""
        self._step = min(time // self._step_s, self._power.p_kw.shape[1] - 1)
        return time + self._step_s

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
        """Return the power of each home over the current step."""
        now = {name: getattr(self._power, name)[:, self._step].tolist() for name in ("p_kw", "q_kvar")}
        return {eid: {name: now[name][self._rows[eid]] for name in names} for eid, names in outputs.items()}


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(HouseholdSimulator())
