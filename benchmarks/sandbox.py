"""How much later a process starts behind walls: every tier against a bare process.

    python benchmarks/sandbox.py [--starts N]

A start is measured from the request to the end of `python -c pass`; the end of the cell, with what
it takes to kill a tree and clear up, is a column of its own. Tiers take turns, so that a busy
moment hits them all; where others keep the cores busy, the fastest start says more than the median.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

from evo.sandbox.cells import adopt_orphans
from evo.sandbox.harness import staged
from evo.sandbox.plan import Limits, Tier
from evo.sandbox.sandbox import TierSandbox, environment
from evo.sandbox.walls import TRIED, survey

PROGRAM = ("-P", "-s", "-c", "pass")
LIMITS = Limits(memory_mb=1000)


def bare() -> tuple[float, float]:
    """Milliseconds of a process with a cell's environment and nothing else."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *PROGRAM], env=environment("/tmp", 1, ""), check=True)
    return 1000 * (time.perf_counter() - began), 0.0


def walled(sandbox: TierSandbox) -> tuple[float, float]:
    """Milliseconds of a start, and of the end."""
    began = time.perf_counter()
    cell = sandbox.start(("python", "-c", "pass"), limits=LIMITS, threads=1)
    cell.process.wait()
    ended = time.perf_counter()
    status = cell.end()
    assert status == 0, cell.log.tail()
    return 1000 * (ended - began), 1000 * (time.perf_counter() - ended)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=40)
    options = parser.parse_args()
    adopt_orphans()
    staged()
    good = [one.tier for one in survey(all_of_them=True) if one.good]
    sandboxes = {tier: TierSandbox(tier) for tier in (*TRIED, Tier.OPEN) if tier in (*good, "open")}
    taken: dict[str, list[tuple[float, float]]] = {one: [] for one in ("bare", *sandboxes)}
    for sandbox in sandboxes.values():
        walled(sandbox)  # finds control groups and paths, once a referee
    for _ in range(options.starts):
        taken["bare"].append(bare())
        for tier, sandbox in sandboxes.items():
            taken[tier].append(walled(sandbox))
    middle = statistics.median(start for start, _ in taken["bare"])
    fastest = min(start for start, _ in taken["bare"])
    print(f"{options.starts} starts each, as {'root' if os.geteuid() == 0 else 'a user'}\n")
    print("| tier | fastest ms | over bare | median ms | over bare | 90 % | end ms |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, pairs in taken.items():
        starts = sorted(start for start, _ in pairs)
        print(
            f"| {name} | {starts[0]:.0f} | {starts[0] - fastest:+.0f} "
            f"| {statistics.median(starts):.0f} | {statistics.median(starts) - middle:+.0f} "
            f"| {starts[len(starts) * 9 // 10]:.0f} "
            f"| {statistics.median(end for _, end in pairs):.0f} |"
        )


if __name__ == "__main__":
    main()
