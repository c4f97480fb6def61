"""The strategies that evolution has to beat: greedy hill-climbing, best of many, and chance."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from evo.search.bandit import Arm
from evo.search.breeding import Breeding, Plan
from evo.search.evolution import Evolution
from evo.search.search import Search

SINGLE = frozenset({"tune", "mutate", "simplify", "agent"})
"""Operators that change one parent, again and again."""


class Greedy(Breeding):
    """Autoresearch's rule: build on the best, keep what scored better once, never look back."""

    def _draw(self, chance: random.Random) -> int:
        return self._living[0]

    def _rank(self) -> None:
        self._living = self._best(1)

    def _promote(self) -> None:
        if not self._crown_the_baseline():
            self._champion = self._living[0]

    def _best(self, most: int) -> list[int]:
        """Those with the best first score."""
        ranked = sorted(self._ledger.scored(), key=lambda entry: entry.losses[0])
        return [entry.variant.id for entry in ranked[:most]]


class GreedyReplicated(Breeding):
    """Greedy, but a challenger and the best are measured again before they are told apart."""

    def wanted_trials(self) -> dict[int, int]:
        challenger, needed = self._challenger(), self._plan.confirmations
        if challenger is None or self._champion is None:
            return {}
        sides = self._ledger[challenger], self._ledger[self._champion]
        return {
            one.variant.id: needed for one in sides if len(one.losses) < needed and not one.is_spent
        }

    def _draw(self, chance: random.Random) -> int:
        return self._living[0]

    def _rank(self) -> None:
        self._living = [] if self._champion is None else [self._champion]

    def _promote(self) -> None:
        if not self._crown_the_baseline():
            challenger = self._challenger()
            if challenger is not None and not self.wanted_trials():
                self._champion = challenger
        self._rank()

    def _challenger(self) -> int | None:
        """Whoever has the best mean, if that is better than the champion's, and can be measured."""
        if self._champion is None:
            return None
        means = [
            (entry.mean, entry.variant.id) for entry in self._ledger.scored() if not entry.is_spent
        ]
        mean, best = min(means, default=(math.inf, 0))
        return best if mean < self._ledger[self._champion].mean else None


class BestOfMany(Greedy):
    """One change of the baseline after another, each by itself; the best number wins."""

    def _breed(self, chance: random.Random) -> tuple[Arm, tuple[int, ...], str] | None:
        # Without two parents and without a lineage there is nothing to cross or to take out.
        shares = {arm: share for arm, share in self._shares().items() if arm.operator in SINGLE}
        [arm] = chance.choices(list(shares), list(shares.values()))
        return arm, (0,), ""

    def _rank(self) -> None:
        self._living = self._best(self._plan.population_size)


class RandomChoice(Greedy):
    """Builds on anything that ever trained, without selection: what chance alone achieves."""

    def _draw(self, chance: random.Random) -> int:
        return chance.choice([entry.variant.id for entry in self._ledger.scored()])

    def _rank(self) -> None:
        self._living = self._best(self._plan.population_size)


def tpe(plan: Plan) -> Search:
    """Optuna's, see `evo.search.tpe`; imported when it is wanted, for it is an optional extra."""
    from evo.search.tpe import Tpe

    return Tpe(plan)


STRATEGIES: dict[str, Callable[[Plan], Search]] = {
    "population": Evolution,
    "greedy": Greedy,
    "greedy-replicated": GreedyReplicated,
    "best-of-n": BestOfMany,
    "random": RandomChoice,
}
"""Those that need nothing but what is told: they can be simulated."""
ON_CONSTANTS: dict[str, Callable[[Plan], Search]] = {"tpe": tpe}
"""Those that need the baseline's constants in their plan."""
