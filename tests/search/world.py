"""A world without processes: variants are sets of genes, and a trial is their sum plus noise."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime

from evo.nouns import (
    Brief,
    Direction,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Standing,
    Status,
    Trial,
    Variant,
)
from evo.search.breeding import Plan
from evo.search.rivals import STRATEGIES
from evo.search.search import Search

FOUNDERS = tuple(f"founder{number}" for number in range(8))
PLAN = Plan(Direction.MINIMISE, FOUNDERS, 4, 8, 2)


@dataclass
class World:
    """Runs a search against a sum of gene effects.

    Args:
        search: The strategy.
        seed: Seeds the search's draws, the effects and the noise, each by itself.
        noise: Standard deviation of a trial.
    """

    search: Search
    seed: int = 0
    noise: float = 0.0
    crash_share: float = 0.1
    genes: dict[int, frozenset[str]] = field(default_factory=dict)
    briefs: list[Brief] = field(default_factory=list)
    records: list[Proposal | Variant | Trial] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)

    def truth(self, variant: int) -> float:
        return 5.0 + sum(self.effect(gene) for gene in sorted(self.genes[variant]))

    def effect(self, gene: str) -> float:
        return random.Random(f"{self.seed}:{gene}").gauss(0.05, 0.2)

    def step(self) -> bool:
        """One brief, its proposal, and all the trials it leads to; False if nothing is asked."""
        number = len(self.briefs)
        brief = self.search.ask(number, random.Random(f"{self.seed}:{number}"))
        if brief is None:
            return False
        self.briefs.append(brief)
        genes = self._answer(brief)
        twin = next((known for known, other in self.genes.items() if other == genes), None)
        outcome = Outcome.ACCEPTED if twin is None else Outcome.DUPLICATE
        self._tell(Proposal(number, brief.operator, brief.parents, outcome, subject=brief.subject))
        if twin is None:
            variant = len(self.genes)
            self.genes[variant] = genes
            self._tell(self._variant(variant, brief))
            self._try(variant, Purpose.FIRST)
        while wanted := self.search.wanted_trials():
            for variant in wanted:
                self._try(variant, Purpose.REPLICATE)
        return True

    def _answer(self, brief: Brief) -> frozenset[str]:
        parents = [self.genes[parent] for parent in brief.parents]
        match brief.operator:
            case "baseline":
                return frozenset()
            case "founder":
                return parents[0] | {brief.subject}
            case "crossover":
                return parents[0] | parents[1]
            case "ablate":
                subject = int(brief.subject)
                [before] = self._parents[subject]
                return parents[0] - (self.genes[subject] - self.genes[before])
            case _:
                return parents[0] | {f"tuned{brief.seed}"}

    @property
    def _parents(self) -> dict[int, tuple[int, ...]]:
        return {one.id: one.parents for one in self.records if isinstance(one, Variant)}

    def _try(self, variant: int, purpose: Purpose) -> None:
        number = sum(isinstance(record, Trial) for record in self.records)
        chance = random.Random(f"{self.seed}:trial{number}")
        if variant and purpose is Purpose.FIRST and chance.random() < self.crash_share:
            measurement = Measurement(Status.CRASHED, cause="it broke")
        else:
            score = self.truth(variant) + chance.gauss(0, self.noise)
            measurement = Measurement(Status.SCORED, score)
        self._tell(Trial(number, variant, 0, purpose, 1.0, 1.0, measurement=measurement))

    def _tell(self, record: Proposal | Variant | Trial) -> None:
        self.records.append(record)
        self.standings.append(self.search.tell(record))

    @staticmethod
    def _variant(variant: int, brief: Brief) -> Variant:
        return Variant(
            id=variant,
            commit=f"{variant:040x}",
            parents=brief.parents,
            operator=brief.operator,
            title="",
            rationale="",
            diff="",
            fingerprint=str(variant),
            lines=10 + variant % 3,
            proposal=brief.id,
            created_at=datetime(2026, 1, 1),
            subject=brief.subject,
        )


def explore(strategy: str, steps: int, *, seed: int = 0, noise: float = 0.0) -> World:
    world = World(STRATEGIES[strategy](PLAN), seed=seed, noise=noise)
    for _ in range(steps):
        if not world.step():
            break
    return world
