"""A search of train.py as it comes, against greedy hill-climbing at equal trials.

    python benchmarks/greedy.py [--trials 40] [--seeds 3] [--jobs 2] [--strategies ...]

Each search is `evo run` in a project of its own, on the CPU, with no model. What it reports as best
is then measured anew beside the baseline, with seeds that no search has used: the gain that it says
it has found, and the gain that is there. Searches run side by side, one trial each, so that they
share whatever else the machine does; a trial's budget is CPU time.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIRST_FRESH_SEED = 1_000_000
COUNTS = (
    "SELECT count(*) AS trials, count(DISTINCT variant) AS variants FROM trials "
    "WHERE status = 'scored'"
)


def evo(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "evo", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"evo {' '.join(arguments)} in {folder}: {done.stdout[-2000:]}{done.stderr}")
    return done.stdout


def search(folder: Path, strategy: str, seed: int, trials: int) -> dict[str, Any]:
    """Runs one search; its summary, and the text of what it reports as best."""
    evo(folder.parent, "init", str(folder))
    evo(
        folder, "run", "--plain", "--slots", "1", "--trials", str(trials), "--seed", str(seed),
        "--strategy", strategy,
    )  # fmt: skip
    best: dict[str, Any] = json.loads(evo(folder, "best", "--json"))
    evo(folder, "checkout", "best", "--output", "best.py")
    [counts] = json.loads(evo(folder, "sql", "--json", COUNTS))
    best.update(counts)
    return best


def measure(file: Path, measures: int) -> list[float]:
    said = json.loads(
        evo(
            file.parent, "eval", file.name, "--json", "--slots", "1",
            "--seeds", str(measures), "--seed", str(FIRST_FRESH_SEED),
        )
    )  # fmt: skip
    return [float(one["score"]) for one in said]


@dataclass(frozen=True, slots=True)
class Found:
    """What one search came to."""

    best: dict[str, Any]
    """As `evo best --json` says it, with the number of trials and variants."""
    gains: list[float]
    """Of its best over the baseline, by fresh seed: both are measured at the same time."""


def find(folder: Path, strategy: str, seed: int, options: argparse.Namespace) -> Found:
    best = search(folder, strategy, seed, options.trials)
    files = (folder / "train.py", folder / "best.py")
    with ThreadPoolExecutor(2) as pool:
        before, after = pool.map(measure, files, [options.measures] * 2)
    return Found(best, [one - other for one, other in zip(before, after, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--measures", type=int, default=5)
    parser.add_argument("--strategies", nargs="+", default=["population", "greedy"])
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        help="searches at a time; each takes a core, and two when its best is measured",
    )
    parser.add_argument("--folder", type=Path, help="keeps the projects; default: a temporary one")
    options = parser.parse_args()
    if options.measures < 2:
        parser.error("--measures: a standard error takes two at least")
    root = (options.folder or Path(tempfile.mkdtemp(prefix="evo-greedy-"))).resolve()
    root.mkdir(parents=True, exist_ok=True)
    gains: dict[str, list[float]] = {name: [] for name in options.strategies}
    with ThreadPoolExecutor(options.jobs) as pool:
        going = {
            (name, seed): pool.submit(find, root / f"{name}-{seed}", name, seed, options)
            for seed in range(options.seeds)
            for name in options.strategies
        }
        print("| strategy | seed | trials | variants | says it gained | has gained | std. error |")
        print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
        for (name, seed), one in going.items():
            found = one.result()
            gains[name].append(statistics.mean(found.gains))
            error = statistics.stdev(found.gains) / math.sqrt(len(found.gains))
            print(
                f"| {name} | {seed} | {found.best['trials']} | {found.best['variants']} "
                f"| {found.best['gain'] or 0.0:+.4f} | {gains[name][-1]:+.4f} | {error:.4f} |",
                flush=True,
            )
    for name, measured in gains.items():
        print(f"| {name} | median | | | | {statistics.median(measured):+.4f} | |")


if __name__ == "__main__":
    main()
