"""Whole trials of train.py, one after the other, as a slot of a search runs them.

    python benchmarks/trials.py [SCRIPT] [--data NAME] [--budget 60] [--seeds 3] [--apart]

Score, speed, time waiting for data, and seconds outside the budget: everything from the request to
the verdict but training. In a search the next trial's process is started while one trains, and
compile caches begin with what the baseline left; `--apart` does without either.
"""

from __future__ import annotations

import argparse
import queue
import statistics
import sys
import tempfile
import time
from pathlib import Path

from evo.arena.compiled import Kept
from evo.arena.profile import choose
from evo.arena.referee_process import RefereeProcess
from evo.arena.worker import Answer, Failed, Measure, Measured, Setup
from evo.config import Settings, load
from evo.corpus.corpus import locate
from evo.corpus.preparation import prepare_if_missing
from evo.nouns import Measurement


class Slot:
    """One referee, and what it says."""

    def __init__(self, settings: Settings) -> None:
        profile = choose(settings)
        data = str(locate(settings.arena.data))
        setup = Setup(profile.task, profile.rules, data, profile.gpu(0))
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._referee = RefereeProcess(setup, self._answers.put)

    def measure(self, request: Measure) -> Measurement:
        self._referee.request(request)
        while not isinstance(answer := self._answers.get(), Measured):
            if isinstance(answer, Failed):
                sys.exit(answer.cause)
        return answer.measurement

    def close(self) -> None:
        self._referee.close()


def row(seed: int, one: Measurement, wall: float) -> str:
    used, verdict = one.resources, one.verdict
    if one.score is None or verdict is None:
        return f"| {seed} | {one.status}: {one.cause} |"
    return (
        f"| {seed} | {one.score:.4f} | {used.tokens_per_second:,.0f} | {used.steps} "
        f"| {used.data_wait_seconds / used.training_seconds:.2%} | {used.startup_seconds:.1f} "
        f"| {used.scoring_seconds:.1f} | {wall - used.training_seconds:.1f} "
        f"| {max(used.device_memory_mb, used.peak_memory_mb):,.0f} | {verdict.positions} "
        f"| {verdict.worst_nats:.1e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("script", nargs="?", type=Path, default=Path("train.py"))
    parser.add_argument("--data", help="name or folder of prepared data")
    parser.add_argument("--budget", type=float, help="seconds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--apart", action="store_true", help="a referee of its own for each")
    options = parser.parse_args()
    overrides = {"task.budget_seconds": options.budget, "arena.data": options.data}
    settings = load(options.script.resolve().parent, overrides)
    prepare_if_missing(settings.arena.data)
    source, scores = options.script.read_text("utf-8"), []
    print(
        "| seed | val_bpb | tokens/s | steps | waiting for data | before training s | scoring s "
        "| outside the budget s | memory MB | audited | worst nats |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        compiled = None if options.apart else Kept(f"{folder}/compiled.zip", trusted=True)
        slot = Slot(settings)
        for seed in range(options.seeds):
            if options.apart and seed:
                slot.close()
                slot = Slot(settings)
            began = time.monotonic()
            one = slot.measure(Measure(seed, source, seed, "", compiled=compiled))
            print(row(seed, one, time.monotonic() - began), flush=True)
            scores += [one.score] if one.score is not None else []
        slot.close()
    if len(scores) > 1:
        print(f"\nmean {statistics.mean(scores):.4f}, std {statistics.stdev(scores):.4f}")


if __name__ == "__main__":
    main()
