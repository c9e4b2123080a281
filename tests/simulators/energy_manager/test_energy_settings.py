"""Bad settings are refused with the key at fault."""

from typing import Any

import numpy as np
import pytest

from feederloop.simulators.energy_manager.settings import Options, Sites, Tariff
from feederloop.simulators.errors import InputError

SITE = {"name": "a", "ev_capacity_kwh": 40.0, "ev_efficiency": 0.9, "import_cap_kw": 14.0, "export_cap_kw": 5.0}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"ev_efficiency": 0.0}, r"sites\.a\.ev_efficiency = 0\.0"),
        ({"ev_efficiency": 1.1}, r"sites\.a\.ev_efficiency"),
        ({"ev_charge_kw": -1.0}, r"sites\.a\.ev_charge_kw = -1\.0"),
        ({"import_cap_kw": None}, r"sites\.a\.import_cap_kw"),
        ({"export_cap_kw": float("nan")}, r"sites\.a\.export_cap_kw"),
        ({"pv_kwp": "5"}, r"sites\.a\.pv_kwp"),
    ],
)
def test_a_site_that_cannot_be_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sites.from_dicts([SITE | keys])


def test_two_sites_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match=r"sites\.name = 'a'"):
        Sites.from_dicts([SITE, SITE])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mod": "optimise"}, r"options\.mod = .*curve_points"),
        ({"mode": "greedy"}, "optimise or tariff or .* or unmanaged"),
        ({"curve_points": 1}, r"options\.curve_points"),
        ({"curve_points": 2.5}, r"options\.curve_points"),
        ({"firm_pv_share": 1.5}, r"options\.firm_pv_share"),
        ({"unserved_penalty_per_kwh": 0.0}, r"options\.unserved_penalty_per_kwh"),
        ({"request_margin": -0.1}, r"options\.request_margin"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Options.from_dict(options)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"feed_in_per_kwh": [0.06, 0.3]}, r"feed_in_per_kwh\[1\] = 0\.3"),
        ({"feed_in_per_kwh": [0.06]}, "differ in number"),
        ({"retail_per_kwh": [0.2, float("nan")]}, "not a number"),
        ({"network_charge_per_kwh": -0.1}, "network_charge_per_kwh"),
    ],
)
def test_a_tariff_that_pays_for_nothing_is_refused(keys: dict[str, Any], message: str) -> None:
    usual = {"retail_per_kwh": [0.2, 0.2], "feed_in_per_kwh": [0.06, 0.06], "network_charge_per_kwh": 0.05}
    with pytest.raises(InputError, match=message):
        Tariff.from_dict(usual | keys)


def test_local_prices_never_beat_the_tariff() -> None:
    tariff = Tariff(np.array([0.2, 0.1]), np.array([0.06, 0.08]), 0.05)
    for price in (np.nan, 0.0, 0.1, 0.4):
        buy, sell = tariff.with_local(np.array([price]), slice(0, 2))
        assert (buy <= tariff.retail_per_kwh).all()
        assert (sell >= tariff.feed_in_per_kwh).all()
        assert (sell <= buy).all()
    buy, sell = tariff.with_local(np.array([0.1]), slice(0, 2))
    assert buy == pytest.approx([0.15, 0.1])
    assert sell == pytest.approx([0.1, 0.08])
