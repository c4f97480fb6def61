"""A search of train.py as it comes, against greedy hill-climbing at equal trials.

    python benchmarks/greedy.py [--trials 40] [--seeds 3] [--strategies population greedy]

Each search is `evo run` in a project of its own, on the CPU, with no model. What it reports as best
is then measured anew with seeds that no search has used, beside the baseline: the gain that it says
it has found, and the gain that is there. Strategies of one seed run at the same time, one trial
each, so that they share whatever else the machine does; a trial's budget is CPU time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
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
    evo(folder.parent, "init", folder.name)
    evo(
        folder, "run", "--plain", "--slots", "1", "--trials", str(trials), "--seed", str(seed),
        "--strategy", strategy,
    )  # fmt: skip
    best: dict[str, Any] = json.loads(evo(folder, "best", "--json"))
    evo(folder, "checkout", "best", "--output", "best.py")
    [counts] = json.loads(evo(folder, "sql", "--json", COUNTS))
    return best | counts


def measure(file: Path, measures: int) -> list[float]:
    said = json.loads(
        evo(
            file.parent, "eval", file.name, "--json", "--slots", "2",
            "--seeds", str(measures), "--seed", str(FIRST_FRESH_SEED),
        )
    )  # fmt: skip
    return [float(one["score"]) for one in said]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--measures", type=int, default=5)
    parser.add_argument("--strategies", nargs="+", default=["population", "greedy"])
    parser.add_argument("--folder", type=Path, help="keeps the projects; default: a temporary one")
    options = parser.parse_args()
    root = options.folder or Path(tempfile.mkdtemp(prefix="evo-greedy-"))
    root.mkdir(parents=True, exist_ok=True)
    baseline: list[float] = []
    print("| strategy | seed | trials | variants | says it gained | has gained | std. error |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    gains: dict[str, list[float]] = {name: [] for name in options.strategies}
    for seed in range(options.seeds):
        folders = {name: root / f"{name}-{seed}" for name in options.strategies}
        with ThreadPoolExecutor(len(folders)) as pool:
            going = {
                name: pool.submit(search, folder, name, seed, options.trials)
                for name, folder in folders.items()
            }
        for name, folder in folders.items():
            best = going[name].result()
            if not baseline:
                baseline = measure(folder / "train.py", options.measures)
            scores = measure(folder / "best.py", options.measures)
            gain = statistics.mean(baseline) - statistics.mean(scores)
            error = (
                statistics.variance(baseline) / len(baseline)
                + statistics.variance(scores) / len(scores)
            ) ** 0.5
            gains[name].append(gain)
            print(
                f"| {name} | {seed} | {best['trials']} | {best['variants']} "
                f"| {best['gain'] or 0.0:+.4f} | {gain:+.4f} | {error:.4f} |",
                flush=True,
            )
    for name, found in gains.items():
        print(f"| {name} | median | | | | {statistics.median(found):+.4f} | |")


if __name__ == "__main__":
    main()
