"""Envelopes of homes whose inverters supply reactive power by their own voltage."""

from dataclasses import replace

import numpy as np

from feederloop.simulators.envelope.box import Box, Interval, Limits
from feederloop.simulators.envelope.certificate import Certificate, Certifier
from feederloop.simulators.envelope.controller import EnvelopeController, Options, Published
from feederloop.simulators.envelope.volt_var import VoltVar
from feederloop.simulators.grid.feeder import Feeder, Floats
from feederloop.simulators.grid.powerflow import PowerFlow

_ROUNDS = 5
_STILL = 0.02  # of the rated power: volt-var that differs by less is the same
_REFIT = 1.3  # as much wider may what is bounded be than with the best reactors


class VoltVarCertifier:
    """Proves boxes as `Certifier` does, in networks that hold the reactors which leave least to be bounded.

    Args:
        feeder: The network.
        limits: What it must stay within.
        rated_kva: [points] Rated power of inverters that supply reactive power by their own voltage.
    """

    def __init__(self, feeder: Feeder, limits: Limits, rated_kva: Floats) -> None:
        self._feeder, self._limits, self._rated_kva = feeder, limits, rated_kva

    def forget(self) -> None:
        """Do nothing: every box is proven by itself."""

    def certify(self, box: Box) -> Certificate:
        """Bound voltages, currents and, if limited, unbalance over every use in the box.

        Args:
            box: The uses, but for what these inverters supply.
        """
        low_v, high_v = (np.full(len(self._rated_kva), volt) for volt in (self._limits.v_min_v, self._limits.v_max_v))
        for _ in range(_ROUNDS):
            volt_var = VoltVar.over(self._feeder, self._rated_kva, low_v, high_v)
            certificate = Certifier(PowerFlow(volt_var.in_network(self._feeder)), self._limits).certify(box, volt_var)
            if certificate.certified or certificate.point_v is None:
                break
            low_v, high_v = certificate.point_v
        return certificate


class VoltVarController:
    """Publishes envelopes as `EnvelopeController` does, in a network that holds reactors for the inverters.

    Which reactors leave least to be bounded depends on the voltages that the envelopes permit, and these on what is
    left. So limits are shared out for the voltages that were proven last, until those that are proven of them are the
    same, and the most that was proven on the way is published.

    Args:
        feeder: The network.
        limits: What it must stay within.
        options: The rule, its weights and how safe the limits have to be.
        rated_kva: [points] Rated power of inverters that supply reactive power by their own voltage.
    """

    def __init__(self, feeder: Feeder, limits: Limits, options: Options, rated_kva: Floats) -> None:
        self._feeder, self._limits, self._options, self._rated_kva = feeder, limits, options, rated_kva
        self._permitted_v = limits.v_min_v + options.margin_v, limits.v_max_v - options.margin_v
        inner = replace(limits, v_min_v=self._permitted_v[0], v_max_v=self._permitted_v[1])
        self.certifier = VoltVarCertifier(feeder, inner, rated_kva)
        self.forget()

    def forget(self) -> None:
        """Forget earlier intervals."""
        low, high = (np.full(len(self._rated_kva), volt) for volt in self._permitted_v)
        self._point_v = low, high
        self._model()

    def publish(self, interval: Interval, *, binding: bool = True) -> Published:
        """Return limits whose box, with every combination of uses in it, the network bears.

        Args:
            interval: What is known of the connection points, but for their volt-var.
            binding: Whether these limits will hold; of an outlook, nothing is proven yet.
        """
        best = published = self._shared_out(interval, binding)
        for _ in range(_ROUNDS):
            certificate = published.certificate
            if certificate is None or certificate.point_v is None or not self._differs(certificate.point_v):
                break
            published = self._shared_out(interval, binding)
            if _proven_kw(published) > _proven_kw(best):
                best = published
        return best

    def _shared_out(self, interval: Interval, binding: bool) -> Published:
        told = replace(interval, volt_var=self._volt_var)
        return self._controller.publish(told, binding=binding, point_v=self._point_v)

    def _differs(self, point_v: tuple[Floats, Floats]) -> bool:
        """Take these voltages for those to allow for, and say whether that changes what is allowed for."""
        assumed, found = self._volt_var.band(*self._point_v), self._volt_var.band(*point_v)
        self._point_v = point_v
        width, best = _width(found), _width(VoltVar.over(self._feeder, self._rated_kva, *point_v).band(*point_v))
        if width > _REFIT * best + _STILL * float(self._rated_kva.sum()):
            self._model()
            return True
        still_kvar = _STILL * self._rated_kva + 1e-9
        return any((np.abs(was - now) > still_kvar).any() for was, now in zip(assumed, found, strict=True))

    def _model(self) -> None:
        """Put the reactors into the network that leave least at the voltages to allow for."""
        self._volt_var = VoltVar.over(self._feeder, self._rated_kva, *self._point_v)
        power_flow = PowerFlow(self._volt_var.in_network(self._feeder))
        self._controller = EnvelopeController(power_flow, self._limits, self._options)


def _width(band: tuple[Floats, Floats]) -> float:
    return float((band[1] - band[0]).sum())


def _proven_kw(published: Published) -> float:
    certified = published.certificate is not None and published.certificate.certified
    return float(published.export_limit_kw.sum() + published.import_limit_kw.sum()) if certified else -1.0
