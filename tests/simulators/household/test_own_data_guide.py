"""The guide to one's own data does what it says."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from feederloop.simulators.errors import InputError
from feederloop.simulators.ev_fleet.sessions import ev_sessions
from feederloop.simulators.household.demand import household_power
from feederloop.simulators.pv.available import available_power

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "own-data.md"
RUN = {"start": "2016-06-15T11:00:00+00:00", "duration_s": 3600, "seed": 1}


def examples(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    for name, table in zip(("load.csv", "pv.csv", "sessions.csv"), examples("csv"), strict=True):
        (tmp_path / name).write_text(table)
    monkeypatch.chdir(tmp_path)
    return yaml.safe_load(examples("yaml")[0])


def test_the_tables_of_the_guide_are_read(scenario):
    roof, car = scenario["prosumers"]["list"]
    homes = [{"name": site["name"], "annual_kwh": 0.0, "power_factor": 0.95} for site in (roof, car)]
    power = household_power(
        homes, step_s=300, source=scenario["household"]["source"], time_zone="Europe/London", **RUN
    ).p_kw  # fmt: skip
    np.testing.assert_allclose(power.reshape(2, 4, 3).mean(axis=2)[1], [-0.22, -1.94, -0.35, -0.24])
    sun = available_power([roof], place={}, step_s=1800, weather=scenario["weather"], **RUN)
    np.testing.assert_allclose(sun, [[2.44, 2.32]])
    site = {**car, "ev_discharge_kw": 0.0, "ev_efficiency": 0.95}
    sessions = ev_sessions([site], time_zone="Europe/London", rules=scenario["sessions"], **RUN)
    np.testing.assert_allclose(sessions["arrival_kwh"], [32.0, 21.0])


def test_the_fault_of_the_guide_is_reported_as_it_says(scenario):
    table = Path("load.csv").read_text().replace(",1.12,", ",,")
    Path("load.csv").write_text(table)
    homes = [{"name": "home_01", "annual_kwh": 0.0, "power_factor": 0.95}]
    with pytest.raises(InputError) as caught:
        household_power(homes, step_s=300, source=scenario["household"]["source"], time_zone="Europe/London", **RUN)
    (shown,) = examples("text")
    assert f"{caught.value.file}: {caught.value.message.rstrip('.')}\n" in shown
    assert f"allowed: {caught.value.allowed}\n" in shown


@pytest.mark.usefixtures("scenario")
def test_the_code_of_the_guide_prints_what_it_says(capsys):
    (code,) = examples("python")
    exec(compile(code, str(GUIDE), "exec"), {})
    assert f"print(power.p_kw[0].round(3))  # {capsys.readouterr().out.strip()}\n" in code
