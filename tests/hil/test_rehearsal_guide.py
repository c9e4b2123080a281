"""The guide to rehearsing a bench: its files do what it says, time series and faults above all."""

import re
from pathlib import Path

import pandas as pd
import pytest

from feederloop.coupling.scenario import load_scenario
from feederloop.hil.bench import load_bench
from feederloop.hil.session import run_on_bench

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "rehearse-a-bench.md"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_command_of_the_guide_is_one_that_runs():
    days = re.search(r"--days (\S+)", GUIDE.read_text(encoding="utf-8"))
    assert load_scenario("minimal", days=float(days[1])).time.duration_s == 3 * 3600


def test_devices_follow_their_series_and_fail_as_written_down(tmp_path):
    (tmp_path / "sun.csv").write_text(block("csv"), encoding="utf-8")
    pd.read_csv(tmp_path / "sun.csv").to_parquet(tmp_path / "sun.parquet")
    volts = "{path: sun.csv, column: volts}"
    bench = block("yaml").replace(volts, volts.replace("csv", "parquet"))
    assert "sun.parquet" in bench
    assert "sun.csv" in bench
    (tmp_path / "rehearsal.yaml").write_text(bench, encoding="utf-8")
    scenario = load_scenario("minimal", days=1 / 12, overrides={"scheme": "uncoordinated"})
    result = run_on_bench(scenario, load_bench(tmp_path / "rehearsal.yaml"), out=tmp_path / "run", progress=False)
    assert result.run.status == "complete", result.run.message
    table = pd.read_parquet(tmp_path / "run" / "device_io.parquet")
    roof = table[table.slot == "inverter"].reset_index(drop=True)
    assert roof.p_kw[1:6].tolist() == pytest.approx([1.2] * 5, abs=0.01)
    assert roof.p_kw[7:12].tolist() == pytest.approx([2.4] * 5, abs=0.01)
    assert roof.p_kw[15:].tolist() == pytest.approx([2.6] * 9, abs=0.01)
    charger = table[table.slot == "charger"].reset_index(drop=True)
    assert charger.quality[6:9].eq("bad").all()
    assert charger.quality[:6].eq("good").all()
    # When it is back depends on the wall: lines are tried again after a second or so, which are some accelerated steps.
    assert charger.quality[18:].eq("good").all()
    capture = pd.read_parquet(tmp_path / "run" / "bench" / "capture.parquet")
    volts = capture[capture.device.eq("home_08/inverter") & capture.role.str.startswith("voltage")].value.round(1)
    assert {231.0, 236.5, 233.0, 237.0} <= set(volts)
