"""`python train.py`: the referee in front of one file, and the summary block at the end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evo.arena.profile import choose
from evo.arena.referee import Referee
from evo.arena.rules import Rules
from evo.config import load
from evo.corpus.corpus import Corpus, locate
from evo.corpus.preparation import prepare_if_missing
from evo.errors import EvoError
from evo.nouns import CurvePoint, Measurement, Status
from evo.sandbox import walls
from evo.sandbox.sandbox import TierSandbox, adopt_orphans


class ProgressLine:
    """One line on a terminal that is written over and over; nothing where nobody looks."""

    def __init__(self, budget_seconds: float) -> None:
        self._budget_seconds = budget_seconds
        self._shown = sys.stderr.isatty()

    def progress(self, point: CurvePoint) -> None:
        if self._shown:
            share = min(point.elapsed_seconds / self._budget_seconds, 1.0)
            bar = "#" * round(30 * share)
            line = f"\r[{bar:<30}] {share:4.0%}  step {point.step}  loss {point.loss:.4f}"
            print(line, end="\033[K", file=sys.stderr, flush=True)

    def should_stop(self) -> bool:
        return False

    def close(self) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def summary(measurement: Measurement) -> dict[str, float | int | str]:
    """The summary block: what a person, or a script, reads after `python train.py`."""
    resources = measurement.resources
    if measurement.score is None:
        return {"status": str(measurement.status), "cause": measurement.cause}
    verdict = measurement.verdict
    assert verdict is not None
    return {
        "val_bpb": round(measurement.score, 6),
        "training_seconds": round(resources.training_seconds, 2),
        "total_seconds": round(resources.total_seconds, 2),
        "startup_seconds": round(resources.startup_seconds, 2),
        "scoring_seconds": round(resources.scoring_seconds, 2),
        "data_wait_seconds": round(resources.data_wait_seconds, 3),
        "peak_memory_mb": round(max(resources.peak_memory_mb, resources.device_memory_mb), 1),
        "tokens_per_second": round(resources.tokens_per_second),
        "num_steps": resources.steps,
        "num_params": resources.parameters,
        "audited_positions": verdict.positions,
        "audit_worst_nats": verdict.worst_nats,
        "sandbox": measurement.sandbox,
    }


def measure_file(script: Path, arguments: Sequence[str]) -> int:
    """Measures a training script once and prints its summary block; the exit status."""
    parser = argparse.ArgumentParser(
        prog=f"python {script.name}",
        description="Trains this file for its budget and scores it, as a search would.",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and data order")
    parser.add_argument("--budget", type=float, help="seconds to train for (CPU seconds on a CPU)")
    parser.add_argument("--data", help="name or folder of prepared data")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--unsafe", action="store_true", help="run without a sandbox if need be")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    options = parser.parse_args(arguments)
    overrides = {
        "task.budget_seconds": options.budget,
        "arena.data": options.data,
        "arena.device": options.device,
        "unsafe": options.unsafe or None,
    }
    try:
        settings = load(script.resolve().parent, overrides)
        profile = choose(settings)
        prepare_if_missing(settings.arena.data)
        corpus = Corpus.open(locate(settings.arena.data))
        adopt_orphans()
        tier = walls.choose(settings.arena.sandbox, unsafe=settings.unsafe, gpu=profile.gpu(0))
        sandbox = TierSandbox(tier, settings.arena.readable)
        referee = Referee(corpus, sandbox, profile.rules, script.name, gpu=profile.gpu(0))
        measurement = _measure(script, referee, profile.rules, options.seed)
        measurement = replace(measurement, sandbox=str(tier))
    except (EvoError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    block = summary(measurement)
    if options.json:
        print(json.dumps(block))
    else:
        print("---")
        for name, value in block.items():
            print(f"{name + ':':<19}{value}")
    return 0 if measurement.status is Status.SCORED else 1


def _measure(script: Path, referee: Referee, rules: Rules, seed: int) -> Measurement:
    line = ProgressLine(rules.budget_seconds)
    try:
        return referee.measure(script.read_text("utf-8"), seed, watch=line)
    finally:
        line.close()
