"""A run's envelopes as files: they are the run's, and can be put to the proof."""

from pathlib import Path

import pandas as pd
import pytest

from feederloop.coupling import envelopes
from feederloop.coupling.envelope_of_run import RunFiles, write_files
from feederloop.coupling.results import open_run
from feederloop.coupling.run import run
from feederloop.simulators.errors import InputError


def files_of(folder: Path, *settings: str) -> tuple[RunFiles, pd.DataFrame]:
    result = run("minimal", out=folder, days=0.25, overrides=["time.start=2016-06-15 19:00:00", *settings])
    return write_files(open_run(result.folder), folder / "files"), open_run(result.folder).table("envelope")


def test_envelopes_that_a_run_had_proven_pass_the_check(tmp_path: Path) -> None:
    files, recorded = files_of(tmp_path / "run")
    verdict = envelopes.check(files.network, files.points, files.envelopes, limits=files.limits)
    assert verdict.certified
    assert len(verdict.intervals) == recorded["interval_start"].nunique()
    assert verdict.table["export_limit_kw"].to_numpy() == pytest.approx(recorded["export_limit_kw"].to_numpy())


def test_a_limit_on_unbalance_is_part_of_the_check(tmp_path: Path) -> None:
    files, _ = files_of(tmp_path / "run", "envelope.vuf_percent=0.5")
    assert files.limits.vuf_percent == 0.5
    verdict = envelopes.check(files.network, files.points, files.envelopes, limits=files.limits)
    assert verdict.certified
    assert all(interval.certificate.vuf_max_percent <= 0.5 for interval in verdict.intervals)


def test_envelopes_for_inverters_that_answer_to_their_voltage_pass_the_check(tmp_path: Path) -> None:
    volt_var = ("prosumers.pv.volt_var=true", "grid.source_v_pu=1.08", "time.start=2016-06-15 12:00:00")
    files, _ = files_of(tmp_path / "run", *volt_var)
    points = pd.read_csv(files.points)
    assert points["volt_var_kva"].gt(0).any()
    assert envelopes.check(files.network, files.points, files.envelopes, limits=files.limits).certified
    points.drop(columns="volt_var_kva").to_csv(files.points, index=False)
    assert not envelopes.check(files.network, files.points, files.envelopes, limits=files.limits).certified


def test_a_run_of_an_earlier_version_has_no_inverters_that_answer_within_the_step(tmp_path: Path) -> None:
    files_of(tmp_path / "run")
    table = tmp_path / "run" / "prosumer.parquet"
    pd.read_parquet(table).drop(columns="volt_var_kva").to_parquet(table)
    files = write_files(open_run(tmp_path / "run"), tmp_path / "files")
    assert pd.read_csv(files.points)["volt_var_kva"].eq(0.0).all()
    assert envelopes.check(files.network, files.points, files.envelopes, limits=files.limits).certified


def test_corner_checked_envelopes_of_a_run_are_refuted_by_a_corner(tmp_path: Path) -> None:
    files, _ = files_of(tmp_path / "run", "envelope.safety=corner")
    verdict = envelopes.check(files.network, files.points, files.envelopes, limits=files.limits)
    refuted = [interval for interval in verdict.intervals if interval.verdict == "refuted"]
    assert refuted
    worst = refuted[0].violations[0]
    assert worst.value < worst.limit == 216.2
    assert verdict.blamed(worst)


def test_a_run_without_envelopes_says_so(tmp_path: Path) -> None:
    result = run("minimal", out=tmp_path / "run", days=0.25, overrides=["scheme=uncoordinated"])
    with pytest.raises(InputError, match="no such table"):
        write_files(open_run(result.folder), tmp_path / "files")
