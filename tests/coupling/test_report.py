"""The report: one page that loads nothing, trusts nobody, and says what a run has come to."""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from report_kit import SECTIONS, Page, numbers, read
from typer.testing import CliRunner

from feederloop.coupling.cli import app
from feederloop.coupling.report import write_report
from feederloop.coupling.report.facts import Facts
from feederloop.coupling.report.money import cents
from feederloop.coupling.report.sections.loading import most_loaded
from feederloop.coupling.report.sections.people import Column
from feederloop.coupling.report.shell import ASSETS
from feederloop.coupling.report.timeline import stride_for
from feederloop.coupling.results import open_run
from feederloop.simulators.errors import InputError


@pytest.mark.parametrize("scheme", SECTIONS)
def test_a_run_wrote_a_report_with_every_section_its_scheme_has(short_runs, scheme):
    page = Page((short_runs / scheme / "report.html").read_text(encoding="utf-8"))
    assert page.sections == SECTIONS[scheme]
    linked = [attrs["href"][1:] for tag, attrs in page.elements if tag == "a" and attrs["href"].startswith("#")]
    assert set(linked) <= {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert not page.with_(role="alert")


def test_every_chart_has_a_function_a_description_and_a_download(short_runs):
    page = Page((short_runs / "doe_lem" / "report.html").read_text(encoding="utf-8"))
    code = "".join(text for _, text in page.scripts)
    assert len(page.charts) == len(set(page.charts)) == 17
    for name in page.charts:
        assert f"charts.{name} = " in code
        (plot,) = page.with_(data_chart=name)
        assert plot["role"] == "img"
        assert len(plot["aria-label"]) > 20
        assert len(page.with_(data_download=name)) == 1


@pytest.mark.parametrize("scheme", SECTIONS)
def test_a_page_loads_nothing(short_runs, scheme):
    page = Page((short_runs / scheme / "report.html").read_text(encoding="utf-8"))
    for tag, attrs in page.elements:
        assert "src" not in attrs, tag
        assert "style" not in attrs, tag
        assert not [name for name in attrs if name.startswith("on")], tag
        assert attrs.get("href", "#").startswith(("#", "data:,")), tag
    assert "url(" not in "".join(page.styles)
    assert "@import" not in "".join(page.styles)


def test_only_scripts_and_styles_of_ours_are_allowed(short_runs):
    page = Page((short_runs / "doe_lem" / "report.html").read_text(encoding="utf-8"))
    (policy,) = [a["content"] for a in page.with_(http_equiv="Content-Security-Policy")]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert not re.search(r"unsafe|https?:|\*", policy)

    def digests(texts):
        return [f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in texts]

    code = [text for attrs, text in page.scripts if attrs.get("type") != "application/json"]
    assert rules["script-src"].split() == digests(code)
    assert rules["style-src"].split() == digests(page.styles)


def test_violations_are_called_so(folder):
    summary = json.loads((folder / "summary.json").read_text())
    summary["voltage"] |= {"max_v": 260.0, "customer_violation_share": 0.5, "customer_violation_share_en_50160": 0.5}
    summary["congestion"] |= {"max_line_loading_percent": 130.0, "line_overload_hours": 2.0}
    (folder / "summary.json").write_text(json.dumps(summary))
    page = read(folder)
    assert [a["href"] for a in page.with_(class_="card violated")] == ["#voltage", "#loading"]
    assert "6 of 12 customers outside" in page.text
    assert "2.0 h overloaded" in page.text


def test_a_large_run_stays_small(folder):
    """A run of 30 days and 55 homes is folded; its extremes are kept."""
    assert stride_for(288, 6, 55) == 1
    assert stride_for(30 * 288, 6, 55) == 12
    step = pd.Timedelta(minutes=5)
    one = pd.read_parquet(folder / "connection_point.parquet")
    one = one[one["time"] == one["time"].min()]
    times = [one["time"].iloc[0] + i * step for i in range(3000)]
    many = pd.concat([one.assign(time=at) for at in times], ignore_index=True)
    many.loc[12 * 1000 + 3, "v_v"] = 301.5
    many.to_parquet(folder / "connection_point.parquet", index=False)
    data = read(folder).data
    assert data["time"]["points"] == 1500
    assert data["time"]["step_s"] == 600
    assert numbers(data["prosumer"]["v_v"]).max() == pytest.approx(301.5)
    assert (folder / "report.html").stat().st_size < 3e6


def test_a_report_is_small(short_runs):
    assert write_report(short_runs / "doe_lem").stat().st_size < 1.2e6


def test_the_command_line_makes_a_report_anew(folder, tmp_path):
    (folder / "report.html").unlink()
    made = CliRunner().invoke(app, ["report", str(folder)])
    assert made.output.strip() == str(folder / "report.html")
    assert Page((folder / "report.html").read_text(encoding="utf-8")).sections == SECTIONS["doe_lem"]
    elsewhere = CliRunner().invoke(app, ["report", str(folder), "--out", str(tmp_path / "mine.html")])
    assert elsewhere.exit_code == 0
    assert (tmp_path / "mine.html").is_file()
    none = CliRunner().invoke(app, ["report", str(tmp_path / "nothing")])
    assert isinstance(none.exception, InputError)


@pytest.mark.parametrize(
    ("money", "written"), [(-0.004, "0.00"), (-0.006, "-0.01"), (0.0, "0.00"), (12.345678, "12.35")]
)
def test_nobody_pays_minus_nothing(money, written):
    assert cents(money) == written
    assert Column("Bill", np.array([money]), 2).text(0) == written


def test_what_rounds_to_nothing_has_no_minus_in_the_table_of_prosumers():
    column = Column("Sold to peers kWh", np.array([-0.04, -0.06, np.nan]))
    assert [column.text(place) for place in range(3)] == ["0.0", "-0.1", "–"]


def test_a_reference_is_shown_beside_the_run(short_runs, folder, tmp_path):
    summary = json.loads((short_runs / "uncoordinated" / "summary.json").read_text())
    other = shutil.copytree(short_runs / "uncoordinated", tmp_path / "other")
    summary["voltage"] |= {"customer_violation_share_as_60038": 0.5, "max_10min_v": 261.3}
    (other / "summary.json").write_text(json.dumps(summary))
    page = Page(write_report(folder, reference=other).read_text(encoding="utf-8"))
    assert "What was it like without coordination?" in page.text
    assert "261.3 V, 6 of 12 customers outside" in page.text
    assert "Nobody coordinated this day" in page.text
    low = f"{summary['voltage']['min_10min_v']:.1f}"
    assert f"10-minute means of voltages were {low} to 261.3 V" in page.text
    assert "Highest in any 5 minutes: " in page.text
    assert most_loaded(Facts(open_run(other)), "line") in page.text
    assert "261.3 V, 6 of 12 customers outside (AS 60038 asks for 216.2 to 253 V" in page.text
    now, then = (open_run(run).table("settlement").groupby("prosumer")["total_money"].sum() for run in (folder, other))
    assert f"({cents(then.sum())})".replace("(", "(without coordination ") in page.text
    dearer = (now - then)[now - then >= 0.01]
    assert (f"{len(dearer)} paid more than" if len(dearer) else "Nobody paid more than") in page.text
    assert "Without coordination" in page.text
    alone = read(folder).text
    assert "Without coordination" not in alone
    assert "--reference uncoordinated" in alone


def test_a_reference_that_the_run_has_brought_along_is_shown_once_it_is_complete(short_runs, folder):
    own = shutil.copytree(short_runs / "uncoordinated", folder / "reference")
    assert "Without coordination" in read(folder).text
    status = json.loads((own / "status.json").read_text())
    (own / "status.json").write_text(json.dumps(status | {"status": "interrupted"}))
    assert "Without coordination" not in read(folder).text
    (own / "status.json").write_text("{")
    assert "Without coordination" not in read(folder).text
    shutil.copytree(short_runs / "uncoordinated", own, dirs_exist_ok=True)
    (own / "status.json").write_text(json.dumps(status | {"status": "interrupted"}))
    assert "That run is interrupted." in Page(write_report(folder, reference=own).read_text(encoding="utf-8")).text


def test_a_reference_of_another_length_is_refused(short_runs, folder, tmp_path):
    other = shutil.copytree(short_runs / "uncoordinated", tmp_path / "other")
    scenario = yaml.safe_load((other / "scenario.yaml").read_text())
    scenario["time"]["days"] = 7
    (other / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    with pytest.raises(InputError, match="not the same length"):
        write_report(folder, reference=other)


def test_a_reference_of_other_homes_is_refused(short_runs, folder, tmp_path):
    other = shutil.copytree(short_runs / "uncoordinated", tmp_path / "other")
    scenario = yaml.safe_load((other / "scenario.yaml").read_text())
    (other / "scenario.yaml").write_text(yaml.safe_dump(scenario | {"seed": 99}))
    with pytest.raises(InputError, match="not the same seed"):
        write_report(folder, reference=other)


def test_the_vendored_library_is_what_its_readme_says():
    vendor = Path(str(ASSETS)) / "vendor"
    digest = hashlib.sha256((vendor / "echarts.common.min.js").read_bytes()).hexdigest()
    assert digest in (vendor / "README.md").read_text()
    assert "Apache License" in (vendor / "LICENSE").read_text()
    assert "Apache Software Foundation" in (vendor / "NOTICE").read_text()
