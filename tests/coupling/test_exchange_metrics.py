"""What coordination asks of prosumers, on tables small enough to add up by hand."""

import pandas as pd
import pytest

from feederloop.coupling.metrics import RunFacts
from feederloop.coupling.metrics.exchange import DISCLOSED, REPLIES, blocking, exchange, forgone, privacy
from feederloop.coupling.wiring import arrangement

FACTS = RunFacts(step_s=300, interval_s=1800)


def blocking_table() -> pd.DataFrame:
    starts = pd.date_range("2016-06-15T12:00Z", periods=5, freq="30min")
    rows = []
    for name, attempts, blocks in (("x", [2, 2, 0, 2, 1], [1, 2, 0, 1, 0]), ("y", [1, 0, 0, 0, 1], [0] * 5)):
        rows += [
            (start, name, tried, refused, 0.5 * refused)
            for start, tried, refused in zip(starts, attempts, blocks, strict=True)
        ]
    rows += [(start, "z", 0, 0, 0.0) for start in starts]
    return pd.DataFrame(rows, columns=["interval_start", "prosumer", "attempts", "blocks", "blocked_kwh"])


def test_refusals_are_counted() -> None:
    found = blocking({"blocking": blocking_table()}, FACTS)
    assert (found["attempts"], found["blocks"]) == (9, 4)
    assert found["rate"] == pytest.approx(4 / 9)
    assert found["refused_kwh"] == pytest.approx(1.0)
    assert found["never_blocked_share"] == 0.5  # of x and y; z never tried
    assert found["longest_run"] == 3  # the interval without an attempt does not end it
    assert found["gini"] == pytest.approx(0.5)


def test_what_the_retailer_was_refused_counts_once() -> None:
    retail = {"retail_attempts": 1, "retail_blocks": [0, 0, 1, 0, 0] * 3, "refused_kwh": [0, 0, -0.3, 0, 0] * 3}
    found = blocking({"blocking": blocking_table().assign(**retail)}, FACTS)
    assert (found["attempts"], found["blocks"], found["retail_blocks"]) == (9 + 15, 4 + 3, 3)
    assert found["refused_kwh"] == pytest.approx(1.0 + 0.9)
    assert (found["never_blocked_share"], found["longest_run"]) == (0.0, 4)


def test_without_a_check_there_is_nothing_to_count() -> None:
    assert set(blocking({}, FACTS).values()) == {None}


def test_forgone_energy_adds_up() -> None:
    points = pd.DataFrame({"pv_available_kw": [6.0, 6.0, None], "pv_p_kw": [4.0, 6.0, None]})
    sessions = pd.DataFrame({"not_served_kwh": [0.25, 0.0]})
    found = forgone({"connection_point": points, "ev_session": sessions, "blocking": blocking_table()}, FACTS)
    assert found["pv_curtailed_kwh"] == pytest.approx(2 * 300 / 3600)
    assert found["total_kwh"] == pytest.approx(2 * 300 / 3600 + 0.25)
    assert found["blocked_kwh"] == pytest.approx(1.0)


def test_the_same_field_told_to_two_is_sent_twice_but_disclosed_once() -> None:
    assert privacy((), 48, 6) == {"fields": 0, "numbers_per_interval": 0, "bytes_per_interval": 0}
    assert privacy(("envelope", "market"), 48, 6)["numbers_per_interval"] == 6 * 48 + 2 * 6
    checked = privacy(("envelope", "network_checked"), 10, 6)
    assert checked["fields"] == 8
    assert checked["numbers_per_interval"] == 6 * 10 + 2 * 6 + 2 * 10


def test_every_role_has_an_entry() -> None:
    roles = {role for name in ("Limits", "Matcher", "Coordinator") for role in getattr(arrangement, name).__args__}
    assert roles == set(DISCLOSED) == set(REPLIES)


def test_messages_of_iterations_are_those_counted() -> None:
    people = pd.DataFrame({"prosumer": ["x", "y"]})
    told = pd.DataFrame({"rounds": [0, 4, 8], "messages": [0, 16, 32]})
    found = exchange({"prosumer": people, "coordination": told}, ("transactive",))
    assert (found["rounds_mean"], found["rounds_max"], found["messages_per_interval"]) == (6.0, 8.0, 16.0)
    assert exchange({"prosumer": people}, ("envelope", "market"))["messages_per_interval"] == 8.0
