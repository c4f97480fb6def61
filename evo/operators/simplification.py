"""Simplification: a model takes out what doesn't pay; the same score with less code is a win."""

from __future__ import annotations

from dataclasses import replace

from evo.nouns import Brief, Outcome, Proposal
from evo.operators.mutation import Mutate
from evo.operators.operator import Shelf
from evo.operators.screening import count_lines


class Simplify(Mutate):
    """Has a model shorten the variant `brief.parents[0]`; what isn't shorter is refused."""

    name = "simplify"

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        proposal = super().propose(brief, shelf)
        if proposal.outcome is not Outcome.ACCEPTED or proposal.source is None:
            return proposal
        had, has = count_lines(shelf.source(brief.parents[0])), count_lines(proposal.source)
        if has < had:
            return proposal
        cause = f"simplify takes code out, but {had} lines became {has}"
        return replace(proposal, outcome=Outcome.MALFORMED, cause=cause, source=None)
