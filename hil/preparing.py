"""What must be written to a device before its first set-point: fail-safe, reversion time, who is in control.

Public: `preparation(profile, wanted, found) -> list[Preparation]`, `Preparation`, `FAIL_SAFE`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from feederloop.hil.bench import FailsafeSettings
from feederloop.hil.inspection import DEFAULT_REVERSION_S, Inspection
from feederloop.hil.profile import Profile
from feederloop.hil.reading import Value

TAKE_CONTROL, FAIL_SAFE = "take control", "fail-safe"


@dataclass(frozen=True, slots=True)
class Preparation:
    """A write that waits for its turn."""

    role: str
    value: Value
    why: str


def preparation(profile: Profile, wanted: FailsafeSettings | None, found: Inspection) -> list[Preparation]:
    """Return the writes in their order.

    Args:
        profile: The device's profile, with its points.
        wanted: The fail-safe that the bench asks for.
        found: What the device said of itself.
    """
    control = profile.control
    if control is None:
        return []
    writes = [Preparation(item.role, item.value, TAKE_CONTROL) for item in control.before]
    if control.reversion_role is not None:
        seconds = wanted.timeout_s if wanted else DEFAULT_REVERSION_S
        writes.append(Preparation(control.reversion_role, seconds, FAIL_SAFE))
    if wanted is not None:
        writes += _fail_safe(profile, wanted, found.rated_kw)
    return writes


def _fail_safe(profile: Profile, wanted: FailsafeSettings, rated_kw: float) -> Iterator[Preparation]:
    failsafe, control = profile.failsafe, profile.control
    reversion = control.reversion_role if control else None
    if failsafe.timeout_set_role not in (None, reversion):
        yield Preparation(str(failsafe.timeout_set_role), wanted.timeout_s, FAIL_SAFE)
    if wanted.value is not None and failsafe.value_set_role is not None:
        yield Preparation(failsafe.value_set_role, wanted.value, FAIL_SAFE)
    if wanted.value is not None and profile.has("power_limit_pct_fallback"):
        percent = min(100.0, wanted.value / 10 / rated_kw)
        yield Preparation("power_limit_pct_fallback", percent, FAIL_SAFE)
        yield Preparation("power_limit_enable_fallback", "enabled", FAIL_SAFE)
    if failsafe.enable_role is not None:
        yield Preparation(failsafe.enable_role, 1, FAIL_SAFE)
