"""The report: one page that loads nothing, trusts nobody, and says what a run has come to."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from feederloop.coupling.cli import app
from feederloop.coupling.report import write_report
from feederloop.coupling.report.money import cents
from feederloop.coupling.report.packing import GAP
from feederloop.coupling.report.page import SCRIPTS
from feederloop.coupling.report.shell import ASSETS
from feederloop.coupling.report.timeline import stride_for
from feederloop.coupling.results import open_run
from feederloop.coupling.run import run
from feederloop.simulators.errors import InputError

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{7*7}}"
SECTIONS = {
    "uncoordinated": [
        "top", "map", "voltage", "loading", "unbalance", "prosumers", "bills", "feeder", "fleet", "about",
    ],
    "doe_lem": [
        "top", "map", "voltage", "loading", "unbalance", "envelopes", "prosumers", "market", "bills", "feeder", "fleet",
        "about",
    ],
}  # fmt: skip
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two hours of a small street under each scheme, which nobody may change."""
    parent = tmp_path_factory.mktemp("runs")
    for scheme in SECTIONS:
        result = run("minimal", out=parent / scheme, days=1 / 12, overrides={"scheme": scheme}, progress=False)
        assert (result.status, result.message) == ("complete", "")
    return parent


@pytest.fixture
def folder(runs, tmp_path):
    """A copy of the run with envelopes and market, to be tampered with."""
    return Path(shutil.copytree(runs / "doe_lem", tmp_path / "run"))


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.scripts, self.styles, self.text = [], [], [], ""
        self._within = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._within = (tag, dict(attrs)) if tag in ("script", "style") else None
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "style":
            self.styles.append("")

    def handle_endtag(self, tag):
        self._within = None

    def handle_data(self, data):
        if self._within is None:
            self.text += data
        elif self._within[0] == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        else:
            self.styles[-1] += data

    def with_(self, **wanted):
        """The attributes of all elements that have these."""
        return [
            a for _, a in self.elements if all(a.get(k.strip("_").replace("_", "-")) == v for k, v in wanted.items())
        ]

    @property
    def data(self):
        (found,) = [text for attrs, text in self.scripts if attrs.get("id") == "data"]
        return json.loads(found, parse_constant=lambda name: pytest.fail(f"{name} in the data"))

    @property
    def sections(self):
        return [attrs["id"] for tag, attrs in self.elements if tag == "section"]

    @property
    def charts(self):
        return [attrs["data-chart"] for _, attrs in self.elements if "data-chart" in attrs]


def read(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def numbers(packed):
    whole = np.frombuffer(base64.b64decode(packed["data"]), dtype="<i2")
    return np.where(whole == GAP, np.nan, whole * packed["scale"])


def change_status(folder, **changes):
    file = folder / "status.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("scheme", SECTIONS)
def test_a_run_wrote_a_report_with_every_section_its_scheme_has(runs, scheme):
    page = Page((runs / scheme / "report.html").read_text(encoding="utf-8"))
    assert page.sections == SECTIONS[scheme]
    linked = [attrs["href"][1:] for tag, attrs in page.elements if tag == "a" and attrs["href"].startswith("#")]
    assert set(linked) <= {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert not page.with_(role="alert")


def test_every_chart_has_a_function_a_description_and_a_download(runs):
    page = Page((runs / "doe_lem" / "report.html").read_text(encoding="utf-8"))
    code = "".join(text for _, text in page.scripts)
    assert len(page.charts) == len(set(page.charts)) == 17
    for name in page.charts:
        assert f"charts.{name} = " in code
        (plot,) = page.with_(data_chart=name)
        assert plot["role"] == "img"
        assert len(plot["aria-label"]) > 20
        assert len(page.with_(data_download=name)) == 1


@pytest.mark.parametrize("scheme", SECTIONS)
def test_a_page_loads_nothing(runs, scheme):
    page = Page((runs / scheme / "report.html").read_text(encoding="utf-8"))
    for tag, attrs in page.elements:
        assert "src" not in attrs, tag
        assert "style" not in attrs, tag
        assert not [name for name in attrs if name.startswith("on")], tag
        assert attrs.get("href", "#").startswith(("#", "data:,")), tag
    assert "url(" not in "".join(page.styles)
    assert "@import" not in "".join(page.styles)


def test_only_scripts_and_styles_of_ours_are_allowed(runs):
    page = Page((runs / "doe_lem" / "report.html").read_text(encoding="utf-8"))
    (policy,) = [a["content"] for a in page.with_(http_equiv="Content-Security-Policy")]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert not re.search(r"unsafe|https?:|\*", policy)

    def digests(texts):
        return [f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in texts]

    code = [text for attrs, text in page.scripts if attrs.get("type") != "application/json"]
    assert rules["script-src"].split() == digests(code)
    assert rules["style-src"].split() == digests(page.styles)


def test_names_from_a_scenario_stay_text(folder):
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        if "prosumer" in table:
            table["prosumer"] = table["prosumer"].str.replace(r"^.*?(\d+)$", lambda m: HOSTILE + m[1], regex=True)
            table.to_parquet(file, index=False)
    scenario = yaml.safe_load((folder / "scenario.yaml").read_text())
    scenario |= {"name": HOSTILE, "title": HOSTILE, "description": HOSTILE}
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    change_status(folder, status="failed", message=HOSTILE, traceback=HOSTILE, warnings=[HOSTILE])
    page = read(folder)
    assert not [tag for tag, _ in page.elements if tag in ("img", "iframe")]
    assert len(page.scripts) == 1 + len(SCRIPTS)
    assert all(who["name"].startswith(HOSTILE) for who in page.data["prosumers"])
    # title, heading, eyebrow, description, banner, traceback, warning, and the prosumers to choose from
    assert page.text.count(HOSTILE) >= 7 + len(page.data["prosumers"])
    assert_draws(folder)


def test_figures_of_the_page_are_those_of_the_tables(runs):
    folder = runs / "doe_lem"
    data = Page((folder / "report.html").read_text(encoding="utf-8")).data
    points = pd.read_parquet(folder / "connection_point.parquet")
    names = [who["name"] for who in data["prosumers"]]
    assert sorted(names) == sorted(points["prosumer"].unique())
    for column, tolerance in (("v_v", 0.005), ("p_kw", 0.0005), ("export_limit_kw", 0.0005)):
        wanted = points.pivot(index="prosumer", columns="time", values=column).loc[names].to_numpy()
        found = numbers(data["prosumer"][column]).reshape(len(names), -1)
        np.testing.assert_allclose(found, wanted, atol=tolerance * 1.001)
    pv = points.pivot(index="prosumer", columns="time", values="pv_p_kw").loc[names].isna().to_numpy()
    np.testing.assert_array_equal(np.isnan(numbers(data["prosumer"]["pv_p_kw"]).reshape(pv.shape)), pv)
    highest = max(np.nanmax(numbers(phase["max"])) for phase in data["voltage"]["phases"].values())
    assert highest == pytest.approx(points["v_v"].max(), abs=0.0051)
    branches = pd.read_parquet(folder / "grid_branch.parquet")
    lines = branches[branches["branch"].str.startswith("line")].groupby("time")["loading_b_percent"].max()
    np.testing.assert_allclose(numbers(data["loading"]["line"]["b"]), lines, atol=0.0051)
    total = pd.read_parquet(folder / "settlement.parquet").groupby("prosumer")["total_money"].sum()
    np.testing.assert_allclose(numbers(data["bills"]["total"]), total.loc[names], atol=0.000051)
    volume = pd.read_parquet(folder / "market.parquet")["volume_kwh"].sum()
    assert np.nansum(numbers(data["market"]["volume"])) == pytest.approx(volume, abs=0.01)


def test_time_is_the_scenarios_own(runs):
    page = Page((runs / "doe_lem" / "report.html").read_text(encoding="utf-8"))
    clock = page.data["time"]
    scenario = yaml.safe_load((runs / "doe_lem" / "scenario.yaml").read_text())["time"]
    start = pd.Timestamp(scenario["start"]).tz_localize(scenario["time_zone"])
    assert (clock["start_s"], clock["step_s"], clock["points"]) == (int(start.timestamp()), 300, 24)
    assert clock["offsets"] == [[clock["start_s"], int(start.utcoffset().total_seconds())]]
    assert f"{start:%H:%M}" in page.text


def test_a_clock_change_is_known_to_the_page(folder):
    shift = (
        pd.Timestamp("2016-10-30T00:00:00+00:00") - pd.read_parquet(folder / "connection_point.parquet")["time"].min()
    )
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        for column in {"time", "interval_start"} & set(table):
            table[column] += shift
        table.to_parquet(file, index=False)
    offsets = read(folder).data["time"]["offsets"]
    assert offsets == [[1477785600, 3600], [1477789200, 0]]


@pytest.mark.parametrize(
    ("status", "said"),
    [("failed", "This run failed."), ("interrupted", "was interrupted"), ("running", "This run is incomplete.")],
)
def test_a_run_that_did_not_end_well_says_so(folder, status, said):
    gone = subprocess.Popen(["true"])
    gone.wait()
    change_status(folder, status=status, message="grid failed at noon", pid=gone.pid, reached_s=3600, duration_s=7200)
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        if "time" in table:
            table[table["time"] < table["time"].min() + pd.Timedelta("1h")].to_parquet(file, index=False)
    page = read(folder)
    assert len(page.with_(role="alert")) == 1
    assert said in page.text
    assert "1.0 of 2.0 hours" in page.text
    assert page.data["time"]["points"] == 12
    assert page.sections == SECTIONS["doe_lem"]
    if status != "running":
        assert "grid failed at noon" in page.text


@pytest.mark.parametrize(
    "left", [(), ("scenario.yaml",), ("scenario.yaml", "connection_point.parquet"), ("grid.parquet",)]
)
def test_a_run_that_left_next_to_nothing_has_a_page(folder, left):
    change_status(folder, status="failed", message="no luck")
    for file in folder.iterdir():
        if file.name not in ("status.json", *left):
            file.unlink()
    page = read(folder)
    assert "no luck" in page.text
    assert page.sections[0] == "top"
    assert page.sections[-1] == "about"
    if page.charts:
        assert_draws(folder)


def test_tables_without_a_row_are_no_results(folder):
    for file in folder.glob("*.parquet"):
        pd.read_parquet(file).iloc[:0].to_parquet(file, index=False)
    assert read(folder).sections == ["top", "about"]


def test_without_large_tables_the_rest_is_there(folder):
    for name in ("grid_bus", "grid_branch"):
        (folder / f"{name}.parquet").unlink()
    assert read(folder).sections == [s for s in SECTIONS["doe_lem"] if s not in ("loading", "unbalance")]


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


def test_a_report_is_small_and_quick(runs):
    write_report(runs / "doe_lem")
    began = time.perf_counter()
    file = write_report(runs / "doe_lem")
    assert time.perf_counter() - began < 2.0
    assert file.stat().st_size < 1.2e6


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


def test_a_reference_is_shown_beside_the_run(runs, folder, tmp_path):
    summary = json.loads((runs / "uncoordinated" / "summary.json").read_text())
    other = shutil.copytree(runs / "uncoordinated", tmp_path / "other")
    summary["voltage"] |= {"customer_violation_share_as_60038": 0.5, "max_10min_v": 261.3}
    (other / "summary.json").write_text(json.dumps(summary))
    page = Page(write_report(folder, reference=other).read_text(encoding="utf-8"))
    assert "What was it like without coordination?" in page.text
    assert "261.3 V, 6 of 12 customers outside" in page.text
    assert "Nobody coordinated this day" in page.text
    assert "261.3 V, 6 of 12 customers outside (AS 60038 asks for 216.2 to 253 V" in page.text
    now, then = (open_run(run).table("settlement").groupby("prosumer")["total_money"].sum() for run in (folder, other))
    assert f"({cents(then.sum())})".replace("(", "(without coordination ") in page.text
    dearer = (now - then)[now - then >= 0.01]
    assert (f"{len(dearer)} paid more than" if len(dearer) else "Nobody paid more than") in page.text
    assert "Without coordination" in page.text
    alone = read(folder).text
    assert "Without coordination" not in alone
    assert "--set scheme=uncoordinated" in alone


def test_a_reference_of_other_homes_is_refused(runs, folder, tmp_path):
    other = shutil.copytree(runs / "uncoordinated", tmp_path / "other")
    scenario = yaml.safe_load((other / "scenario.yaml").read_text())
    (other / "scenario.yaml").write_text(yaml.safe_dump(scenario | {"seed": 99}))
    with pytest.raises(InputError, match="not the same seed"):
        write_report(folder, reference=other)


def test_a_run_of_another_version_says_so(folder):
    change_status(folder, versions={"feederloop": "0.0.7"})
    (folder / "topology.json").unlink()
    page = read(folder)
    assert "made by version 0.0.7" in page.text
    # without the file the map is made from the network that the scenario names
    assert "map" in page.sections


def test_without_a_network_there_is_no_map(folder):
    (folder / "topology.json").unlink()
    scenario = yaml.safe_load((folder / "scenario.yaml").read_text())
    scenario["grid"]["network"] = "moved.json"
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    assert read(folder).sections == [name for name in SECTIONS["doe_lem"] if name != "map"]


def test_frames_of_the_map_hold_the_worst_of_their_time(runs):
    folder = runs / "doe_lem"
    data = Page((folder / "report.html").read_text(encoding="utf-8")).data["map"]
    buses = pd.read_parquet(folder / "grid_bus.parquet")
    buses = buses[buses["v_b_v"] < 1000]
    frame = (buses["time"] - buses["time"].min()).dt.total_seconds() // data["frame_s"]
    wanted = buses.groupby([frame, "bus"])["v_b_v"].agg(lambda v: v.iloc[(v - 234.6).abs().argmax()]).unstack()
    found = numbers(data["layers"][0]["buses"]["b"]).reshape(data["frames"], -1)
    names = data["topology"]["buses"]["name"]
    np.testing.assert_allclose(found[:, [names.index(bus) for bus in wanted]], wanted, atol=0.0051)
    net = {layer["key"]: numbers(layer["points"]) for layer in data["layers"] if layer["key"] == "net"}["net"]
    points = pd.read_parquet(folder / "connection_point.parquet")
    assert net.sum() == pytest.approx(points["p_kw"].sum() * 300 / 3600, abs=0.03)


def test_orders_of_the_page_are_those_of_the_table(runs):
    folder = runs / "doe_lem"
    found = Page((folder / "report.html").read_text(encoding="utf-8")).data["market"]["orders"]
    orders = pd.read_parquet(folder / "orders.parquet")
    kwh, ask = numbers(found["kwh"]), numbers(found["ask"])
    for side, chosen in (("ask", ask == 1), ("bid", ask == 0)):
        assert kwh[chosen].sum() == pytest.approx(orders.loc[orders["side"] == side, "kwh"].sum(), abs=0.05)


def test_statements_on_the_page_add_up(runs):
    data = Page((runs / "doe_lem" / "report.html").read_text(encoding="utf-8")).data["prosumer"]
    days = np.array([row[6:] for row in data["statements"]])
    assert len(days) >= 12
    np.testing.assert_array_equal(days[:, :5].sum(axis=1), days[:, 5])
    settled = pd.read_parquet(runs / "doe_lem" / "settlement.parquet")
    assert days[:, 5].sum() == pytest.approx(100 * settled["total_money"].sum(), abs=len(days))


def test_every_prosumer_has_a_row_with_what_it_paid(runs):
    page = Page((runs / "doe_lem" / "report.html").read_text(encoding="utf-8"))
    rows = [attrs for tag, attrs in page.elements if tag == "button" and "data-place" in attrs]
    assert [row["data-place"] for row in rows] == [str(place) for place in range(12)]
    total = pd.read_parquet(runs / "doe_lem" / "settlement.parquet").groupby("prosumer")["total_money"].sum()
    keys = [float(attrs["data-key"]) for tag, attrs in page.elements if tag == "td" and "data-key" in attrs]
    np.testing.assert_allclose(np.array(keys).reshape(12, -1)[:, -1], total, atol=1e-6)


def test_devices_of_a_bench_are_shown(folder):
    points = pd.read_parquet(folder / "connection_point.parquet")
    points = points[points["prosumer"] == "home_03"]
    table = points[["time", "prosumer"]].assign(
        slot="inverter", asked_kw=2.0, sent_kw=1.9, p_kw=1.5, soc_percent=np.nan, age_s=0.0, quality="good",
        state="armed", reason="",
    )  # fmt: skip
    table.iloc[-6:, table.columns.get_loc("quality")] = "bad"
    table.to_parquet(folder / "device_io.parquet", index=False)
    (folder / "bench").mkdir()
    entries = [
        {"time": "2026-01-01T00:00:00.000+00:00", "kind": "lost", "device": HOSTILE, "who": "bench", "why": HOSTILE},
        {"time": "2026-01-01T00:00:01.000+00:00", "kind": "write", "device": "d", "role": "p", "new": 1, "ok": True},
    ]
    (folder / "bench" / "audit.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    page = read(folder)
    assert "devices" in page.sections
    assert "75.0 % of their readings were good" in page.text.replace("\u00a0", " ")
    assert "1 writes to devices and 1 other events" in page.text
    assert page.text.count(HOSTILE) == 2
    assert_draws(folder)
    (folder / "bench" / "audit.jsonl").write_text('{"kind": "lo')
    assert "Audit log" not in read(folder).text


def test_the_vendored_library_is_what_its_readme_says():
    vendor = Path(str(ASSETS)) / "vendor"
    digest = hashlib.sha256((vendor / "echarts.common.min.js").read_bytes()).hexdigest()
    assert digest in (vendor / "README.md").read_text()
    assert "Apache License" in (vendor / "LICENSE").read_text()
    assert "Apache Software Foundation" in (vendor / "NOTICE").read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page's scripts were not run")
@pytest.mark.parametrize("scheme", SECTIONS)
def test_a_browser_draws_every_chart_without_complaint(runs, scheme):
    assert_draws(runs / scheme)


def assert_draws(folder):
    """Let a browser, where there is one, draw a report; nothing may be said on its console."""
    if CHROMIUM is None:
        return
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=8000"]
    profile = f"--user-data-dir={folder / 'profile'}"
    done = subprocess.run(
        [CHROMIUM, *options, profile, "--dump-dom", (folder / "report.html").resolve().as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    drawn = Page(done.stdout)
    assert len([tag for tag, _ in drawn.elements if tag == "canvas"]) == len(drawn.charts)
