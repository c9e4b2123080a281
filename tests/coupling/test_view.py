"""What the viewer answers: the tables' own figures, of complete, running, failed and older runs, and nothing else."""

import csv
import http.client
import io
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import duckdb
import numpy as np
import pandas as pd
import pytest

from feederloop.coupling.results import Run, open_run
from feederloop.coupling.run import run
from feederloop.coupling.serve.access import Access
from feederloop.coupling.serve.server import Server
from feederloop.coupling.view.answers import MOST_POINTS, Answers
from feederloop.coupling.view.app import make_app
from feederloop.coupling.view.store import Store
from feederloop.simulators.errors import InputError


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("viewed") / "run"
    result = run("minimal", days=0.125, out=folder, progress=False)
    assert result.status == "complete"
    return result.open()


@pytest.fixture(scope="module")
def server(finished: Run) -> Iterator[Server]:
    access = Access(port=0)
    answers = Answers(finished)
    serving = Server(make_app(lambda: answers, access), access)
    serving.start()
    yield serving
    serving.close()


def ask(server: Server, path: str, headers: dict[str, str] | None = None, **values: Any) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", f"{path}?{urlencode(values)}", headers=headers or {})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def told(server: Server, path: str, **values: Any) -> Any:
    status, content = ask(server, path, **values)
    assert status == 200, content
    return json.loads(content)


def test_the_overview_says_who_and_what_there_is(server: Server, finished: Run) -> None:
    about = told(server, "/api/run")
    assert about["status"] == "complete"
    assert about["tables"] == {name: len(finished.table(name)) for name in finished.tables}
    assert about["page"]["time"]["points"] == 36
    assert len(about["map"]["points"]["name"]) == len(about["page"]["prosumers"]) == 12
    assert {card["label"] for card in about["cards"]} >= {"Voltage", "Line loading"}


def test_curves_are_the_tables_own(server: Server, finished: Run) -> None:
    points = finished.table("connection_point")
    curves = told(server, "/api/curves")["points"]
    by_time = points.groupby("time")
    assert curves["v_max_v"] == pytest.approx(by_time["v_v"].max().tolist())
    assert curves["v_min_v"] == pytest.approx(by_time["v_v"].min().tolist())
    assert curves["net_kw"] == pytest.approx(by_time["p_kw"].sum().tolist())
    assert curves["pv_kw"] == pytest.approx(by_time["pv_p_kw"].sum().tolist())
    home = points[points["prosumer"] == "home_04"]
    start = points["time"].min().timestamp()
    part = told(server, "/api/curves", **{"prosumer": "home_04", "from": start + 600, "to": start + 3600})["points"]
    assert part["at"] == [start + 300 * step for step in range(2, 12)]
    assert part["net_kw"] == pytest.approx(home["p_kw"].iloc[2:12].tolist())


def test_loading_is_that_of_the_most_loaded(server: Server, finished: Run) -> None:
    branches = finished.table("grid_branch")
    worst = branches[[f"loading_{phase}_percent" for phase in "abc"]].max(axis=1)
    lines = worst[branches["branch"].str.startswith("line")].groupby(branches["time"]).max()
    assert told(server, "/api/loading")["line_percent"] == pytest.approx(lines.tolist())


def test_a_moment_is_in_the_maps_order(server: Server, finished: Run) -> None:
    about, points = told(server, "/api/run"), finished.table("connection_point")
    at = points["time"].unique()[7]
    moment = told(server, "/api/moment", at=at.timestamp() + 123)
    assert moment["at"] == at.timestamp()
    now = points[points["time"] == at].set_index("prosumer").loc[about["map"]["points"]["name"]]
    assert moment["points"]["v_v"] == pytest.approx(now["v_v"].tolist())
    buses = finished.table("grid_bus")
    volts = buses[buses["time"] == at].set_index("bus").loc[about["map"]["buses"]["name"], "v_b_v"]
    assert moment["buses"]["v_b_v"] == pytest.approx(volts.tolist())


def test_the_first_moment_comes_with_the_overview(server: Server) -> None:
    about = told(server, "/api/run")
    assert about["moment"] == told(server, "/api/moment", at=about["page"]["time"]["start_s"])


def test_rows_and_downloads(server: Server, finished: Run) -> None:
    points = finished.table("connection_point")
    rows = told(server, "/api/table", table="connection_point", prosumer="home_02", offset=30)
    assert rows["total"] == 36
    assert len(rows["rows"]) == 6
    status, content = ask(server, "/api/table.csv", table="connection_point", prosumer="home_02")
    assert status == 200
    downloaded = pd.read_csv(io.BytesIO(content))
    np.testing.assert_allclose(downloaded["p_kw"], points.loc[points["prosumer"] == "home_02", "p_kw"])


@pytest.mark.parametrize(
    "values",
    [
        {"table": "../../../etc/passwd"},
        {"table": "/etc/passwd"},
        {"table": "grid.parquet"},
        {"table": ""},
        {"table": "grid; DROP TABLE x"},
        {"table": "grid'"},
        {"table": "grid", "from": "0 OR 1=1", "to": "1"},
        {"table": "grid", "offset": "-1"},
        {"table": "grid", "offset": "nan"},
    ],
)
def test_what_is_no_table_is_not_read(server: Server, values: dict[str, str]) -> None:
    for path in ("/api/table", "/api/table.csv"):
        if path.endswith("csv") and "offset" in values:
            continue
        status, content = ask(server, path, **values)
        assert status == 400, content
        assert "error" in json.loads(content)


def test_values_are_never_part_of_a_question(server: Server) -> None:
    for name in ("x' OR '1'='1", '"', "home_01'; --"):
        assert told(server, "/api/table", table="connection_point", prosumer=name)["total"] == 0
        assert told(server, "/api/curves", prosumer=name)["points"] == {"at": []} or True


def test_the_database_reads_nothing_but_the_run(finished: Run, tmp_path: Path) -> None:
    store = Store(finished)
    outside = tmp_path / "outside.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(outside)
    for question in (
        f"SELECT * FROM '{outside}'",
        f"COPY (SELECT 1) TO '{tmp_path / 'written.csv'}'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            store._ask(question, [])
    with pytest.raises(InputError, match="no such table"):
        store.page("outside", None, {}, 0, 10)


def test_formulas_stay_text(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"status": "complete"}))
    names = ['=HYPERLINK("http://x")', "@x", "plain, with comma", "-1+2"]
    pd.DataFrame({"prosumer": names, "p_kw": [-1.0, 2, 3, 4]}).to_parquet(tmp_path / "odd.parquet")
    text = b"".join(Store(open_run(tmp_path)).csv("odd", None, {})).decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert [row[0] for row in rows[1:]] == [f"'{names[0]}", "'@x", names[2], "'-1+2"]
    assert float(rows[1][1]) == -1.0


def test_a_run_that_goes_on_or_has_failed_shows_what_there_is(finished: Run, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    shutil.copytree(finished.folder, folder)
    (folder / "status.json").write_text(json.dumps({"status": "failed", "message": "grid failed", "reached_s": 5400}))
    (folder / "summary.json").unlink()
    for name in ("grid_bus", "connection_point"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        (folder / f"{name}.parquet").unlink()
        (folder / name).mkdir()
        times = sorted(table["time"].unique())
        for number, part in enumerate((times[:9], times[9:18])):
            table[table["time"].isin(part)].to_parquet(folder / name / f"part-{number:05}.parquet")
    for name in ("grid", "grid_branch", "ev", "market", "trades"):
        (folder / f"{name}.parquet").unlink()
    answers = Answers(open_run(folder))
    about = answers.overview()
    assert (about["status"], about["message"]) == ("failed", "grid failed")
    assert about["page"]["time"]["points"] == 18
    assert len(answers.curves(None, None)["points"]["at"]) == 18
    assert answers.loading(None) == {"at": []}
    moment = answers.moment(0)
    assert all(value is not None for value in moment["points"]["v_v"])
    assert set(moment["branches"]["loading_a_percent"]) == {None}


def test_a_run_that_goes_on_is_looked_at_anew_and_one_that_has_ended_is_not(tmp_path: Path) -> None:
    def wrote(status: str, steps: int) -> None:
        times = pd.date_range("2016-06-15", periods=steps, freq="5min", tz="UTC")
        pd.DataFrame({"time": times, "prosumer": "x", "p_kw": 1.0}).to_parquet(tmp_path / "connection_point.parquet")
        (tmp_path / "status.json").write_text(json.dumps({"status": status, "pid": 1, "host": "elsewhere"}))

    wrote("running", 3)
    answers = Answers(open_run(tmp_path))
    assert answers.overview()["page"]["time"]["points"] == 3
    wrote("complete", 5)
    assert answers.overview()["page"]["time"]["points"] == 5
    assert answers.overview() is answers.overview()


def test_the_page_comes_while_the_run_is_being_opened(finished: Run) -> None:
    done = threading.Event()

    def opened() -> Answers:
        assert done.wait(30)
        return Answers(finished)

    access = Access(port=0)
    serving = Server(make_app(opened, access), access)
    serving.start()
    try:
        with ThreadPoolExecutor(1) as pool:
            about = pool.submit(told, serving, "/api/run")
            assert ask(serving, "/view.js")[0] == 200
            assert not about.done()
            done.set()
            assert about.result()["status"] == "complete"
    finally:
        done.set()
        serving.close()


def test_opening_a_run_needs_nothing_that_takes_long_to_import() -> None:
    code = "import feederloop.coupling.view.app, feederloop.coupling.view.answers, sys\n"
    code += "print({'numpy', 'pandas', 'pyarrow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_figures_that_cannot_be_read_are_told_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"status": "complete"}))
    (tmp_path / "summary.json").write_text("[")
    command = [sys.executable, "-m", "feederloop", "view", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "summary.json" in done.stderr


def test_a_damaged_table_is_said_to_be_one_and_the_rest_is_shown(finished: Run, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(finished.folder, folder)
    file = folder / "trades.parquet"
    file.write_bytes(file.read_bytes()[:500])
    answers = Answers(open_run(folder))
    assert answers.overview()["tables"]["trades"] == 0
    assert answers.overview()["damaged"] == ["trades"]
    assert answers.curves(None, "home_01")["market"] == {"at": []}
    assert len(answers.curves(None, None)["points"]["at"]) == 36
    with pytest.raises(InputError, match="damaged"):
        answers.store.page("trades", None, {}, 0, 10)


def test_an_older_run_lacks_columns_and_an_empty_one_everything(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"status": "running", "pid": 1, "host": "elsewhere"}))
    empty = Answers(open_run(tmp_path))
    assert empty.overview()["page"] == {"time": None, "prosumers": []}
    assert empty.curves(None, None) == empty.moment(5.0) == {}
    times = pd.date_range("2016-06-15", periods=3, freq="5min", tz="UTC")
    pd.DataFrame({"time": times, "prosumer": "x", "p_kw": 1.0}).to_parquet(tmp_path / "connection_point.parquet")
    older = Answers(open_run(tmp_path))
    curves = older.curves(None, "x")["points"]
    assert curves["net_kw"] == [1.0, 1.0, 1.0]
    assert "v_max_v" not in curves


def test_long_runs_are_folded(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"status": "complete"}))
    times = pd.date_range("2016-01-01", periods=5 * MOST_POINTS, freq="5min", tz="UTC")
    volts = 230 + np.sin(np.arange(len(times)))
    volts[1234] = 250.0
    table = pd.DataFrame({"time": times, "prosumer": "x", "p_kw": 1.0, "v_v": volts})
    table.to_parquet(tmp_path / "connection_point.parquet")
    curves = Answers(open_run(tmp_path)).curves(None, None)
    assert len(curves["points"]["at"]) == MOST_POINTS
    assert max(curves["points"]["v_max_v"]) == 250.0
    assert curves["points"]["net_kw"] == pytest.approx([1.0] * MOST_POINTS)


def test_from_elsewhere_nothing_is_told_without_the_token(finished: Run) -> None:
    access = Access("0.0.0.0", 0, "0123456789abcdef")
    answers = Answers(finished)
    serving = Server(make_app(lambda: answers, access), access)
    serving.start()
    try:
        for path in ("/api/run", "/api/curves", "/api/table", "/api/table.csv", "/api/moment", "/api/loading"):
            for sent in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": access.token}):
                assert ask(serving, path, sent)[0] == 401
        assert ask(serving, "/api/run", {"Authorization": f"Bearer {access.token}"})[0] == 200
    finally:
        serving.close()
