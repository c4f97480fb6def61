"""Published archives to be looked at: a family by hand, and large ones with columns at once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb

from evo.archive.archive import Archive
from evo.archive.publication import publish
from evo.archive.reading import Reader
from evo.engine import heartbeat
from evo.engine.heartbeat import Heartbeat, Phase, RunningTrial
from evo.engine.layout import PUBLISHED
from evo.nouns import (
    CurvePoint,
    Estimate,
    Measurement,
    Outcome,
    Program,
    Purpose,
    Resources,
    Standing,
    Status,
    Trial,
)
from evo.tui.views.place import Place
from evo.tui.views.snapshot import Snapshot, load
from tests.archive.records import NOW, RUN, proposal, variant

DIFF = """--- a/train.py
+++ b/train.py
@@ -10,3 +10,4 @@
 DEPTH = 4  # layers
-WARMUP = 0.1
+WARMUP = 0.05  # of the budget
+COOLDOWN = "linear"
"""
FAMILY = {
    1: ((0,), "founder", "Untie the embedding from the head", 1.93),
    2: ((0,), "tune", "WARMUP 0.1 -> 0.05", 1.96),
    3: ((1,), "tune", "LR 0.02 -> 0.03", 1.90),
    4: ((1, 2), "crossover", "Untie the embedding + WARMUP 0.1 -> 0.05", 1.89),
    5: ((3,), "ablate", "Without: untie the embedding from the head", 1.97),
    6: ((3,), "founder", "Square the ReLU", None),
    7: ((4,), "tune", "DEPTH 4 -> 5", 1.86),
}
"""Children of the baseline, whose score is 2.00; 7 leads, and 6 crashed."""


PROGRAM = "# What may change\n\nThe *model*.\n"
SHA = hashlib.sha256(PROGRAM.encode()).hexdigest()


def make_run(project: Path, *, program: str = PROGRAM) -> Place:
    """The family as a run that is over, with a program and a log of events."""
    place = empty_run(project)
    archive = Archive.open(project / "population" / "main" / "run.duckdb")
    archive.begin_run(replace(RUN, settings={"slots": 2}))
    archive.record_program(Program(program, SHA), NOW)
    _tell(archive, 0, (), "baseline", "Baseline", 2.0)
    for number, (parents, operator, title, score) in FAMILY.items():
        _tell(archive, number, parents, operator, title, score)
    refused = proposal(8, Outcome.DUPLICATE, twin=1, title="LR 0.02 -> 0.03", cause="it equals 3")
    archive.record_proposal(replace(refused, program_sha=SHA), None, NOW)
    for number, of, score in ((8, 7, 1.862), (9, 0, 2.004)):
        _measure(archive, number, of, score, Purpose.REPLICATE)
    archive.record_champion(7, Estimate(1.861, 0.002, 2), NOW + timedelta(minutes=9))
    archive.record_request(
        id="r1", verb="hint", arguments={"text": "Try a shorter warm-up"}, who="ada",
        asked_at=NOW, done_at=NOW, outcome="the operators are told",
    )  # fmt: skip
    publish(archive, place.archive)
    archive.close()
    assert place.folder is not None
    (place.folder / heartbeat.LOG).write_text(
        "2026-01-02 03:04:05  trial       0  v0    val_bpb 2.0000  champion  Baseline\n"
        "2026-01-02 03:13:05  champion  variant 7 leads with 1.8610: DEPTH 4 -> 5\n"
    )
    assert place.program is not None
    place.program.write_text(program)
    beat(place, Phase.STOPPED, message="all trials are done")
    return place


def empty_run(project: Path) -> Place:
    """The folders of a run in which nothing has happened."""
    folder = project / "population" / "main"
    folder.mkdir(parents=True, exist_ok=True)
    return Place("main", project / "archive" / "main", folder, project / "program.md")


def beat(place: Place, phase: Phase, *, at: float = 1000.0, **more: object) -> Heartbeat:
    """Writes a heartbeat of this process, which is alive; `pid=0` is of one that is not."""
    pid, started = heartbeat.this_process()
    fields: dict[str, object] = {
        "run": place.name, "pid": pid, "started": started, "at": at, "phase": phase,
        "metric": "val_bpb", "kept": 6, "queued": 1, "slots": 2, "seconds": 600.0,
        "busy": 0.97, "trials_finished": 10, "trials_scored": 9,
    }  # fmt: skip
    written = Heartbeat(**(fields | more))  # type: ignore[arg-type]
    assert place.folder is not None
    heartbeat.write(place.folder, written)
    return written


def running_trial(number: int = 10, of: int = 7, share: float = 0.4) -> RunningTrial:
    return RunningTrial(
        trial=number, variant=of, title="DEPTH 4 -> 5", share=share, loss=3.1, elapsed_seconds=4.0
    )


def _tell(
    archive: Archive,
    number: int,
    parents: tuple[int, ...],
    operator: str,
    title: str,
    score: float | None,
) -> None:
    asked = proposal(number, parents=parents, operator=operator, title=title)
    asked = replace(asked, program_sha=SHA)
    made = variant(number, parents, operator=operator, title=title, diff=DIFF if parents else "",
                   rationale="A rate that is a little higher.",
                   subject="1" if operator == "ablate" else "",
                   created_at=NOW + timedelta(minutes=number))  # fmt: skip
    archive.record_proposal(asked, made, NOW + timedelta(minutes=number))
    _measure(archive, number, number, score, Purpose.FIRST)
    if number == 0:
        archive.record_champion(0, Estimate(2.0, float("inf"), 1), NOW)


def _measure(archive: Archive, number: int, of: int, score: float | None, purpose: Purpose) -> None:
    at = NOW + timedelta(minutes=number)
    trial = Trial(number, of, 7, purpose, 10.0, 1.0)
    archive.queue_trial(trial)
    archive.start_trial(number, at, 1)
    used = Resources(training_seconds=10.0, tokens=120_000, steps=60, peak_memory_mb=812.0,
                     total_seconds=14.0)  # fmt: skip
    curve = tuple(CurvePoint(float(s), 6 * s, 4.0 - 0.1 * s - 0.02 * of) for s in range(1, 11))
    if score is None:
        measured = Measurement(Status.CRASHED, cause="it broke: shape (8, 4)", resources=used)
    else:
        measured = Measurement(Status.SCORED, score, resources=used, curve=curve)
    done = replace(trial, attempt=1, measurement=measured, started_at=at, finished_at=at)
    archive.finish_trial(done, Standing.IGNORED if score is None else Standing.JOINED)


def make_large(project: Path, variants: int) -> Place:
    """A run with any number of variants, each a child of one at half its number, inserted as
    columns."""
    place = empty_run(project)
    archive = Archive.open(project / "population" / "main" / "run.duckdb")
    archive.begin_run(RUN)
    path = archive.path
    archive.close()
    with duckdb.connect(str(path)) as connection:
        for statement in LARGE.split(";"):
            if statement.strip():
                connection.execute(statement.replace("{n}", str(variants)))
        connection.execute("CHECKPOINT")
    place.archive_folder.mkdir(parents=True, exist_ok=True)
    path.rename(place.archive)
    return place


LARGE = """
INSERT INTO proposals (id, seq, operator, parents, subject, outcome, title, rationale, cause, twin,
    role, model, program_sha, seconds, made_at)
    SELECT i, nextval('told'), if(i = 0, 'baseline', 'tune'),
    if(i = 0, [], [(i // 2)::INTEGER]), '', 'accepted', 'LR 0.1 -> 0.' || i, '', '', NULL, '', '',
    'ab', 1.0, TIMESTAMP '2026-01-02' + to_seconds(i) FROM range({n}) r(i);
INSERT INTO variants SELECT i, format('{:040x}', i), if(i = 0, 'baseline', 'tune'),
    'LR 0.1 -> 0.' || i, 'why', '-a' || chr(10) || '+b', i::VARCHAR, 100, i, '', '', '',
    TIMESTAMP '2026-01-02' + to_seconds(i) FROM range({n}) r(i);
INSERT INTO parents SELECT i, i // 2, 0 FROM range(1, {n}) r(i);
INSERT INTO trials (id, seq, variant, seed, purpose, budget_seconds, scale, attempt, status, score,
    self_reported, standing, training_seconds, tokens, started_at, finished_at)
    SELECT i, nextval('told'), i, i, 'first', 10, 1, 1, if(i % 7 = 3, 'crashed', 'scored'),
    if(i % 7 = 3, NULL, 2 - ln(1 + i) / 20 + (hash(i) % 1000) / 10000), false,
    if(i % 5 = 0, 'joined', 'ignored'), 10, 100000,
    TIMESTAMP '2026-01-02' + to_seconds(i), TIMESTAMP '2026-01-02' + to_seconds(i + 10)
    FROM range({n}) r(i);
INSERT INTO champions SELECT nextval('told'), 0, 2.0, NULL, 1, TIMESTAMP '2026-01-02';
INSERT INTO champions SELECT nextval('told'), variant, score, NULL, 1,
    TIMESTAMP '2026-01-02' + to_seconds({n}) FROM trials ORDER BY score LIMIT 1
"""


def snapshot_of(place: Place) -> Snapshot:
    """What the screens would show."""
    with Reader.open(place.archive) as reader:
        found = load(reader)
    assert found is not None
    return found


__all__ = ["DIFF", "FAMILY", "PUBLISHED", "beat", "empty_run", "make_large", "make_run"]
