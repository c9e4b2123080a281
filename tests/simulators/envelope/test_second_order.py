"""Sums of absolute second derivatives, against the formula written out, with and without three-phase points."""

import numpy as np
import pytest

from feederloop.simulators.envelope.box import Box, Limits
from feederloop.simulators.envelope.certificate import Certifier
from feederloop.simulators.envelope.second_order import SecondOrder
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow

ROWS = 3


@pytest.mark.parametrize("reactive", [False, True], ids=["p", "p and q"])
@pytest.mark.parametrize("three_phase", [False, True], ids=["one phase", "three phases"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_sums_are_those_of_the_formula(three_phase: bool, reactive: bool, sign: float) -> None:
    rng = np.random.default_rng(8)
    net = load_network("street_12")
    points = connection_points(net).iloc[:6]
    if three_phase:
        points = points.assign(phase=["abc", *points["phase"].iloc[1:4], "abc", points["phase"].iloc[5]])
    certifier = Certifier(PowerFlow(Feeder.from_network(net, points)), Limits())
    count, width_kvar = len(points), rng.uniform(0.2, 1.0, len(points)) * reactive * (np.arange(len(points)) != 3)
    box = Box(-rng.uniform(1, 4, count), rng.uniform(1, 4, count), -width_kvar, width_kvar)
    enclosure = certifier.encloser.enclose(box)
    assert enclosure is not None
    layout, kinds = certifier.layout, enclosure.kinds
    asked = rng.uniform(0.5, 1.0, (len(kinds), count)) * (np.arange(count) != 2)
    adjoint = rng.normal(size=(ROWS, len(layout.unit))) + 1j * rng.normal(size=(ROWS, len(layout.unit)))
    across = rng.normal(size=(len(kinds), ROWS, count))
    sums = SecondOrder(layout, enclosure, asked).sums(adjoint, across, sign)
    answered = adjoint * (-layout.unit / enclosure.v.conj() ** 2)
    by_point = np.repeat(np.arange(count), np.diff(layout.first)) == np.arange(count)[:, None]  # [points, injectors]
    expected = np.zeros_like(sums)
    for a, kind in enumerate(kinds):
        for b, other in enumerate(kinds):
            # A kvar is a kW times j, which the conjugate of the power turns to -j.
            one = answered[:, None, :] * (-1j if kind else 1.0) * by_point
            two = answered[:, None, :] * (-1j if other else 1.0) * by_point
            second = (one @ enclosure.moved[b].conj()).real + (two @ enclosure.moved[a].conj()).real.transpose(0, 2, 1)
            second += sign * across[a][:, :, None] * across[b][:, None, :]
            expected[a] += np.abs(second) @ enclosure.half[other]
    chosen = (asked > 0) & (np.stack([enclosure.half[kind] for kind in kinds]) > 0)
    np.testing.assert_allclose(
        sums.transpose(0, 2, 1)[chosen], expected.transpose(0, 2, 1)[chosen], rtol=1e-9, atol=1e-12
    )
    assert sums.min() >= 0
