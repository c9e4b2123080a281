"""The DSO's curtailment on the clock: after the market of an interval, what was not traded may have to give way."""

from collections.abc import Mapping, Sequence
from typing import Any

import mosaik_api_v3
import numpy as np
import pandas as pd

from feederloop.simulators.aggregator.network import NetworkRows
from feederloop.simulators.curtailment.curtailment import Curtailment
from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder, Floats
from feederloop.simulators.grid.networks import load_network
from feederloop.simulators.grid.powerflow import PowerFlow

_IN = ("household_p_kw", "household_q_kvar", "curve_kwh", "traded_kwh", "refused_kwh")
_OUT = ("export_limit_kw", "import_limit_kw", "curtailed_kwh", "curtailed_by")
_CURTAILED_KW = 1e-6

META: dict[str, Any] = {
    "type": "time-based",
    "extra_methods": ["initial_states"],
    "models": {"ConnectionPoint": {"public": True, "params": ["sites"], "attrs": [*_IN, *_OUT]}},
}


class CurtailmentSimulator(mosaik_api_v3.Simulator):
    """One entity per connection point; knows curves and trades for k+1 at the start of k, and limits k+1.

    What is not traded goes to the retailer or comes from it: of the curve, what is offered even at the lowest price and
    what is wanted even at the highest, less what was refused already.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._names: list[str] = []
        self._data: dict[str, dict[str, Any]] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        interval_s: int,
        horizon: int,
        network: str,
        feeders: int = 1,
        source_v_pu: float,
        limits: Mapping[str, float],
    ) -> Any:
        """Load the network as the DSO knows it; parameters as of the envelope controller's simulator."""
        self._interval_s, self._horizon = interval_s, horizon
        self._network = load_network(network, feeders=feeders, source_v_pu=source_v_pu)
        self._limits = Limits(**limits)
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Create all connection points; `sites` are `num` site dictionaries."""
        points = pd.DataFrame([{key: site[key] for key in ("name", "bus", "phase")} for site in sites])
        self._names = [str(site["name"]) for site in sites]
        self._caps = {
            "export_limit_kw": np.array([float(site["export_cap_kw"]) for site in sites]),
            "import_limit_kw": np.array([float(site["import_cap_kw"]) for site in sites]),
        }
        network = NetworkRows(PowerFlow(Feeder.from_network(self._network, points)), self._limits)
        self._curtailment = Curtailment(network, num, self._interval_s / 3600.0)
        return [{"eid": name, "type": model} for name in self._names]

    def initial_states(self) -> dict[str, dict[str, list[float]]]:
        """Return the limits of the run's first interval, which no market was before: what was agreed."""
        return {
            name: {attr: [float(caps[row])] * self._horizon for attr, caps in self._caps.items()}
            for row, name in enumerate(self._names)
        }

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> int:
        """Limit the interval that begins one interval from now."""
        hours = self._interval_s / 3600.0
        demand, q_kvar = (self._next(inputs, attr) for attr in ("household_p_kw", "household_q_kvar"))
        curves = [self._one(inputs, name, "curve_kwh") for name in self._names]
        traded, refused = (
            np.array([self._one(inputs, name, attr) for name in self._names], dtype=float) / hours
            for attr in ("traded_kwh", "refused_kwh")
        )
        lowest, highest = (np.array([curve[end] for curve in curves], dtype=float) / hours for end in (0, -1))
        intended = np.clip(traded, lowest, highest)
        demand = np.minimum(demand, 0.0)
        # Nobody is refused what the household draws anyway.
        drawn = np.where(refused < 0, np.maximum(demand, intended), np.inf)
        bearable = self._curtailment.bearable(np.minimum(intended - refused, drawn), traded, demand, q_kvar)
        plan = bearable.p_kw[:, 0]
        exports, imports = intended - plan > _CURTAILED_KW, plan - intended > _CURTAILED_KW
        export_kw = np.where(exports, np.maximum(plan, 0.0), self._caps["export_limit_kw"])
        import_kw = np.where(imports, np.maximum(-plan, 0.0), self._caps["import_limit_kw"])
        kinds = zip(exports.tolist(), imports.tolist(), self._curtailment.held_by(bearable), strict=True)
        held_by = [held[0] if export else held[1] if import_ else "" for export, import_, held in kinds]
        columns = (export_kw.tolist(), import_kw.tolist(), ((intended - plan) * hours).tolist(), held_by)
        rows = zip(*columns, strict=True)
        self._data = {
            name: dict(zip(_OUT, self._lists(number, *row), strict=True))
            for number, (name, row) in enumerate(zip(self._names, rows, strict=True))
        }
        return time + self._interval_s

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
        """Return limits, as lists that begin with k+1, what was curtailed in k+1 (of export positive), and by what."""
        return {
            eid: {attr: list(value) if isinstance(value := self._data[eid][attr], list) else value for attr in attrs}
            for eid, attrs in outputs.items()
        }

    def _lists(self, row: int, export_kw: float, import_kw: float, *curtailed: Any) -> tuple[Any, ...]:
        """Return what is put out: later intervals are not known yet, and hence not limited."""
        later = self._horizon - 1
        export_cap, import_cap = (float(self._caps[attr][row]) for attr in ("export_limit_kw", "import_limit_kw"))
        return [export_kw, *[export_cap] * later], [import_kw, *[import_cap] * later], *curtailed

    def _next(self, inputs: Mapping[str, Any], attr: str) -> Floats:
        return np.array([self._one(inputs, name, attr)[1] for name in self._names], dtype=float)

    @staticmethod
    def _one(inputs: Mapping[str, Any], name: str, attr: str) -> Any:
        sources = inputs.get(name, {}).get(attr, {})
        if len(sources) != 1:
            raise InputError("needs one source", key=f"{name}.{attr}", value=sorted(sources), allowed="one source")
        return next(iter(sources.values()))


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(CurtailmentSimulator(), "feederloop curtailment")
