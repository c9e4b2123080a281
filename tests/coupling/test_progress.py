"""Progress as it is shown in a terminal and where there is none."""

import io

from rich.console import Console

from feederloop.coupling.progress import progress_display

DAY = {"name": "day", "start_utc": "2016-06-15T11:00:00+00:00", "time_zone": "Europe/London", "duration_s": 86400}


def shown(terminal, reached):
    console = Console(file=io.StringIO(), force_terminal=terminal, force_jupyter=False, width=120)
    with progress_display(**DAY, console=console) as update:
        for reached_s in reached:
            update(reached_s)
    return console.file.getvalue()


def test_a_terminal_gets_a_bar_with_simulated_local_time():
    text = shown(True, [0.0, 43200.0])
    assert "50%" in text
    assert "2016-06-16 00:00" in text


def test_elsewhere_there_is_a_line_for_each_tenth():
    lines = shown(False, range(0, 86401, 864)).splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("day    0%  2016-06-15 12:00")
    assert lines[5].startswith("day   50%  2016-06-16 00:00")
    assert lines[-1].startswith("day  100%  2016-06-16 12:00")
    assert lines[0].endswith("left -:--:--")
    assert lines[-1].endswith("left 0:00:00")


def test_lines_skip_what_is_passed_at_once():
    assert len(shown(False, [0.0, 80000.0, 80001.0]).splitlines()) == 2


def test_the_settling_second_is_not_shown():
    assert "2016-06-16 12:00" in shown(True, [86401.0])
    assert "100%" in shown(False, [86401.0])
