import math

import mosaik
import mosaik_api_v3
import pytest
from mosaik.starters import PythonStarter

from feederloop.simulators.errors import InputError
from feederloop.simulators.recorder.simulator import RecorderSimulator
from feederloop.simulators.recorder.tables import read_table

START = "2016-06-15T11:00:00+00:00"
POINTS = {
    "name": "connection_point",
    "kind": "per_entity",
    "index_column": "prosumer",
    "rows": ["bob", "ann.x"],
    "columns": {"p_kw": "float64", "plugged": "bool", "limit_kw": "float64"},
}
BUSES = {"name": "grid_bus", "kind": "per_list", "index_column": "bus", "rows": [7, 3], "columns": {"v_v": "float64"}}
ORDERS = {
    "name": "orders",
    "kind": "rows",
    "columns": {"prosumer": "string", "side": "string", "kwh": "float64"},
    "time_column": "interval_start",
    "every_s": 600,
    "stamp_offset_s": 600,
}


@pytest.fixture
def recorder(tmp_path):
    simulator = RecorderSimulator()
    simulator.init("recorder-0", folder=str(tmp_path), start=START, step_s=300)
    return simulator


def record(recorder, spec, *steps, first=0):
    recorder.create(1, "Table", spec=spec)
    for i, columns in enumerate(steps, start=first):
        assert recorder.step(300 * i, {spec["name"]: columns}, 10**6) == 300 * (i + 1)
    recorder.finalize()
    return read_table(recorder._folder, spec["name"])


def clock(table, column="time"):
    return [moment.strftime("%H:%M") for moment in table.column(column).to_pylist()]


def test_a_row_per_entity_in_fixed_order_with_what_is_absent_as_null(recorder):
    step = {
        "p_kw": {"grid-0.ann.x": 1.5, "grid-0.bob": float("nan")},
        "plugged": {"ev-0.bob": True},
        "limit_kw": {"env-0.ann.x": [4.0, 5.0], "env-0.bob": None},
    }
    table = record(recorder, POINTS, step, step)
    assert table.schema.names == ["time", "prosumer", "p_kw", "plugged", "limit_kw"]
    assert clock(table) == ["11:00", "11:00", "11:05", "11:05"]
    assert table.drop_columns("time").to_pylist()[:2] == [
        {"prosumer": "bob", "p_kw": None, "plugged": True, "limit_kw": None},
        {"prosumer": "ann.x", "p_kw": 1.5, "plugged": None, "limit_kw": 4.0},
    ]


def test_a_column_nobody_sends_is_null(recorder):
    table = record(recorder, POINTS, {"p_kw": {"grid-0.bob": 1.0}})
    assert table.column("limit_kw").null_count == 2


def test_one_row_per_time_takes_whichever_entity_sends(recorder):
    spec = {"name": "grid", "kind": "per_entity", "columns": {"losses_kw": "float64", "iterations": "int64"}}
    table = record(recorder, spec, {"losses_kw": {"grid-0.Grid": 0.5}, "iterations": {"grid-0.Grid": 4}})
    assert table.drop_columns("time").to_pylist() == [{"losses_kw": 0.5, "iterations": 4}]


def test_a_row_per_list_element(recorder):
    table = record(recorder, BUSES, {"v_v": {"grid-0.Grid": [240.0, math.nan]}}, {"v_v": {"grid-0.Grid": None}})
    assert table.column("bus").to_pylist() == [7, 3, 7, 3]
    assert table.column("v_v").to_pylist() == [240.0, None, None, None]


def test_names_of_list_elements_are_text(recorder):
    table = record(recorder, BUSES | {"rows": ["line 0", "trafo 0"]}, {"v_v": {"grid-0.Grid": [1.0, 2.0]}})
    assert table.column("bus").to_pylist() == ["line 0", "trafo 0"]


def test_rows_are_taken_as_they_are_at_their_own_times(recorder):
    rows = [["ann", "ask", 1.0], ["bob", "bid", 0.5]]
    table = record(
        recorder,
        ORDERS,
        {"orders": {"m.Auction": rows}},
        {"orders": {"m.Auction": rows}},
        {"orders": {"m.Auction": []}},
    )
    assert clock(table, "interval_start") == ["11:10", "11:10"]
    assert table.column("side").to_pylist() == ["ask", "bid"]


def test_rows_without_time_may_hold_times_of_their_own(recorder):
    columns = {"prosumer": "string", "arrival": "timestamp", "departure": "timestamp"}
    spec = {"name": "ev_session", "kind": "rows", "columns": columns, "time_column": None}
    rows = [["ann", 1800, None], ["bob", -1800.5, "2016-06-16T07:30:00+01:00"]]
    table = record(recorder, spec, {"sessions_ended": {"ev.Fleet": rows}})
    assert table.schema.names == ["prosumer", "arrival", "departure"]
    assert [str(value) for value in table.column("arrival").to_pylist()] == [
        "2016-06-15 11:30:00+00:00",
        "2016-06-15 10:29:59.500000+00:00",
    ]
    assert table.column("departure")[0].as_py() is None
    assert table.column("departure")[1].as_py().strftime("%d %H:%M") == "16 06:30"


def test_stamps_before_the_start_and_after_the_end_are_left_out(recorder):
    spec = BUSES | {"stamp_offset_s": -300, "until_s": 600}
    table = record(recorder, spec, *[{"v_v": {"grid-0.Grid": [float(i), 0.0]}} for i in range(5)])
    assert clock(table) == ["11:00", "11:00", "11:05", "11:05"]
    assert table.column("v_v").to_pylist()[::2] == [1.0, 2.0]


def test_a_table_of_nobody_stays_empty(recorder):
    table = record(recorder, POINTS | {"rows": []}, {})
    assert table.num_rows == 0
    assert table.schema.field("prosumer").type == "string"


def test_rows_are_on_disk_after_the_flushing_time(tmp_path):
    simulator = RecorderSimulator()
    simulator.init("recorder-0", folder=str(tmp_path), start=START, step_s=300, flush_every_s=700)
    simulator.create(1, "Table", spec=BUSES)
    for i in range(5):
        simulator.step(300 * i, {"grid_bus": {"v_v": {"grid-0.Grid": [1.0, 2.0]}}}, 10**6)
    assert read_table(tmp_path, "grid_bus").num_rows == 8


@pytest.mark.parametrize(
    ("spec", "columns", "message"),
    [
        (POINTS, {}, "sent nothing"),
        (POINTS, {"q_kvar": {"g.bob": 1.0}}, "no such column"),
        (POINTS, {"p_kw": {"g.eve": 1.0}}, "no row for this source"),
        (POINTS, {"p_kw": {"g.bob": 1.0, "h.bob": 1.0}}, "Two sources"),
        (BUSES, {"v_v": {"g.Grid": [1.0]}}, "as long as"),
        (BUSES, {"v_v": {"g.Grid": [1.0, 2.0], "h.Grid": [1.0, 2.0]}}, "One source"),
        (ORDERS, {"orders": {"m.A": [["ann", "ask"]]}}, "does not fit"),
        (ORDERS, {"orders": {"m.A": []}, "more": {"m.A": []}}, "one attribute"),
    ],
)
def test_what_a_table_has_no_place_for_stops_the_run(recorder, spec, columns, message):
    with pytest.raises(InputError, match=message) as refusal:
        record(recorder, spec, columns)
    assert spec["name"] in refusal.value.key


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"kind": "per_row"}, "table grid_bus.kind"),
        ({"every_s": 0}, "table grid_bus.every_s"),
        ({"index_column": None}, "table grid_bus.index_column"),
        ({"kind": "rows"}, "table grid_bus.index_column"),
        ({"kind": "per_entity", "index_column": None}, "table grid_bus.index_column"),
        ({"rows": [1, 1]}, "table grid_bus.rows"),
        ({"columns": {"v_v": "double"}}, "v_v"),
        ({"colums": {}}, "spec.colums"),
    ],
)
def test_a_specification_that_does_not_fit_is_refused(recorder, change, key):
    with pytest.raises(InputError) as refusal:
        recorder.create(1, "Table", spec=BUSES | change)
    assert refusal.value.key == key


def test_a_specification_needs_columns(recorder):
    with pytest.raises(InputError) as refusal:
        recorder.create(1, "Table", spec={"name": "t", "kind": "rows"})
    assert refusal.value.key == "spec.columns"


def test_a_table_is_created_once(recorder):
    recorder.create(1, "Table", spec=BUSES)
    with pytest.raises(InputError, match="once"):
        recorder.create(1, "Table", spec=BUSES)


def test_one_table_that_cannot_be_joined_does_not_keep_the_others_from_it(recorder, tmp_path):
    for spec in (BUSES, POINTS):
        recorder.create(1, "Table", spec=spec)
    inputs = {"grid_bus": {"v_v": {"g.G": [1.0, 2.0]}}, "connection_point": {"p_kw": {"g.bob": 1.0}}}
    recorder.step(0, inputs, 10**6)
    (tmp_path / "grid_bus.parquet").mkdir()
    with pytest.raises(OSError, match="grid_bus"):
        recorder.finalize()
    assert read_table(tmp_path, "connection_point").num_rows == 2


class Source(mosaik_api_v3.Simulator):
    """Sends the time, and fails at 900 s if told to."""

    def __init__(self, fails):
        model = {"public": True, "params": [], "attrs": ["p_kw"]}
        super().__init__({"type": "time-based", "models": {"Source": model}})
        self.fails = fails

    def create(self, num, model):
        return [{"eid": name, "type": model} for name in POINTS["rows"]]

    def step(self, time, inputs, max_advance):
        if self.fails and time == 900:
            raise RuntimeError("out of order")
        self.time = time
        return time + 300

    def get_data(self, outputs):
        return {eid: {"p_kw": float(self.time)} for eid in outputs}


@pytest.mark.parametrize(("fails", "rows"), [(False, 8), (True, 6)])
def test_on_the_clock_everything_up_to_the_end_or_a_failure_is_kept(tmp_path, fails, rows):
    starters = {"Source": PythonStarter(Source, args=(fails,)), "Recorder": PythonStarter(RecorderSimulator)}

    def run():
        with mosaik.World(starters, skip_greetings=True) as world:
            sources = world.start("Source").Source.create(2)
            recorder = world.start("Recorder", folder=str(tmp_path), start=START, step_s=300)
            table = recorder.Table(spec=POINTS | {"until_s": 1200})
            for source in sources:
                world.connect(source, table, ("p_kw", "p_kw"))
            world.run(until=1201, print_progress=False)

    if fails:
        with pytest.raises(RuntimeError, match="out of order"):
            run()
    else:
        run()
    table = read_table(tmp_path, "connection_point")
    assert table.num_rows == rows
    assert table.column("p_kw").to_pylist()[-1] == 300.0 * (rows // 2 - 1)
