"""What a charger and the car at it can do, as arrays over a fleet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.errors import InputError


@dataclass(frozen=True)
class Chargers:
    """Chargers of a fleet, all arrays [n].

    Attributes:
        names: The prosumers' names.
        capacity_kwh: Usable battery of the car, above 0.
        charge_kw: Rating of the charger over all its phases, above 0.
        discharge_kw: Discharging power; 0 for none.
        efficiency: Of charging and of discharging, each; above 0, at most 1.
        min_kw: Power below which the charger is off (6 A per phase for many); 0 for continuous.
    """

    names: tuple[str, ...]
    capacity_kwh: NDArray[np.float64]
    charge_kw: NDArray[np.float64]
    discharge_kw: NDArray[np.float64]
    efficiency: NDArray[np.float64]
    min_kw: NDArray[np.float64]

    @classmethod
    def of(cls, sites: Sequence[Mapping[str, Any]]) -> "Chargers":
        """Collect the chargers of sites, each of which has one.

        Raises:
            InputError: A value that no charger or car has.
        """
        for site in sites:
            _check(site)
        columns = {
            "capacity_kwh": "ev_capacity_kwh", "charge_kw": "ev_charge_kw", "discharge_kw": "ev_discharge_kw",
            "efficiency": "ev_efficiency", "min_kw": "charger_min_kw",
        }  # fmt: skip
        arrays = {name: np.array([float(site.get(key, 0.0)) for site in sites]) for name, key in columns.items()}
        return cls(names=tuple(site["name"] for site in sites), **arrays)


def _check(site: Mapping[str, Any]) -> None:
    """Raise `InputError` where a site's car or charger cannot be."""
    charge_kw = site["ev_charge_kw"]
    checks = {
        "ev_capacity_kwh": (0 < site["ev_capacity_kwh"] < np.inf, "kWh, above 0"),
        "ev_charge_kw": (0 < charge_kw < np.inf, "kW, above 0"),
        "ev_discharge_kw": (0 <= site.get("ev_discharge_kw", 0.0) < np.inf, "kW, at least 0"),
        "ev_efficiency": (0 < site["ev_efficiency"] <= 1, "above 0, at most 1"),
        "charger_min_kw": (0 <= site.get("charger_min_kw", 0.0) <= charge_kw, f"0 to the rating, {charge_kw} kW"),
    }
    for name, (fits, allowed) in checks.items():
        if not fits:
            raise InputError(
                "No such charger.", key=f"prosumers.{site['name']}.{name}", value=site[name], allowed=allowed
            )
