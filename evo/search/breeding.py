"""Breeding: what every strategy asks for in the same way, however it chooses.

Baseline first, then a draw of founders, then whatever the operators can make of the parents that a
strategy chooses.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from evo.nouns import (
    Brief,
    CurvePoint,
    Direction,
    Estimate,
    Proposal,
    Standing,
    Trial,
    Variant,
    Wish,
)
from evo.search.bandit import Arm, Bandit
from evo.search.ledger import Ledger
from evo.search.openings import Openings

SHARES = {"crossover": 4, "founder": 4, "tune": 3, "ablate": 1}
"""How often each operator that needs no model is asked, in parts, while it has something to do."""
OPENING = 0.5
"""Share of models, if there are any, in the questions of generation zero."""
BEGINNERS = ("mutate", "agent")
"""Operators of models that need nothing but the baseline."""
DRAWS = 12
"""Attempts to find parents that an operator hasn't had yet."""
PINNED_SHARE = 0.25
"""Probability that a parent is drawn from those that people have pinned, if there are any."""


class Part(StrEnum):
    """Parts of the population strategy that can be left out, to see what each is worth."""

    ESTIMATES = "estimates"
    """Relatives as evidence; without it, a variant is judged by its own trials, and promise, memory
    and stacking, which go by the effects of diffs, are gone too."""
    REPLICATES = "replicates"
    """Challenger and champion are measured again; without it, belief alone promotes."""
    PROMISE = "promise"
    """Of what the operators would make, what is expected to improve most; without it, operators
    take turns by their shares."""
    STACKING = "stacking"
    """Mates chosen by their diffs; without it, drawn as parents are."""
    MEMORY = "memory"
    """New variants whose diff did harm elsewhere get no trial."""
    PRUNING = "pruning"
    """Trials that fall behind are stopped."""


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
    slots: int = 1
    """Trials at a time."""
    confidence: float = 0.95
    """Probability of being better than the champion that a promotion needs."""
    false_kills: float = 0.02
    """Share of true improvements that early stopping may cost."""
    memory_limit_mb: float | None = None
    """A soft limit: what takes more has to be better for it. None: memory doesn't matter."""
    parts: frozenset[Part] = frozenset(Part)
    """What the population strategy does."""
    constants: Mapping[str, bool | int | float] = field(default_factory=dict)
    """Numbers and switches of the baseline, by label: what `tpe` moves."""
    arms: Mapping[Arm, float] = field(default_factory=dict)
    """What language models can be asked for to begin with, see `Search.offer`."""


class Breeding(ABC):
    """Asks; what is built on, and who is champion, is for the strategy to say.

    Args:
        plan: The gene pool and the bounds.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ledger, self._openings = Ledger(plan.direction), Openings()
        self._bandit = Bandit(plan.direction, {})
        self.offer(plan.arms)
        self._living: list[int] = []
        self._champion: int | None = None
        self._crowned: list[int] = []  # every champion so far, in turn
        self._trials_left: float | None = None
        self._favourite: int | None = None  # a pinned one that this question builds on

    @property
    def champion(self) -> int | None:
        return self._champion

    def living(self) -> tuple[int, ...]:
        return tuple(self._living)

    def estimate(self, variant: int) -> Estimate | None:
        return self._ledger.estimate(variant)

    def offer(self, arms: Mapping[Arm, float]) -> None:
        self._arms = dict(arms)
        self._bandit.offer({Arm(name): share for name, share in SHARES.items()} | self._arms)

    def expect(self, trials: float | None) -> None:
        self._trials_left = trials

    def ask(self, brief: int, chance: random.Random) -> Brief | None:
        asked = self._choose(chance)
        if asked is None:
            return None
        arm, parents, subject = asked
        self._ledger.asked(brief, arm.operator, parents, subject)
        self._openings.asked(arm.operator, subject)
        seed = chance.getrandbits(31)
        return Brief(brief, arm.operator, parents, subject, seed, arm.role, arm.model)

    def tell(self, record: Proposal | Variant | Trial | Wish) -> Standing:
        if isinstance(record, Wish):
            self._ledger.add_wish(record)
            self._settle()
            return Standing.IGNORED
        self._openings.tell(record)
        self._bandit.tell(record)
        if isinstance(record, Proposal):
            self._ledger.add_proposal(record)
            return Standing.IGNORED
        if isinstance(record, Variant):
            self._ledger.add_variant(record)
            return Standing.IGNORED
        entry = self._ledger.add_trial(record)
        if not entry.losses and not entry.is_dishonest:
            return Standing.IGNORED
        before = self._champion
        self._settle()
        if self._champion == record.variant and before != record.variant:
            return Standing.CHAMPION
        return Standing.JOINED if record.variant in self._living else Standing.IGNORED

    def wanted_trials(self) -> dict[int, int]:
        return {}

    def foregoes(self, variant: int) -> bool:
        return False

    def hopeless(self, trial: Trial, curve: Sequence[CurvePoint]) -> str:
        return ""

    def _settle(self) -> None:
        """Says anew who lives and who leads. After a barred champion, the one before leads."""
        ledger = self._ledger
        if self._champion is not None and ledger.is_barred(self._champion):
            left = [one for one in self._crowned if not ledger.is_barred(one)]
            self._champion = left[-1] if left else None
        self._living = []
        if any(ledger.scored()):
            self._rank()
            self._promote()
        self._living += [one for one in ledger.pinned() if one not in self._living]
        if self._champion is not None and self._crowned[-1:] != [self._champion]:
            self._crowned.append(self._champion)

    def _parent(self, chance: random.Random) -> int:
        """Whom to build on; asked only when somebody lives."""
        return self._draw(chance) if self._favourite is None else self._favourite

    # What a strategy says

    @abstractmethod
    def _draw(self, chance: random.Random) -> int:
        """Whom to build on, where people haven't said so; asked only when somebody lives."""

    @abstractmethod
    def _rank(self) -> None:
        """Says who lives, after a trial with a score."""

    @abstractmethod
    def _promote(self) -> None:
        """Says who is champion, after a trial with a score."""

    def _crown_the_baseline(self) -> bool:
        """The baseline is the first champion, whoever else has finished before it."""
        if self._champion is None and 0 in self._ledger and self._ledger[0].losses:
            self._champion = 0
            return True
        return self._champion is None

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
            # Who has named a model sees it at work from the start, founders or not.
            if self._arms and chance.random() < OPENING and (begun := self._begin(chance)):
                return begun
            return Arm("founder"), (0,), chance.choice(undrawn)
        if not self._living:
            return self._begin(chance)
        return self._breed(chance)

    def _breed(self, chance: random.Random) -> tuple[Arm, tuple[int, ...], str] | None:
        """Operators take turns, as often as their shares say."""
        pinned, shares = self._ledger.pinned(), self._shares()
        is_wished = bool(pinned) and chance.random() < PINNED_SHARE
        self._favourite = chance.choice(pinned) if is_wished else None
        while shares:
            [arm] = chance.choices(list(shares), list(shares.values()))
            found = self._make(arm.operator, chance)
            if found is not None:
                return arm, *found
            shares = {one: left for one, left in shares.items() if one.operator != arm.operator}
        return None

    def _make(self, operator: str, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        """Parents and subject for an operator; None if there is nothing for it to do."""
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
        return makers[operator](chance)

    def _begin(self, chance: random.Random) -> tuple[Arm, tuple[int, ...], str] | None:
        """Models take long to answer: they begin with the baseline before it has a score."""
        arms = {arm: share for arm, share in self._arms.items() if arm.operator in BEGINNERS}
        if not arms:
            return None
        [arm] = chance.choices(list(arms), list(arms.values()))
        return arm, (0,), ""

    def _shares(self) -> Mapping[Arm, float]:
        """How often each arm is asked: as it was laid down, until models come into it."""
        if not self._arms:
            return {Arm(name): share for name, share in SHARES.items()}
        return self._bandit.shares()

    def _reconcile(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        """A pair that git couldn't merge, the newest that wasn't given to a model yet."""
        for pair in reversed(self._openings.conflicts()):
            if not self._ledger.tried("cross", pair) and not self._ledger.is_barred(*pair):
                return pair, ""
        return None

    def _mend(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        """The newest proposal that broke by what looks like a slip."""
        for proposal, parents in reversed(self._openings.failures()):
            if not self._ledger.is_barred(*parents):
                return parents, str(proposal)
        return None

    def _tune(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        # The brief's seed makes it another question each time, so it may be asked again.
        return (self._parent(chance),), ""

    def _cross(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        for _ in range(DRAWS):
            ours, theirs = self._parent(chance), self._draw(chance)
            if self._can_cross(ours, theirs):
                return (ours, theirs), ""
        return None

    def _can_cross(self, ours: int, theirs: int) -> bool:
        """Whether a child of two would be new: they differ, neither descends from the other (it
        would be that one again), and they weren't crossed before."""
        ledger = self._ledger
        return (
            ours != theirs
            and theirs not in ledger.ancestors(ours)
            and ours not in ledger.ancestors(theirs)
            and not ledger.tried("crossover", (ours, theirs))
            and not ledger.tried("crossover", (theirs, ours))
        )

    def _graft(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        for _ in range(DRAWS):
            parent, name = self._parent(chance), chance.choice([*self._plan.founders, ""])
            line = (self._ledger[one].variant for one in self._ledger.ancestors(parent) | {parent})
            carried = {one.subject for one in line if one.operator == "founder"}
            if name and name not in carried and not self._ledger.tried("founder", (parent,), name):
                return (parent,), name
        return None

    def _ablate(self, chance: random.Random) -> tuple[tuple[int, ...], str] | None:
        for _ in range(DRAWS):
            parent = self._parent(chance)
            # Merges and ablations bring no diff, and without its own diff it would be its parent.
            line = (self._ledger[one].variant for one in sorted(self._ledger.ancestors(parent)))
            carried = [one.id for one in line if len(one.parents) == 1 and one.operator != "ablate"]
            if not carried:
                continue
            subject = str(chance.choice(carried))
            if not self._ledger.tried("ablate", (parent,), subject):
                return (parent,), subject
        return None
