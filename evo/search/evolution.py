"""Steady-state evolution: the default strategy.

Baseline first, then a draw of founders, then breeding: parents by tournament among the living,
whose number is bounded. A challenger must hold its lead over trials with fresh seeds before it is
called champion, and the champion is measured as often as whoever challenges it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evo.nouns import Brief, Direction, Estimate, Proposal, Standing, Trial, Variant
from evo.search.bandit import Arm, Bandit
from evo.search.ledger import Ledger
from evo.search.openings import Openings
from evo.search.selection import Candidate, survivors, tournament

TOURNAMENT_SIZE = 3
SHARES = {"crossover": 4, "founder": 4, "tune": 3, "ablate": 1}
"""How often each operator is asked, in parts, while there is something for it to do."""
DRAWS = 12
"""Attempts to find parents that an operator hasn't had yet."""
LEAD = 1.0
"""Standard errors of the difference by which a challenger must lead, when noise is known: about
0.84 that it is truly better, if it stood alone."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a strategy has to work with."""

    direction: Direction
    founders: Sequence[str]
    """Names of the gene pool."""
    first_founders: int
    """How many of them are drawn into generation zero."""
    population_size: int
    confirmations: int
    """Trials that both sides of a promotion need."""
    arms: Mapping[Arm, float] = field(default_factory=dict)
    """What language models can be asked for, and how often at first, in parts as in `SHARES`."""


class Evolution:
    """The population strategy.

    Args:
        plan: The gene pool and the bounds.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ledger, self._openings = Ledger(plan.direction), Openings()
        offline = {Arm(name): share for name, share in SHARES.items()}
        self._bandit = Bandit(plan.direction, {**offline, **plan.arms})
        self._living: list[int] = []
        self._champion: int | None = None

    @property
    def champion(self) -> int | None:
        return self._champion

    def living(self) -> tuple[int, ...]:
        return tuple(self._living)

    def estimate(self, variant: int) -> Estimate | None:
        return self._ledger.estimate(variant)

    def ask(self, brief: int, chance: random.Random) -> Brief | None:
        asked = self._choose(chance)
        if asked is None:
            return None
        arm, parents, subject = asked
        self._ledger.asked(brief, arm.operator, parents, subject)
        self._openings.asked(arm.operator, subject)
        seed = chance.getrandbits(31)
        return Brief(brief, arm.operator, parents, subject, seed, arm.role, arm.model)

    def tell(self, record: Proposal | Variant | Trial) -> Standing:
        self._openings.tell(record)
        self._bandit.tell(record)
        if isinstance(record, Proposal):
            self._ledger.add_proposal(record)
            return Standing.IGNORED
        if isinstance(record, Variant):
            self._ledger.add_variant(record)
            return Standing.IGNORED
        entry = self._ledger.add_trial(record)
        if not entry.losses:
            return Standing.IGNORED
        before = self._champion
        self._rank()
        self._promote()
        if self._champion == record.variant and before != record.variant:
            return Standing.CHAMPION
        return Standing.JOINED if record.variant in self._living else Standing.IGNORED

    def wanted_trials(self) -> dict[int, int]:
        challenger = self._challenger()
        if challenger is None or self._champion is None:
            return {}
        needed = self._plan.confirmations
        return {
            variant: needed
            for variant in (challenger, self._champion)
            if len(self._ledger[variant].losses) < needed
        }

    # What to ask

    def _choose(self, chance: random.Random) -> tuple[Arm, tuple[int, ...], str] | None:
        ledger, plan = self._ledger, self._plan
        if not ledger.has_begun("baseline"):
            return Arm("baseline"), (), ""
        if 0 not in ledger:
            return None
        drawn = ledger.subjects("founder")
        undrawn = [name for name in plan.founders if name not in drawn]
        if undrawn and len(drawn) < plan.first_founders:
            return Arm("founder"), (0,), chance.choice(undrawn)
        if not self._living:
            return self._begin(chance)
        return self._breed(chance)

    def _breed(self, chance: random.Random) -> tuple[Arm, tuple[int, ...], str] | None:
        makers = {
            "crossover": self._cross,
            "tune": self._tune,
            "founder": self._graft,
            "ablate": self._ablate,
            "mutate": self._tune,
            "simplify": self._tune,
            "agent": self._tune,
            "cross": self._reconcile,
            "repair": self._mend,
        }
        shares = self._shares()
        while shares:
            [arm] = chance.choices(list(shares), list(shares.values()))
            found = makers[arm.operator](chance)
            if found is not None:
                return arm, *found
            shares = {one: left for one, left in shares.items() if one.operator != arm.operator}
        return None

    def _begin(self, chance: random.Random) -> tuple[Arm, tuple[int, ...], str] | None:
        """Models take long to answer: they begin with the baseline before it has a score."""
        arms = {arm: share for arm, share in self._plan.arms.items() if arm.operator == "mutate"}
        if not arms:
            return None
        [arm] = chance.choices(list(arms), list(arms.values()))
        return arm, (0,), ""

    def _shares(self) -> Mapping[Arm, float]:
        """How often each arm is asked: as it was laid down, until models come into it."""
        if not self._plan.arms:
            return {Arm(name): share for name, share in SHARES.items()}
        return self._bandit.shares()

    def _reconcile(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        """A pair that git couldn't merge, the newest that wasn't given to a model yet."""
        for pair in reversed(self._openings.conflicts()):
            if not self._ledger.tried("cross", pair):
                return pair, ""
        return None

    def _mend(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        """The newest proposal that broke by what looks like a slip."""
        for proposal, parents in reversed(self._openings.failures()):
            return parents, str(proposal)
        return None

    def _tune(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        # The brief's seed makes it another question each time, so it may be asked again.
        return (self._parent(chance),), ""

    def _cross(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        for _ in range(DRAWS):
            ours, theirs = self._parent(chance), self._parent(chance)
            # The child of a variant and its own ancestor would be that variant.
            related = theirs in self._ledger.ancestors(ours) or ours in self._ledger.ancestors(
                theirs
            )
            tried = self._ledger.tried("crossover", (ours, theirs)) or self._ledger.tried(
                "crossover", (theirs, ours)
            )
            if ours != theirs and not related and not tried:
                return (ours, theirs), ""
        return None

    def _graft(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        for _ in range(DRAWS):
            parent, name = self._parent(chance), chance.choice([*self._plan.founders, ""])
            carried = {
                self._ledger[variant].variant.subject
                for variant in self._ledger.ancestors(parent) | {parent}
            }
            if name and name not in carried and not self._ledger.tried("founder", (parent,), name):
                return (parent,), name
        return None

    def _ablate(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        for _ in range(DRAWS):
            parent = self._parent(chance)
            # Merges have no diff of their own, and without its own diff it would be its parent.
            carried = [
                variant
                for variant in sorted(self._ledger.ancestors(parent))
                if len(self._ledger[variant].variant.parents) == 1
            ]
            if not carried:
                continue
            subject = str(chance.choice(carried))
            if not self._ledger.tried("ablate", (parent,), subject):
                return (parent,), subject
        return None

    def _parent(self, chance: random.Random) -> int:
        return tournament(self._candidates(self._living), TOURNAMENT_SIZE, chance).variant

    # What became of it

    def _candidates(self, variants: Sequence[int]) -> list[Candidate]:
        """Losses are rounded to the noise of a mean, so that among equals the simpler one wins."""
        noise = self._ledger.noise()
        found = []
        for variant in variants:
            entry = self._ledger[variant]
            loss = entry.mean
            if noise:
                loss = round(loss / noise) * noise
            found.append(Candidate(variant, loss, entry.variant.lines))
        return found

    def _rank(self) -> None:
        everyone = [entry.variant.id for entry in self._ledger.scored()]
        best = survivors(self._candidates(everyone), self._plan.population_size)
        self._living = [candidate.variant for candidate in best]

    def _challenger(self) -> int | None:
        """The best of those whose mean beats the champion's and who lead, or may still do so."""
        if self._champion is None:
            return None
        champion = self._ledger[self._champion].mean
        ranked = sorted(self._ledger.scored(), key=lambda one: (one.mean, one.variant.lines))
        for entry in ranked:
            if entry.mean >= champion:
                return None
            confirmed = len(entry.losses) >= self._plan.confirmations
            holds = self._leads(entry.variant.id) and self._holds_out(entry.variant.id)
            if not confirmed or holds:
                return entry.variant.id
        return None

    def _leads(self, variant: int) -> bool:
        assert self._champion is not None
        challenger, champion = self._ledger[variant], self._ledger[self._champion]
        noise = self._ledger.noise() or 0.0
        error = noise * math.sqrt(1 / len(challenger.losses) + 1 / len(champion.losses))
        return champion.mean - challenger.mean > LEAD * error

    def _holds_out(self, variant: int) -> bool:
        """Whether it is better on holdout too, where both were measured there: the search split
        has been looked at by every selection so far, and flatters whoever was selected."""
        assert self._champion is not None
        challenger = self._ledger[variant].holdout_mean
        champion = self._ledger[self._champion].holdout_mean
        return challenger is None or champion is None or challenger < champion

    def _promote(self) -> None:
        if self._champion is None:
            # The baseline is the first champion, whoever else has finished before it.
            if 0 in self._ledger and self._ledger[0].losses:
                self._champion = 0
            return
        challenger, needed = self._challenger(), self._plan.confirmations
        if challenger is None or not self._leads(challenger) or not self._holds_out(challenger):
            return
        sides = (challenger, self._champion)
        if all(len(self._ledger[variant].losses) >= needed for variant in sides):
            self._champion = challenger
