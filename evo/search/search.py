"""What every strategy is: something that asks for variants and is told what became of them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Protocol

from evo.nouns import Brief, CurvePoint, Estimate, Proposal, Standing, Trial, Variant, Wish
from evo.search.bandit import Arm


class Search(Protocol):
    """One ask/tell pair; results come back in any order and are matched by id.

    A strategy is told every proposal that was finished, then its variant if it was accepted,
    every trial that was finished, and what people wish of a variant.
    """

    @property
    def champion(self) -> int | None:
        """The variant that is believed to be best; None before the baseline has a score."""
        ...

    def offer(self, arms: Mapping[Arm, float]) -> None:
        """Says what language models can be asked for from now on: program.md may be edited.

        Args:
            arms: How often each is asked at first, in parts as in `evo.search.breeding.SHARES`.
        """
        ...

    def ask(self, brief: int, chance: random.Random) -> Brief | None:
        """What to propose next.

        Args:
            brief: Id of the brief, and of the proposal that will answer it.
            chance: Where every draw comes from.

        Returns:
            A brief, or None if nothing can be asked before more trials are told.
        """
        ...

    def tell(self, record: Proposal | Variant | Trial | Wish) -> Standing:
        """Takes notice of what happened; for a trial, what it did to its variant's standing."""
        ...

    def expect(self, trials: float | None) -> None:
        """Says about how many more trials will be started before a run ends.

        Args:
            trials: None means that nobody knows. It moves no belief and no champion: a replay
                needn't be told.
        """
        ...

    def wanted_trials(self) -> dict[int, int]:
        """Variants that need more trials than the first, and how many in all."""
        ...

    def foregoes(self, variant: int) -> bool:
        """Whether a variant that was just told isn't worth its first trial.

        What it changes was measured before, in a relative, and did harm.
        """
        ...

    def hopeless(self, trial: Trial, curve: Sequence[CurvePoint]) -> str:
        """Why a running trial is to be stopped now; empty if it isn't.

        Args:
            trial: The trial.
            curve: What it has reported so far, as it says itself.
        """
        ...

    def living(self) -> tuple[int, ...]:
        """Variants that may become parents, best first."""
        ...

    def estimate(self, variant: int) -> Estimate | None:
        """What is believed of a variant's true loss (less is better); None without a score."""
        ...
