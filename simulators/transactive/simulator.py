"""The DSO's price iteration on the clock, with the energy managers' answers in the same step.

Posting and answering fifty times an interval would be fifty passes of mosaik's clock through two simulators; so the
managers' planner answers here, where the prices are made. What crosses between DSO and prosumers is counted as the
messages that it would be.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import mosaik_api_v3
import numpy as np
import pandas as pd

from feederloop.simulators.aggregator.network import NetworkRows
from feederloop.simulators.aggregator.received import gathered_lists, gathered_vehicles
from feederloop.simulators.energy_manager.outlook import Beliefs, Outlook, Vehicles, look_ahead
from feederloop.simulators.energy_manager.planner import Planner
from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff
from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import load_network
from feederloop.simulators.grid.powerflow import PowerFlow
from feederloop.simulators.transactive.negotiation import PriceNegotiation, Rules

_LISTS = ("household_p_kw", "household_q_kvar", "pv_available_kw")
_SCALARS = ("soc_kwh", "plugged", "departure_s", "required_kwh")
_OUT = ("assigned_kwh", "price_adder_per_kwh")
COORDINATION = "Coordination"

META: dict[str, Any] = {
    "type": "time-based",
    "models": {
        "Participant": {"public": True, "params": ["sites"], "attrs": [*_LISTS, *_SCALARS, *_OUT]},
        COORDINATION: {"public": True, "params": [], "attrs": ["rounds", "messages", "rows", "excess_kw"]},
    },
}


class TransactiveSimulator(mosaik_api_v3.Simulator):
    """Speaks mosaik for `PriceNegotiation`; a participant per prosumer and one entity for the negotiation itself."""

    def __init__(self) -> None:
        super().__init__(META)
        self._names: tuple[str, ...] = ()
        self._sites: Sites
        self._negotiation: PriceNegotiation
        self._data: dict[str, list[float]] = {}
        self._report: dict[str, Any] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        start: str,
        duration_s: int,
        step_s: int,
        interval_s: int,
        horizon: int,
        tariff: Mapping[str, Any],
        network: str,
        feeders: int = 1,
        source_v_pu: float,
        limits: Mapping[str, float],
        options: Mapping[str, Any] | None = None,
        rules: Mapping[str, Any] | None = None,
    ) -> Any:
        """Set the negotiation up; parameters as of the aggregator's simulator, and `rules` the fields of `Rules`."""
        self._interval_s, self._horizon = interval_s, horizon
        self._tariff, self._options = Tariff.from_dict(tariff), Options.from_dict(options)
        self._rules = Rules.from_dict(rules or {})
        self._network = load_network(network, feeders=feeders, source_v_pu=source_v_pu)
        self._limits = Limits(**limits)
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """Create all participants (`sites` are `num` site dictionaries), or the negotiation."""
        if model == COORDINATION:
            return [{"eid": COORDINATION, "type": model}]
        if num != len(sites) or self._names:
            raise ValueError(f"all {model} entities are created at once: num is {num}, sites are {len(sites)}")
        self._sites = Sites.from_dicts(sites)
        self._names = self._sites.names
        points = pd.DataFrame([{key: site[key] for key in ("name", "bus", "phase")} for site in sites])
        network = NetworkRows(PowerFlow(Feeder.from_network(self._network, points)), self._limits)
        planner = Planner(self._sites, self._horizon, self._interval_s, self._options.weights)
        self._negotiation = PriceNegotiation(planner, network, self._interval_s / 3600.0, self._rules)
        return [{"eid": name, "type": model} for name in self._names]

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> int:
        """Negotiate for the interval that begins."""
        lists = {attr: gathered_lists(self._names, inputs, attr, self._horizon) for attr in _LISTS}
        first = time // self._interval_s
        outlook = self._outlook(first, lists, gathered_vehicles(self._names, inputs))
        agreement = self._negotiation.negotiate(first, outlook, lists["household_q_kvar"])
        self._data = {
            "assigned_kwh": (agreement.position_kw[:, 0] * self._interval_s / 3600.0).tolist(),
            "price_adder_per_kwh": agreement.adder_per_kwh[:, 0].tolist(),
        }
        self._report = {
            "rounds": agreement.rounds,
            # In every round everybody is told prices and answers.
            "messages": 2 * len(self._names) * agreement.rounds,
            "rows": agreement.rows,
            "excess_kw": float(agreement.excess_kw),
        }
        return time + self._interval_s

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
        """Return what was agreed for the interval."""
        row = {name: number for number, name in enumerate(self._names)}
        return {
            eid: {attr: self._report[attr] if eid == COORDINATION else self._data[attr][row[eid]] for attr in attrs}
            for eid, attrs in outputs.items()
        }

    def _outlook(self, first: int, lists: Mapping[str, np.ndarray], vehicles: Vehicles) -> Outlook:
        """Return what the managers know, with fuse and agreed export as their only limits."""
        sites, window = self._sites, slice(first, first + self._horizon)
        shape = lists["household_p_kw"].shape
        caps = (np.broadcast_to(cap[:, None], shape) for cap in (sites.import_cap_kw, sites.export_cap_kw))
        feed_in = self._tariff.feed_in_per_kwh[window]
        return look_ahead(
            sites,
            Beliefs(lists["household_p_kw"], lists["pv_available_kw"], *caps),
            vehicles,
            (self._tariff.retail_per_kwh[window], feed_in),
            feed_in,
            self._interval_s * np.arange(first, first + self._horizon, dtype=float),
            self._interval_s,
            self._options.curtailment_penalty_per_kwh,
            self._options.firm_pv_share,
        )


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(TransactiveSimulator(), "feederloop price negotiation")
