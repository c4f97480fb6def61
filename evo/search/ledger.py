"""The ledger: what a search has been told, kept so that its questions are quick to answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from evo.nouns import Direction, Estimate, Favour, Proposal, Status, Trial, Variant, Wish

MOST_FAILURES = 2
"""Of one variant, from which on it is measured no more."""


@dataclass(slots=True)
class Entry:
    """One variant and its trials so far."""

    variant: Variant
    losses: list[float] = field(default_factory=list)
    """Scores as numbers of which less is better, in the order in which they came."""
    holdout_losses: list[float] = field(default_factory=list)
    """The same of the holdout split, of the trials that were scored on it."""
    memory_mb: float = 0.0
    """The most that a trial of it took: of the device, or where nobody knows that, of the host."""
    failures: int = 0
    """Trials that ended without a score through a fault of the variant."""
    is_dishonest: bool = False
    """Caught cheating once, it has no scores, neither those before nor those to come."""
    trials: int = 0
    """Finished ones, with a score or without, but for those that infrastructure broke."""

    @property
    def is_spent(self) -> bool:
        """Whether it failed so often that another trial is likely to be lost too."""
        return self.failures >= MOST_FAILURES

    @property
    def mean(self) -> float:
        return sum(self.losses) / len(self.losses)


class Ledger:
    """Everything that was told, by variant.

    Args:
        direction: Which way the metric improves.
    """

    def __init__(self, direction: Direction) -> None:
        self._direction = direction
        self._entries: dict[int, Entry] = {}
        self._ancestors: dict[int, frozenset[int]] = {}
        self._attempts: set[tuple[str, tuple[int, ...], str]] = set()
        self._outstanding: dict[int, tuple[str, tuple[int, ...], str]] = {}
        self._favours: dict[int, Favour] = {}
        self._caught: set[int] = set()

    def asked(self, brief: int, operator: str, parents: tuple[int, ...], subject: str) -> None:
        """Notes a brief that was handed out: it isn't to be asked for a second time meanwhile."""
        self._outstanding[brief] = (operator, parents, subject)

    def add_proposal(self, proposal: Proposal) -> None:
        """Notes what was tried; a refused proposal too, so that it isn't asked for again."""
        self._outstanding.pop(proposal.id, None)
        self._attempts.add((proposal.operator, proposal.parents, proposal.subject))

    def add_variant(self, variant: Variant) -> None:
        self._entries[variant.id] = Entry(variant)
        known = (self._ancestors[parent] for parent in variant.parents)
        self._ancestors[variant.id] = frozenset(variant.parents).union(*known)

    def add_trial(self, trial: Trial) -> Entry:
        """Adds a finished trial to its variant.

        Raises:
            KeyError: The variant was never told.
        """
        entry = self._entries[trial.variant]
        assert trial.measurement is not None, "only finished trials are told"
        used = trial.measurement.resources
        entry.memory_mb = max(entry.memory_mb, used.device_memory_mb or used.peak_memory_mb)
        if trial.measurement.status is Status.INFRASTRUCTURE:
            return entry
        entry.trials += 1
        if is_caught(trial):
            entry.is_dishonest = True
            self._caught.add(trial.variant)
            entry.losses.clear()
            entry.holdout_losses.clear()
        if trial.measurement.score is None:
            entry.failures += 1
        elif not entry.is_dishonest:
            entry.losses.append(self._direction.loss(trial.measurement.score))
            if trial.measurement.holdout_score is not None:
                entry.holdout_losses.append(self._direction.loss(trial.measurement.holdout_score))
        return entry

    def add_wish(self, wish: Wish) -> None:
        """Notes what somebody wants of a variant; the last word counts."""
        self._favours[wish.variant] = wish.favour

    def is_barred(self, *variants: int) -> bool:
        """Whether any of them is to be no parent any more: banned, or caught cheating."""
        return not self._barred().isdisjoint(variants)

    def _barred(self) -> set[int]:
        banned = {one for one, favour in self._favours.items() if favour is Favour.BANNED}
        return banned | self._caught

    def pinned(self) -> list[int]:
        """Variants with a score that people want among the parents, by id."""
        return [
            one
            for one, favour in sorted(self._favours.items())
            if favour is Favour.PINNED and one in self._entries and self._entries[one].losses
        ]

    def __getitem__(self, variant: int) -> Entry:
        return self._entries[variant]

    def __contains__(self, variant: int) -> bool:
        return variant in self._entries

    @property
    def trials(self) -> int:
        """Trials with a score."""
        return sum(len(entry.losses) for entry in self._entries.values())

    @property
    def replicates(self) -> int:
        """Trials beyond the first of each variant, with a score or without."""
        return sum(max(0, entry.trials - 1) for entry in self._entries.values())

    def everyone(self) -> Iterator[Entry]:
        """All variants, in the order of their ids."""
        return (entry for _, entry in sorted(self._entries.items()))

    def scored(self) -> Iterator[Entry]:
        """Variants with a score that aren't barred, in the order of their ids."""
        barred = self._barred()
        return (
            entry for entry in self.everyone() if entry.losses and entry.variant.id not in barred
        )

    def tried(self, operator: str, parents: Iterable[int], subject: str = "") -> bool:
        """Whether exactly this was proposed before or is being proposed."""
        attempt = (operator, tuple(parents), subject)
        return attempt in self._attempts or attempt in self._outstanding.values()

    def subjects(self, operator: str) -> set[str]:
        """What an operator has been pointed at so far."""
        known = [*self._attempts, *self._outstanding.values()]
        return {subject for name, _, subject in known if name == operator}

    def has_begun(self, operator: str) -> bool:
        """Whether an operator was ever asked."""
        known = [*self._attempts, *self._outstanding.values()]
        return any(name == operator for name, _, _ in known)

    def ancestors(self, variant: int) -> frozenset[int]:
        """Every variant that this one descends from, without itself."""
        return self._ancestors[variant]

    def noise(self) -> float | None:
        """Standard deviation of one trial, pooled over all variants with replicates.

        The square root of the within-variant sum of squares over its degrees of freedom (the
        mean square within groups of a one-way analysis of variance); None before there is a
        replicate.
        """
        squares, freedom = 0.0, 0
        for entry in self.everyone():
            if len(entry.losses) > 1:
                mean = entry.mean
                squares += sum((loss - mean) ** 2 for loss in entry.losses)
                freedom += len(entry.losses) - 1
        return math.sqrt(squares / freedom) if freedom else None

    def estimate(self, variant: int) -> Estimate | None:
        """Mean loss of a variant and the standard deviation of that mean; None without a score."""
        entry = self._entries[variant]
        if not entry.losses:
            return None
        noise = self.noise()
        std = math.inf if noise is None else noise / math.sqrt(len(entry.losses))
        return Estimate(entry.mean, std, len(entry.losses))


def is_caught(trial: Trial) -> bool:
    """Whether a trial takes all fitness from its variant, for it was found dishonest.

    Not from the baseline: that is a person's, and what all others are compared with.
    """
    assert trial.measurement is not None
    return trial.variant != 0 and trial.measurement.status is Status.DISHONEST
