"""The strategies that evolution has to beat: greedy hill-climbing and random choice."""

from __future__ import annotations

import random
from collections.abc import Callable

from evo.search.breeding import Breeding, Plan
from evo.search.evolution import Evolution
from evo.search.search import Search


class Greedy(Breeding):
    """Autoresearch's rule: build on the best, keep what scored better once, never look back."""

    def _parent(self, chance: random.Random) -> int:
        return self._living[0]

    def _rank(self) -> None:
        best = min(self._ledger.scored(), key=lambda entry: entry.losses[0])
        self._living = [best.variant.id]

    def _promote(self) -> None:
        if not self._crown_the_baseline():
            self._champion = self._living[0]


class RandomChoice(Breeding):
    """Builds on anything that ever trained, without selection: what chance alone achieves."""

    def _parent(self, chance: random.Random) -> int:
        return chance.choice([entry.variant.id for entry in self._ledger.scored()])

    def _rank(self) -> None:
        ranked = sorted(self._ledger.scored(), key=lambda entry: entry.losses[0])
        self._living = [entry.variant.id for entry in ranked[: self._plan.population_size]]

    def _promote(self) -> None:
        if not self._crown_the_baseline():
            self._champion = self._living[0]


STRATEGIES: dict[str, Callable[[Plan], Search]] = {
    "population": Evolution,
    "greedy": Greedy,
    "random": RandomChoice,
}
