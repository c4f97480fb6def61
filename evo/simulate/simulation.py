"""One simulated search: a strategy asks, a landscape answers, and the clock counts trials.

The strategy is driven as the engine drives it: proposals are drawn ahead, replicates go first,
results come back in the order in which trials end. Nothing is trained.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from evo.nouns import (
    Brief,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Resources,
    Status,
    Trial,
    Variant,
)
from evo.search.search import Search
from evo.simulate.landscape import BASE, FOUNDERS, Genes, Landscape

MADE_AT = datetime(2026, 1, 1)
MOST_REFUSED = 300
"""Proposals refused in a row before a search is called exhausted."""
CRASHES = 0.05
"""Share of new variants whose trials crash."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of a simulated search."""

    gain: float
    """How much truly better the reported best is than the baseline."""
    optimism: float
    """By how much its reported loss is too good."""
    reported_std: float
    """What the search itself says that its report may be off by."""
    promotions: int
    false_promotions: int
    """Of them, those to a variant that is truly no better than the champion before it."""
    trials: int
    hours: float
    """Accelerator time, in trials' lengths, divided by the slots."""
    path: tuple[float, ...]
    """True gain of the champion after each trial."""


@dataclass
class Simulation:
    """A search on a landscape.

    Args:
        search: The strategy.
        landscape: What ideas do.
        noise: Standard deviation of one trial.
        slots: Trials at a time.
        seed: Of the search's draws and of the noise.
    """

    search: Search
    landscape: Landscape
    noise: float
    slots: int = 1
    seed: int = 0
    _genes: dict[int, Genes] = field(default_factory=dict)
    _known: dict[Genes, int] = field(default_factory=dict)
    _parents: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _queue: deque[tuple[int, Purpose]] = field(default_factory=deque)
    _wanted: dict[int, int] = field(default_factory=dict)
    _briefs: int = 0
    _trials: int = 0

    def run(self, trials: int) -> Outcomes:
        """Runs so many trials."""
        running: list[tuple[float, int, int, Purpose]] = []
        now, path = 0.0, list[float]()
        promotions = false = 0
        while True:
            while len(running) < self.slots and self._trials < trials and self._fill():
                variant, purpose = self._queue.popleft()
                length = 1.0 + 0.02 * random.Random(f"{self.seed}:{self._trials}").random()
                heapq.heappush(running, (now + length, self._trials, variant, purpose))
                self._trials += 1
            if not running:
                break
            now, number, variant, purpose = heapq.heappop(running)
            before = self.search.champion
            self.search.tell(self._measure(number, variant, purpose))
            after = self.search.champion
            if before is not None and after is not None and after != before:
                promotions += 1
                false += self._truth(after) >= self._truth(before)
            path.append(BASE - self._truth(after) if after is not None else 0.0)
        champion = self.search.champion
        estimate = self.search.estimate(champion) if champion is not None else None
        assert champion is not None and estimate is not None
        return Outcomes(
            gain=BASE - self._truth(champion),
            optimism=self._truth(champion) - estimate.mean,
            reported_std=estimate.std,
            promotions=promotions,
            false_promotions=false,
            trials=len(path),
            hours=now,
            path=tuple(path),
        )

    def _truth(self, variant: int) -> float:
        return self.landscape.truth(self._genes[variant])

    def _fill(self) -> bool:
        """Sees to it that a trial is queued; False if there is nothing to try."""
        for variant, wanted in self.search.wanted_trials().items():
            while self._wanted.get(variant, 0) < wanted:
                self._add(variant, Purpose.REPLICATE)
        for _ in range(MOST_REFUSED):
            if self._queue:
                return True
            brief = self.search.ask(self._briefs, random.Random(f"{self.seed}:{self._briefs}"))
            if brief is None:
                return False
            self._briefs += 1
            self._propose(brief)
        return False

    def _propose(self, brief: Brief) -> None:
        genes = self._answer(brief)
        twin = self._known.get(genes)
        outcome = Outcome.ACCEPTED
        if twin is not None:
            outcome = Outcome.NO_OP if twin in brief.parents else Outcome.DUPLICATE
        self.search.tell(
            Proposal(
                brief.id, brief.operator, brief.parents, outcome, subject=brief.subject, twin=twin
            )
        )
        if twin is None:
            variant = len(self._genes)
            self._genes[variant], self._known[genes] = genes, variant
            self._parents[variant] = brief.parents
            self.search.tell(_variant(variant, brief, len(genes)))
            self._add(variant, Purpose.FIRST)

    def _add(self, variant: int, purpose: Purpose) -> None:
        self._wanted[variant] = self._wanted.get(variant, 0) + 1
        if purpose is Purpose.REPLICATE:
            self._queue.appendleft((variant, purpose))
        else:
            self._queue.append((variant, purpose))

    def _answer(self, brief: Brief) -> Genes:
        """The ideas of the child that an operator makes."""
        parents = [self._genes[parent] for parent in brief.parents]
        match brief.operator:
            case "baseline":
                return frozenset()
            case "founder":
                return parents[0] | {int(brief.subject)}
            case "crossover":
                return parents[0] | parents[1]
            case "ablate":
                subject = int(brief.subject)
                [before] = self._parents[subject]
                return parents[0] - (self._genes[subject] - self._genes[before])
            case _:
                return parents[0] | {self.landscape.draw(brief.seed)}

    def _measure(self, number: int, variant: int, purpose: Purpose) -> Trial:
        chance = random.Random(f"{self.seed}:trial:{number}")
        crashed = random.Random(f"{self.seed}:crash:{variant}").random() < CRASHES
        if variant and crashed:
            measurement = Measurement(Status.CRASHED, cause="simulated")
            self._wanted[variant] -= 1
        else:
            score = self._truth(variant) + chance.gauss(0, self.noise)
            used = Resources(training_seconds=1.0, total_seconds=1.0)
            measurement = Measurement(Status.SCORED, score, resources=used)
        return Trial(number, variant, 0, purpose, 1.0, 1.0, measurement=measurement)


def founders() -> tuple[str, ...]:
    """Names of the gene pool: the first ideas."""
    return tuple(str(number) for number in range(FOUNDERS))


def _variant(number: int, brief: Brief, size: int) -> Variant:
    return Variant(
        id=number,
        commit=f"{number:040x}",
        parents=brief.parents,
        operator=brief.operator,
        title="",
        rationale="",
        diff="",
        fingerprint=str(number),
        lines=100 + size,
        proposal=brief.id,
        created_at=MADE_AT,
        subject=brief.subject,
    )
