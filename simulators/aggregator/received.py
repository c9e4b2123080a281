"""What participants tell a coordinator, out of mosaik's dictionaries and into arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from feederloop.simulators.energy_manager.outlook import Vehicles
from feederloop.simulators.errors import InputError


def gathered_lists(names: Sequence[str], inputs: Mapping[str, Any], attr: str, horizon: int) -> np.ndarray:
    """Return an attribute of all participants, (participants, horizon); zeros where nobody says anything.

    Raises:
        InputError: A list does not cover the horizon.
    """
    rows = []
    for name in names:
        value = _value(name, inputs, attr)
        if value is not None and len(value) != horizon:
            allowed = f"{horizon} values"
            raise InputError("list does not cover the horizon", key=f"{name}.{attr}", value=len(value), allowed=allowed)
        rows.append([0.0] * horizon if value is None else value)
    return np.array(rows, dtype=float)


def gathered_vehicles(names: Sequence[str], inputs: Mapping[str, Any]) -> Vehicles:
    """Return the vehicles of all participants; none where nobody says anything."""

    def scalars(attr: str) -> np.ndarray:
        return np.array([_value(name, inputs, attr) or 0.0 for name in names], dtype=float)

    return Vehicles(
        energy_kwh=scalars("soc_kwh"),
        plugged=scalars("plugged") > 0,
        departure_s=scalars("departure_s"),
        required_kwh=scalars("required_kwh"),
    )


def _value(name: str, inputs: Mapping[str, Any], attr: str) -> Any:
    sources = inputs.get(name, {}).get(attr, {})
    if len(sources) > 1:
        raise InputError("told by several", key=f"{name}.{attr}", value=sorted(sources), allowed="one source")
    return next(iter(sources.values()), None)
