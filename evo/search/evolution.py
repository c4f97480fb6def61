"""Evolution on estimates: the default strategy.

Nothing is decided on a number, but on what is believed of a variant after all trials of it and of
its relatives (see `estimates`). Parents are drawn by Thompson sampling: each by the probability
that it is the best (Thompson 1933). A challenger that seems better is measured again, and so is the
champion, until it is proven better (see `promotion`) with fresh seeds and on holdout too, or isn't;
where later evidence says otherwise, the champion goes back.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from evo.nouns import (
    CurvePoint,
    Estimate,
    Favour,
    Outcome,
    Proposal,
    Purpose,
    Standing,
    Status,
    Trial,
    Variant,
    Wish,
)
from evo.search.bandit import Arm
from evo.search.beliefs import Beliefs
from evo.search.breeding import DRAWS, SHARES, Breeding, Part, Plan
from evo.search.estimates import normal
from evo.search.ledger import Entry, is_caught
from evo.search.promotion import is_doubtful, is_proven
from evo.search.pruning import Hope, Pruner
from evo.search.selection import Candidate, survivors

MOST_REPLICATES = 12
"""Of one variant, with a score or without."""
NOMINATED = 0.9
"""Probability of being better from which on a challenger is measured until it is proven or not."""
RATION = 0.1
"""Share of the trials that may go into proofs."""
PATIENCE = 1
"""Trials for which a challenger leads before it is measured again."""
LAST_TRIALS = 4
"""Before a run ends, beyond one in each other slot, which go to whoever leads, if it isn't proven
yet."""
MOST_MATES = 3
"""That a parent is crossed with at once."""
DOUBTFUL = 1.0
"""Standard deviations by which a diff must be believed to help, or it is worth taking out."""
MOST_IN_VAIN = 5
"""Refused proposals and broken trials of an operator in a row; from there on it has its share, and
no more."""
FORGONE = 0.15
"""Probability that a diff which was measured before helps, below which it gets no other trial."""
GIVEN_UP = 1.0
"""Standard errors by which a challenger that is worse on holdout is measured no more."""
EQUAL = 0.25
"""Standard deviations of a trial within which two means are equal, and the simpler is better."""


class Evolution(Breeding):
    """The population strategy.

    Args:
        plan: The gene pool and the bounds.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._parts = plan.parts
        self._beliefs = Beliefs(plan.direction, kin=Part.ESTIMATES in plan.parts)
        self._pruner = Pruner(plan.false_kills if Part.PRUNING in plan.parts else 0.0)
        self._former: list[int] = []  # champions before this one, that it may go back to
        self._wanted: dict[int, int] | None = None
        self._leader: int | None = None  # the last challenger
        self._leads_since = 0  # trials that had a score when it came to lead
        self._in_vain: dict[str, int] = {}  # by operator: in a row
        self._awaited: set[int] = set()  # new variants whose first trial hasn't ended

    def estimate(self, variant: int) -> Estimate | None:
        trials = len(self._ledger[variant].losses)
        if not trials:
            return None
        return Estimate(self._beliefs.of.mean(variant), self._beliefs.of.std(variant), trials)

    def tell(self, record: Proposal | Variant | Trial | Wish) -> Standing:
        self._wanted = None
        if isinstance(record, Proposal) and record.outcome is not Outcome.ACCEPTED:
            self._in_vain[record.operator] = self._in_vain.get(record.operator, 0) + 1
        elif isinstance(record, Variant):
            self._beliefs.add_variant(record)
            self._pruner.add_variant(record.id, record.parents)
            if not self.foregoes(record.id):
                self._awaited.add(record.id)
        elif isinstance(record, Trial):
            self._awaited.discard(record.variant)
            self._count(record)
            self._learn(record)
        elif isinstance(record, Wish) and record.favour is Favour.BANNED:
            self._awaited.discard(record.variant)
        return super().tell(record)

    def expect(self, trials: float | None) -> None:
        before = self._ends
        super().expect(trials)
        if self._ends != before:
            self._wanted = None

    def wanted_trials(self) -> dict[int, int]:
        if self._wanted is None:
            self._wanted = self._replicates()
        return self._wanted

    def foregoes(self, variant: int) -> bool:
        of, diff = self._beliefs.of, self._beliefs.own(variant)
        if not {Part.MEMORY, Part.ESTIMATES} <= self._parts or not of.is_tried(diff):
            return False
        mean, std = of.effect(diff)
        return normal(-mean / std) < FORGONE if std > 0 else mean >= 0

    def hopeless(self, trial: Trial, curve: Sequence[CurvePoint]) -> str:
        if trial.purpose is not Purpose.FIRST or self._champion is None:
            return ""
        of = self._beliefs.of
        gap, std = of.difference(trial.variant, self._champion)
        hope = Hope(of.mean(self._champion), gap, std, of.variances.noise)
        return self._pruner.hopeless(trial.variant, curve, trial.budget_seconds, hope)

    def _count(self, trial: Trial) -> None:
        """Whether its operator works in vain: what breaks says nothing of a loss."""
        assert trial.measurement is not None
        operator = self._ledger[trial.variant].variant.operator
        if trial.measurement.status in (Status.SCORED, Status.PRUNED):
            self._in_vain[operator] = 0
        elif trial.measurement.status is not Status.INFRASTRUCTURE:
            self._in_vain[operator] = self._in_vain.get(operator, 0) + 1

    def _learn(self, trial: Trial) -> None:
        assert trial.measurement is not None
        if is_caught(trial):
            self._beliefs.forget(trial.variant)
            self._pruner.forget(trial.variant)
        if is_caught(trial) or self._ledger[trial.variant].is_dishonest:
            return
        self._beliefs.add_trial(trial)
        curve, budget = trial.measurement.curve, trial.budget_seconds
        if trial.score is not None:
            loss = self._plan.direction.loss(trial.score)
            self._pruner.add_trial(trial.variant, loss, curve, budget)
        elif trial.measurement.status is Status.PRUNED and self._champion is not None:
            guess = self._pruner.guess(trial.variant, curve, budget)
            if guess is not None:
                # A curve is the candidate's word: it is no evidence of being the best.
                worst = self._beliefs.of.mean(self._champion)
                self._beliefs.add_guess(trial.variant, max(guess.loss, worst), guess.std)

    # Whom to build on

    def _breed(self, chance: random.Random) -> tuple[Arm, tuple[int, ...], str] | None:
        """Shares say whether a model is asked. If none is, every other operator says what it would
        make, and it is what promises most, unless that came to nothing again and again."""
        asked = super()._breed(chance)
        if asked is None or asked[0].operator not in SHARES:
            return asked
        if not {Part.PROMISE, Part.ESTIMATES} <= self._parts:
            return asked
        promises = []
        for number, operator in enumerate(SHARES):
            found = self._make(operator, chance)
            if found is not None:
                promises.append((self._promise(operator, *found), -number, operator, found))
        *_, operator, found = max(promises, default=(asked[0].operator, asked[1:]))
        if self._in_vain.get(operator, 0) >= MOST_IN_VAIN:
            return asked
        return Arm(operator), *found

    def _promise(self, operator: str, parents: tuple[int, ...], subject: str) -> float:
        """By how much a child is expected to better the best, counting nothing where it doesn't:
        the expected improvement (Mockus 1978; Jones, Schonlau and Welch 1998). What is under way
        is believed to come out as expected, or slots would all try the same at once (the kriging
        believer of Ginsbourger, Le Riche and Carraro 2010)."""
        mean = self._beliefs.of.mean
        best = min(mean(one) for one in {*self._living, *self._awaited})
        added, std = self._beliefs.brings(operator, parents, subject)
        gap = best - mean(parents[0]) - added
        if std <= 0:
            return max(gap, 0.0)
        z = gap / std
        return gap * normal(z) + std * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    def _draw(self, chance: random.Random) -> int:
        of = self._beliefs.of
        drawn = [(chance.gauss(of.mean(one), of.std(one)), one) for one in self._living]
        return min(drawn)[1]

    def _cross(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        """A drawn parent with whoever adds most to it, and with more of them as long as they do."""
        if not {Part.STACKING, Part.ESTIMATES} <= self._parts:
            return super()._cross(chance)
        effects = self._beliefs.of.effects()
        for _ in range(DRAWS):
            joined = [self._parent(chance)]
            mates = [one for one in self._living if self._can_cross(joined[0], one)]
            while mates and len(joined) <= MOST_MATES:
                worth, mate = min((self._brings(effects, joined, one), one) for one in mates)
                if worth >= 0:
                    break
                joined.append(mate)
                mates = [one for one in mates if self._can_cross(mate, one)]
            while self._ledger.tried("crossover", parents := self._in_order(joined)):
                joined.pop()
            if len(parents) > 1:
                return parents, ""
        return None

    def _in_order(self, parents: Sequence[int]) -> tuple[int, ...]:
        """Best first, so that the same ones are the same question, whoever was drawn."""
        return tuple(sorted(parents, key=lambda one: (self._beliefs.of.mean(one), one)))

    def _brings(self, effects: Mapping[str, float], joined: Sequence[int], mate: int) -> float:
        """What one more mate does to the loss of a merge."""
        before = self._beliefs.joined(joined)
        after = self._beliefs.joined([*joined, mate])
        gone = math.fsum(effects[diff] for diff in before - after)
        return math.fsum(effects[diff] for diff in after - before) - gone

    def _graft(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        """Whoever is believed to be best, with the founder that a draw from what is believed calls
        the best: there it shows whether it helps what everything else is built on."""
        if Part.ESTIMATES not in self._parts:
            return super()._graft(chance)
        of, parent = self._beliefs.of, self._favourite
        if parent is None:
            parent = min(self._living, key=of.mean)
        unknown = self._beliefs.unknown("founder")
        drawn = []
        for name in self._plan.founders:
            diff = f"founder {name}"
            if diff not in self._beliefs.carried(parent) and not self._ledger.tried(
                "founder", (parent,), name
            ):
                mean, std = of.effect(diff) if of.is_tried(diff) else unknown
                drawn.append((chance.gauss(mean, std), name))
        worth, name = min(drawn, default=(0.0, ""))
        return ((parent,), name) if worth < 0 else None

    def _ablate(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        """A drawn parent without the diff that is believed to help it least, if it may hurt."""
        if Part.ESTIMATES not in self._parts:
            return super()._ablate(chance)
        of, parent = self._beliefs.of, self._parent(chance)
        effects, carried = of.effects(), self._beliefs.carried(parent)
        brought = {
            variant: self._beliefs.own(variant) for variant in self._ledger.ancestors(parent)
        }
        theirs = {variant: name for variant, name in brought.items() if name in carried}
        for variant, name in sorted(theirs.items(), key=lambda one: (-effects[one[1]], one[0])):
            if not self._ledger.tried("ablate", (parent,), str(variant)):
                is_in_doubt = effects[name] > -DOUBTFUL * of.effect(name)[1]
                return ((parent,), str(variant)) if is_in_doubt else None
        return None

    def _rank(self) -> None:
        mean, step = self._beliefs.of.mean, EQUAL * self._beliefs.of.variances.noise
        everyone = (
            Candidate(
                entry.variant.id,
                round(mean(entry.variant.id) / step) * step,
                entry.variant.lines,
                self._excess_memory(entry),
            )
            for entry in self._ledger.scored()
        )
        best = survivors(everyone, self._plan.population_size)
        self._living = [candidate.variant for candidate in best]

    def _excess_memory(self, entry: Entry) -> float:
        """How much more memory than the soft limit it takes, in steps of a tenth of that."""
        limit = self._plan.memory_limit_mb
        return (
            0.0 if limit is None else max(0.0, float(math.ceil(10 * (entry.memory_mb / limit - 1))))
        )

    # Who is champion

    def _promote(self) -> None:
        if self._crown_the_baseline():
            return
        assert self._champion is not None
        barred, now = self._ledger.is_barred, self._champion
        self._former = [one for one in self._former if one != now and not barred(one)]
        while self._former and is_doubtful(self._beliefs.of, self._champion, self._former[-1]):
            self._champion = self._former.pop()
        challenger = self._challenger()
        if challenger is not None and challenger != self._leader:
            self._leader, self._leads_since = challenger, self._ledger.trials
        if challenger is not None and self._is_proven(challenger):
            self._former.append(self._champion)
            self._champion = challenger

    def _challenger(self) -> int | None:
        """Whoever is most probably better than the champion, of those who might be promoted."""
        if self._champion is None:
            return None
        chances = [
            (self._beliefs.of.better(one, self._champion), -one)
            for one in self._living
            if one != self._champion and self._is_eligible(one)
        ]
        chance, one = max(chances, default=(0.0, 0))
        return -one if chance > 0.5 else None

    def _is_eligible(self, variant: int) -> bool:
        """Whether it can still be proven: more trials may be made of it, or it is."""
        entry, ahead = self._ledger[variant], self._ahead_on_holdout(variant)
        if entry.is_spent or ahead < -GIVEN_UP:
            return False
        return entry.trials < MOST_REPLICATES or self._is_proven(variant)

    def _is_proven(self, variant: int) -> bool:
        assert self._champion is not None
        if Part.REPLICATES not in self._parts:
            return self._beliefs.of.better(variant, self._champion) >= self._plan.confidence
        sides = self._ledger[variant], self._ledger[self._champion]
        return (
            self._is_confirmed(variant)
            and self._is_confirmed(self._champion)
            and self._ahead_on_holdout(variant) > 0
            and is_proven(self._beliefs.of, *sides, self._plan.confidence)
        )

    def _is_confirmed(self, variant: int) -> bool:
        """Whether it was measured as often as a promotion needs. A champion that can't be, for its
        trials fail, doesn't lead for ever because of that; a challenger of that kind isn't one."""
        entry = self._ledger[variant]
        return len(entry.losses) >= self._plan.confirmations or entry.is_spent

    def _ahead_on_holdout(self, variant: int) -> float:
        """By how many standard errors it is better than the champion on holdout; infinity where not
        both were measured there. The search split has been looked at by every selection so far, and
        flatters whoever was selected."""
        assert self._champion is not None
        sides = (self._ledger[self._champion].holdout_losses, self._ledger[variant].holdout_losses)
        if not all(sides):
            return math.inf
        champion, challenger = (sum(losses) / len(losses) for losses in sides)
        error = self._beliefs.of.variances.noise * math.hypot(*(len(one) ** -0.5 for one in sides))
        return (champion - challenger) / max(error, 1e-300)

    # What is measured again

    @property
    def _ends(self) -> bool:
        """Whether what leads now will hardly be overtaken any more."""
        left, others = self._trials_left, self._plan.slots - 1
        return left is not None and left <= LAST_TRIALS + others

    def _has_led(self, challenger: int) -> bool:
        """Whether it has been the challenger for long enough to be worth a proof."""
        led = self._ledger.trials - self._leads_since
        return challenger == self._leader and led >= PATIENCE

    def _replicates(self) -> dict[int, int]:
        """One more trial of the challenger or the champion, until the one is proven or isn't."""
        challenger, champion = self._challenger(), self._champion
        if challenger is None or champion is None or Part.REPLICATES not in self._parts:
            return {}
        if self._beliefs.of.better(challenger, champion) < NOMINATED:
            return {}
        if not self._ends:
            if len(self._ledger[challenger].losses) == 1 and not self._has_led(challenger):
                return {}
            if self._ledger.replicates > RATION * self._ledger.trials:
                return {}
        sides, needed = (challenger, champion), self._plan.confirmations
        if lacking := {one: needed for one in sides if not self._is_confirmed(one)}:
            return lacking
        counts = {
            one: len(self._ledger[one].losses)
            for one in (champion, challenger)
            if not self._ledger[one].is_spent and self._ledger[one].trials < MOST_REPLICATES
        }
        if not counts or self._is_proven(challenger):
            return {}
        one = min(counts, key=counts.__getitem__)
        return {one: counts[one] + 1}
