"""Crossover: the changes of two versions since their common ancestor, in one child."""

from __future__ import annotations

from evo.errors import MergeConflictError
from evo.nouns import Brief, Outcome, Proposal
from evo.operators.operator import TITLE_WIDTH, Shelf, refuse, settle, shorten
from evo.population.merge import merge


class Crossover:
    """Merges the second parent's changes into the first, without a model."""

    name = "crossover"

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if len(brief.parents) != 2:
            return refuse(brief, f"crossover takes two parents, but got {len(brief.parents)}")
        one, two = brief.parents
        ancestor = shelf.common_ancestor(one, two)
        ours, theirs = shelf.source(one), shelf.source(two)
        half = (TITLE_WIDTH - len(" + ")) // 2
        title = f"{shorten(shelf.title(one), half)} + {shorten(shelf.title(two), half)}"
        try:
            child = merge(shelf.source(ancestor), ours, theirs)
        except MergeConflictError as error:
            return refuse(brief, str(error), title=title)
        if child == theirs != ours:
            cause = f"the child equals variant {two}, which has all that variant {one} changes"
            return refuse(brief, cause, outcome=Outcome.NO_OP, title=title)
        rationale = f"Joins what variants {one} and {two} changed since variant {ancestor}."
        return settle(brief, ours, child, title=title, rationale=rationale)
