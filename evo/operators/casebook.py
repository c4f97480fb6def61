"""The casebook: what operators may read of measurements and history, beside the shelf's texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from evo.nouns import Measurement, Outcome, Status


@dataclass(frozen=True, slots=True)
class Case:
    """A variant with what was measured of it. Scores are in the run's metric."""

    variant: int
    parents: tuple[int, ...]
    operator: str
    title: str
    rationale: str
    diff: str
    """Against the first parent."""
    score: float | None = None
    """Mean of its trials; None without a score, which who was caught cheating hasn't any more."""
    std: float | None = None
    """Standard error of that mean; None where the noise isn't known yet."""
    trials: int = 0
    """Finished ones, with those that failed."""
    gain: float | None = None
    """How much better than the first parent's mean, whichever way the metric improves; None where
    one of the two has no score."""
    status: Status | None = None
    """Of the last trial, or of the one that caught it cheating; None before one has finished."""
    cause: str = ""
    """Why that trial has no score."""
    last: Measurement | None = None
    """The last trial with a score."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that was proposed on a variant, and how it went."""

    proposal: int
    parent: int
    operator: str
    title: str
    outcome: Outcome
    cause: str = ""
    case: Case | None = None
    """What it became, if it was accepted."""
    distance: int = 0
    """Steps in the family tree from the variant in question; 0 is a proposal on itself."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A proposal that broke, in preflight or in its first trial."""

    proposal: int
    parents: tuple[int, ...]
    title: str
    rationale: str
    source: str
    cause: str
    log: str
    """The end of what it printed; empty where nothing is left of it."""


class Casebook(Protocol):
    """What was measured and tried so far. Asking for what isn't there is a KeyError."""

    def case(self, variant: int) -> Case:
        """One variant."""

    def lineage(self, variant: int) -> Sequence[Case]:
        """A variant's first parents from the baseline on, itself last."""

    def attempts(self, variant: int, most: int) -> Sequence[Attempt]:
        """What was tried on a variant and its relatives, nearest first and then newest first."""

    def inspirations(self, variant: int, most: int) -> Sequence[Case]:
        """The best variants from elsewhere, that neither descend from it nor it from them."""

    def failure(self, proposal: int) -> Failure:
        """A proposal that broke."""

    def twin(self, source: str) -> Case | None:
        """The variant that is the same program; None if there is none."""

    def hints(self) -> Sequence[str]:
        """What people want the operators to know, oldest first."""
