"""The archive: what is recorded comes back, in order, whatever happens to the process."""

import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.archive.archive import TRIALS_AT_ONCE, Archive
from evo.archive.schema import VERSION, Schema, shipped
from evo.errors import ArchiveError, RunHeldError
from evo.nouns import (
    Call,
    CallOutcome,
    CurvePoint,
    Estimate,
    Event,
    Measurement,
    Outcome,
    Program,
    Proposal,
    Purpose,
    Standing,
    Status,
    Trial,
    Variant,
)
from tests.archive.records import NOW, RUN, measurements, proposal, texts, trial, variant


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive.open(tmp_path / "run.duckdb")
    made.begin_run(RUN)
    return made


def record(archive: Archive, finished: Trial, standing: Standing = Standing.JOINED) -> None:
    assert finished.started_at is not None
    archive.queue_trial(replace(finished, measurement=None))
    archive.start_trial(finished.id, finished.started_at, finished.attempt)
    archive.finish_trial(finished, standing)


def test_a_run_comes_back_as_it_was(archive: Archive) -> None:
    assert archive.run() == RUN


def test_history_is_told_in_the_order_in_which_it_happened(archive: Archive) -> None:
    archive.record_proposal(proposal(0), variant(0), NOW)
    record(archive, trial(0, 0, 2.0))
    archive.record_proposal(proposal(1, Outcome.MALFORMED, cause="no"), None, NOW)
    archive.record_proposal(proposal(2), variant(1, (0,), proposal=2), NOW)
    record(archive, trial(1, 1, None))
    told = list(archive.history())
    assert told == [
        proposal(0),
        trial(0, 0, 2.0),
        proposal(1, Outcome.MALFORMED, cause="no"),
        proposal(2),
        trial(1, 1, None),
    ]
    assert archive.variants() == [variant(0), variant(1, (0,), proposal=2)]
    ids = archive.next_ids()
    assert (ids.proposal, ids.variant, ids.trial) == (3, 2, 2)


def test_a_call_for_a_proposal_that_never_came_to_be_is_not_billed_to_another(
    archive: Archive,
) -> None:
    archive.record_proposal(proposal(0), variant(0), NOW)
    archive.record_call(Call(2, "mutate", "", "one", "aa", CallOutcome.ABANDONED, NOW, 1.0))
    assert archive.next_ids().proposal == 3
    archive.record_proposal(proposal(3), variant(1, proposal=3), NOW)
    assert archive.next_ids().proposal == 4
    archive.close()
    with duckdb.connect(str(archive.path), read_only=True) as connection:
        calls = connection.execute("SELECT proposal, calls FROM proposal_yield").fetchall()
    assert calls == [(0, 0), (3, 0)]


@given(
    measurement=measurements(),
    title=texts,
    parents=st.lists(st.integers(0, 99), max_size=2, unique=True).map(tuple),
)
@settings(max_examples=12, deadline=None)
def test_any_record_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    measurement: Measurement,
    title: str,
    parents: tuple[int, ...],
) -> None:
    archive = Archive.open(tmp_path_factory.mktemp("any") / "run.duckdb")
    try:
        archive.begin_run(RUN)
        asked = proposal(5, parents=parents, title=title, rationale=title, cause=title, twin=3)
        made = variant(5, parents, title=title, diff=title)
        done = replace(trial(9, 5, None), measurement=measurement)
        archive.record_proposal(replace(asked, source="not kept here"), made, NOW)
        record(archive, done)
        assert list(archive.history()) == [asked, done]
        assert archive.variants() == [made]
    finally:
        archive.close()


def peak_mb(archive: Archive) -> float:
    """The most memory that reading the history takes while nobody keeps what it tells."""
    tracemalloc.start()
    try:
        deque(archive.history(), maxlen=0)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def test_a_long_history_takes_no_more_memory_to_read_than_a_short_one(archive: Archive) -> None:
    curve = tuple(CurvePoint(float(step), step, 2.0) for step in range(200))
    archive.record_proposal(proposal(0), variant(0), NOW)
    peaks = []
    for upto in (TRIALS_AT_ONCE, 4 * TRIALS_AT_ONCE):
        for number in range(archive.next_ids().trial, upto):
            measurement = Measurement(Status.SCORED, 1.0, curve=curve)
            record(archive, replace(trial(number, 0, 1.0), measurement=measurement))
        peaks.append(peak_mb(archive))
    assert peaks[1] < 2 * peaks[0]
    told = [one for one in archive.history() if isinstance(one, Trial)]
    assert [one.id for one in told] == list(range(4 * TRIALS_AT_ONCE))
    assert all(one.measurement and one.measurement.curve == curve for one in told)


def test_what_is_not_finished_is_run_again(archive: Archive) -> None:
    archive.record_proposal(proposal(0), variant(0), NOW)
    queued, running = trial(0, 0, 1.0), trial(1, 0, 1.0, Purpose.REPLICATE)
    archive.queue_trial(queued)
    archive.queue_trial(running)
    archive.start_trial(1, NOW, 2)
    again = archive.unfinished_trials()
    assert [(one.id, one.purpose, one.attempt, one.measurement) for one in again] == [
        (0, Purpose.FIRST, 1, None),
        (1, Purpose.REPLICATE, 2, None),
    ]
    assert list(archive.history()) == [proposal(0)]


def test_a_program_is_kept_once_and_a_request_once(archive: Archive) -> None:
    archive.record_program(Program("be kind", "aa"), NOW)
    archive.record_program(Program("be kind", "aa"), NOW)
    for _ in range(2):
        archive.record_request(
            id="1", verb="stop", arguments={"how": "now"}, who="me", asked_at=NOW, done_at=NOW,
            outcome="stopping",
        )  # fmt: skip
    archive.record_event(Event(NOW, "trial", "it's \x1b[31m red"))
    archive.record_champion(0, Estimate(1.0, float("inf"), 1), NOW)
    archive.begin_session(NOW)
    archive.end_session(NOW, "all done")
    archive.close()
    with duckdb.connect(str(archive.path), read_only=True) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM programs), (SELECT count(*) FROM requests), "
            "(SELECT count(*) FROM events), (SELECT count(*) FROM champions WHERE std IS NULL), "
            "(SELECT count(*) FROM sessions WHERE how = 'all done')"
        ).fetchone()
    assert counts == (1, 1, 1, 1, 1)


def test_a_session_is_ended_by_whoever_began_it_though_the_clock_was_set_back(
    archive: Archive,
) -> None:
    archive.end_session(NOW, "nobody's")
    for hours, how in ((0, "first"), (-2, "second")):
        archive.begin_session(NOW + timedelta(hours=hours))
        archive.end_session(NOW + timedelta(hours=hours, minutes=1), how)
        archive.close()
        archive = Archive.open(archive.path)
    archive.close()
    with duckdb.connect(str(archive.path), read_only=True) as connection:
        found = connection.execute("SELECT started_at, ended_at, how FROM sessions").fetchall()
    assert [(how, ended - started) for started, ended, how in found] == [
        ("first", timedelta(minutes=1)), ("second", timedelta(minutes=1)),
    ]  # fmt: skip


def test_a_failed_write_leaves_nothing_of_itself(archive: Archive) -> None:
    archive.record_proposal(proposal(0), variant(0), NOW)
    with pytest.raises(ArchiveError, match="what was recorded before is safe"):
        archive.record_proposal(proposal(1), variant(0), NOW)  # a variant of that id is there
    assert list(archive.history()) == [proposal(0)]
    archive.record_proposal(proposal(1), variant(1), NOW)
    assert len(list(archive.history())) == 2


def test_the_second_engine_is_told_who_holds_the_run(archive: Archive) -> None:
    code = f"""
from pathlib import Path
from evo.archive.archive import Archive
from evo.errors import RunHeldError
try:
    Archive.open(Path({str(archive.path)!r}))
except RunHeldError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"process {os.getpid()}" in said.stdout
    assert f"`evo stop --run {archive.path.parent.name}`" in said.stdout
    archive.close()
    Archive.open(archive.path).close()


def test_a_newer_schema_is_refused_with_what_to_do(archive: Archive) -> None:
    archive.close()
    with duckdb.connect(str(archive.path)) as connection:
        connection.execute("UPDATE meta SET schema_version = ?", [VERSION + 1])
    with pytest.raises(ArchiveError, match="update evo"):
        Archive.open(archive.path)


OLDER = Schema(1, "CREATE TABLE meta (schema_version INTEGER); CREATE TABLE runs (name TEXT)")


def test_an_older_file_is_brought_on_step_by_step_with_what_it_held(tmp_path: Path) -> None:
    path = tmp_path / "run.duckdb"
    with duckdb.connect(str(path)) as connection:
        OLDER.bring(connection, path)
        connection.execute("INSERT INTO runs VALUES ('main')")
        newer = Schema(
            3,
            "",
            "CREATE OR REPLACE VIEW seeds AS SELECT seed FROM runs",
            {
                1: "ALTER TABLE runs ADD COLUMN seed INTEGER DEFAULT 7",
                2: "UPDATE runs SET seed = seed + 1",
            },
        )
        newer.bring(connection, path)
        assert connection.execute("FROM runs").fetchall() == [("main", 8)]
        assert connection.execute("FROM seeds").fetchall() == [(8,)]
        assert connection.execute("FROM meta").fetchall() == [(3,)]


@pytest.mark.parametrize("migrations", [{}, {1: "ALTER TABLE runs ADD COLUMN x INTEGER; nonsense"}])
def test_a_file_that_can_not_be_brought_on_stays_as_it_was(
    tmp_path: Path, migrations: dict[int, str]
) -> None:
    path = tmp_path / "run.duckdb"
    with duckdb.connect(str(path)) as connection:
        OLDER.bring(connection, path)
        with pytest.raises(ArchiveError, match="from schema version 1 to 2"):
            Schema(2, "", migrations=migrations).bring(connection, path)
        assert connection.execute("FROM meta").fetchall() == [(1,)]
        assert connection.execute("FROM runs").description is not None
        assert [column[0] for column in connection.execute("FROM runs").description] == ["name"]


def test_every_older_version_has_a_way_on() -> None:
    assert set(shipped().migrations) == set(range(1, VERSION))


@pytest.mark.parametrize("version", range(2, VERSION))
def test_a_file_of_an_older_version_gets_the_views_of_this_one(
    archive: Archive, version: int
) -> None:
    archive.record_proposal(proposal(0, cost_usd=0.5), variant(0), NOW)
    archive.close()
    with duckdb.connect(str(archive.path)) as connection:
        connection.execute("CREATE OR REPLACE VIEW operator_yield AS SELECT 1 AS old")
        connection.execute("UPDATE meta SET schema_version = ?", [version])
    with closing(Archive.open(archive.path)):
        pass
    with duckdb.connect(str(archive.path), read_only=True) as connection:
        costs = connection.execute("SELECT proposals, cost_usd FROM operator_yield").fetchall()
    assert costs == [(1, 0.5)]


def test_an_older_duckdb_can_read_what_is_written(archive: Archive) -> None:
    archive.record_proposal(proposal(0), variant(0), NOW)
    archive.checkpoint()
    archive.close()
    # The storage version stands after the checksum and the four letters DUCK. DuckDB 1.2 reads
    # from 64 to 65, and 1.4 to 67.
    header = archive.path.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert 64 <= int.from_bytes(header[12:20], "little") <= 65
    assert archive.path.stat().st_size < 500_000


HOSTILE = "a\0b\ud800c"


def test_text_that_no_store_can_hold_is_replaced_and_nothing_is_lost(archive: Archive) -> None:
    archive.record_proposal(proposal(0, Outcome.MALFORMED, title=HOSTILE, cause=HOSTILE), None, NOW)
    archive.record_proposal(proposal(1), variant(0, proposal=1, rationale=HOSTILE), NOW)
    archive.record_event(Event(NOW, "note", HOSTILE))
    archive.record_program(Program(HOSTILE, "ab"), NOW)
    measured = replace(trial(0, 0, None), measurement=Measurement(Status.CRASHED, cause=HOSTILE))
    record(archive, measured)
    [refused, _, ended] = list(archive.history())
    assert isinstance(refused, Proposal) and isinstance(ended, Trial)
    assert refused.title == refused.cause == "a\ufffdb?c"
    assert ended.measurement is not None and ended.measurement.cause == "a\ufffdb?c"


def test_a_step_of_any_size_that_a_trainee_can_report_is_kept(archive: Archive) -> None:
    archive.record_proposal(proposal(0), variant(0), NOW)
    measurement = Measurement(Status.SCORED, 1.0, curve=(CurvePoint(1.0, 2**32 - 1, 2.0),))
    record(archive, replace(trial(0, 0, 1.0), measurement=measurement))
    [_, ended] = list(archive.history())
    assert isinstance(ended, Trial)
    assert ended.measurement is not None and ended.measurement.curve == measurement.curve


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")
    with pytest.raises(ArchiveError, match="not an archive of evo"):
        Archive.open(path)


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty"])
def test_a_damaged_file_is_one_clear_line(archive: Archive, damage: str) -> None:
    archive.record_proposal(proposal(0), variant(0), NOW)
    archive.checkpoint()
    archive.close()
    whole = archive.path.read_bytes()
    archive.path.write_bytes({"garbage": b"x" * 9999, "cut": whole[:5000], "empty": b""}[damage])
    with pytest.raises(ArchiveError) as caught:
        Archive.open(archive.path)
    assert "\n" not in str(caught.value)
    assert str(archive.path) in str(caught.value)
    # The lock isn't left behind.
    with pytest.raises(ArchiveError) as again_caught:
        Archive.open(archive.path)
    assert not isinstance(again_caught.value, RunHeldError)


WRITER = """
import sys
from pathlib import Path
from evo.archive.archive import Archive
from tests.archive.records import NOW, RUN, proposal, variant
archive = Archive.open(Path(sys.argv[1]))
if archive.run() is None:
    archive.begin_run(RUN)
number = archive.next_ids().proposal
while True:
    archive.record_proposal(proposal(number), variant(number), NOW)
    print(number, flush=True)
    if number % 7 == 0:
        archive.checkpoint()
    number += 1
"""


def test_no_acknowledged_row_is_lost_by_kill_9(tmp_path: Path) -> None:
    path, acknowledged, chance = tmp_path / "run.duckdb", 0, random.Random(4)
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = int(writer.stdout.readline())
        time.sleep(chance.uniform(0, 0.3))
        writer.send_signal(signal.SIGKILL)
        for line in writer.stdout.read().split():
            acknowledged = int(line)
        writer.wait()
    archive = Archive.open(path)
    told = [one.id for one in archive.history() if isinstance(one, Proposal)]
    kept: list[Variant] = archive.variants()
    archive.close()
    assert told[: acknowledged + 1] == list(range(acknowledged + 1))
    assert len(told) <= acknowledged + 2  # one may have been written and not yet acknowledged
    assert [one.id for one in kept] == told


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts a small disk")
def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)], check=True)
    try:
        archive = Archive.open(disk / "run.duckdb")
        archive.begin_run(RUN)
        number = 0
        with pytest.raises(ArchiveError) as caught:
            for number in range(10_000):
                made = variant(number, diff=random.Random(number).randbytes(20_000).hex())
                archive.record_proposal(proposal(number), made, NOW)
                archive.checkpoint()
        assert "\n" not in str(caught.value)
        archive.close()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        again = Archive.open(disk / "run.duckdb")
        assert len(again.variants()) >= number
        again.record_proposal(proposal(99_999), None, NOW)
        again.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
