"""One simulated search: a strategy asks, a landscape answers, and the clock counts trials.

The strategy is driven as the engine drives it: replicates go first and are scored on holdout too,
running trials report a curve and may be stopped, results come back in the order in which trials
end. It is asked when a slot is free, and never ahead. Nothing is trained.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime

from evo.nouns import (
    Brief,
    CurvePoint,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Resources,
    Status,
    Trial,
    Variant,
)
from evo.search.heredity import Heredity
from evo.search.search import Search
from evo.simulate.landscape import BASE, Genes, Landscape

MADE_AT = datetime(2026, 1, 1)
MOST_REFUSED = 300
"""Proposals refused in a row before a search is called exhausted."""
CRASHES = 0.05
"""Share of new variants whose trials crash, at the first report."""
REPORTS = 10
"""Points of a trial's curve."""
OTHER_TEXT = 0.3
"""By how much a score on holdout differs from one on search, in standard deviations of a trial."""
OVERHEAD = 0.05
"""Start-up and scoring of a trial, in trials' lengths; a trial that is stopped has half of it."""


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
    """Time on the wall, in trials' lengths: accelerator time divided by the slots."""
    pruned: int
    improvements: int
    """First trials of variants that were truly better than the champion at their end."""
    killed: int
    """Of them, those that were stopped early."""
    path: tuple[tuple[float, float], ...]
    """Time on the wall, and the true gain of the champion from then on."""


@dataclass(slots=True)
class _Tally:
    """What is counted on the way."""

    trials: int = 0
    promotions: int = 0
    false_promotions: int = 0
    pruned: int = 0
    improvements: int = 0
    killed: int = 0
    path: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class _Running:
    """A trial that runs."""

    trial: Trial
    began: float
    luck: float
    """Of its seed, in the unit of a loss: what the score is off by."""
    chance: random.Random
    curve: list[CurvePoint] = field(default_factory=list)


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
    genes: dict[int, Genes] = field(default_factory=dict)
    """Ideas of each variant so far."""
    _known: dict[Genes, int] = field(default_factory=dict)
    _parents: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _queue: deque[tuple[int, Purpose]] = field(default_factory=deque)
    _wanted: dict[int, int] = field(default_factory=dict)
    _running: dict[int, _Running] = field(default_factory=dict)
    _events: list[tuple[float, int]] = field(default_factory=list)
    _tally: _Tally = field(default_factory=_Tally)
    _briefs: int = 0
    _started: int = 0

    def __post_init__(self) -> None:
        self._heredity = Heredity(self.genes)

    def run(self, trials: float) -> Outcomes:
        """Runs until so much accelerator time is spent, in the length of whole trials."""
        now = 0.0
        while True:
            while len(self._running) < self.slots and now * self.slots < trials:
                self.search.expect(trials - now * self.slots)
                if not self._fill():
                    break
                self._start(*self._queue.popleft(), now)
            if not self._events:
                break
            now, number = heapq.heappop(self._events)
            self._advance(self._running[number], now)
        champion = self.search.champion
        estimate = self.search.estimate(champion) if champion is not None else None
        assert champion is not None and estimate is not None
        tally = self._tally
        return Outcomes(
            gain=BASE - self._truth(champion),
            optimism=self._truth(champion) - estimate.mean,
            reported_std=estimate.std,
            promotions=tally.promotions,
            false_promotions=tally.false_promotions,
            trials=tally.trials,
            hours=now,
            pruned=tally.pruned,
            improvements=tally.improvements,
            killed=tally.killed,
            path=tuple(tally.path),
        )

    # Trials

    def _start(self, variant: int, purpose: Purpose, now: float) -> None:
        number, self._started = self._started, self._started + 1
        chance = random.Random(f"{self.seed}:trial:{number}")
        trial = Trial(number, variant, 0, purpose, 1.0, 1.0)
        self._running[number] = _Running(trial, now, chance.gauss(0, self.noise), chance)
        # Nobody's trials are exactly as long as another's.
        heapq.heappush(self._events, (now + OVERHEAD / 2 + 0.1 + 1e-4 * chance.random(), number))

    def _advance(self, running: _Running, now: float) -> None:
        """The next report of a trial, or its end."""
        trial, share = running.trial, (len(running.curve) + 1) / REPORTS
        if trial.variant and not running.curve and self._crashes(trial.variant):
            self._finish(running, now, Measurement(Status.CRASHED, cause="simulated"))
            return
        loss = self.landscape.seen(self.genes[trial.variant], share)
        loss += running.luck * math.sqrt(share) + running.chance.gauss(0, 0.2 * self.noise + 0.05)
        running.curve.append(CurvePoint(share, len(running.curve) + 1, loss))
        if share >= 1.0:
            score = self._truth(trial.variant) + running.luck
            done = self._measurement(running, now, Status.SCORED, score)
            if trial.purpose is Purpose.REPLICATE:
                # The same weights, on other text.
                other = score + running.chance.gauss(0, OTHER_TEXT * self.noise)
                done = replace(done, holdout_score=other)
            self._finish(running, now, done)
        elif cause := self.search.hopeless(trial, running.curve):
            self._tally.pruned += 1
            self._finish(running, now, self._measurement(running, now, Status.PRUNED, None, cause))
        else:
            last = share + 1 / REPORTS >= 1.0
            length = 1 / REPORTS + (OVERHEAD / 2 if last else 0.0)
            heapq.heappush(self._events, (now + length, trial.id))

    def _measurement(
        self, running: _Running, now: float, status: Status, score: float | None, cause: str = ""
    ) -> Measurement:
        used = running.curve[-1].elapsed_seconds
        resources = Resources(training_seconds=used, total_seconds=now - running.began)
        return Measurement(status, score, cause, resources, tuple(running.curve))

    def _finish(self, running: _Running, now: float, measurement: Measurement) -> None:
        trial, tally = replace(running.trial, measurement=measurement), self._tally
        del self._running[trial.id]
        if measurement.score is None:
            self._wanted[trial.variant] -= 1
        before = self.search.champion
        if before is not None and trial.purpose is Purpose.FIRST:
            better = self._truth(trial.variant) < self._truth(before)
            tally.improvements += better and measurement.status is not Status.CRASHED
            tally.killed += better and measurement.status is Status.PRUNED
        self.search.tell(trial)
        tally.trials += 1
        after = self.search.champion
        if before is not None and after is not None and after != before:
            tally.promotions += 1
            tally.false_promotions += self._truth(after) >= self._truth(before)
        if after is not None and after != before:
            tally.path.append((now, BASE - self._truth(after)))

    def _crashes(self, variant: int) -> bool:
        return random.Random(f"{self.seed}:crash:{variant}").random() < CRASHES

    # Proposals

    def _truth(self, variant: int) -> float:
        return self.landscape.truth(self.genes[variant])

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
            variant = len(self.genes)
            self._heredity.add(variant, brief.parents, genes)
            self._known[genes] = variant
            self._parents[variant] = brief.parents
            before = self.genes[brief.parents[0]] if brief.parents else genes
            self.search.tell(_variant(variant, brief, genes, before))
            if not self.search.foregoes(variant):
                self._add(variant, Purpose.FIRST)

    def _add(self, variant: int, purpose: Purpose) -> None:
        self._wanted[variant] = self._wanted.get(variant, 0) + 1
        if purpose is Purpose.REPLICATE:
            self._queue.appendleft((variant, purpose))
        else:
            self._queue.append((variant, purpose))

    def _answer(self, brief: Brief) -> Genes:
        """The ideas of the child that an operator makes."""
        parents = [self.genes[parent] for parent in brief.parents]
        match brief.operator:
            case "baseline":
                return frozenset()
            case "founder":
                return parents[0] | {int(brief.subject)}
            case "crossover":
                return self._heredity.joined(brief.parents)
            case "ablate":
                subject = int(brief.subject)
                [before] = self._parents[subject]
                return parents[0] - (self.genes[subject] - self.genes[before])
            case _:
                return parents[0] | {self.landscape.draw(brief.seed)}


def _variant(number: int, brief: Brief, genes: Genes, before: Genes) -> Variant:
    diff = [f"-idea {gene}" for gene in sorted(before - genes)]
    diff += [f"+idea {gene}" for gene in sorted(genes - before)]
    return Variant(
        id=number,
        commit=f"{number:040x}",
        parents=brief.parents,
        operator=brief.operator,
        title="",
        rationale="",
        diff="\n".join(diff),
        fingerprint=str(number),
        lines=100 + len(genes),
        proposal=brief.id,
        created_at=MADE_AT,
        subject=brief.subject,
    )
