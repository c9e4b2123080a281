"""Limits as a user states them, in volt or per unit, turned into what a network is judged by."""

import math
from dataclasses import dataclass, replace

import numpy as np

from feederloop.simulators.envelope.box import Limits
from feederloop.simulators.envelope.certificate import Certificate
from feederloop.simulators.envelope.counterexample import Violation
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.powerflow import PowerFlow

LOW_VOLTAGE_V = 1000.0
_LEAST_V = 10.0  # below, a number is meant per unit


@dataclass(frozen=True)
class StatedLimits:
    """What the network has to keep. Voltages are phase to neutral, of every bus below 1 kV.

    Attributes:
        v_min_v: Lowest voltage in volt; 216.2 (AS 60038) if nothing is stated.
        v_max_v: Highest; 253 if nothing is stated.
        v_min_pu: Lowest voltage per unit of each bus's own `vn_kv`, in place of volts and together with `v_max_pu`.
        v_max_pu: Highest.
        margin_v: Kept from both voltage limits.
        line_loading_percent: Highest loading of a line's phase conductor.
        transformer_loading_percent: Highest loading of a transformer's winding, per phase.
        vuf_percent: Highest voltage unbalance factor; none leaves it unlimited.
    """

    v_min_v: float | None = None
    v_max_v: float | None = None
    v_min_pu: float | None = None
    v_max_pu: float | None = None
    margin_v: float = 0.0
    line_loading_percent: float = 100.0
    transformer_loading_percent: float = 100.0
    vuf_percent: float | None = None

    def __post_init__(self) -> None:
        volts = {"v_min_v": self.v_min_v, "v_max_v": self.v_max_v}
        per_unit = {"v_min_pu": self.v_min_pu, "v_max_pu": self.v_max_pu}
        others = {
            "line_loading_percent": self.line_loading_percent,
            "transformer_loading_percent": self.transformer_loading_percent,
            "vuf_percent": self.vuf_percent,
        }
        for key, value in (volts | per_unit | others).items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError("is not a positive number", key=key, value=value, allowed="above 0")
        for key, value in volts.items():
            if value is not None and value < _LEAST_V:
                per_unit_key = key.replace("_v", "_pu")
                raise InputError(
                    f"is not a voltage in volt; per unit is {per_unit_key}", key=key, value=value,
                    allowed="phase to neutral, such as 216.2 or 253",
                )  # fmt: skip
        if not (math.isfinite(self.margin_v) and self.margin_v >= 0):
            raise InputError("is not a distance", key="margin_v", value=self.margin_v, allowed="0 or more")
        if self.in_per_unit:
            if any(value is not None for value in volts.values()):
                raise InputError("voltage limits are either in volt or per unit", key="v_min_pu", value=self.v_min_pu)
            for key, value in per_unit.items():
                if value is None:
                    raise InputError("is missing: per-unit limits come in pairs", key=key, allowed="a number, e.g. 1.1")
                if value > 2:
                    raise InputError("is not per unit", key=key, value=value, allowed="a number such as 0.94 or 1.1")

    @property
    def in_per_unit(self) -> bool:
        """Whether voltage limits are per unit."""
        return self.v_min_pu is not None or self.v_max_pu is not None

    @property
    def in_full(self) -> "StatedLimits":
        """The same limits with volts filled in where nothing is stated."""
        if self.in_per_unit:
            return self
        standard = Limits()
        return replace(
            self,
            v_min_v=standard.v_min_v if self.v_min_v is None else self.v_min_v,
            v_max_v=standard.v_max_v if self.v_max_v is None else self.v_max_v,
        )


@dataclass(frozen=True)
class Judged:
    """A network and what it is judged by.

    Where buses of different `vn_kv` have per-unit limits, bus voltages are referred to the lowest of them: scaling a
    bus's rows scales its voltages, and one pair of limits holds for all.

    Attributes:
        power_flow: Exact power flow of the network.
        limits: In volt, with the margin taken off, at the reference.
        volt_per_reference: Own volt per volt at the reference, by pandapower index of the bus; empty where all are one.
    """

    power_flow: PowerFlow
    limits: Limits
    volt_per_reference: dict[int, float]

    def certificate_in_volt(self, certificate: Certificate) -> Certificate:
        """Return a certificate with voltages at each bus's own level."""
        if not self.volt_per_reference:
            return certificate
        return replace(
            certificate,
            v_max_v=certificate.v_max_v * self.volt_per_reference.get(certificate.v_max_at[0], 1.0),
            v_min_v=certificate.v_min_v * self.volt_per_reference.get(certificate.v_min_at[0], 1.0),
            looseness_v=certificate.looseness_v * max(self.volt_per_reference.values()),
        )

    def violations_in_volt(self, violations: list[Violation]) -> tuple[Violation, ...]:
        """Return violations with voltages at each bus's own level."""
        return tuple(self._in_volt(violation) for violation in violations)

    def _in_volt(self, violation: Violation) -> Violation:
        if not (self.volt_per_reference and violation.v_v):
            return violation
        factor = self.volt_per_reference.get(violation.bus, 1.0)
        own = factor if violation.kind in ("v_max", "v_min") else 1.0
        return replace(
            violation,
            value=violation.value * own,
            limit=violation.limit * own,
            contribution=violation.contribution * own,
            v_v=tuple(factor * v for v in violation.v_v),
        )


def judged(feeder: Feeder, stated: StatedLimits) -> Judged:
    """Bring a network and stated limits together.

    Raises:
        InputError: The limits leave no room, or there is no bus below 1 kV to judge.
    """
    low_voltage = feeder.bus_vn_v < LOW_VOLTAGE_V
    if not low_voltage.any():
        raise InputError("the network has no bus below 1 kV", key="network", allowed="a low-voltage network")
    full = stated.in_full
    if full.v_min_v is not None and full.v_max_v is not None:
        lowest_v, highest_v = full.v_min_v, full.v_max_v
        to_reference = np.ones(len(feeder.buses))
    elif full.v_min_pu is not None and full.v_max_pu is not None:
        base_v = float(feeder.bus_vn_v[low_voltage].min())
        lowest_v, highest_v = full.v_min_pu * base_v, full.v_max_pu * base_v
        to_reference = np.where(low_voltage, base_v / feeder.bus_vn_v, 1.0)
    lowest_v, highest_v = lowest_v + stated.margin_v, highest_v - stated.margin_v
    if lowest_v >= highest_v:
        key = "v_min_pu" if stated.in_per_unit else "v_min_v"
        raise InputError(
            "the voltage limits leave no room", key=key, value=getattr(stated, key), allowed="below the highest voltage"
        )
    own = {}
    if np.ptp(to_reference) > 1e-12:
        own = dict(zip(feeder.buses.tolist(), (1.0 / to_reference).tolist(), strict=True))
        nodes = np.repeat(to_reference, 3)
        feeder = replace(
            feeder,
            bus_vn_v=feeder.bus_vn_v * to_reference,
            bus_w=feeder.bus_w * nodes,
            bus_z=feeder.bus_z * nodes[:, None],
        )
    limits = Limits(
        lowest_v, highest_v, stated.line_loading_percent, stated.transformer_loading_percent, stated.vuf_percent
    )
    return Judged(PowerFlow(feeder), limits, own)
