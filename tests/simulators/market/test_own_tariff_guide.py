import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from feederloop.simulators.market.tariffs import expand_tariff

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "own-tariff.md"
SUMMER_NIGHT = {"start": "2016-06-14T23:00:00+00:00", "time_zone": "Europe/London", "interval_s": 1800}


def examples(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def beside_the_table(tmp_path, monkeypatch):
    (table,) = examples("csv")
    (tmp_path / "prices.csv").write_text(table)
    monkeypatch.chdir(tmp_path)


def test_the_bands_of_the_guide_are_a_tariff():
    tariff = yaml.safe_load(examples("yaml")[0])["tariff"]
    retail = expand_tariff(tariff, **SUMMER_NIGHT, count=48).retail_per_kwh
    assert retail.tolist() == [0.09] * 11 + [0.27] * 21 + [0.41] * 6 + [0.27] * 9 + [0.09]
    hourly = expand_tariff(tariff, **SUMMER_NIGHT | {"interval_s": 3600}, count=24).retail_per_kwh
    assert hourly[23] == pytest.approx(0.18)


@pytest.mark.usefixtures("beside_the_table")
def test_the_table_of_the_guide_is_a_tariff():
    tariff = expand_tariff(yaml.safe_load(examples("yaml")[1])["tariff"], **SUMMER_NIGHT, count=3)
    np.testing.assert_allclose(tariff.feed_in_per_kwh, [0.09, 0.09, 0.08])


@pytest.mark.usefixtures("beside_the_table")
def test_the_code_of_the_guide_prints_what_it_says(capsys):
    (code,) = examples("python")
    exec(compile(code, str(GUIDE), "exec"), {})
    assert f"print(tariff.retail_per_kwh)  # {capsys.readouterr().out.strip()}\n" in code
