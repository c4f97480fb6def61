"""How long publishing takes, and how long it holds the engine up, as an archive grows.

    python benchmarks/publish.py [--trials N ...]

A real archive is filled with trials of 50 curve points each, then published. "Held up" is how long
the engine's next write takes while a copy is made, beyond what it takes otherwise.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from evo.archive.archive import Archive, RunRecord
from evo.archive.publication import Publisher, publish
from evo.nouns import (
    Clock,
    CurvePoint,
    Direction,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Recipe,
    Resources,
    Standing,
    Status,
    Trial,
    Variant,
)

NOW = datetime(2026, 1, 1)
CURVE = tuple(CurvePoint(0.2 * step, step, 5.0 - 0.05 * step) for step in range(50))


def add(archive: Archive, number: int) -> None:
    """One accepted proposal, its variant and its finished trial."""
    parents = (number // 2,) if number else ()
    proposal = Proposal(number, "tune", parents, Outcome.ACCEPTED, title=f"LR 0.1 -> 0.{number}")
    variant = Variant(
        id=number, commit=f"{number:040x}", parents=parents, operator="tune",
        title=proposal.title, rationale="A rate that is a little higher.",
        diff="--- a/train.py\n+++ b/train.py\n" + "-old line\n+new line\n" * 10,
        fingerprint=f"{number:064x}", lines=250, proposal=number, created_at=NOW,
    )  # fmt: skip
    trial = Trial(number, number, number, Purpose.FIRST, 10.0, 1.0)
    measurement = Measurement(Status.SCORED, 1.9, resources=Resources(), curve=CURVE)
    done = Trial(
        number, number, number, Purpose.FIRST, 10.0, 1.0, 1, measurement, NOW, NOW
    )  # fmt: skip
    archive.record_proposal(proposal, variant, NOW)
    archive.queue_trial(trial)
    archive.start_trial(number, NOW, 1)
    archive.finish_trial(done, Standing.JOINED)


def milliseconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def measure(trials: int) -> str:
    run = RunRecord(
        "main", 0, "population", "train.py", Recipe.ARENA, "val_bpb", Direction.MINIMISE, 10.0,
        Clock.CPU, 1.0, "cpu", "embedded", "", {}, "0", NOW,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        archive = Archive.open(Path(name) / "run.duckdb")
        archive.begin_run(run)
        cpu = time.process_time()
        for number in range(trials):
            add(archive, number)
            if number % 200 == 0:
                archive.checkpoint()
        cpu = 1000 * (time.process_time() - cpu) / trials
        copy = Path(name) / "archive.duckdb"
        publisher = Publisher(lambda: publish(archive, copy), copy)
        whole, writing, quiet = [], [], []
        for again in range(10):
            quiet.append(milliseconds(partial(add, archive, trials + 3 * again)))
            began = time.perf_counter()
            publisher.request()
            time.sleep(0.001)  # the copy is under way when the engine writes on
            writing.append(milliseconds(partial(add, archive, trials + 3 * again + 1)))
            publisher.flush()
            whole.append(1000 * (time.perf_counter() - began))
        publisher.close()
        size = archive.path.stat().st_size / 2**20
        archive.close()
    held = max(0.0, statistics.median(writing) - statistics.median(quiet))
    return (
        f"| {trials:,} | {size:.1f} | {statistics.median(whole):.0f} | {max(whole):.0f} "
        f"| {held:.0f} | {cpu:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1_000, 10_000])
    options = parser.parse_args()
    print(
        "| trials | file MB | publish ms (median of 10) | most | engine held up ms "
        "| CPU ms to record a trial |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    for trials in options.trials:
        print(measure(trials), flush=True)


if __name__ == "__main__":
    main()
