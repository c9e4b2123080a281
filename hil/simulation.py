"""Simulated devices for the entries of a bench, with the ratings that it states.

Public: `simulated_device(entry, clock) -> SimulatedDevice`.
"""

from collections.abc import Callable

from feederloop.hil.bench import DeviceEntry
from feederloop.hil.reading import Value
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.physics import Ratings

FAILSAFE_S = 60.0


def simulated_device(entry: DeviceEntry, clock: Callable[[], float]) -> SimulatedDevice:
    """Return a simulated device as the bench describes it, its fail-safe set up as a careful installer leaves it.

    Args:
        entry: What the bench says of it.
        clock: The time that it lives by, seconds.
    """
    ratings = entry.ratings
    profile = entry.device_profile if entry.connector == 1 else entry.device_profile.at_connector(entry.connector)
    values: dict[str, Value] = {}
    failsafe = profile.failsafe
    roles = {point.role for point in profile.points}
    if failsafe.timeout_role in roles:
        values[str(failsafe.timeout_role)] = failsafe.timeout_s or FAILSAFE_S
    if failsafe.enable_role in roles:
        values[str(failsafe.enable_role)] = 1
    return SimulatedDevice(
        profile,
        ratings=Ratings(
            rated_power_w=1000 * entry.rated_kw,
            rated_current_a=entry.rated_a,
            phases=ratings.phases,
            capacity_wh=1000 * ratings.capacity_kwh,
            efficiency=ratings.efficiency,
        ),
        unit=entry.unit,
        any_unit=True,
        clock=clock,
        name=entry.name,
        values=values,
    )
