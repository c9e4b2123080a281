"""What the energy managers are told once: their sites, the tariff and how they decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from feederloop.simulators.energy_manager.model import Weights
from feederloop.simulators.errors import InputError

MODES = ("optimise", "tariff", "directed", "limited", "unmanaged")


@dataclass(frozen=True, eq=False)
class Sites:
    """What stands behind each prosumer's connection point; every array has shape (prosumers,).

    Attributes:
        names: The prosumers' names.
        ev_capacity_kwh: Battery of the vehicle, 0 without one.
        ev_charge_kw: Largest charging power.
        ev_discharge_kw: Largest discharging power, 0 without vehicle-to-grid.
        ev_efficiency: Of charging and of discharging, each in (0, 1].
        ev_wear_per_kwh: Money per kWh discharged.
        charger_min_kw: Below this the charger is off; 0 for one that can be throttled to nothing.
        inverter_kw: What the inverter can feed in, 0 without PV.
        import_cap_kw: Fuse.
        export_cap_kw: Largest export agreed with the network.
    """

    names: tuple[str, ...]
    ev_capacity_kwh: np.ndarray
    ev_charge_kw: np.ndarray
    ev_discharge_kw: np.ndarray
    ev_efficiency: np.ndarray
    ev_wear_per_kwh: np.ndarray
    charger_min_kw: np.ndarray
    inverter_kw: np.ndarray
    import_cap_kw: np.ndarray
    export_cap_kw: np.ndarray

    @classmethod
    def from_dicts(cls, sites: Sequence[Mapping[str, Any]]) -> "Sites":
        """Read the site dictionaries of the scenario.

        Raises:
            InputError: A name appears twice or a number is missing or out of range.
        """
        names = tuple(str(site["name"]) for site in sites)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError("two prosumers have the same name", key="sites.name", value=twice, allowed="unique names")
        has_ev = _column(sites, "ev_capacity_kwh", 0.0) > 0
        efficiency = np.where(has_ev, _column(sites, "ev_efficiency", 1.0), 1.0)
        for name, value in zip(names, efficiency, strict=True):
            if not 0 < value <= 1:
                key = f"sites.{name}.ev_efficiency"
                raise InputError("efficiency out of range", key=key, value=float(value), allowed="above 0, at most 1")
        has_pv = _column(sites, "pv_kwp", 0.0) > 0
        return cls(
            names=names,
            ev_capacity_kwh=_column(sites, "ev_capacity_kwh", 0.0),
            ev_charge_kw=np.where(has_ev, _column(sites, "ev_charge_kw", 0.0), 0.0),
            ev_discharge_kw=np.where(has_ev, _column(sites, "ev_discharge_kw", 0.0), 0.0),
            ev_efficiency=efficiency,
            ev_wear_per_kwh=_column(sites, "ev_wear_per_kwh", 0.0),
            charger_min_kw=_column(sites, "charger_min_kw", 0.0),
            inverter_kw=np.where(has_pv, _column(sites, "inverter_kva", 0.0), 0.0),
            import_cap_kw=_column(sites, "import_cap_kw", None),
            export_cap_kw=_column(sites, "export_cap_kw", None),
        )

    def __len__(self) -> int:
        return len(self.names)


def _column(sites: Sequence[Mapping[str, Any]], key: str, default: float | None) -> np.ndarray:
    """Gather one key of all sites as floats, refusing what is missing, negative or not finite."""
    values = []
    for site in sites:
        value = site.get(key, default)
        if not isinstance(value, int | float) or not 0 <= value < np.inf:
            where = f"sites.{site['name']}.{key}"
            raise InputError("number missing or out of range", key=where, value=value, allowed="a number, at least 0")
        values.append(float(value))
    return np.array(values)


@dataclass(frozen=True, eq=False)
class Tariff:
    """Prices of the retailer and of the use of the local network; arrays have one value per interval of the clock.

    Attributes:
        retail_per_kwh: What a kWh from the retailer costs, all included.
        feed_in_per_kwh: What the retailer pays for a kWh.
        network_charge_per_kwh: What the buyer of a kWh from a peer pays to the network on top of its price.
    """

    retail_per_kwh: np.ndarray
    feed_in_per_kwh: np.ndarray
    network_charge_per_kwh: float

    @classmethod
    def from_dict(cls, tariff: Mapping[str, Any]) -> "Tariff":
        """Read lists of prices.

        Raises:
            InputError: Lists of different length, a value that is not finite, or a feed-in above the retail price,
                which would pay for buying and selling at once without end.
        """
        retail, feed_in = (np.asarray(tariff[key], dtype=float) for key in ("retail_per_kwh", "feed_in_per_kwh"))
        charge = float(tariff["network_charge_per_kwh"])
        if retail.shape != feed_in.shape:
            sizes = (retail.size, feed_in.size)
            raise InputError("retail and feed-in prices differ in number", key="tariff", value=sizes, allowed="equal")
        if not (np.isfinite(retail).all() and np.isfinite(feed_in).all()):
            raise InputError("a price is not a number", key="tariff", allowed="finite numbers")
        if not 0 <= charge < np.inf:
            key = "tariff.network_charge_per_kwh"
            raise InputError("network charge out of range", key=key, value=charge, allowed="a number, at least 0")
        if (feed_in > retail).any():
            first = int(np.argmax(feed_in > retail))
            key, value = f"tariff.feed_in_per_kwh[{first}]", float(feed_in[first])
            raise InputError("feed-in above retail", key=key, value=value, allowed=f"at most {retail[first]}")
        return cls(retail, feed_in, charge)

    def local_range(self, interval: int) -> tuple[float, float]:
        """Return the local prices between which trading locally pays for both sides, as (lowest, highest)."""
        low = float(self.feed_in_per_kwh[interval])
        return low, max(low, float(self.retail_per_kwh[interval]) - self.network_charge_per_kwh)

    def with_local(self, price: np.ndarray, intervals: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return what buying costs and selling earns where peers trade at a price.

        Args:
            price: Local price, shape (…, intervals) or (…, 1); NaN where none is expected.
            intervals: The intervals of the clock.

        Returns:
            Buying and selling price per kWh in the broadcast shape; buying is never the cheaper.
        """
        retail, feed_in = self.retail_per_kwh[intervals], self.feed_in_per_kwh[intervals]
        top = np.maximum(feed_in, retail - self.network_charge_per_kwh)
        price = np.clip(price, feed_in, top)
        buy = np.fmin(price + self.network_charge_per_kwh, retail)
        return buy, np.fmax(price, feed_in)


@dataclass(frozen=True)
class Options:
    """How the managers decide.

    Attributes:
        mode: ``optimise``: offer to a local market and keep to what was traded; ``tariff``: plan against the retailer's
            prices; ``directed``: keep to positions assigned by a coordinator; ``limited``: charge on arrival and export
            everything as far as the limits allow; ``unmanaged``: the same, heeding no limit.
        curve_points: Prices at which a net position is offered.
        unserved_penalty_per_kwh: For energy missing at departure.
        excess_penalty_per_kwh: For planned import beyond the envelope.
        curtailment_penalty_per_kwh: For sun that is not used.
        firm_pv_share: Share of the PV power, forecast or last measured, that import relies on: limits are asked for
            and charging is planned with that much sun, and only less sun than that can break the limit. At 0 the
            limit holds whatever the sun does.
        request_margin: How much more sun than forecast, and more demand than its high quantile, requests allow for, as
            a share.
    """

    mode: str = "optimise"
    curve_points: int = 6
    unserved_penalty_per_kwh: float = 10.0
    excess_penalty_per_kwh: float = 100.0
    curtailment_penalty_per_kwh: float = 1e-3
    firm_pv_share: float = 0.7
    request_margin: float = 0.2

    @classmethod
    def from_dict(cls, options: Mapping[str, Any] | None) -> "Options":
        """Read options by name.

        Raises:
            InputError: An unknown name or a value out of range.
        """
        known = {field.name for field in fields(cls)}
        for key, value in (options or {}).items():
            if key not in known:
                raise InputError("unknown option", key=f"options.{key}", value=value, allowed=", ".join(sorted(known)))
        return cls(**(options or {}))

    def __post_init__(self) -> None:
        allowed = {
            "mode": (self.mode in MODES, " or ".join(MODES)),
            "curve_points": (isinstance(self.curve_points, int) and self.curve_points >= 2, "a whole number from 2"),
            "firm_pv_share": (0 <= self.firm_pv_share <= 1, "0 to 1"),
            "request_margin": (0 <= self.request_margin < np.inf, "a number, at least 0"),
        }
        for key in ("unserved_penalty_per_kwh", "excess_penalty_per_kwh", "curtailment_penalty_per_kwh"):
            allowed[key] = (0 < getattr(self, key) < np.inf, "a number above 0")
        for key, (fits, range_) in allowed.items():
            if not fits:
                raise InputError("option out of range", key=f"options.{key}", value=getattr(self, key), allowed=range_)

    @property
    def weights(self) -> Weights:
        """The weights of the planning problem."""
        return Weights(
            unserved_per_kwh=self.unserved_penalty_per_kwh,
            excess_per_kwh=self.excess_penalty_per_kwh,
            curtailment_per_kwh=self.curtailment_penalty_per_kwh,
        )
