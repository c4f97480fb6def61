"""Whole trials of train.py: score, speed, time waiting for data, and seconds outside the budget.

    python benchmarks/trials.py --data NAME --budget 60 --seeds 3 [SCRIPT ...]

Each trial is `python train.py`: start, compilation, training, scoring in a fresh process, and end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any


def trial(script: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    command = [sys.executable, script, "--seed", str(seed), "--json"]
    if options.budget:
        command += ["--budget", str(options.budget)]
    if options.data:
        command += ["--data", options.data]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{script}, seed {seed}: {done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"wall": time.monotonic() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scripts", nargs="*", default=["train.py"])
    parser.add_argument("--data", help="name or folder of prepared data")
    parser.add_argument("--budget", type=float)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(
        "| script | seed | val_bpb | tokens/s | steps | waiting for data | before training s "
        "| scoring s | outside the budget s | memory MB | sandbox | audited | worst nats |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|")
    for script in options.scripts:
        scores = []
        for seed in range(options.seeds):
            one = trial(script, seed, options)
            scores.append(one["val_bpb"])
            print(
                f"| {script} | {seed} | {one['val_bpb']:.4f} | {one['tokens_per_second']:,} "
                f"| {one['num_steps']} | {one['data_wait_seconds'] / one['training_seconds']:.2%} "
                f"| {one['startup_seconds']:.1f} | {one['scoring_seconds']:.1f} "
                f"| {one['wall'] - one['training_seconds']:.1f} | {one['peak_memory_mb']:,.0f} "
                f"| {one['sandbox']} | {one['audited_positions']} "
                f"| {one['audit_worst_nats']:.1e} |",
                flush=True,
            )
        if len(scores) > 1:
            mean, std = statistics.mean(scores), statistics.stdev(scores)
            print(
                f"| {script} | mean | {mean:.4f} ± {std:.4f} (std) | | | | | | | | | | |",
                flush=True,
            )


if __name__ == "__main__":
    main()
