"""How long a trainee waits for a batch: the feeder, the pipe and the tensor, without training.

    python benchmarks/handover.py [--batches N]

The trainee asks for batch after batch and does nothing with them, so every wait is in full view; a
real trainee finds the next batch in the pipe already. Both ends are real: a referee's feeder here,
an `Arena` in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import subprocess
import sys
import time

from evo.arena.feed import Feeder, Packer
from evo.arena.job import Job, Role
from evo.arena.wire import FrameReader, Kind, PipeClosedError
from evo.corpus.corpus import Corpus, locate
from evo.corpus.preparation import prepare_if_missing
from evo.nouns import Clock

SHAPES = ((8, 256), (32, 1024), (16, 2048), (64, 2048))
"""Rows and tokens a row: a CPU's batch, 32k tokens twice, and a GPU's batch of 131k."""


def trainee(rows: int, sequence_len: int, batches: int) -> None:
    """Takes batches and prints what each took, in milliseconds, as JSON on standard error."""
    from evo.arena.trainee import Arena

    job = Job(
        role=Role.TRAIN, source="", filename="", vocab_size=1, sequence_len=sequence_len,
        scale=1.0, device="cpu", threads=1, seed=0, budget_seconds=1e9, clock=Clock.WALL,
    )  # fmt: skip
    arena, taken = Arena(job, 0, 1), []
    stream = arena.batches(rows)
    for _ in range(batches):
        began = time.perf_counter()
        next(stream)
        taken.append(1000 * (time.perf_counter() - began))
    print(json.dumps(taken[5:]), file=sys.stderr)


def measure(corpus: Corpus, rows: int, sequence_len: int, batches: int) -> list[float]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--trainee", f"{rows},{sequence_len},{batches}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    feeder = Feeder(
        Packer(corpus, sequence_len, 0), process.stdin.fileno(), lambda: None, lambda: False
    )
    feeder.start()
    reader = FrameReader(process.stdout.fileno(), {Kind.ORDER: 4})
    try:
        while True:
            frame = reader.poll(0.05)
            if frame is not None:
                feeder.order(*struct.unpack("<I", frame.body))
    except PipeClosedError:
        pass
    process.wait()
    found: list[float] = json.loads(process.stderr.read().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=400)
    parser.add_argument("--trainee", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trainee:
        trainee(*(int(part) for part in options.trainee.split(",")))
        return
    prepare_if_missing("embedded")
    corpus = Corpus.open(locate("embedded"))
    print("| rows × tokens | tokens | median ms | 95 % ms | most ms |")
    print("|---|---:|---:|---:|---:|")
    for rows, sequence_len in SHAPES:
        taken = sorted(measure(corpus, rows, sequence_len, options.batches))
        print(
            f"| {rows} × {sequence_len} | {rows * sequence_len:,} "
            f"| {statistics.median(taken):.2f} | {taken[int(0.95 * len(taken))]:.2f} "
            f"| {taken[-1]:.2f} |"
        )


if __name__ == "__main__":
    main()
