"""Openings: what was refused or broke, and is worth another try by other means. Pure."""

from __future__ import annotations

import re

from evo.nouns import Outcome, Proposal, Status, Trial, Variant

MOST_REPAIRS = 2
"""Of one idea, counted over the repairs of its repairs."""
KEPT = 16
"""Older failures are let go: the population has moved on."""
IDEAS = frozenset({"mutate", "cross", "simplify", "agent", "repair", "human", "founder"})
"""Operators whose failures are worth mending; a number that was moved too far isn't."""
_HOPELESS = re.compile(r"(?i)^nan\b|\bnan\b.*loss|loss.*\bnan\b|out of memory|too slow|seed")
"""Causes that are no slips: the idea itself fails, or breaks a rule."""


class Openings:
    """What may be joined by a model after git couldn't, and what may be mended."""

    def __init__(self) -> None:
        self._conflicts: dict[tuple[int, ...], None] = {}
        self._failures: dict[int, tuple[int, ...]] = {}
        self._proposals: dict[int, Proposal] = {}
        self._made_by: dict[int, int] = {}
        self._origin: dict[int, int] = {}
        self._repairs: dict[int, int] = {}

    def asked(self, operator: str, subject: str) -> None:
        """A repair is being made: it counts from now on, and isn't asked for twice at once."""
        if operator == "repair":
            self._failures.pop(int(subject), None)

    def tell(self, record: Proposal | Variant | Trial) -> None:
        """Takes notice of what happened."""
        if isinstance(record, Proposal):
            self._add_proposal(record)
        elif isinstance(record, Variant):
            self._made_by[record.id] = record.proposal
        else:
            self._add_trial(record)

    def conflicts(self) -> tuple[tuple[int, ...], ...]:
        """Pairs that git couldn't merge, oldest first."""
        return tuple(self._conflicts)

    def failures(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Proposals that broke and may be mended, with their parents, oldest first."""
        return tuple(self._failures.items())

    def _add_proposal(self, proposal: Proposal) -> None:
        self._proposals[proposal.id] = proposal
        if proposal.operator == "crossover" and proposal.outcome is Outcome.MALFORMED:
            self._conflicts[proposal.parents] = None
        if proposal.operator == "cross":
            self._conflicts.pop(proposal.parents, None)
        if proposal.operator == "repair":
            self.asked("repair", proposal.subject)
            mended = int(proposal.subject)
            origin = self._origin.get(mended, mended)
            self._origin[proposal.id] = origin
            self._repairs[origin] = self._repairs.get(origin, 0) + 1
        if proposal.outcome is Outcome.PREFLIGHT_FAILED:
            self._add_failure(proposal, proposal.cause)

    def _add_trial(self, trial: Trial) -> None:
        measurement = trial.measurement
        made_by = self._made_by.get(trial.variant)
        if measurement is None or made_by is None or measurement.status is not Status.CRASHED:
            return
        if made_by in self._proposals:
            self._add_failure(self._proposals[made_by], measurement.cause)

    def _add_failure(self, proposal: Proposal, cause: str) -> None:
        origin = self._origin.get(proposal.id, proposal.id)
        is_slip = not _HOPELESS.search(cause)
        has_tries = self._repairs.get(origin, 0) < MOST_REPAIRS
        if proposal.operator in IDEAS and proposal.parents and is_slip and has_tries:
            self._failures[proposal.id] = proposal.parents
            while len(self._failures) > KEPT:
                del self._failures[next(iter(self._failures))]
