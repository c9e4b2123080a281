"""What simulators are told of the scenario: plain dictionaries that travel to other processes."""

from typing import Any

from feederloop.coupling.scenario import Scenario
from feederloop.simulators.market.tariffs import expand_tariff


class Parameters:
    """Groups of parameters that several simulators take alike.

    Args:
        scenario: The scenario.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        time = scenario.time
        self.clock = {"start": time.start_utc, "step_s": time.step_s, "duration_s": time.duration_s}
        self.intervals = {"interval_s": time.interval_s, "horizon": time.horizon_intervals}
        self.drawn = {"seed": scenario.seed, "time_zone": time.time_zone}
        self.sun = {"place": scenario.room("place"), "weather": scenario.room("weather")}
        self.source = scenario.room("household", "source")
        self.network = {
            "network": scenario.grid.network,
            "feeders": scenario.grid.feeders,
            "source_v_pu": scenario.grid.source_v_pu,
        }

    def limits(self, margin_v: float = 0.0, margin_percent: float = 0.0) -> dict[str, float]:
        """What the network has to keep, less a margin."""
        limits = self._scenario.limits
        low, high = limits.voltage_range_v
        return {
            "v_min_v": low + margin_v,
            "v_max_v": high - margin_v,
            "line_loading_percent": limits.line_loading_percent - margin_percent,
            "transformer_loading_percent": limits.transformer_loading_percent - margin_percent,
        }

    def prices(self) -> dict[str, Any]:
        """Retail and feed-in prices over the run and a horizon beyond, as those who plan know them."""
        time = self._scenario.time
        tariff = expand_tariff(
            self._scenario.room("tariff"),
            start=time.start_utc,
            time_zone=time.time_zone,
            interval_s=time.interval_s,
            count=time.intervals + time.horizon_intervals + 1,
            beyond="repeat_day",
        )
        return {
            "retail_per_kwh": tariff.retail_per_kwh.tolist(),
            "feed_in_per_kwh": tariff.feed_in_per_kwh.tolist(),
            "network_charge_per_kwh": tariff.network_charge_per_kwh,
        }

    def truth(self) -> dict[str, Any]:
        """What homes, sun and vehicles are made from, for who sees it all in advance."""
        return {**self.drawn, **self.sun, "source": self.source, "sessions": self._scenario.room("sessions")}

    def settlement(self) -> dict[str, Any]:
        """What the market settles by."""
        rules = self._scenario.settlement
        return {
            "tariff": self._scenario.room("tariff"),
            "kappa_per_kwh": rules.imbalance_kappa_per_kwh,
            "breach_price_per_kwh": rules.breach_price_per_kwh,
        }

    def envelope(self) -> dict[str, Any]:
        """What the DSO's controller publishes envelopes by."""
        envelope = self._scenario.envelope
        return {
            **self.network,
            "limits": {**self.limits(), "vuf_percent": envelope.vuf_percent},
            "default_export_kw": envelope.default_export_kw,
            "default_import_kw": envelope.default_import_kw,
            "energy_aware": envelope.energy_aware,
            "outage_share": envelope.outage_share,
            "outage_intervals": envelope.outage_intervals,
            "seed": self._scenario.seed,
            "options": {
                "rule": envelope.rule,
                "safety": envelope.safety,
                "alpha": envelope.alpha,
                "export_weight": envelope.export_weight,
                "import_weight": envelope.import_weight,
                "margin_v": envelope.voltage_margin_v,
            },
        }
