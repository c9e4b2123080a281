import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from feederloop.simulators.errors import InputError
from feederloop.simulators.matcher import mechanism
from feederloop.simulators.matcher.k_double_auction import KDoubleAuction
from feederloop.simulators.matcher.mechanism import Mechanism, make_mechanism, mechanism_names


class Idle:
    def clear(self, book, *, served_share, rng):
        raise NotImplementedError


def install(monkeypatch, name, target):
    entry = EntryPoint(name, target, mechanism.GROUP)
    monkeypatch.setattr(mechanism, "entry_points", lambda group: [entry] if group == mechanism.GROUP else [])


@pytest.mark.parametrize("name", mechanism.BUILT_IN)
def test_every_built_in_mechanism_is_made_by_name(name):
    assert isinstance(make_mechanism(name), Mechanism)


def test_options_reach_the_mechanism():
    assert make_mechanism("k_double_auction", {"k": 0.2}) == KDoubleAuction(k=0.2)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'k_double_auction'") as refusal:
        make_mechanism("k_double_action")
    assert "k_double_auction" in str(refusal.value.allowed)


def test_an_unknown_option_is_refused_with_the_known():
    with pytest.raises(InputError) as refusal:
        make_mechanism("k_double_auction", {"kappa": 1})
    assert (refusal.value.key, refusal.value.allowed) == ("kappa", "k, rationing")


def test_an_installed_package_adds_its_own(monkeypatch):
    install(monkeypatch, "idle", f"{__name__}:Idle")
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(Idle=Idle))
    assert mechanism_names() == sorted(["idle", *mechanism.BUILT_IN])
    assert isinstance(make_mechanism("idle"), Idle)


def test_what_does_not_clear_is_no_mechanism(monkeypatch):
    install(monkeypatch, "third", "fractions:Fraction")
    with pytest.raises(InputError, match="makes no matching mechanism"):
        make_mechanism("third")
