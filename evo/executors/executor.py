"""What an executor is: slots that run trials and say what became of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from evo.arena.compiled import Kept
from evo.corpus.corpus import Split
from evo.nouns import CurvePoint, Measurement


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """A running trial reported a loss."""

    trial: int
    point: CurvePoint


@dataclass(frozen=True, slots=True)
class TrialMeasured:
    """A trial came to an end that says something of its variant."""

    trial: int
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class TrialLost:
    """A trial couldn't be run, through no fault of its variant."""

    trial: int
    cause: str


TrialEvent = TrialProgress | TrialMeasured | TrialLost
OnEvent = Callable[[TrialEvent], None]


class Executor(Protocol):
    """Runs trials, at most one a slot."""

    @property
    def free_slots(self) -> int:
        """How many trials could be started now."""
        ...

    def submit(
        self,
        trial: int,
        source: str,
        seed: int,
        log: str,
        *,
        deep: bool = False,
        split: Split = Split.SEARCH,
        compiled: Kept | None = None,
    ) -> None:
        """Starts a trial in a free slot; its events come through `on_event`, on any thread.

        Args:
            trial: Id that its events carry.
            source: The variant's text.
            seed: The trial's seed.
            log: Path of the file that keeps what it prints.
            split: The validation split that is scored.
            deep: Whether the referee looks harder, for a variant that may become the champion.
            compiled: What compilers left in a trial of a trusted text, if that is shared.

        Raises:
            ArenaError: No slot is free, or it can't be started.
        """
        ...

    def abort(self, trial: int) -> None:
        """Gives a running trial up; a `TrialLost` follows."""
        ...

    def close(self) -> None:
        """Ends everything that runs, and waits for that."""
        ...
