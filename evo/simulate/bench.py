"""The fair fight: every strategy on the same landscapes, at the same accelerator time."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from evo.nouns import Direction
from evo.search.breeding import Plan
from evo.search.rivals import STRATEGIES
from evo.simulate.landscape import BASE, Kind, Landscape
from evo.simulate.simulation import Outcomes, Simulation, founders

NOISES = {"low": 0.3, "medium": 1.0, "high": 3.0}
"""Standard deviation of one trial; ideas move a loss by about 1 to 3."""
SEEDS = tuple(range(100, 120))
"""Landscapes to report on; 0 to 11 were looked at while the strategies were made."""
SLOTS = (1, 8)


@dataclass(frozen=True, slots=True)
class Case:
    """One search that is simulated."""

    kind: Kind
    noise: str
    slots: int
    strategy: str
    seed: int
    trials: int


@dataclass(frozen=True, slots=True)
class Row:
    """What a strategy made of one regime, over all seeds."""

    kind: Kind
    noise: str
    slots: int
    strategy: str
    gain: float
    """Median of the reported best's true gain over the baseline."""
    gain_low: float
    gain_high: float
    """Quartiles of it."""
    closed: float
    """Median share of the gap between the baseline and the best known that was closed."""
    optimism: float
    """Mean of what the report is too good by."""
    promotions: int
    false_promotions: int
    hours: float
    """Median accelerator time, in trials' lengths."""


def cases(
    *,
    strategies: Iterable[str],
    seeds: Sequence[int],
    trials: int,
    slots: Sequence[int] = SLOTS,
    noises: Iterable[str] = tuple(NOISES),
) -> list[Case]:
    """Every combination, those of one seed beside each other."""
    return [
        Case(kind, noise, places, strategy, seed, trials)
        for kind, noise, places, strategy, seed in itertools.product(
            Kind, noises, slots, strategies, seeds
        )
    ]


def simulate(case: Case) -> tuple[Case, Outcomes, float]:
    """Runs one case; its outcomes, and the gain of the best that is known."""
    landscape = Landscape(case.kind, case.seed)
    search = STRATEGIES[case.strategy](Plan(Direction.MINIMISE, founders(), 8, 16, 2))
    simulation = Simulation(search, landscape, NOISES[case.noise], case.slots, case.seed)
    return case, simulation.run(case.trials), BASE - landscape.best


def run(wanted: Sequence[Case], on_done: Callable[[], None] = lambda: None) -> Iterator[Row]:
    """Simulates all cases on all cores; a row for each regime and strategy."""
    # One thread each: the matrices are small, and the cores have other cases to work on.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    groups: dict[tuple[Kind, str, int, str], list[tuple[Outcomes, float]]] = {}
    with ProcessPoolExecutor() as pool:
        for case, outcomes, best in pool.map(simulate, wanted, chunksize=2):
            key = (case.kind, case.noise, case.slots, case.strategy)
            groups.setdefault(key, []).append((outcomes, best))
            on_done()
    for (kind, noise, slots, strategy), found in groups.items():
        yield _row(kind, noise, slots, strategy, found)


def _row(
    kind: Kind, noise: str, slots: int, strategy: str, found: list[tuple[Outcomes, float]]
) -> Row:
    gains = [outcomes.gain for outcomes, _ in found]
    quartiles = statistics.quantiles(gains, n=4) if len(gains) > 1 else [gains[0]] * 3
    return Row(
        kind=kind,
        noise=noise,
        slots=slots,
        strategy=strategy,
        gain=statistics.median(gains),
        gain_low=quartiles[0],
        gain_high=quartiles[2],
        closed=statistics.median(outcomes.gain / best for outcomes, best in found),
        optimism=statistics.mean(outcomes.optimism for outcomes, _ in found),
        promotions=sum(outcomes.promotions for outcomes, _ in found),
        false_promotions=sum(outcomes.false_promotions for outcomes, _ in found),
        hours=statistics.median(outcomes.hours for outcomes, _ in found),
    )
