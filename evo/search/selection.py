"""Selection by DEAP: tournaments over a loss, and over size where losses are equal.

DEAP draws from Python's global random state, and NaN wins every comparison of its fitness. So the
state is set and put back around each call, and nothing without a valid loss comes in.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from deap import base, tools


class LossThenSize(base.Fitness):  # type: ignore[misc]
    """Lexicographic: less loss is better, and of equal losses the smaller program."""

    weights = (-1.0, -1.0)


@dataclass(slots=True)
class Candidate:
    """A variant that may be selected.

    Raises:
        ValueError: The loss isn't a finite number.
    """

    variant: int
    loss: float
    lines: int
    fitness: LossThenSize = field(init=False)

    def __post_init__(self) -> None:
        if not math.isfinite(self.loss):
            raise ValueError(f"variant {self.variant} has the loss {self.loss}")
        self.fitness = LossThenSize((self.loss, float(self.lines)))


def tournament(candidates: Sequence[Candidate], size: int, chance: random.Random) -> Candidate:
    """The best of a few that are drawn at random, with replacement.

    Args:
        candidates: At least one.
        size: How many are drawn; more means harder selection.
        chance: Where the draw comes from.
    """
    outside = random.getstate()
    random.seed(chance.getrandbits(64))
    try:
        chosen: Candidate = tools.selTournament(
            candidates, k=1, tournsize=min(size, len(candidates))
        )[0]
    finally:
        random.setstate(outside)
    return chosen


def survivors(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """The best, at most so many, best first; equal ones in the order in which they came."""
    ranked: list[Candidate] = sorted(candidates, key=lambda one: one.fitness, reverse=True)
    return ranked[:most]
