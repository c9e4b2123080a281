"""Sums of absolute second derivatives, against the formula written out, with and without three-phase points."""

import numpy as np
import pytest

from feederloop.simulators.envelope import second_order
from feederloop.simulators.envelope.box import Box, Limits
from feederloop.simulators.envelope.certificate import Certifier
from feederloop.simulators.envelope.enclosure import Enclosure
from feederloop.simulators.envelope.layout import Layout
from feederloop.simulators.envelope.second_order import Acting, SecondOrder
from feederloop.simulators.envelope.slopes import Slopes
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow

ROWS = 3


def street(*, feeders: int, three_phase: bool, reactive: bool) -> tuple[Certifier, Enclosure]:
    """Return the certifier of streets behind one transformer, and the midpoint of a box there."""
    rng = np.random.default_rng(8)
    net = load_network("street_12", feeders=feeders)
    points = connection_points(net)
    points = points.iloc[:6] if feeders == 1 else points
    count = len(points)
    if three_phase:
        points = points.assign(phase=["abc" if k % 5 == 4 or k == 0 else p for k, p in enumerate(points["phase"])])
    certifier = Certifier(PowerFlow(Feeder.from_network(net, points)), Limits())
    width_kvar = rng.uniform(0.2, 1.0, count) * reactive * (np.arange(count) != 3)
    box = Box(-rng.uniform(1, 4, count), rng.uniform(1, 4, count), -width_kvar, width_kvar)
    enclosure = certifier.encloser.enclose(box)
    assert enclosure is not None
    return certifier, enclosure


def written_out(layout: Layout, enclosure: Enclosure, acting: Acting) -> np.ndarray:
    """[kinds, rows, points] The sums, pair by pair."""
    kinds, count, moved = enclosure.kinds, len(layout.points), enclosure.moved
    d = np.zeros((len(kinds), len(layout.unit), count), dtype=complex)
    if moved.phases is not None:
        d += np.concatenate(moved.through) @ moved.by.transpose(0, 2, 1)
    for section, within in enumerate(moved.within):
        d[:, layout.injectors_of(section), layout.points_of(section)] = within
    answered = acting.adjoint * (-layout.unit / enclosure.v.conj() ** 2)
    by_point = np.repeat(np.arange(count), np.diff(layout.first)) == np.arange(count)[:, None]  # [points, injectors]
    expected = np.zeros_like(acting.across)
    for a, kind in enumerate(kinds):
        for b, other in enumerate(kinds):
            # A kvar is a kW times j, which the conjugate of the power turns to -j.
            one = answered[:, None, :] * (-1j if kind else 1.0) * by_point
            two = answered[:, None, :] * (-1j if other else 1.0) * by_point
            second = (one @ d[b].conj()).real + (two @ d[a].conj()).real.transpose(0, 2, 1)
            second += acting.sign * acting.across[a][:, :, None] * acting.across[b][:, None, :]
            expected[a] += np.abs(second) @ enclosure.half[b]
    return expected


@pytest.mark.parametrize("reactive", [False, True], ids=["p", "p and q"])
@pytest.mark.parametrize("three_phase", [False, True], ids=["one phase", "three phases"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_sums_are_those_of_the_formula(three_phase: bool, reactive: bool, sign: float) -> None:
    certifier, enclosure = street(feeders=1, three_phase=three_phase, reactive=reactive)
    rng, layout, kinds = np.random.default_rng(9), certifier.layout, enclosure.kinds
    asked = rng.uniform(0.5, 1.0, (len(kinds), len(layout.points))) * (np.arange(len(layout.points)) != 2)
    adjoint = rng.normal(size=(ROWS, len(layout.unit))) + 1j * rng.normal(size=(ROWS, len(layout.unit)))
    across, nothing = rng.normal(size=(len(kinds), ROWS, len(layout.points))), np.empty((ROWS, 0))
    acting = Acting(0, adjoint, nothing, across, nothing, sign)
    sums = SecondOrder(layout, enclosure, asked).sums(acting)
    chosen = (asked > 0) & (enclosure.half > 0)
    expected = written_out(layout, enclosure, acting)
    np.testing.assert_allclose(
        sums.transpose(0, 2, 1)[chosen], expected.transpose(0, 2, 1)[chosen], rtol=1e-9, atol=1e-12
    )
    assert sums.min() >= 0


@pytest.mark.parametrize("most_chosen", [1, 12], ids=["one row for all", "as it is"])
@pytest.mark.parametrize("reactive", [False, True], ids=["p", "p and q"])
@pytest.mark.parametrize("three_phase", [False, True], ids=["one phase", "three phases"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_sums_of_several_feeders_bound_those_of_the_formula(
    three_phase: bool, reactive: bool, sign: float, most_chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_order, "_MOST_CHOSEN", most_chosen)
    seen: list[tuple[Acting, np.ndarray]] = []

    class Watched(SecondOrder):
        def sums(self, acting: Acting) -> np.ndarray:
            result = super().sums(acting)
            seen.append((acting, result.copy()))
            return result

    monkeypatch.setattr("feederloop.simulators.envelope.slopes.SecondOrder", Watched)
    certifier, enclosure = street(feeders=3, three_phase=three_phase, reactive=reactive)
    layout, fixed = certifier.layout, np.zeros(2 * len(certifier.layout.points), dtype=np.int8)
    slopes, busbar = Slopes(layout, certifier.encloser, enclosure, fixed), certifier.power_flow.matrices.busbar
    for rows, lengths in ((certifier.nodes, True), (certifier.currents, False)):
        for section, part in enumerate(rows.sections):
            if not len(part.offset):
                continue
            own = layout.injectors_of(section)
            value = part.offset + part.own @ enclosure.current[own]
            value += part.left @ (busbar @ enclosure.current - busbar[:, own] @ enclosure.current[own])
            way = None if lengths else np.exp(1j * np.arange(len(value)))
            slopes.intervals(part, section, value, way, sign)
    chosen = enclosure.half > 0
    for acting, sums in seen:
        expected = written_out(layout, enclosure, acting).transpose(0, 2, 1)[chosen]
        found = sums.transpose(0, 2, 1)[chosen]
        assert (found >= expected * (1 - 1e-9) - 1e-15).all()
        if most_chosen > 1:
            assert found.sum() <= 1.2 * expected.sum()
    assert {acting.section for acting, _ in seen} == {0, 1, 2, 3}
