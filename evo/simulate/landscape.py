"""Landscapes: what each idea truly does to the loss, known here and hidden from the search.

A variant is a set of ideas. Its true loss is the baseline's, plus the effects of its ideas, plus
what pairs of them do together.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

Genes = frozenset[int]
BASE = 100.0
SLOWNESS = 0.3
"""Standard deviation of what an idea does to the beginning of a curve, in parts of its effect and
one more."""
FOUNDERS = 12
"""The first ideas: the gene pool, as good and as bad as any others."""
CURATED_FOUNDERS = 33
"""The first ideas where people have chosen them."""


class Kind(StrEnum):
    """What kind of world it is."""

    DENSE = "dense"
    """A third of all ideas help, many interact, some are traps."""
    SPARSE = "sparse"
    """About 4 % of ideas help, by amounts like the noise's, and popular ideas come again and again.

    Calibrated on a public log of 126 experiments of an LLM on a training script: noise of one trial
    0.0007 bits per byte; what was kept gained 0.0005 in the median, rarely over 0.003; what wasn't
    lost 0.0008 in the median, a tenth of it over 0.0037. One unit here is 0.0007.
    """
    CURATED = "curated"
    """A large gene pool that people have chosen: most of it does little, a few founders are worth
    more than all others together, and moves of constants rather hurt.

    Calibrated on what trials of this package's `train.py` say of its own gene pool on a CPU, where
    one trial's noise is 0.012 bits per byte: that is one unit.
    """
    DECEPTIVE = "deceptive"
    """As dense, but the largest gains are pairs of ideas that hurt one by one."""


@dataclass(frozen=True)
class Landscape:
    """A world of ideas.

    Args:
        kind: What kind.
        seed: Which one of its kind.
    """

    kind: Kind
    seed: int

    @property
    def ideas(self) -> int:
        return 600 if self.kind is Kind.SPARSE else 150

    @property
    def founders(self) -> tuple[str, ...]:
        """Names of the gene pool: the first ideas."""
        count = CURATED_FOUNDERS if self.kind is Kind.CURATED else FOUNDERS
        return tuple(str(number) for number in range(count))

    def truth(self, genes: Genes) -> float:
        """True loss of a variant."""
        loss = BASE
        for gene in sorted(genes):
            loss += self._effects[gene]
            loss += sum(value for mate, value in self._mates[gene].items() if mate in genes)
        return loss

    def seen(self, genes: Genes, share: float) -> float:
        """What a curve shows of a variant at a share of the budget, without noise.

        An idea's effect grows with the square root of the share; some ideas start slowly or fast,
        whatever they come to in the end.
        """
        slow = sum(self._slowness[gene] for gene in sorted(genes))
        falling = 30.0 * (math.pow(share, -0.3) - 1.0)
        return BASE + falling + (self.truth(genes) - BASE) * math.sqrt(share) + slow * (1.0 - share)

    def draw(self, seed: int) -> int:
        """An idea, as a proposer without memory has them: popular ones more often (Zipf)."""
        chance = random.Random(f"{self.seed}:idea:{seed}")
        if self.kind is Kind.CURATED:
            return chance.randrange(CURATED_FOUNDERS, self.ideas)
        if self.kind is not Kind.SPARSE:
            return chance.randrange(self.ideas)
        # The inverse of the distribution function of a density proportional to 1 / rank.
        rank = int(math.exp(chance.random() * math.log(self.ideas + 1)))
        return self._popular[min(rank, self.ideas) - 1]

    @cached_property
    def best(self) -> float:
        """A true loss that is hard to beat: the best single step, again and again, by the truth."""
        genes: set[int] = set()
        loss = self.truth(frozenset())
        while True:
            moves = [genes ^ {gene} for gene in range(self.ideas)]
            moves += [genes | set(pair) for pair in self._pairs]
            found = min(moves, key=lambda move: self.truth(frozenset(move)))
            lower = self.truth(frozenset(found))
            if lower >= loss - 1e-9:
                return loss
            genes, loss = set(found), lower

    @cached_property
    def _effects(self) -> list[float]:
        chance = random.Random(f"{self.seed}:{self.kind}:effects")
        if self.kind is Kind.CURATED:
            chosen = [_chosen_effect(chance) for _ in self.founders]
            return chosen + [chance.gauss(1.5, 1.8) for _ in range(len(chosen), self.ideas)]
        make: Callable[[random.Random], float] = {
            Kind.DENSE: _dense_effect,
            Kind.SPARSE: _sparse_effect,
            Kind.DECEPTIVE: _deceptive_effect,
        }[self.kind]
        return [make(chance) for _ in range(self.ideas)]

    @cached_property
    def _slowness(self) -> list[float]:
        """What each idea does to the beginning of a curve alone."""
        chance = random.Random(f"{self.seed}:{self.kind}:slowness")
        return [chance.gauss(0, SLOWNESS * (abs(effect) + 1.0)) for effect in self._effects]

    @cached_property
    def _pairs(self) -> dict[tuple[int, int], float]:
        """What two ideas do together, beyond what they do alone."""
        chance = random.Random(f"{self.seed}:{self.kind}:pairs")
        found: dict[tuple[int, int], float] = {}
        if self.kind is Kind.SPARSE:
            return found
        for _ in range(self.ideas):
            one, two = sorted(chance.sample(range(self.ideas), 2))
            found[one, two] = chance.gauss(0.3, 1.0)  # ideas rather get in each other's way
        if self.kind is Kind.CURATED:
            for _ in range(self.ideas):
                one, two = sorted(chance.sample(range(CURATED_FOUNDERS), 2))
                found[one, two] = chance.gauss(0.4, 1.0)
        if self.kind is Kind.DECEPTIVE:
            for _ in range(self.ideas // 8):
                one, two = sorted(chance.sample(range(self.ideas), 2))
                gain = chance.expovariate(1 / 6.0) + 2.0
                found[one, two] = -gain - max(self._effects[one], 0) - max(self._effects[two], 0)
        return found

    @cached_property
    def _mates(self) -> list[dict[int, float]]:
        """The same pairs, by the first of the two."""
        found: list[dict[int, float]] = [{} for _ in range(self.ideas)]
        for (one, two), value in self._pairs.items():
            found[one][two] = value
        return found

    @cached_property
    def _popular(self) -> list[int]:
        order = list(range(self.ideas))
        random.Random(f"{self.seed}:popular").shuffle(order)
        return order


def _dense_effect(chance: random.Random) -> float:
    size = chance.expovariate(1 / 2.0)
    return -size if chance.random() < 1 / 3 else size


def _sparse_effect(chance: random.Random) -> float:
    if chance.random() < 0.04:
        return -chance.lognormvariate(0.3, 0.9)
    much = chance.expovariate(1 / 5.0) if chance.random() < 0.2 else 0.0
    return abs(chance.gauss(0.4, 0.8)) + much


def _chosen_effect(chance: random.Random) -> float:
    if chance.random() < 0.07:
        return -chance.lognormvariate(1.5, 0.5)
    much = chance.expovariate(1 / 5.0) if chance.random() < 0.1 else 0.0
    return chance.gauss(0.2, 0.8) + much


def _deceptive_effect(chance: random.Random) -> float:
    size = chance.expovariate(1 / 1.5)
    return -0.5 * size if chance.random() < 0.15 else size
