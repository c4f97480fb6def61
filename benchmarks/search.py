"""How long the search thinks: ask and tell of the population strategy, as its variants grow.

    python benchmarks/search.py [variants]

A simulated search on a landscape that it doesn't exhaust; every call of the strategy is timed.
Printed for each stretch of variants: the median, the quartiles and the worst of all calls that one
trial leads to (proposals, the variant, reports, the trial, replicates), in CPU milliseconds: what
else runs on the machine doesn't count.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from threadpoolctl import threadpool_limits

from evo.nouns import Direction, Trial
from evo.search.breeding import Plan
from evo.search.evolution import Evolution
from evo.simulate.landscape import Kind, Landscape
from evo.simulate.simulation import Simulation

IDEAS = 20_000
STRETCHES = 8
VERBS = ("ask", "tell", "wanted_trials", "foregoes", "hopeless", "estimate")


class Wide(Landscape):
    """One that a long search doesn't exhaust: each idea is a new one."""

    @property
    def ideas(self) -> int:
        return IDEAS

    def draw(self, seed: int) -> int:
        return seed % IDEAS


class Clock:
    """A search, whose calls are timed; a lap ends with each trial that is told."""

    def __init__(self, search: Evolution) -> None:
        self._search, self._lap = search, 0.0
        self.laps: list[tuple[int, float]] = []
        """Variants known, and seconds of thinking since the trial before."""
        self.variants = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._search, name)
        return self._timed(found) if name in VERBS else found

    def _timed(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = time.process_time()
            answer = verb(*arguments)
            self._lap += time.process_time() - began
            if arguments and isinstance(arguments[0], Trial) and verb.__name__ == "tell":
                self.laps.append((self.variants, self._lap))
                self._lap = 0.0
            elif verb.__name__ == "foregoes":
                self.variants += 1
            return answer

        return call


def main() -> None:
    threadpool_limits(1, "blas")  # as in an engine
    variants = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    landscape = Wide(Kind.SPARSE, 0)
    clock = Clock(Evolution(Plan(Direction.MINIMISE, landscape.founders, 8, 16, 2)))
    Simulation(clock, landscape, 1.0, 1, 0).run(variants)
    width = max(1, clock.variants // STRETCHES)
    print(f"{'variants':>12} {'median':>8} {'quartiles':>16} {'worst':>8}   CPU ms a trial")
    for first in range(0, clock.variants, width):
        laps = [1e3 * lap for count, lap in clock.laps if first <= count < first + width]
        if len(laps) > 3:
            low, median, high = statistics.quantiles(laps, n=4)
            told = f"{low:.1f} to {high:.1f}"
            print(f"{first + width:>12} {median:>8.1f} {told:>16} {max(laps):>8.1f}")


if __name__ == "__main__":
    main()
