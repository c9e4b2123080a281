"""The DSO's envelope controller on the shared clock: it publishes limits and sees neither prices nor counterparties."""

from dataclasses import replace
from typing import Any

import mosaik_api_v3
import numpy as np
import pandas as pd
from mosaik_api_v3.types import CreateResult, Meta

from feederloop.simulators.envelope.box import Interval, Limits
from feederloop.simulators.envelope.controller import EnvelopeController, Options, Published
from feederloop.simulators.envelope.outage import Outages
from feederloop.simulators.envelope.volt_var_controller import VoltVarController
from feederloop.simulators.grid.feeder import Feeder, Floats
from feederloop.simulators.grid.networks import load_network
from feederloop.simulators.grid.powerflow import PowerFlow

LISTS_IN = (
    "household_p_kw", "household_p_low_kw", "household_q_kvar", "export_request_kw", "import_request_kw",
    "import_need_kw",
)  # fmt: skip
LISTS_OUT = ("export_limit_kw", "import_limit_kw", "q_low_kvar", "q_high_kvar")
META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "ConnectionPoint": {
            "public": True,
            "params": ["sites"],
            "attrs": [
                *LISTS_IN, *LISTS_OUT,
            ],
        },
        "Controller": {
            "public": True,
            "params": [],
            "attrs": [
                "total_export_kw", "total_import_kw", "v_max_v", "v_min_v", "loading_max_percent", "certified",
                "floor_cut", "proof_cost_kw",
            ],
        },
    },
}  # fmt: skip

_RENEWAL_INTERVALS = 24
"""How often, in intervals, the whole outlook is made anew; each interval's binding limits are in any case."""


class EnvelopeSimulator(mosaik_api_v3.Simulator):
    """One entity per connection point and one for the controller itself.

    A limit list starts with the interval that begins now. What was published for it stays; the next interval's limits
    are made binding in this step, and the farthest interval of the outlook is added. From time to time the whole
    outlook is made anew.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._limits: dict[int, Published] = {}

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
        limits: dict[str, float],
        options: dict[str, Any],
        default_export_kw: float = 1.5,
        default_import_kw: float = 1.5,
        energy_aware: bool = True,
        outage_share: float = 0.0,
        outage_intervals: float = 4.0,
        seed: int = 0,
    ) -> Meta:
        """Load the network as the DSO knows it.

        Args:
            sid: The simulator's id.
            time_resolution: Seconds per unit of mosaik's time.
            interval_s: How long an envelope holds.
            horizon: Intervals in the outlook, counting the one that begins now.
            network: Shipped network's name or path of a pandapower JSON file.
            feeders: Copies of the low-voltage network behind the transformer.
            source_v_pu: Voltage of the external grid.
            limits: Fields of `Limits`.
            options: Fields of `Options`.
            default_export_kw: Export limit of a customer whose envelope has expired.
            default_import_kw: Import limit of such a customer.
            energy_aware: Whether import limits leave room for the energy that vehicles need before they leave.
            outage_share: Share of time that a customer is out of reach.
            outage_intervals: How many intervals that lasts on average.
            seed: The scenario's seed.
        """
        self._interval_s, self._horizon = interval_s, horizon
        self._network = load_network(network, feeders=feeders, source_v_pu=source_v_pu)
        self._network_limits, self._options = Limits(**limits), Options(**options)
        self._default_kw = np.array([default_export_kw, default_import_kw])
        self._energy_aware = energy_aware
        self._outage: dict[str, Any] = {"seed": seed, "share": outage_share, "mean_intervals": outage_intervals}
        return self.meta

    def create(self, num: int, model: str, *, sites: list[dict[str, Any]] | None = None) -> list[CreateResult]:  # type: ignore[override]
        """Create all connection points (from `sites`), or the controller's own entity."""
        if model == "Controller":
            return [{"eid": "controller", "type": model}]
        points = pd.DataFrame(sites)[["name", "bus", "phase", "export_cap_kw", "import_cap_kw"]]
        self._names = [str(name) for name in points["name"]]
        self._export_cap_kw = points["export_cap_kw"].to_numpy(dtype=float)
        self._import_cap_kw = points["import_cap_kw"].to_numpy(dtype=float)
        self._controller = self._controller_of(
            points, np.array([site.get("volt_var_kva", 0.0) for site in sites or []])
        )
        self._outages = Outages(self._names, **self._outage)
        return [{"eid": name, "type": model} for name in self._names]

    def _controller_of(self, points: pd.DataFrame, volt_var_kva: Floats) -> EnvelopeController | VoltVarController:
        feeder = Feeder.from_network(self._network, points[["name", "bus", "phase"]])
        if volt_var_kva.any():
            return VoltVarController(feeder, self._network_limits, self._options, volt_var_kva)
        return EnvelopeController(PowerFlow(feeder), self._network_limits, self._options)

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Publish the limits of the next interval, and of the whole outlook at the start."""
        now = time // self._interval_s
        columns = {
            attr: np.array([next(iter(inputs[name][attr].values())) for name in self._names], dtype=float)
            for attr in LISTS_IN
        }
        self._offline = self._outages.advance()
        # The first step has two binding intervals to publish; the outlook follows in the second.
        renew = now % _RENEWAL_INTERVALS == 1
        for k in range(now, now + self._horizon):
            if k == now + 1 or k not in self._limits or (renew and k > now):
                # Of the outlook, which guides plans and binds nobody, every other interval stands for the next as well.
                stands = k > now + 1 and k - 1 in self._limits and (k % 2 == 1 or now == 0)
                self._limits[k] = (
                    self._limits[k - 1] if stands else self._published(self._interval(columns, k - now), now, k)
                )
        self._limits = {k: published for k, published in self._limits.items() if k >= now}
        self._now = now
        return time + self._interval_s

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Return what was asked for."""
        outlook = [self._limits[k] for k in range(self._now, self._now + self._horizon)]
        lists = {
            attr: np.stack([getattr(published, attr) for published in outlook], axis=1).tolist() for attr in LISTS_OUT
        }
        row = {name: number for number, name in enumerate(self._names)}
        binding = self._binding(outlook[0])
        return {
            eid: {attr: binding[attr] if eid == "controller" else lists[attr][row[eid]] for attr in attrs}
            for eid, attrs in outputs.items()
        }

    def _published(self, interval: Interval, now: int, k: int) -> Published:
        """Return what holds in interval k: for who is out of reach, the default that its device falls back to."""
        offline = self._offline
        if not offline.any() or k <= now:
            return self._controller.publish(interval, binding=k <= now + 1)
        last = self._limits[now]
        export = np.maximum(last.export_limit_kw, self._default_kw[0])
        load = np.maximum(last.import_limit_kw, self._default_kw[1])
        published = self._controller.publish(interval.with_offline(offline, -load, export), binding=k <= now + 1)
        return replace(
            published,
            export_limit_kw=np.where(offline, self._default_kw[0], published.export_limit_kw),
            import_limit_kw=np.where(offline, self._default_kw[1], published.import_limit_kw),
        )

    def _interval(self, columns: dict[str, Floats], ahead: int) -> Interval:
        p_kw, low_kw = columns["household_p_kw"][:, ahead], columns["household_p_low_kw"][:, ahead]
        q_kvar = columns["household_q_kvar"][:, ahead]
        # Reactive power goes with the household's active power, up to the inflexible demand that the limits allow for.
        with np.errstate(divide="ignore", invalid="ignore"):
            q_at_low = np.where(p_kw < 0, q_kvar * low_kw / p_kw, q_kvar)
        export_kw = np.minimum(columns["export_request_kw"][:, ahead], self._export_cap_kw)
        import_kw = np.minimum(columns["import_request_kw"][:, ahead], self._import_cap_kw)
        return Interval(
            p_kw=p_kw,
            q_low_kvar=np.minimum(q_at_low, 0.0),
            q_high_kvar=np.maximum(q_at_low, 0.0),
            active=np.ones(len(p_kw), dtype=bool),
            export_cap_kw=np.maximum(export_kw, 0.0),
            import_cap_kw=np.maximum(import_kw, 0.0),
            import_floor_kw=np.maximum(-low_kw, 0.0)
            + (columns["import_need_kw"][:, ahead] if self._energy_aware else 0.0),
            uncertainty_kw=np.zeros_like(p_kw),
        )

    def _binding(self, published: Published) -> dict[str, Any]:
        certificate = published.certificate
        return {
            "total_export_kw": float(published.export_limit_kw.sum()),
            "total_import_kw": float(published.import_limit_kw.sum()),
            "v_max_v": float("nan") if certificate is None else certificate.v_max_v,
            "v_min_v": float("nan") if certificate is None else certificate.v_min_v,
            "loading_max_percent": float("nan") if certificate is None else certificate.loading_max_percent,
            "certified": certificate is not None and certificate.certified,
            "floor_cut": published.floor_cut,
            "proof_cost_kw": published.proof_cost_kw,
        }


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(EnvelopeSimulator(), "feederloop envelope controller")
