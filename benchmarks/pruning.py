"""How much early stopping could save at most, if its thresholds knew the truth.

    python benchmarks/pruning.py

Children of the baseline on sparse landscapes: each rung's threshold is set to what all but a share
of the true improvements stay below, so nothing is lost to estimation. Printed for each noise and
share: trials in the time of one, and the improvements killed over all rungs.
"""

from __future__ import annotations

import math
import random

import numpy as np

from evo.search.pruning import RUNGS, WINDOW
from evo.simulate.bench import NOISES, TUNING_SEEDS
from evo.simulate.landscape import BASE, Kind, Landscape
from evo.simulate.simulation import REPORTS

LANDSCAPES = 12
SHARES = (0.004, 0.01, 0.02)


def children(noise: float, chance: random.Random) -> np.ndarray:
    """(n, 1 + REPORTS): by how much each is truly worse, and is behind at each report."""
    found, nothing = [], frozenset[int]()
    for seed in TUNING_SEEDS[:LANDSCAPES]:
        landscape = Landscape(Kind.SPARSE, seed)
        for idea in range(landscape.ideas):
            one, luck = frozenset({idea}), chance.gauss(0, noise)
            behind = [
                landscape.seen(one, report / REPORTS)
                - landscape.seen(nothing, report / REPORTS)
                + luck * math.sqrt(report / REPORTS)
                + chance.gauss(0, 0.2 * noise + 0.05)
                for report in range(1, REPORTS + 1)
            ]
            found.append((landscape.truth(one) - BASE, *behind))
    return np.array(found)


def main() -> None:
    print(f"{'noise':>8} {'a rung':>8} {'trials':>8} {'killed':>8}")
    for name, noise in NOISES.items():
        drawn = children(noise, random.Random(1))
        good = drawn[:, 0] < 0
        for share in SHARES:
            running, used = np.ones(len(drawn), dtype=bool), np.ones(len(drawn))
            for rung in (rung * REPORTS for rung in RUNGS):
                seen = [at for at in range(1, REPORTS + 1) if WINDOW * rung <= at <= rung]
                height = drawn[:, seen].mean(axis=1)
                stopped = running & (height > np.quantile(height[good], 1 - share))
                used[stopped] = math.ceil(rung) / REPORTS
                running &= ~stopped
            killed = 1 - running[good].mean()
            print(f"{name:>8} {share:>8.1%} {1 / used.mean():>8.2f} {killed:>8.1%}")


if __name__ == "__main__":
    main()
