"""The fair fight: every strategy on the same landscapes, at the same accelerator time."""

from __future__ import annotations

import itertools
import math
import os
import statistics
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

from threadpoolctl import threadpool_limits

from evo.nouns import Direction
from evo.search.breeding import Part, Plan
from evo.search.rivals import STRATEGIES
from evo.simulate.landscape import BASE, Kind, Landscape
from evo.simulate.simulation import Outcomes, Simulation

NOISES = {"low": 0.3, "medium": 1.0, "high": 3.0}
"""Standard deviation of one trial; ideas move a loss by about 1 to 3."""
SEEDS = tuple(range(240, 260))
"""Landscapes to report on; strategies are tuned on others."""
TUNING_SEEDS = tuple(range(120))
"""Landscapes that were looked at while the strategies were made: not to be reported on."""
SLOTS = (1, 8)
MOMENTS = 20
"""Points of a row's path."""


@dataclass(frozen=True, slots=True)
class Regime:
    """What is simulated but for the seed."""

    kind: Kind
    noise: str
    slots: int
    strategy: str
    without: Part | None = None
    """A part that is switched off."""

    @property
    def name(self) -> str:
        """Of the strategy, with what it does without."""
        return f"{self.strategy} without {self.without}" if self.without else self.strategy


@dataclass(frozen=True, slots=True)
class Case:
    """One search that is simulated."""

    regime: Regime
    seed: int
    trials: int
    """Accelerator time, in trials' lengths."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a strategy made of one regime, over all seeds."""

    regime: Regime
    gain: float
    """Median of the reported best's true gain over the baseline."""
    gain_low: float
    gain_high: float
    """Quartiles of it."""
    mean_gain: float
    closed: float
    """Median share of the gap between the baseline and the best known that was closed."""
    optimism: float
    """Mean of what the report is too good by, in the unit of a loss."""
    optimism_errors: float | None
    """Median of it in standard errors, where the search itself reports them."""
    promotions: int
    false_promotions: int
    trials_per_length: float
    """Mean of trials begun in the accelerator time of one whole trial."""
    improvements: int
    """New variants that were truly better than the champion."""
    killed: int
    """Of them, those that early stopping cost."""
    hours: float
    """Median time on the wall, in trials' lengths."""
    path: tuple[float, ...]
    """Median true gain at equal steps of accelerator time, the last at its end."""


def cases(
    *,
    strategies: Iterable[str],
    seeds: Sequence[int],
    trials: int,
    slots: Sequence[int] = SLOTS,
    noises: Iterable[str] = tuple(NOISES),
    kinds: Iterable[Kind] = tuple(Kind),
    without: Iterable[Part] = (),
) -> list[Case]:
    """Every combination; each part of `without` is switched off in the population strategy."""
    fighters = [(name, None) for name in strategies] + [("population", part) for part in without]
    return [
        Case(Regime(kind, noise, places, strategy, part), seed, trials)
        for kind, noise, places, (strategy, part), seed in itertools.product(
            kinds, noises, slots, fighters, seeds
        )
    ]


def simulate(case: Case) -> tuple[Case, Outcomes, float]:
    """Runs one case; its outcomes, and the gain of the best that is known."""
    regime = case.regime
    landscape = _landscape(regime.kind, case.seed)
    parts = frozenset(Part) - {regime.without}
    plan = Plan(Direction.MINIMISE, landscape.founders, 8, 16, 2, slots=regime.slots, parts=parts)
    search = STRATEGIES[regime.strategy](plan)
    simulation = Simulation(search, landscape, NOISES[regime.noise], regime.slots, case.seed)
    return case, simulation.run(case.trials), BASE - landscape.best


@lru_cache(None)
def _landscape(kind: Kind, seed: int) -> Landscape:
    """The same one for all strategies: to find the best of it takes as long as a search."""
    return Landscape(kind, seed)


def run(wanted: Sequence[Case], on_done: Callable[[], None] = lambda: None) -> Iterator[Row]:
    """Simulates all cases on all cores that it may use; a row for each regime."""
    groups: dict[Regime, list[tuple[Outcomes, float]]] = {}
    with ProcessPoolExecutor(_cores(), initializer=_one_thread) as pool:
        for case, outcomes, best in pool.map(simulate, wanted, chunksize=2):
            groups.setdefault(case.regime, []).append((outcomes, best))
            on_done()
    for regime, found in groups.items():
        yield _row(regime, found, wanted[0].trials)


def _one_thread() -> None:
    """Matrices here are small, and the cores have other cases to work on."""
    threadpool_limits(1, "blas")


def _cores() -> int:
    """Cores that this process may run on, where the system says."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def speed_up(alone: Row, together: Row) -> float | None:
    """How much sooner many slots reach what one slot reaches in half of its time.

    None if they never do, or if one slot reached nothing.
    """
    goal = alone.path[MOMENTS // 2 - 1]
    reached = [step for step, gain in enumerate(together.path, 1) if gain >= goal]
    if goal <= 0 or not reached:
        return None
    first = next(step for step, gain in enumerate(alone.path, 1) if gain >= goal)
    return (first / alone.regime.slots) / (reached[0] / together.regime.slots)


def _row(regime: Regime, found: list[tuple[Outcomes, float]], trials: int) -> Row:
    many = [outcomes for outcomes, _ in found]
    gains = [one.gain for one in many]
    quartiles = statistics.quantiles(gains, n=4) if len(gains) > 1 else [gains[0]] * 3
    moments = [trials / regime.slots * (step + 1) / MOMENTS for step in range(MOMENTS)]
    errors = [one.optimism / one.reported_std for one in many if 0 < one.reported_std < math.inf]
    moments[-1] = math.inf  # with what still ran then
    return Row(
        regime=regime,
        gain=statistics.median(gains),
        gain_low=quartiles[0],
        gain_high=quartiles[2],
        mean_gain=statistics.mean(gains),
        closed=statistics.median(outcomes.gain / best for outcomes, best in found),
        optimism=statistics.mean(one.optimism for one in many),
        optimism_errors=statistics.median(errors) if errors else None,
        promotions=sum(one.promotions for one in many),
        false_promotions=sum(one.false_promotions for one in many),
        trials_per_length=statistics.mean(one.trials / (one.hours * regime.slots) for one in many),
        improvements=sum(one.improvements for one in many),
        killed=sum(one.killed for one in many),
        hours=statistics.median(one.hours for one in many),
        path=tuple(
            statistics.median(_gain_at(one.path, moment) for one in many) for moment in moments
        ),
    )


def _gain_at(path: Sequence[tuple[float, float]], moment: float) -> float:
    index = bisect_right(path, moment, key=lambda point: point[0])
    return path[index - 1][1] if index else 0.0
