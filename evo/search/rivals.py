"""The strategies that evolution has to beat: greedy hill-climbing and random choice."""

from __future__ import annotations

import random
from collections.abc import Callable

from evo.nouns import Proposal, Standing, Trial, Variant
from evo.search.evolution import Evolution, Plan
from evo.search.search import Search


class Greedy(Evolution):
    """Autoresearch's rule: build on the best, keep what scored better once, never look back."""

    def wanted_trials(self) -> dict[int, int]:
        return {}

    def tell(self, record: Proposal | Variant | Trial) -> Standing:
        standing = super().tell(record)
        self._living = [self._champion] if self._champion is not None else []
        return Standing.IGNORED if standing is Standing.JOINED else standing

    def _promote(self) -> None:
        if self._champion is None:
            super()._promote()
            return
        champion = self._ledger[self._champion]
        best = min(self._ledger.scored(), key=lambda entry: entry.losses[0])
        if best.losses[0] < champion.losses[0]:
            self._champion = best.variant.id


class RandomChoice(Evolution):
    """Builds on anything that ever trained, without selection: what chance alone achieves."""

    def _parent(self, chance: random.Random) -> int:
        return chance.choice([entry.variant.id for entry in self._ledger.scored()])


STRATEGIES: dict[str, Callable[[Plan], Search]] = {
    "population": Evolution,
    "greedy": Greedy,
    "random": RandomChoice,
}
