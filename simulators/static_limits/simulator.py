"""Constant export and import limits on the shared clock: what most connection agreements state today."""

from collections.abc import Mapping, Sequence
from typing import Any

import mosaik_api_v3

META: dict[str, Any] = {
    "type": "time-based",
    "models": {
        "ConnectionPoint": {"public": True, "params": ["sites"], "attrs": ["export_limit_kw", "import_limit_kw"]},
    },
}


class StaticLimitsSimulator(mosaik_api_v3.Simulator):
    """Puts out the same attributes as the envelope controller, and never anything new."""

    def __init__(self) -> None:
        super().__init__(META)
        self._limits: dict[str, dict[str, list[float]]] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        interval_s: int,
        horizon: int,
        export_kw: float,
        import_kw: float,
    ) -> Any:
        """Take the limits.

        Args:
            sid: The simulator's id on the clock.
            time_resolution: Seconds per unit of time.
            interval_s: Market interval in seconds.
            horizon: Intervals in every list.
            export_kw: Highest export of every connection point; of one agreed lower, that.
            import_kw: Highest import; of a smaller fuse, what that allows.
        """
        self._interval_s, self._horizon = interval_s, horizon
        self._export_kw, self._import_kw = export_kw, import_kw
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Create all connection points; `sites` are `num` site dictionaries."""
        self._limits = {
            site["name"]: {
                "export_limit_kw": [float(min(self._export_kw, site["export_cap_kw"]))] * self._horizon,
                "import_limit_kw": [float(min(self._import_kw, site["import_cap_kw"]))] * self._horizon,
            }
            for site in sites
        }
        return [{"eid": name, "type": model} for name in self._limits]

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> int:
        """Change nothing."""
        return time + self._interval_s

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, list[float]]]:
        """Return the limits over the horizon."""
        return {eid: {attr: list(self._limits[eid][attr]) for attr in attrs} for eid, attrs in outputs.items()}


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(StaticLimitsSimulator(), "feederloop static limits")
