"""A search of train.py as it comes, against greedy hill-climbing at equal trials.

    python benchmarks/greedy.py [--trials 40] [--seeds 3] [--first-seed 0] [--jobs 2]
        [--strategies ...]

Each search is `evo run` in a project of its own, on the CPU, with no model. What it reports as best
is then measured anew beside the baseline, with seeds that no search has used: the gain that it says
it has found, and the gain that is there, over the seeds with which both have a score. A search that
fails says why in its row. Searches run side by side, one trial each, so that they share whatever
else the machine does; a trial's budget is CPU time.
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
HEAD = """\
| strategy | seed | trials | variants | says it gained | has gained | std. error | measures |
|---|---:|---:|---:|---:|---:|---:|---:|"""
LEAST_MEASURES = 2
"""A standard error takes so many."""
COUNTS = (
    "SELECT count(*) AS trials, count(DISTINCT variant) AS variants FROM trials "
    "WHERE status = 'scored'"
)


class CommandError(Exception):
    """A command of evo that failed, and what it said."""


def evo(folder: Path, *arguments: str, partial: bool = False) -> str:
    """What a command of evo prints.

    Args:
        folder: Where it is called.
        arguments: Its words.
        partial: Whether what it prints counts whatever its exit status.

    Raises:
        CommandError: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "evo", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and not (partial and done.stdout):
        said = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise CommandError(f"evo {arguments[0]} in {folder}: {said}")
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


def measure(file: Path, measures: int) -> dict[int, float]:
    """Scores by fresh seed, of those trials that have one."""
    said = json.loads(
        evo(
            file.parent, "eval", file.name, "--json", "--slots", "1",
            "--seeds", str(measures), "--seed", str(FIRST_FRESH_SEED), partial=True,
        )
    )  # fmt: skip
    return {one["seed"]: one["score"] for one in said if one["score"] is not None}


@dataclass(frozen=True, slots=True)
class Found:
    """What one search came to."""

    best: dict[str, Any]
    """As `evo best --json` says it, with the number of trials and variants."""
    gains: list[float]
    """Of its best over the baseline, a fresh seed each: both are measured at the same time."""

    @property
    def gain(self) -> float:
        return statistics.mean(self.gains)

    def row(self) -> str:
        """What the table has of it."""
        error = statistics.stdev(self.gains) / math.sqrt(len(self.gains))
        return (
            f"{self.best['trials']} | {self.best['variants']} | {self.best['gain'] or 0.0:+.4f} "
            f"| {self.gain:+.4f} | {error:.4f} | {len(self.gains)} |"
        )


def find(folder: Path, strategy: str, seed: int, options: argparse.Namespace) -> Found:
    """One search, and its best measured anew.

    Raises:
        CommandError: It failed, or too few of the fresh seeds have a score of both.
    """
    best = search(folder, strategy, seed, options.trials)
    files = (folder / "train.py", folder / "best.py")
    with ThreadPoolExecutor(2) as pool:
        before, after = pool.map(measure, files, [options.measures] * 2)
    gains = [before[seed] - after[seed] for seed in before if seed in after]
    if len(gains) < LEAST_MEASURES:
        raise CommandError(f"{len(gains)} of {options.measures} seeds have a score of both")
    return Found(best, gains)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
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
    if options.measures < LEAST_MEASURES:
        parser.error(f"--measures: a standard error takes {LEAST_MEASURES} at least")
    root = (options.folder or Path(tempfile.mkdtemp(prefix="evo-greedy-"))).resolve()
    root.mkdir(parents=True, exist_ok=True)
    gains: dict[str, list[float]] = {name: [] for name in options.strategies}
    with ThreadPoolExecutor(options.jobs) as pool:
        going = {
            (name, seed): pool.submit(find, root / f"{name}-{seed}", name, seed, options)
            for seed in range(options.first_seed, options.first_seed + options.seeds)
            for name in options.strategies
        }
        print(HEAD, flush=True)
        for (name, seed), one in going.items():
            try:
                found = one.result()
            except CommandError as error:
                said = str(error).replace("|", "/")
                print(f"| {name} | {seed} | failed: {said} | | | | | |", flush=True)
            else:
                gains[name].append(found.gain)
                print(f"| {name} | {seed} | {found.row()}", flush=True)
    for name, measured in gains.items():
        if measured:
            print(f"| {name} | median | | | | {statistics.median(measured):+.4f} | | |")


if __name__ == "__main__":
    main()
