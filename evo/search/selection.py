"""Selection by DEAP: who may become a parent, by loss, memory and size at once.

NSGA-II (Deb et al. 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II") keeps
front after front of those that nobody beats in everything, and of the last those most alone.
The smallest program of all, the baseline, is on every front; so only the best by loss are asked at
all. DEAP's NaN wins every comparison, so nothing without a valid loss comes in.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from deap import base, tools

REACH = 4
"""Of so many times more than may live, by loss alone, the fronts are made."""


class Objectives(base.Fitness):  # type: ignore[misc]
    """Loss, memory beyond its limit, lines: less of each is better, the first first."""

    weights = (-1.0, -1.0, -1.0)


@dataclass(slots=True)
class Candidate:
    """A variant that may be selected.

    Raises:
        ValueError: The loss isn't a finite number.
    """

    variant: int
    loss: float
    """Rounded, so that what can't be told apart is equal, and the simpler one is better."""
    lines: int
    excess: float = 0.0
    """Steps of memory beyond the soft limit; 0 within it."""
    fitness: Objectives = field(init=False)
    """Of those within reach alone: DEAP's are costly."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.loss):
            raise ValueError(f"variant {self.variant} has the loss {self.loss}")

    @property
    def objectives(self) -> tuple[float, float, float]:
        return self.loss, self.excess, float(self.lines)


def survivors(candidates: Iterable[Candidate], most: int) -> list[Candidate]:
    """The first of the fronts, at most so many, best loss first."""
    ranked = heapq.nsmallest(REACH * most, candidates, key=lambda one: one.objectives)
    for one in ranked:
        one.fitness = Objectives(one.objectives)
    chosen = {one.variant for one in tools.selNSGA2(ranked, min(most, len(ranked)))}
    # The best by loss lives in any case: it is on the first front, but that may be crowded.
    return [one for one in ranked if one.variant in chosen | {ranked[0].variant}][:most]
